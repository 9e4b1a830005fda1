"""Numbers as people read them."""

import re

from celadon.domain.problem import Problem, ProblemsError

MINUTE_S = 60
HOUR_S = 60 * MINUTE_S
DAY_S = 24 * HOUR_S

SPAN = re.compile(r"(\d+(?:\.\d+)?)(s|m|h|d)")
SPAN_S = {"s": 1, "m": MINUTE_S, "h": HOUR_S, "d": DAY_S}


def span(seconds: float) -> str:
    """`12 s`, `3 min`, `2 h 5 min`, `4 days`."""
    whole = max(0, int(seconds))
    if whole < 2 * MINUTE_S:
        return f"{whole} s"
    if whole < 2 * HOUR_S:
        return f"{whole // MINUTE_S} min"
    if whole < 2 * DAY_S:
        return f"{whole // HOUR_S} h {whole % HOUR_S // MINUTE_S} min"
    return f"{whole // DAY_S} days"


def ago(then: float, now: float) -> str:
    """How long ago; a clock that differs a little between two machines does not make a future of it."""
    return f"{span(now - then)} ago"


def ordinal(count: int) -> str:
    """`1st`, `2nd`, `3rd`, `11th`."""
    ending = "th" if 10 <= count % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(count % 10, "th")
    return f"{count}{ending}"


def share(percent: float) -> str:
    """`12.5 %`, without needless digits."""
    return f"{percent:g} %"


def several(count: int, thing: str) -> str:
    """`1 file`, `2 files`."""
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"


def size(count: int) -> str:
    """`1.5 MB`."""
    if count == 1:
        return "1 byte"
    amount = float(count)
    for unit in ("bytes", "kB", "MB"):
        if amount < 1000:
            return f"{amount:.3g} {unit}"
        amount /= 1000
    return f"{amount:.3g} GB"


def seconds(given: str, option: str) -> float:
    """`30s`, `10m`, `2h`, `1d` in seconds. Raises ProblemsError."""
    found = SPAN.fullmatch(given.strip())
    if found is None:
        hint = "write a number and a unit, as 30s, 10m, 2h or 1d"
        raise ProblemsError([Problem(path=option, found=f"`{given}` is not a length of time", hint=hint)])
    return float(found[1]) * SPAN_S[found[2]]
