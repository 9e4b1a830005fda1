"""The options of a release policy with the values they have, and which of them were left to their defaults."""

from collections.abc import Iterator
from typing import Any

from celadon.domain.compare import Compare
from celadon.domain.draw import Match, StickyCookie, StickyHeader, Where
from celadon.domain.spec import (
    AbTest,
    Advance,
    BlueGreen,
    Ends,
    ModelSource,
    Ramp,
    ReleasePolicy,
    ServiceSpec,
    Shadow,
    Step,
)
from celadon.parse import defaults

Explained = tuple[str, Any, bool]
"""A path as `spec/route/port`, the value as a person would write it, and whether it is the default."""

HERE = "spec/release"


def explain_release(spec: ServiceSpec) -> Iterator[Explained]:
    """Every option of `release`, in the order of the reference file. A group that is not there is one line."""
    policy, watch = spec.release, spec.release.watch
    yield _one("gate", policy.gate, defaults.GATE)
    yield _one("startSeconds", policy.start_s, defaults.START_S)
    yield _one("proveSeconds", policy.prove_s, defaults.PROVE_S)
    yield from _strategy(spec)
    yield from _sticky(policy)
    yield _one("watch/seconds", watch.watch_s, defaults.WATCH_S)
    yield _one("watch/minRequests", watch.requests_min, defaults.REQUESTS_MIN)
    yield _one("watch/maxErrorPercent", percent(watch.error_share_max), defaults.ERROR_PERCENT_MAX)
    yield _one("watch/maxLatencyMsP95", watch.latency_ms_p95_max, defaults.LATENCY_MS_P95_MAX)
    yield _one("watch/deadlineSeconds", watch.deadline_s, defaults.DEADLINE_S)
    yield _one("watch/onDeadline", watch.on_deadline.value, defaults.ON_DEADLINE)
    yield _one("watch/holdServes", watch.hold_serves.value, defaults.HOLD_SERVES)
    yield from _judge(policy.compare, defaults.freeze_mirror_percent(spec.source))
    yield from _exposure(policy)
    yield _one("probationSeconds", policy.probation_s, defaults.PROBATION_S)
    yield _one("holdSeconds", policy.hold_s, defaults.HOLD_S)


def percent(part: float) -> float:
    """A part of one as a percentage, without the noise of binary fractions."""
    return round(part * 100, 9)


def written(step: Step) -> dict[str, Any]:
    """A stage as a person would write it, without what says nothing."""
    made: dict[str, Any] = {"percent": step.share / 100, "seconds": step.dwell_s}
    if step.mirror:
        made["mirrorPercent"] = step.mirror / 100
    return made | ({"gate": True} if step.gate else {})


def _one(path: str, value: Any, default: Any) -> Explained:
    return (f"{HERE}/{path}", value, value == default)


def _given(path: str, value: Any) -> Explained:
    return (f"{HERE}/{path}", value, False)


def _strategy(spec: ServiceSpec) -> Iterator[Explained]:
    match spec.release.strategy:
        case BlueGreen():
            if spec.release.exposure is None:
                yield _one("strategy/blueGreen", {}, {})
        case Ramp(steps=steps, advance=advance, control=control):
            usual = [written(step) for step in defaults.usual_steps(advance, spec.release.watch.watch_s)]
            yield _one("strategy/canary/stages", [written(step) for step in steps], usual)
            yield _one("strategy/canary/advance", advance.value, Advance.TIME.value)
            yield _one("strategy/canary/control", control, defaults.CONTROL)
        case AbTest(match=match, share=share, test_s=test_s, then=then):
            for where, word in ((Where.HEADER, "headers"), (Where.COOKIE, "cookies"), (Where.QUERY, "query")):
                yield _one(f"strategy/abTest/match/{word}", _names(match, where), {})
            yield _one("strategy/abTest/percent", share / 100, defaults.TEST_PERCENT)
            yield _given("strategy/abTest/seconds", test_s)
            word = "promote" if then is Ends.PROMOTED else "report"
            yield _one("strategy/abTest/then", word, defaults.THEN)
        case Shadow(mirror=mirror, test_s=test_s, requests_max=requests_max):
            usual_here = defaults.SHADOW_PERCENT if isinstance(spec.source, ModelSource) else None
            yield _one("strategy/shadow/percent", mirror / 100, usual_here)
            yield _given("strategy/shadow/seconds", test_s)
            yield _one("strategy/shadow/maxRequests", requests_max, None)


