"""Values out of a plain document whose shape may be wrong."""

import math
from typing import Any, TypeVar

T = TypeVar("T")


def get(document: Any, kind: type[T], *path: str) -> T | None:
    """The value at `path` if it is there and of that kind."""
    for part in path:
        if not isinstance(document, dict) or part not in document:
            return None
        document = document[part]
    if isinstance(document, kind) and not (isinstance(document, bool) and kind is not bool):
        return document
    return None


def number(document: Any, *path: str) -> float | None:
    """The finite number at `path`, whole or not."""
    whole = get(document, int, *path)
    value = whole if whole is not None else get(document, float, *path)
    return value if value is not None and math.isfinite(value) else None


def among(document: Any, name: str, usual: float) -> float:
    """The number called `name`, or the usual one."""
    found = number(document, name)
    return usual if found is None else found
