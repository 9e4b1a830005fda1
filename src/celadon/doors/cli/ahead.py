"""What a release would show and cost, for people and as JSON. Pure."""

from dataclasses import asdict
from typing import Any

from celadon.domain.compare import Compare, Units
from celadon.domain.draw import EVERY
from celadon.domain.plan import FULL, Plan
from celadon.domain.problem import Problem, ProblemsError
from celadon.domain.spec import ReleasePolicy, ServiceSpec
from celadon.doors.cli.human import several, share, span
from celadon.doors.cli.lines import GOOD, PLAIN, QUIET, STRONG, WAIT, Line, entry
from celadon.doors.cli.steps import required
from celadon.judge.ahead import Ahead, Likely, Load, Look, ahead
from celadon.judge.exposure import Ladder, at_full, ladder
from celadon.judge.ways import Means, Way, ways
from celadon.release.plan import plan_of

Json = dict[str, Any]

Row = tuple[str, list[str], str]
"""A title, its cells, and their style."""

USUAL_PERCENT = 1.0
"""Blue's errors that are supposed where nobody says."""


def rate_of(given: str) -> float:
    """`200` or `0.5`: requests per second. Raises ProblemsError."""
    try:
        rate = float(given)
    except ValueError:
        rate = 0.0
    if not 0 < rate <= 1e7:
        raise _wrong("--rate", given, "requests per second", "--rate 200")
    return rate


def part_of(given: str) -> float:
    """`1%`, `0.1 %` or `1` as a part of one. Raises ProblemsError."""
    try:
        percent = float(given.strip().removesuffix("%"))
    except ValueError:
        percent = -1.0
    if not 0 <= percent <= 50:
        raise _wrong("--errors", given, "a percentage from 0 to 50", "--errors 0.5%")
    return percent / 100


def _wrong(option: str, given: str, wanted: str, hint: str) -> ProblemsError:
    return ProblemsError([Problem(path=option, found=f"`{given}` is not {wanted}", hint=hint)])


def told(spec: ServiceSpec, rate_per_s: float | None, base: float | None) -> Json:
    """Everything that can be said before: `ladder` of a budget, `forecast` at a rate; null where there is none."""
    policy, plan = spec.release, plan_of(spec.release)
    load = _load(policy, rate_per_s, base)
    found = ahead(plan, load) if load else None
    return {
        "compared": plan.compare is not None,
        "rate_per_s": load.rate_per_s if load else None,
        "blue_errors": load.base if load else None,
        "ladder": _ladder(policy),
        "forecast": _forecast(found, plan, load) if found and load else None,
    }


def _load(policy: ReleasePolicy, rate_per_s: float | None, base: float | None) -> Load | None:
    rate = rate_per_s or (policy.exposure.rate_per_s if policy.exposure else None)
    return None if rate is None else Load(rate_per_s=rate, base=USUAL_PERCENT / 100 if base is None else base)


def _ladder(policy: ReleasePolicy) -> Json | None:
    exposure = policy.exposure
    if exposure is None:
        return None
    found: Ladder | None = ladder(exposure, policy.compare or Compare(), policy.watch)
    return asdict(found) if found else None


def _forecast(found: Ahead, plan: Plan, load: Load) -> Json:
    return {
        "stages": [
            {
                "share": one.stage.share,
                "mirror": one.stage.mirror,
                "seconds": one.stage.dwell_s,
                "looks": [asdict(look) for look in one.looks],
            }
            for one in found.stages
        ],
        "way": [asdict(look) for look in found.way],
        "fine_s": asdict(found.fine_s) if found.fine_s else None,
        "proves": found.proves,
        "late": found.late,
        "ways": [asdict(way) for way in _offered(plan, load)] if found.late else [],
    }


