"""One policy of every kind, by name, so that a walk through all of them says which one broke a law."""

from celadon.domain.compare import Compare, LabelMargin, Margin, PairMargin
from celadon.domain.draw import Condition, Match, StickyCookie, StickyHeader, Where
from celadon.domain.spec import (
    AbTest,
    Advance,
    Ends,
    Exposure,
    OnDeadline,
    Ramp,
    Serves,
    Shadow,
    Step,
)

COMPARE = Compare(rest_s=10.0)
MIRRORED = Compare(rest_s=10.0, freeze_mirror=3000, pairs=PairMargin())
LABELLED = Compare(rest_s=10.0, labels=LabelMargin(wrong=Margin()))
STEPS = (Step(share=500, dwell_s=5), Step(share=2500, dwell_s=5))
GATED = (
    Step(share=0, mirror=1000, dwell_s=5),
    Step(share=500, dwell_s=5),
    Step(share=2500, dwell_s=5, gate=True),
)
MATCH = Match(conditions=(Condition(where=Where.HEADER, name="x-group", values=("a",)),))

POLICIES: dict[str, dict[str, object]] = {
    "all at once": {},
    "all at once, gated": {"gate": True},
    "all at once, compared, blue serves a hold": {"compare": COMPARE, "hold_serves": Serves.BLUE},
    "by time": {"strategy": Ramp(steps=STEPS, control=True), "compare": COMPARE, "sticky": StickyCookie()},
    "by evidence": {
        "strategy": Ramp(steps=STEPS, advance=Advance.EVIDENCE),
        "compare": MIRRORED,
        "sticky": StickyHeader(header="x-user"),
        "exposure": Exposure(bad_answers_max=50, confidence=0.99, rate_per_s=100),
    },
    "shadow, ramp, gate": {
        "strategy": Ramp(steps=GATED),
        "compare": LABELLED,
        "probation_s": 60.0,
        "on_deadline": OnDeadline.ROLLBACK,
    },
    "test": {"strategy": AbTest(match=MATCH, test_s=10), "compare": COMPARE},
    "test, then all": {"strategy": AbTest(match=MATCH, test_s=10, then=Ends.PROMOTED), "compare": COMPARE},
    "shadow": {"strategy": Shadow(mirror=1000, test_s=10, requests_max=100), "compare": MIRRORED},
}
