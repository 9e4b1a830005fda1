"""The soak's samples as figures, and what of them has to be flat."""

from collections.abc import Mapping, Sequence
from statistics import median

from bench.celadon_home import Json

from celadon.sim.flat import Curve, Growth, Limit, growth

MEMORY = Limit(percent=5.0)
COUNT = Limit(percent=0.0, amount=1.0)
DISK = Limit(percent=5.0, amount=1.0)

LIMITS: Mapping[str, Limit] = {
    "daemon_rss_mb": MEMORY,
    "daemon_fds": COUNT,
    "daemon_threads": COUNT,
    "envoy_rss_mb": MEMORY,
    "envoy_fds": COUNT,
    "envoy_threads": COUNT,
    "processes": MEMORY,
    "home_journal_mb": DISK,
    "home_labels_mb": DISK,
    "home_answers_mb": DISK,
    "home_envoy_mb": DISK,
    "home_replicas_mb": DISK,
    "home_models_mb": DISK,
    "home_other_mb": DISK,
}
"""What may grow in an hour; set before anything was measured. A count may be one more, for it is a whole number."""

CEILINGS: Mapping[str, float] = {"home_requests_mb": 9 * 65.0, "home_files": 2000}
"""What does not level out within an hour, and how much there may be of it: nine files of 64 MiB of which each may be a
little too large, and for an hour after it was last asked for every upload.
"""

LEEWAY_S = 0.5
"""A request may be sent so long before the proxy is killed, or meet a listener that is just being opened."""


def curve(samples: Sequence[Json], name: str) -> Curve:
    """What is on disk is tidied up now and then; all else is what it is."""
    kept = [sample for sample in samples if name in sample]
    return Curve(
        name=name,
        at_s=[sample["at_s"] for sample in kept],
        values=[sample[name] for sample in kept],
        sawtooth=name.startswith("home_"),
    )


def judged_from(name: str, course: Mapping[str, float]) -> float:
    """From when on a curve is judged, in seconds: the proxy's later than all others."""
    return course["proxy_judged_s" if name.startswith("envoy_") else "judged_s"]


def growths(samples: Sequence[Json], course: Mapping[str, float]) -> dict[str, Growth]:
    return {name: growth(curve(samples, name).since(judged_from(name, course))) for name in LIMITS}


def growing(of: Mapping[str, Growth]) -> list[str]:
    """What is not flat, in words."""
    return [
        f"{name} grows by {one.amount_per_hour:.2f} an hour, {one.percent_per_hour:.1f} % of {one.middle:.2f}"
        for name, one in of.items()
        if not one.within(LIMITS[name])
    ]


def too_high(samples: Sequence[Json]) -> list[str]:
    """What was above its ceiling at any time, in words."""
    most = {name: max(curve(samples, name).values) for name in CEILINGS}
    return [
        f"{name} was {most[name]:.0f}, over {CEILINGS[name]:.0f}"
        for name in most
        if most[name] > CEILINGS[name]
    ]


def lost(failures: Sequence[Json], away: Sequence[tuple[float, float]]) -> list[Json]:
    """Failures that no absence of the proxy explains: every request may be repeated, so there must be none."""
    return [
        one
        for one in failures
        if not any(one["at"] <= back + LEEWAY_S and one["ended"] >= gone - LEEWAY_S for gone, back in away)
    ]


def curve_figures(samples: Sequence[Json], of: Mapping[str, Growth]) -> dict[str, float | int]:
    """Of each curve its last and largest value and how it grew, counts in pieces and all else in percent."""
    figures: dict[str, float | int] = {f"{name}_max": max(curve(samples, name).values) for name in CEILINGS}
    for name, one in of.items():
        values = curve(samples, name).values
        figures[f"{name}_last"] = values[-1]
        figures[f"{name}_max"] = max(values)
        if LIMITS[name] is COUNT:
            figures[f"{name}_growth_per_hour"] = round(one.amount_per_hour, 2)
        else:
            figures[f"{name}_growth_percent_per_hour"] = round(one.percent_per_hour, 2)
    return figures


def counted(samples: Sequence[Json]) -> dict[str, float | int]:
    """What there was of everything by the end."""
    last = samples[-1]
    names = ("releases", "promoted", "rolled_back", "reported", "superseded")
    kills = {name: value for name, value in last.items() if name.startswith("kills_")}
    answers = [sample["daemon_answer_ms"] for sample in samples if "daemon_answer_ms" in sample]
    return {
        **{name: last[name] for name in names},
        "kills": sum(kills.values()),
        **kills,
        "requests": last["requests"],
        "planted": last["planted"],
        "daemon_answer_ms_p50": median(answers),
        "daemon_answer_ms_max": max(answers),
    }
