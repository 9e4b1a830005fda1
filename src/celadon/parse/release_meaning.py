"""What of `release` takes two options to judge: strategies that could not work, and proofs that could never come."""

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

from celadon.parse import defaults
from celadon.parse.complaint import Complaint
from celadon.parse.plain import among, get, number

Json = dict[str, Any]

STRATEGIES = ("blueGreen", "canary", "abTest", "shadow")
ALL_AT_ONCE = "blueGreen moves every request at once, so there is nothing to compare"
SPLIT = "`strategy: {canary: {}}` splits the requests"


def complaints(spec: Json) -> Iterator[Complaint]:
    """Everything in `release` that can not work together; paths begin at `release`."""
    release = get(spec, dict, "release")
    if release is None:
        return
    for check in CHECKS:
        for path, found, hint in check(release):
            yield ("release", *path), found, hint
    yield from _copied_commands(spec, release)


def chosen(release: Json) -> str:
    """The one strategy that is meant; an exposure budget is a ramp whose stages are derived."""
    strategy = get(release, dict, "strategy") or {}
    if "exposure" in release:
        return "canary"
    return next((name for name in STRATEGIES if name in strategy), "blueGreen")


def stages(release: Json) -> list[Json] | None:
    """The written stages of a ramp, as far as they are mappings; None where none are written."""
    found = get(release, list, "strategy", "canary", "stages")
    return None if found is None else [stage for stage in found if isinstance(stage, dict)]


def _one_of(release: Json) -> Iterator[Complaint]:
    for option, names, example in (
        ("strategy", STRATEGIES, "canary: {}"),
        ("sticky", ("header", "cookie"), "header: x-user"),
    ):
        given = get(release, dict, option)
        if given is None:
            continue
        named = [name for name in names if name in given]
        if len(named) > 1:
            yield (option,), f"has {' and '.join(named)}", "keep exactly one"
        elif not named and not given:
            hint = f"exactly one of {', '.join(names)}: `{option}: {{{example}}}`"
            yield (option,), "is empty", hint


def _stages(release: Json) -> Iterator[Complaint]:
    given = get(release, list, "strategy", "canary", "stages")
    if not given:
        return
    at = ("strategy", "canary", "stages")
    shares = [number(stage, "percent") for stage in given]
    copies = [among(stage, "mirrorPercent", 0) for stage in given]
    for place, (share, mirror) in enumerate(zip(shares, copies, strict=True)):
        if share == 0 and mirror == 0:
            hint = "give it a percent, or a mirrorPercent for a shadow"
            yield (*at, place), "gives green no request and no copy", hint
        if share == 100 and mirror:
            yield (*at, place, "mirrorPercent"), "copies requests that green gets anyway", "remove it"
    yield from _rising(at, given, shares, copies)
    if shares[-1] not in (None, 100):
        hint = "end with a stage of 100: `- {percent: 100}`"
        found = f"ends at {shares[-1]:g} %, and a promoted green gets every request"
        yield (*at, len(given) - 1, "percent"), found, hint
    elif None not in shares and not any(0 < (share or 0) < 100 for share in shares):
        hint = "add a stage between 0 and 100, or write `blueGreen: {}`"
        yield at, "never splits the requests, so nothing of green is compared with blue", hint


def _rising(
    at: tuple[str, ...], given: list[Any], shares: list[float | None], copies: list[float]
) -> Iterator[Complaint]:
    for place, (before, share) in enumerate(pairwise(shares), start=1):
        if before is None or share is None or share > before:
            continue
        if share < before:
            hint = "percentages rise from stage to stage; only a freeze or a rollback takes requests back"
            yield (*at, place, "percent"), f"{share:g} comes after {before:g}", hint
        elif copies[place - 1] == copies[place] and get(given[place], bool, "gate") is not True:
            found = f"is the same as the stage before it: {share:g} %"
            yield (*at, place), found, "make one longer stage of the two, or give this one a gate"


