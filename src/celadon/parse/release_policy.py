"""From `release` as people write it to the policy that the house speaks of."""

from celadon.domain.compare import (
    Compare,
    Groups,
    LabelMargin,
    LatencyMargin,
    Margin,
    PairMargin,
    ScoreMargin,
    Units,
)
from celadon.domain.draw import Condition, Match, Sticky, StickyCookie, StickyHeader, Where
from celadon.domain.spec import (
    AbTest,
    Advance,
    BlueGreen,
    CommandSource,
    Ends,
    Exposure,
    ModelSource,
    OnDeadline,
    Ramp,
    ReleasePolicy,
    Serves,
    Shadow,
    Step,
    Strategy,
    Watch,
)
from celadon.parse import defaults
from celadon.parse import release_shape as shape


def policy(given: shape.Release, source: ModelSource | CommandSource) -> ReleasePolicy:
    """The policy of a `release` in which nothing is wrong. source: what is released by it."""
    strategy, sticky = _strategy(given), _sticky(given.sticky)
    return ReleasePolicy(
        gate=given.gate,
        start_s=float(given.start_seconds),
        prove_s=float(given.prove_seconds),
        watch=_watch(given.watch),
        hold_s=float(given.hold_seconds),
        strategy=strategy,
        sticky=sticky,
        compare=_compare(given, strategy, sticky, defaults.freeze_mirror_percent(source)),
        exposure=_exposure(given.exposure),
        probation_s=float(given.probation_seconds),
    )


def mirrors(strategy: Strategy) -> bool:
    """Whether a release gives green copies of requests while nothing speaks against it."""
    return isinstance(strategy, Shadow) or (
        isinstance(strategy, Ramp) and any(step.mirror for step in strategy.steps)
    )


def _watch(watch: shape.Watch) -> Watch:
    return Watch(
        watch_s=float(watch.seconds),
        requests_min=watch.min_requests,
        error_share_max=watch.max_error_percent / 100,
        latency_ms_p95_max=watch.max_latency_ms_p95,
        deadline_s=float(watch.deadline_seconds),
        on_deadline=OnDeadline(watch.on_deadline),
        hold_serves=Serves(watch.hold_serves),
    )


def _strategy(given: shape.Release) -> Strategy:
    chosen = given.strategy
    if chosen is None or chosen.blue_green is not None:
        return BlueGreen()
    if chosen.ramp is not None:
        return _ramp(chosen.ramp, float(given.watch.seconds))
    if (test := chosen.ab_test) is not None:
        return AbTest(
            match=_match(test.match),
            share=defaults.parts(test.percent),
            test_s=float(test.seconds),
            then=Ends.PROMOTED if test.then == "promote" else Ends.REPORTED,
        )
    shadow = chosen.shadow
    assert shadow is not None, "meaning has let an empty strategy pass"
    return Shadow(
        mirror=defaults.parts(defaults.SHADOW_PERCENT if shadow.percent is None else shadow.percent),
        test_s=float(shadow.seconds),
        requests_max=shadow.max_requests,
    )


def _ramp(given: shape.Ramp, watch_s: float) -> Ramp:
    advance = Advance(given.advance)
    if given.stages is None:
        return Ramp(steps=defaults.usual_steps(advance, watch_s), advance=advance, control=given.control)
    steps = tuple(
        Step(
            share=defaults.parts(stage.percent),
            dwell_s=float(stage.seconds or defaults.step_s(stage.percent, advance, watch_s)),
            mirror=defaults.parts(stage.mirror_percent),
            gate=stage.gate,
        )
        for stage in given.stages
    )
    return Ramp(steps=steps, advance=advance, control=given.control)


def _match(given: shape.Match) -> Match:
    headers = {name.lower(): values for name, values in given.headers.items()}
    places = ((Where.HEADER, headers), (Where.COOKIE, given.cookies), (Where.QUERY, given.query))
    return Match(
        conditions=tuple(
            Condition(where=where, name=name, values=tuple(dict.fromkeys(values)))
            for where, names in places
            for name, values in sorted(names.items())
        )
    )


def _sticky(given: shape.Sticky | None) -> Sticky | None:
    if given is None:
        return None
    if given.header is not None:
        return StickyHeader(header=given.header.lower())
    assert given.cookie is not None, "meaning has let an empty sticky pass"
    lasts_s = defaults.COOKIE_S if given.lasts_seconds is None else given.lasts_seconds
    return StickyCookie(cookie=given.cookie, lasts_s=float(lasts_s))


def _exposure(given: shape.Exposure | None) -> Exposure | None:
    if given is None:
        return None
    return Exposure(
        bad_answers_max=given.bad_answers,
        confidence=given.confidence,
        rate_per_s=float(given.requests_per_second),
    )


def _compare(
    given: shape.Release, strategy: Strategy, sticky: Sticky | None, usual_percent: float
) -> Compare | None:
    """Whatever splits or copies requests is compared; a switch of everything only where that is asked for.

    usual_percent: of the requests, how many a frozen green gets as copies where that is not written.
    """
    if given.judge is None and given.exposure is None and isinstance(strategy, BlueGreen):
        return None
    judge = given.judge or shape.Judge()
    answers = judge.answers or (shape.Copies() if mirrors(strategy) else None)
    alpha_fine, copied = judge.false_promotion_percent / 100, judge.freeze_mirror_percent
    if given.exposure is not None:
        # Half of what the confidence leaves is for a green beyond its margin that is promoted all the same.
        alpha_fine = min(alpha_fine, round((1 - given.exposure.confidence) / 2, 9))
    return Compare(
        errors=Margin(ratio_max=judge.errors.max_ratio, extra_max=judge.errors.extra_percent / 100),
        latency=_latency(judge.latency),
        labels=_labels(judge.labels),
        score=_score(judge.scores),
        pairs=_pairs(answers),
        groups=_groups(judge.groups),
        units=Units.REQUESTS if sticky is None else Units.KEYED,
        alpha_harm=judge.false_rollback_percent / 100,
        alpha_fine=alpha_fine,
        rest_s=float(judge.freeze_seconds),
        freeze_mirror=defaults.parts(usual_percent if copied is None else copied),
    )


def _latency(given: shape.Latency | None) -> LatencyMargin | None:
    if given is None:
        return None
    return LatencyMargin(slower_max=given.max_slower_percent / 100, required=given.required)


def _labels(given: shape.Labels | None) -> LabelMargin | None:
    if given is None:
        return None
    wrong = Margin(ratio_max=given.max_ratio, extra_max=given.extra_percent / 100, required=given.required)
    return LabelMargin(wrong=wrong, positive=given.positive, mature_s=float(given.mature_seconds))


def _score(given: shape.Scores | None) -> ScoreMargin | None:
    return None if given is None else ScoreMargin(lower_max=given.max_lower, required=given.required)


def _pairs(given: shape.Copies | None) -> PairMargin | None:
    if given is None:
        return None
    return PairMargin(
        differ_max=given.max_differ_percent / 100, tolerance=given.tolerance, required=given.required
    )


def _groups(given: shape.Groups | None) -> Groups | None:
    return None if given is None else Groups(header=given.header.lower(), values=tuple(given.values))
