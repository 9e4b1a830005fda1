"""One answer as it is kept: the classes or numbers that it claims, and whether two answers are alike."""

import json
import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from celadon.domain.names import RevisionId

ROWS_MAX = 16
TEXT_MAX = 64
SHAPE_MAX = 200
NUMBER_MAX = 1e300
KNOWN = {"class", "numbers", "shape", "digest", "rows"}


class MisreadError(ValueError):
    """What was written can not be read, and why."""


Number = float | None
"""None stands for what is no number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What was answered. shape: the form of all outputs. single: whether `classes` is the class of one row.

    classes and numbers may stand for the beginning or for a part of what was answered; then digest stands for the rest.
    """

    shape: str
    classes: tuple[str, ...] = ()
    numbers: tuple[Number, ...] = ()
    digest: str = ""
    single: bool = False

    @property
    def claim(self) -> str | None:
        """The one class that it names; None where it names none or several."""
        return self.classes[0] if self.single else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """An answer, and to which request whose replica gave it. mirrored: to a copy, so that no caller saw it."""

    request: str
    revision: RevisionId
    mirrored: bool
    answer: Answer


class Likeness(StrEnum):
    """How two answers to one request compare."""

    ALIKE = "alike"
    DIFFER = "differ"
    RESHAPED = "reshaped"


def likeness(first: Answer, copy: Answer, tolerance: float) -> Likeness:
    """Classes are alike when they are equal, numbers when they are nearer than the tolerance, relative to the larger."""
    if first.shape != copy.shape:
        return Likeness.RESHAPED
    if first.classes and copy.classes:
        same = first.classes == copy.classes and first.digest == copy.digest
    elif len(first.numbers) != len(copy.numbers):
        return Likeness.RESHAPED
    elif first.numbers:
        same = all(_near(a, b, tolerance) for a, b in zip(first.numbers, copy.numbers, strict=True))
    else:
        same = first.digest == copy.digest
    return Likeness.ALIKE if same else Likeness.DIFFER


def _near(a: Number, b: Number, tolerance: float) -> bool:
    if a is None or b is None:
        return a is b
    return abs(a - b) <= tolerance * max(abs(a), abs(b))


def shown(answer: Answer) -> str:
    """An answer as people are shown it."""
    if answer.classes:
        text = ", ".join(answer.classes[:3])
    elif answer.numbers:
        text = ", ".join("null" if number is None else f"{number:g}" for number in answer.numbers[:3])
    else:
        text = answer.digest or "nothing"
    more = len(answer.classes or answer.numbers) > 3
    return f"{text}{', ...' if more else ''}"[: 3 * TEXT_MAX]


def read_answer(value: Any) -> Answer:
    """An answer as it is written: a class, a number, a list of them, or an object. Raises MisreadError, which says why."""
    if not isinstance(value, dict):
        return _plain(value)
    if unknown := value.keys() - KNOWN:
        raise MisreadError(f"`answer` has `{_cut(min(unknown))}`, which is not known")
    shape, digest = (_text(value.get(name, ""), name, SHAPE_MAX) for name in ("shape", "digest"))
    claims = _plain(value.get("class", []))
    numbers = tuple(map(_number, _list(value.get("numbers", []))))
    if not (claims.classes or numbers or digest or shape):
        raise MisreadError("`answer` has neither `class` nor `numbers` nor `digest`")
    if value.get("class", "") != "" and not claims.classes and claims.numbers:
        raise MisreadError("`class` must be text or a whole number")
    form = shape or (claims.shape if claims.classes else _form("number", numbers))
    return Answer(shape=form, classes=claims.classes, numbers=numbers, digest=digest, single=claims.single)


def _plain(value: Any) -> Answer:
    """Texts and truths are classes, numbers are numbers; a whole one may be either and is both."""
    values = _list(value)
    single = not isinstance(value, list)
    if all(isinstance(one, str | bool) for one in values):
        classes = tuple(map(_class, values))
        return Answer(shape="class" if single else f"classes[{len(values)}]", classes=classes, single=single)
    numbers = tuple(map(_number, values))
    shape = "number" if single else _form("number", numbers)
    if not all(isinstance(one, int) for one in values):
        return Answer(shape=shape, numbers=numbers)
    return Answer(shape=shape, classes=tuple(map(_class, values)), numbers=numbers, single=single)


def _form(kind: str, values: tuple[object, ...]) -> str:
    return f"{kind}s[{len(values)}]"


def _list(value: Any) -> list[Any]:
    values = value if isinstance(value, list) else [value]
    if len(values) > ROWS_MAX:
        raise MisreadError(
            f"`answer` lists {len(values)} values; {ROWS_MAX} at most, and a `digest` for the rest"
        )
    return values


def _class(value: Any) -> str:
    return json.dumps(value) if isinstance(value, bool) else _text(str(value), "class", TEXT_MAX)


def _number(value: Any) -> Number:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= NUMBER_MAX:
        if isinstance(value, float) and not math.isfinite(value):
            return None
        raise MisreadError(f"`answer` has {_cut(json.dumps(value))}, which is neither a class nor a number")
    return float(value)


def _text(value: Any, name: str, most: int) -> str:
    if not isinstance(value, str) or len(value) > most or not value.isprintable():
        raise MisreadError(f"`{name}` must be printable text of at most {most} characters")
    return value


def _cut(text: str) -> str:
    return text if len(text) <= TEXT_MAX else f"{text[:TEXT_MAX]}..."


def written(answer: Answer) -> str:
    """An answer as the database keeps it; `kept` reads it back."""
    return json.dumps([answer.shape, answer.classes, answer.numbers, answer.digest, answer.single])


def kept(text: str) -> Answer:
    """An answer out of the database."""
    shape, classes, numbers, digest, single = json.loads(text)
    return Answer(shape=shape, classes=tuple(classes), numbers=tuple(numbers), digest=digest, single=single)
