"""What people and replicas tell of answers later: entries of a body, each taken or refused for itself."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any, TypeVar

from celadon.domain.feedback import Received
from celadon.domain.names import ServiceKey
from celadon.domain.problem import Problem, ProblemsError
from celadon.doors.api import errors
from celadon.doors.api.session import Session
from celadon.observe.labels.answer import MisreadError
from celadon.observe.labels.lines import read_feedback, read_prediction

Json = dict[str, Any]
T = TypeVar("T")

PROBLEMS_MAX = 100
"""So many are said one by one; `refused` counts all of them."""


def feedback(session: Session, key: ServiceKey, raw: bytes) -> Json:
    """Take labels and scores, and say what became of them. Waits for the disk. Raises ProblemsError and Fault."""
    taken, problems = _read(raw, "feedback", read_feedback)
    return _told(session.daemon.labels.post(key, taken), problems)


def predictions(session: Session, key: ServiceKey, raw: bytes) -> Json:
    """Take predictions of replicas that write no file of them. Waits and raises as above."""
    taken, problems = _read(raw, "predictions", read_prediction)
    return _told(session.daemon.labels.predicted(key, taken), problems)


def _told(received: Received, problems: Sequence[Problem]) -> Json:
    said = [errors.problem(one) for one in problems[:PROBLEMS_MAX]]
    return {**asdict(received), "refused": len(problems), "problems": said}


def _read(raw: bytes, name: str, read: Callable[[Any], T]) -> tuple[list[T], list[Problem]]:
    taken: list[T] = []
    problems: list[Problem] = []
    for path, text in _entries(raw, name):
        try:
            taken.append(read(json.loads(text) if isinstance(text, bytes) else text))
        except MisreadError as error:
            problems.append(Problem(path=path, found=str(error), hint="docs/feedback.md has the form"))
        except (ValueError, RecursionError) as error:
            problems.append(Problem(path=path, found=f"is not JSON: {error}"))
    return taken, problems


def _entries(raw: bytes, name: str) -> list[tuple[str, Any]]:
    """Entries with where they stand: of a list, of an object that holds it, or one a line."""
    try:
        whole = json.loads(raw)
    except (ValueError, RecursionError):
        lines = enumerate(raw.split(b"\n"), 1)
        return [(f"line {number}", line) for number, line in lines if line.strip()]
    if isinstance(whole, dict) and whole.keys() == {name}:
        whole = whole[name]
    if isinstance(whole, dict):
        return [("line 1", whole)]
    if not isinstance(whole, list):
        hint = "a JSON list of objects, or one object a line"
        raise ProblemsError([Problem(path="body", found="is neither a list nor an object", hint=hint)])
    return [(f"{name}/{index}", entry) for index, entry in enumerate(whole)]
