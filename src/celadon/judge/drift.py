"""Whether green answers otherwise than blue, class by class: a warning and never a verdict.

A retrained model always differs, so only a difference of some size is told, and only once it is certain at whatever
time one looks. Source: the confidence sequence for bounded means of Howard, Ramdas, McAuliffe and Sekhon (2021).
"""

import math
from collections.abc import Iterable, Mapping

from celadon.domain.evidence import Tally
from celadon.domain.names import RevisionId
from celadon.domain.reason import Code, Reason, because, text
from celadon.domain.verdict import Finding, Interval, Worth

LEAST = 0.05
"""Differences of a class's share below this are not told."""

ALPHA = 0.01
CLASSES = 50
"""Other classes are not counted one by one."""

OTHERS = "others"
DRIFT = "answers"


def added(
    classes: Mapping[str, tuple[int, int]],
    more: Iterable[tuple[RevisionId, str, int]],
    blue: RevisionId,
    green: RevisionId,
) -> Mapping[str, tuple[int, int]]:
    """How often green, and how often blue, answered what."""
    total = dict(classes)
    for revision, name, answers in more:
        if revision in (blue, green):
            known = name if name in total or len(total) < CLASSES else OTHERS
            greens, blues = total.get(known, (0, 0))
            total[known] = (greens + answers, blues) if revision == green else (greens, blues + answers)
    return total


def drifted(classes: Mapping[str, tuple[int, int]]) -> Reason | None:
    """The class whose share differs most, if it certainly differs by more than `LEAST`."""
    greens, blues = sum(g for g, _ in classes.values()), sum(b for _, b in classes.values())
    if not greens or not blues:
        return None
    sure = LEAST + _half_width(greens, len(classes)) + _half_width(blues, len(classes))
    apart, name = max((abs(g / greens - b / blues), name) for name, (g, b) in classes.items())
    if apart <= sure:
        return None
    green, blue = classes[name]
    return because(
        Code.DRIFTED, answer=name, green_percent=100 * green / greens, blue_percent=100 * blue / blues
    )


def findings(classes: Mapping[str, tuple[int, int]]) -> tuple[Finding, ...]:
    """The warning as people are shown it; none while nothing certainly differs."""
    why = drifted(classes) if classes else None
    if why is None:
        return ()
    greens, blues = (sum(pair[at] for pair in classes.values()) for at in (0, 1))
    green, blue = classes[str(why.fields["answer"])]
    return (
        Finding(
            metric=DRIFT,
            counts=Tally(0, greens, green, blues, blue),
            worth=Worth(1.0, 1.0, 0.0),
            interval=Interval(ratio=None, low=0.0, high=None),
            needed=None,
            required=False,
            note=text(why),
            part=0.0,
        ),
    )


def _half_width(answers: int, classes: int) -> float:
    """By how much an observed share can be off, at any time, for all classes of both sides together."""
    alpha = ALPHA / (2 * classes)
    return 0.85 * math.sqrt((math.log(math.log(2 * answers) + 1) + 0.72 * math.log(10.4 / alpha)) / answers)