def _control(release: Json) -> Iterator[Complaint]:
    if get(release, bool, "strategy", "canary", "control") is not True:
        return
    for place, stage in enumerate(get(release, list, "strategy", "canary", "stages") or []):
        share = number(stage, "percent")
        if share is not None and 50 < share < 100:
            found = (
                f"{share:g} % leaves less than that for blue's control, which has as many requests as green"
            )
            yield (
                ("strategy", "canary", "stages", place, "percent"),
                found,
                "at most 50, or 100, beside a control",
            )


def _exposure(release: Json) -> Iterator[Complaint]:
    if "exposure" in release and "strategy" in release:
        hint = "keep one: `exposure` derives the stages, and `celadon plan -f FILE` shows them"
        yield ("strategy",), "stands beside exposure, which is a strategy of its own", hint


def _test(release: Json) -> Iterator[Complaint]:
    test = get(release, dict, "strategy", "abTest")
    if test is None:
        return
    at = ("strategy", "abTest")
    match = get(test, dict, "match")
    if match is not None and not any(match.values()):
        yield (*at, "match"), "names no header, cookie or query parameter", "leave it out for every request"
    headers = [name.lower() for name in get(test, dict, "match", "headers") or {} if isinstance(name, str)]
    for name in {name for name in headers if headers.count(name) > 1}:
        found = f"names {name} twice; names of headers do not differ by case"
        yield (*at, "match", "headers"), found, "write all values in one list"
    if number(test, "percent") == 100 and get(test, str, "then") == "promote":
        found = (
            "leaves no request of the group on blue, so nothing can be proved that `then: promote` asks for"
        )
        yield (*at, "percent"), found, "less than 100, or `then: report`"


def _sticky(release: Json) -> Iterator[Complaint]:
    sticky = get(release, dict, "sticky")
    if sticky is None:
        return
    if "header" in sticky and "lastsSeconds" in sticky and "cookie" not in sticky:
        yield ("sticky", "lastsSeconds"), "is the life of a cookie, and there is none", "remove it"
    if (strategy := chosen(release)) in {"blueGreen", "shadow"}:
        why = (
            "moves every request at once" if strategy == "blueGreen" else "shows callers blue's answers alone"
        )
        yield ("sticky",), f"has no side to keep callers on: {strategy} {why}", "remove it"


def _margins(release: Json) -> Iterator[Complaint]:
    for name, ratio, extra in (
        ("errors", defaults.ERRORS_RATIO_MAX, defaults.ERRORS_EXTRA_PERCENT),
        ("labels", defaults.LABELS_RATIO_MAX, defaults.LABELS_EXTRA_PERCENT),
    ):
        given = get(release, dict, "judge", name)
        if given is None:
            continue
        if among(given, "maxRatio", ratio) == 1 and among(given, "extraPercent", extra) == 0:
            hint = "that two revisions are exactly alike can never be proved: allow a maxRatio or an extraPercent"
            yield ("judge", name), "leaves green no margin at all", hint


def _splitless(release: Json) -> Iterator[Complaint]:
    """What can not be compared without a split."""
    judge, strategy = get(release, dict, "judge"), chosen(release)
    if judge is None:
        return
    missing = {
        "blueGreen": (("latency", "labels", "scores", "groups"), f"can not be judged: {ALL_AT_ONCE}"),
        "shadow": (("latency", "scores", "groups"), "can not be judged on copies, which no caller waits for"),
    }
    names, found = missing.get(strategy, ((), ""))
    for name in names:
        if name in judge:
            yield ("judge", name), found, SPLIT


def _latency(release: Json) -> Iterator[Complaint]:
    strategy = chosen(release)
    if get(release, dict, "judge", "latency") is None or strategy not in {"canary", "abTest"}:
        return
    if strategy == "abTest":
        even = among(get(release, dict, "strategy", "abTest"), "percent", defaults.TEST_PERCENT) == 50
        hint = "`percent: 50`"
    else:
        written = stages(release)
        even = written is None or any(number(stage, "percent") == 50 for stage in written)
        even = even or get(release, bool, "strategy", "canary", "control") is True
        hint = "a stage of 50, or `control: true`"
    if not even:
        found = "can never be judged: at no stage do replicas of both sides have equal load"
        yield ("judge", "latency"), found, hint


