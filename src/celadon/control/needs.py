"""What a release asks of the proxy. What the proxy in use can not do is refused before anything begins."""

from collections.abc import Iterator
from enum import StrEnum

from celadon.domain.draw import StickyCookie, StickyHeader
from celadon.domain.plan import FULL
from celadon.domain.problem import Problem
from celadon.domain.spec import AbTest, ReleasePolicy
from celadon.release.plan import plan_of


class Need(StrEnum):
    """One thing that not every proxy can do."""

    SPLIT = "split requests"
    MATCH = "match requests"
    COPY = "copy requests"
    KEEP_BY_HEADER = "keep callers on one side by a header"
    KEEP_BY_COOKIE = "keep callers on one side by a cookie"
    TELL_GROUPS = "tell groups of callers apart"


EVERYTHING = frozenset(Need)


def needs(policy: ReleasePolicy) -> Iterator[tuple[Need, str]]:
    """What releases under this policy ask for, each with the option that asks."""
    plan = plan_of(policy)
    if any(0 < stage.share < FULL for stage in plan.stages):
        yield Need.SPLIT, "spec/release/strategy" if policy.exposure is None else "spec/release/exposure"
    if isinstance(policy.strategy, AbTest) and policy.strategy.match.conditions:
        yield Need.MATCH, "spec/release/strategy/abTest/match"
    if any(stage.mirror for stage in plan.stages):
        yield Need.COPY, "spec/release/strategy"
    if policy.compare is not None and policy.compare.freeze_mirror:
        yield Need.COPY, "spec/release/judge/freezeMirrorPercent"
    if policy.compare is not None and policy.compare.groups:
        yield Need.TELL_GROUPS, "spec/release/judge/groups"
    match policy.sticky:
        case StickyHeader():
            yield Need.KEEP_BY_HEADER, "spec/release/sticky/header"
        case StickyCookie():
            yield Need.KEEP_BY_COOKIE, "spec/release/sticky/cookie"
        case None:
            pass


def beyond(policy: ReleasePolicy, can: frozenset[Need]) -> Iterator[Problem]:
    """A problem for everything that is asked for and can not be had."""
    for need, path in needs(policy):
        if need not in can:
            found = f"asks the proxy to {need.value}, which the one in use can not do"
            yield Problem(path=path, found=found, hint="another strategy, or another proxy")