def ahead_lines(spec: ServiceSpec, rate_per_s: float | None, base: float | None) -> list[Line]:
    """The same for people."""
    policy, plan = spec.release, plan_of(spec.release)
    said = _ladder_lines(policy)
    load = _load(policy, rate_per_s, base)
    if plan.compare is None and load is None:
        return said
    if load is None:
        hint = "`--rate 200` (requests per second) says how soon harm would be seen and when green would be promoted"
        return [*said, entry("ahead", (hint, QUIET))]
    found = ahead(plan, load)
    if found is not None and plan.compare is not None:
        return [*said, *_forecast_lines(found, plan, plan.compare, load)]
    cost = at_full(policy.watch, load.rate_per_s, 0.05)
    text = (
        "nothing is compared, and the guard alone watches: a green that fails every request hurts about"
        f" {several(cost, 'caller')} before all are on blue again"
    )
    return [*said, entry("ahead", (text, PLAIN))]


def _forecast_lines(found: Ahead, plan: Plan, compare: Compare, load: Load) -> list[Line]:
    units = "callers" if compare.units is Units.KEYED else "requests"
    whose = units if plan.match == EVERY else f"{units} that match"
    supposed = f"{load.rate_per_s:g} {whose} a second, errors in {share(load.base * 100)} of blue's answers"
    said = [entry("ahead", (supposed, PLAIN))]
    if compare.units is Units.KEYED:
        said.append(_note("`sticky` counts every caller once, so `--rate` is taken as new callers a second"))
    if not found.way:
        said.append(_note("blue never fails, so nothing can be said of a multiple of its errors"))
        return [*said, *_fine_lines(found, plan, compare, load)]
    said += _table(_rows(found))
    seen = "until no caller meets green any more" if _live(found) else "until harm is suspected"
    said.append(_note(f"in half of all releases (in 95 of 100); seen: {seen}"))
    if within := [f"{look.ratio:g}" for look in found.way if look.within]:
        text = f"{' and '.join(within)} times blue's errors would be within the margin, and may be promoted"
        said += [_note(text)] if found.proves else []
    return [*said, *_fine_lines(found, plan, compare, load)]


def _live(found: Ahead) -> bool:
    """Whether callers get what green answers while it is compared."""
    return any(one.stage.share for one in found.stages if one.looks)


def _rows(found: Ahead) -> list[Row]:
    """For every look: until it is seen, stage by stage and along the way, until it is proved, and whom it hurts."""
    staged = [one for one in found.stages if one.looks]
    rows: list[Row] = [("green's errors", [f"{look.ratio:g} times blue's" for look in found.way], QUIET)]
    rows += [
        (f"seen {_where(one.stage.share, one.stage.mirror)}", _times(one.looks), PLAIN) for one in staged
    ]
    if len(staged) > 1:
        rows.append(("seen on the whole way", _times(found.way), STRONG))
    rows.append(("proved", [_time(look.proved_s) for look in found.way], PLAIN))
    if _live(found):
        rows.append(("callers hurt", [_count(look.hurt) for look in found.way], PLAIN))
    return rows


def _fine_lines(found: Ahead, plan: Plan, compare: Compare, load: Load) -> list[Line]:
    if not found.proves:
        ends = found.fine_s.p50 if found.fine_s else 0.0
        said = [
            entry("", (f"a green that is like blue ends after {span(ends)}; nothing has to be proved", GOOD))
        ]
        missed = [
            f"{look.ratio:g}" for look in found.way if look.proved_s is None or look.proved_s.p95 > ends
        ]
        if missed:
            short = f"that is too short to count on a proof of {', '.join(missed)} times blue's errors"
            said.append(entry("", (short, WAIT)))
        return said
    more = [name for name in required(compare) if name != "errors"]
    rest = f", if {' and '.join(more)} come as soon" if more else ""
    if not found.late:
        return [entry("", (f"a green that is like blue is promoted after {_time(found.fine_s)}{rest}", GOOD))]
    when = f"only after {_time(found.fine_s)}" if found.fine_s else "never"
    late = f"this can not be counted on to decide before its deadline: a green that is like blue is proved {when}"
    return [entry("", (late, WAIT)), *(_way_line(way) for way in _offered(plan, load))]