def _names(match: Match, where: Where) -> dict[str, list[str]]:
    return {each.name: list(each.values) for each in match.conditions if each.where is where}


def _sticky(policy: ReleasePolicy) -> Iterator[Explained]:
    match policy.sticky:
        case None:
            yield _one("sticky", None, None)
        case StickyHeader(header=header):
            yield _given("sticky/header", header)
        case StickyCookie(cookie=cookie, lasts_s=lasts_s):
            yield _given("sticky/cookie", cookie)
            yield _one("sticky/lastsSeconds", lasts_s, defaults.COOKIE_S)


def _judge(compare: Compare | None, copied: float) -> Iterator[Explained]:
    if compare is None:
        yield _one("judge", None, None)
        return
    yield _one("judge/errors/maxRatio", compare.errors.ratio_max, defaults.ERRORS_RATIO_MAX)
    yield _one("judge/errors/extraPercent", percent(compare.errors.extra_max), defaults.ERRORS_EXTRA_PERCENT)
    yield from _late(compare)
    yield from _copies(compare)
    if compare.groups is None:
        yield _one("judge/groups", None, None)
    else:
        yield _given("judge/groups/header", compare.groups.header)
        yield _given("judge/groups/values", list(compare.groups.values))
    yield _one("judge/falseRollbackPercent", percent(compare.alpha_harm), defaults.FALSE_ROLLBACK_PERCENT)
    yield _one("judge/falsePromotionPercent", percent(compare.alpha_fine), defaults.FALSE_PROMOTION_PERCENT)
    yield _one("judge/freezeSeconds", compare.rest_s, defaults.FREEZE_S)
    yield _one("judge/freezeMirrorPercent", compare.freeze_mirror / 100, copied)


def _late(compare: Compare) -> Iterator[Explained]:
    """Latency, labels and scores."""
    latency, labels, score = compare.latency, compare.labels, compare.score
    if latency is None:
        yield _one("judge/latency", None, None)
    else:
        slower = percent(latency.slower_max)
        yield _one("judge/latency/maxSlowerPercent", slower, defaults.SLOWER_PERCENT_MAX)
        yield _one("judge/latency/required", latency.required, defaults.LATENCY_REQUIRED)
    if labels is None:
        yield _one("judge/labels", None, None)
    else:
        wrong = labels.wrong
        yield _one("judge/labels/maxRatio", wrong.ratio_max, defaults.LABELS_RATIO_MAX)
        yield _one("judge/labels/extraPercent", percent(wrong.extra_max), defaults.LABELS_EXTRA_PERCENT)
        yield _one("judge/labels/required", wrong.required, defaults.LABELS_REQUIRED)
        yield _one("judge/labels/positive", labels.positive, None)
        yield _one("judge/labels/matureSeconds", labels.mature_s, defaults.MATURE_S)
    if score is None:
        yield _one("judge/scores", None, None)
    else:
        yield _one("judge/scores/maxLower", score.lower_max, defaults.LOWER_MAX)
        yield _one("judge/scores/required", score.required, defaults.SCORES_REQUIRED)


def _copies(compare: Compare) -> Iterator[Explained]:
    pairs = compare.pairs
    if pairs is None:
        yield _one("judge/answers", None, None)
        return
    yield _one("judge/answers/maxDifferPercent", percent(pairs.differ_max), defaults.DIFFER_PERCENT_MAX)
    yield _one("judge/answers/tolerance", pairs.tolerance, defaults.TOLERANCE)
    yield _one("judge/answers/required", pairs.required, defaults.ANSWERS_REQUIRED)


def _exposure(policy: ReleasePolicy) -> Iterator[Explained]:
    exposure = policy.exposure
    if exposure is None:
        yield _one("exposure", None, None)
        return
    yield _given("exposure/badAnswers", exposure.bad_answers_max)
    yield _one("exposure/confidence", exposure.confidence, defaults.CONFIDENCE)
    yield _given("exposure/requestsPerSecond", exposure.rate_per_s)
