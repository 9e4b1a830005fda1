"""Lines of JSON as replicas write them and as people post them, one object each; docs/feedback.md has the form."""

import json
import math
import re
from typing import Any

from celadon.domain.feedback import Feedback
from celadon.domain.names import RevisionId
from celadon.observe.labels.answer import TEXT_MAX, MisreadError, Said, read_answer

REQUEST = re.compile(r"[\x21-\x7e]{1,256}")
"""What the id of a request may be: the same as what the model server returns."""

REVISION = re.compile(r"[0-9a-f]{12}")

LABEL_MAX = TEXT_MAX


def read_feedback(value: Any) -> Feedback:
    """What was told of one answer. Raises MisreadError, which says what is wrong."""
    entry = _entry(value, {"id", "wrong", "label", "score"})
    wrong, label, score = (entry.get(name) for name in ("wrong", "label", "score"))
    if wrong is None and label is None and score is None:
        raise MisreadError("has none of `wrong`, `label` and `score`")
    if not isinstance(wrong, bool | None):
        raise MisreadError("`wrong` must be true or false")
    return Feedback(request=_request(entry), wrong=wrong, label=_label(label), score=_score(score))


def read_prediction(value: Any, revision: RevisionId | None = None) -> Said:
    """What was answered to one request. revision: whose replica said so; None where the line must say it.

    Raises MisreadError, which says what is wrong.
    """
    known = {"id", "answer", "revision", "mirrored", "at", "share", "group"}
    entry = _entry(value, known)
    mirrored = entry.get("mirrored", False)
    if not isinstance(mirrored, bool):
        raise MisreadError("`mirrored` must be true or false")
    if "answer" not in entry:
        raise MisreadError("has no `answer`")
    return Said(
        request=_request(entry),
        revision=revision or _revision(entry),
        mirrored=mirrored,
        answer=read_answer(entry["answer"]),
    )


def read_line(line: bytes, revision: RevisionId) -> Said | None:
    """A line of a replica's file; None for one that can not be read, which is the replica's fault alone."""
    try:
        return read_prediction(json.loads(line), revision)
    except (ValueError, RecursionError):
        return None


def _entry(value: Any, known: set[str]) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise MisreadError("is not an object")
    if unknown := value.keys() - known:
        raise MisreadError(f"has `{min(unknown)[:TEXT_MAX]}`, which is not known")
    return value


def _request(entry: dict[str, Any]) -> str:
    given = entry.get("id")
    if not isinstance(given, str) or not REQUEST.fullmatch(given):
        raise MisreadError("`id` must be the id of a request: 1 to 256 printable characters without spaces")
    return given


def _revision(entry: dict[str, Any]) -> RevisionId:
    given = entry.get("revision")
    if not isinstance(given, str) or not REVISION.fullmatch(given):
        raise MisreadError("`revision` must name the revision that answered, by its 12 hexadecimal digits")
    return RevisionId(given)


def _label(given: Any) -> str | None:
    """A label as text, so that 3, 3.0 and "3" are the same class."""
    if given is None:
        return None
    if isinstance(given, bool):
        return json.dumps(given)
    if isinstance(given, float) and given.is_integer():
        given = int(given)
    if not isinstance(given, str | int | float) or (isinstance(given, float) and not math.isfinite(given)):
        raise MisreadError("`label` must be text, a number, true or false")
    text = str(given)
    if not text or len(text) > LABEL_MAX or not text.isprintable():
        raise MisreadError(f"`label` must be 1 to {LABEL_MAX} printable characters")
    return text


def _score(given: Any) -> float | None:
    if given is None:
        return None
    if isinstance(given, bool) or not isinstance(given, int | float) or not 0 <= given <= 1:
        raise MisreadError("`score` must be a number from 0 to 1")
    return float(given)