def _answers(release: Json) -> Iterator[Complaint]:
    answers = get(release, dict, "judge", "answers")
    if answers is None or chosen(release) == "shadow":
        return
    planned = any(number(stage, "mirrorPercent") for stage in stages(release) or [])
    if planned:
        return
    hint = "`- {percent: 0, mirrorPercent: 100}` as the first stage of a canary, or `strategy: shadow`"
    if get(answers, bool, "required") is True:
        yield ("judge", "answers", "required"), "asks for a proof from copies, and no stage makes any", hint
    elif not number(release, "judge", "freezeMirrorPercent"):
        yield ("judge", "answers"), "compares answers to copies, and no stage makes any", hint


def _groups(release: Json) -> Iterator[Complaint]:
    values = get(release, list, "judge", "groups", "values")
    for place, value in enumerate(values or []):
        if value in (values or [])[:place]:
            yield ("judge", "groups", "values", place), "is there already", "remove it"


def _labels(release: Json) -> Iterator[Complaint]:
    labels = get(release, dict, "judge", "labels")
    if labels is None:
        return
    mature_s = among(labels, "matureSeconds", defaults.MATURE_S)
    last_s = _planned_s(release) + among(get(release, dict, "watch"), "deadlineSeconds", defaults.DEADLINE_S)
    required = get(labels, bool, "required") is not False
    if _promotes(release) and required and last_s < mature_s:
        found = f"are required and awaited for {mature_s:g} s, and the deadline is after {last_s:g} s"
        hint = "raise watch.deadlineSeconds, or write `required: false` and a probationSeconds"
        yield ("judge", "labels"), found, hint


def _planned_s(release: Json) -> float:
    """How long the stages last that split requests, as far as they say."""
    test_s = number(release, "strategy", "abTest", "seconds")
    return test_s or sum(number(stage, "seconds") or 0 for stage in (stages(release) or [])[:-1])


def _probation(release: Json) -> Iterator[Complaint]:
    seconds = number(release, "probationSeconds")
    if not seconds:
        return
    judge, at = get(release, dict, "judge") or {}, ("probationSeconds",)
    if not _promotes(release) or chosen(release) == "blueGreen":
        found = ALL_AT_ONCE if chosen(release) == "blueGreen" else "this strategy promotes nothing"
        yield at, f"has nothing to judge: {found}", SPLIT
    elif not {"labels", "scores"} & set(judge):
        hint = "name what comes late: `judge: {labels: {}}`"
        yield at, "waits for late labels, and neither labels nor scores are judged", hint
    else:
        mature_s = among(get(judge, dict, "labels"), "matureSeconds", defaults.MATURE_S)
        if "labels" in judge and seconds < mature_s:
            found = f"{seconds:g} s end before the last labels come, which are awaited for {mature_s:g} s"
            yield at, found, "at least judge.labels.matureSeconds"


def _promotes(release: Json) -> bool:
    strategy = chosen(release)
    if strategy == "abTest":
        return get(release, str, "strategy", "abTest", "then") == "promote"
    return strategy != "shadow"


def _copied_commands(spec: Json, release: Json) -> Iterator[Complaint]:
    """Predictions change nothing; a command may be sent a request twice only where its owner wrote so."""
    shadow = get(release, dict, "strategy", "shadow")
    if "command" in spec and "model" not in spec and shadow is not None and "percent" not in shadow:
        found = "sends requests twice, and whether the command may get one twice is not known"
        yield ("release", "strategy", "shadow"), found, "`percent: 100` says that it may"


CHECKS: tuple[Callable[[Json], Iterator[Complaint]], ...] = (
    _one_of,
    _stages,
    _control,
    _exposure,
    _test,
    _sticky,
    _margins,
    _splitless,
    _latency,
    _answers,
    _groups,
    _labels,
    _probation,
)
