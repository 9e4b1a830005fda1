"""Arrivals as samples: a pure reading of rows that never change, so that the same rows always tell the same."""

import json
from collections import Counter
from collections.abc import Sequence

from celadon.domain.compare import LabelMargin
from celadon.domain.feedback import Interest
from celadon.domain.names import RevisionId
from celadon.domain.samples import Cursor, Label, Pairs, Samples
from celadon.observe.labels.join import Kind, mature_s

SOURCE = "labels"

Row = tuple[int, int, int, str]
"""Position, whole seconds at which it arrived, kind, body."""


def position(since: Cursor, file: str) -> int | None:
    """Where a reader stands in this file; None: it read from another one."""
    name, _, number = dict(since).get(SOURCE, "").partition(":")
    return int(number) if name == file and number.isdecimal() else None


def cursor(file: str, pos: int) -> Cursor:
    """The cursor of a position."""
    return ((SOURCE, f"{file}:{pos}"),)


def samples(rows: Sequence[Row], interest: Interest, since: Cursor, to: Cursor, *, complete: bool) -> Samples:
    """What the rows tell one release."""
    labels: list[Label] = []
    pairs: list[Pairs] = []
    classes: Counter[tuple[RevisionId, str]] = Counter()
    for _, at_s, kind, text in rows:
        body = json.loads(text)
        match Kind(kind):
            case Kind.LABEL:
                label = _label(at_s, body, interest)
                labels += [label] if label else []
            case Kind.PAIRS if _within(at_s, interest):
                pairs.append(_pairs(at_s, body))
            case Kind.CLASSES if _within(at_s, interest):
                for revision, name, number in body:
                    classes[RevisionId(revision), name] += number
            case _:
                pass
    return Samples(
        cursor_from=since,
        cursor_to=to,
        counts=(),
        complete=complete,
        labels=tuple(labels),
        pairs=tuple(pairs),
        classes=tuple((revision, name, number) for (revision, name), number in classes.items()),
    )


def _within(at_s: int, interest: Interest) -> bool:
    return int(interest.began_at) <= at_s and (interest.ended_at is None or at_s <= interest.ended_at)


def _label(at_s: int, body: list[object], interest: Interest) -> Label | None:
    """A label; None when it tells of another release's answer, came too late, or says nothing that is asked."""
    posted_s, answered_s, revision, share, caller, wrong, truth, claim, score = body
    assert isinstance(posted_s, int)
    assert isinstance(answered_s, int)
    assert isinstance(share, int)
    asked = interest.compare.labels
    if not _within(answered_s, interest) or posted_s - answered_s > mature_s(interest.compare):
        return None
    return Label(
        at_s=at_s,
        revision=RevisionId(str(revision)),
        share=share,
        group=str(caller),
        wrong=None if wrong is None else bool(wrong),
        positive=_is_positive(truth, asked),
        claimed=_is_positive(claim, asked),
        score=score if isinstance(score, float) else None,
        answered_s=answered_s,
    )


def _is_positive(name: object, asked: LabelMargin | None) -> bool | None:
    if name is None or asked is None or asked.positive is None:
        return None
    return name == asked.positive


def _pairs(at_s: int, body: list[object]) -> Pairs:
    copy, *numbers, example = body
    pairs, differ, reshaped, labelled_alike, only_copy_wrong, only_first_wrong = (
        int(str(n)) for n in numbers
    )
    return Pairs(
        at_s=at_s,
        copy=RevisionId(str(copy)),
        pairs=pairs,
        differ=differ,
        reshaped=reshaped,
        labelled_alike=labelled_alike,
        only_copy_wrong=only_copy_wrong,
        only_first_wrong=only_first_wrong,
        example=str(example),
    )
