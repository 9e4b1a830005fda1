"""What this server refuses, and how it says so: models by problems, requests by a status and a sentence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

PROGRAM: Final = "celadon.serving"

OK: Final = 0
WORLD_FAILED: Final = 1
MODEL_REFUSED: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Something about the person's model that has to be put right by that person."""

    path: str
    found: str
    hint: str

    def sentence(self) -> str:
        return f"{self.path}: {self.found}; {self.hint}."


class ModelRefusedError(Exception):
    """The model cannot be served as it is. Carries every problem that was found, never only the first of its kind."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__(" ".join(problem.sentence() for problem in problems))
        self.problems = problems


class RequestRefusedError(Exception):
    """The answer is an error of the protocol: 4xx where the request is at fault, 501 where it asks for what is not offered."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


class InferenceFailedError(Exception):
    """The model raised on a request that fits its declared inputs: the revision's fault, and so always a 500."""


def shown(value: object, limit: int = 80) -> str:
    """The value as a person recognises it, cut where somebody sent us a novel."""
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 3] + "..."