def _offered(plan: Plan, load: Load) -> list[Way]:
    """A share that follows from a budget can not be chosen."""
    derived = plan.bad_answers_max is not None
    return [way for way in ways(plan, load) if not (derived and way.means is Means.SHARE)]


def _way_line(way: Way) -> Line:
    match way.means:
        case Means.SHARE:
            text = f"a larger share decides in time: {share(way.amount / 100)} in the last stage before all"
        case Means.RATIO:
            text = f"a wider margin decides in time: `judge: {{errors: {{maxRatio: {way.amount:g}}}}}`"
        case Means.EXTRA:
            text = (
                f"a wider margin decides in time: `judge: {{errors: {{extraPercent: {way.amount * 100:g}}}}}`"
            )
        case Means.DEADLINE:
            text = f"more time is enough: `watch: {{deadlineSeconds: {way.amount:g}}}`, {span(way.amount)}"
        case Means.SHADOW:
            text = (
                f"a shadow of every request sees twice blue's errors in {span(way.amount)}, and hurts nobody"
            )
        case Means.REPLAY:
            text = (
                f"{several(int(way.amount), 'recorded request')} as golden requests, replayed before any caller, show"
                " as much"
            )
    return entry("", (f"- {text}", PLAIN))


def _ladder_lines(policy: ReleasePolicy) -> list[Line]:
    exposure = policy.exposure
    if exposure is None:
        return []
    found = ladder(exposure, policy.compare or Compare(), policy.watch)
    if found is None:
        return []
    budget = (
        f"at most {several(exposure.bad_answers_max, 'bad answer')} in {share(exposure.confidence * 100)} of the releases"
        f", at up to {exposure.rate_per_s:g} requests a second"
    )
    rows: list[Row] = [("share", ["for", "a green that fails", "costs up to"], QUIET)]
    for rung in found.rungs:
        fails = "every request" if rung.fault == 1 else f"{share(round(rung.fault * 100, 1))} of them"
        cells = [span(rung.dwell_s), fails, "" if rung.costs is None else str(rung.costs)]
        cells = [cells[0], "what the margin allows", ""] if rung.share == FULL else cells
        rows.append((share(rung.share / 100), cells, PLAIN))
    sudden = ", ".join(str(rung.sudden) for rung in found.rungs)
    return [
        entry("exposure", (budget, PLAIN)),
        *_table(rows),
        _note("worse ones are frozen in the stages before; each stage is as long as that takes"),
        _note(
            f"kept for greens that fail {share(round(found.covers_from * 100, 1))} or more from their first request on;"
            " a smaller fault is found as usual, and may cost more"
        ),
        _note(f"one that only begins to fail every request in a later stage costs more: {sudden}"),
    ]


def _table(rows: list[Row]) -> list[Line]:
    first = max(len(title) for title, _, _ in rows) + 2
    widths = [max(len(cells[place]) for _, cells, _ in rows) + 2 for place in range(len(rows[0][1]))]
    said = []
    for title, cells, style in rows:
        text = "".join(f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True)).rstrip()
        said.append(entry("", (f"{title:<{first}}", QUIET), (text, style)))
    return said


def _note(text: str) -> Line:
    return entry("", (text, QUIET))


def _where(part: int, mirror: int) -> str:
    return f"at {share(part / 100)}" if part else f"on {share(mirror / 100)} copies"


def _times(looks: tuple[Look, ...]) -> list[str]:
    return [_time(look.frozen_s) for look in looks]


def _time(likely: Likely | None) -> str:
    return "never" if likely is None else f"{span(likely.p50)} ({span(likely.p95)})"


def _count(likely: Likely | None) -> str:
    return "" if likely is None else f"{likely.p50:.0f} ({likely.p95:.0f})"
