"""The plain guard: green's own error share and latency against stated limits.

It is no statistical test. It says harm as soon as the limits are certain to be broken at `requests_min` answers,
and never says fine on less than that. The judge that compares green with blue fits the same shape.
"""

from itertools import pairwise

from celadon.domain.durations import merged
from celadon.domain.facts import Known, Unknown
from celadon.domain.names import RevisionId
from celadon.domain.plan import FULL, Guard
from celadon.domain.reason import Code, because
from celadon.domain.samples import Counts, Evidence, Samples
from celadon.domain.values import replace
from celadon.domain.verdict import Fine, Harm, Invalid, Unsure, Verdict

NAME = "guard/1"

SPLIT_AGREES = 0.5
"""Green must have answered at least this part of its share of all answers. Those under way at the switch still count
for blue, so this is no test of an exact split; it notices a proxy that does not do what it shows."""

SPLIT_LEAST = 20
"""So many answers of green have to be expected before what is known of the stage alone tells of its split."""


def judge(
    guard: Guard,
    green: RevisionId,
    share: int,
    evidence: Evidence | None,
    samples: Known[Samples] | Unknown,
) -> tuple[Evidence | None, Verdict]:
    """Fold the samples into the evidence and say what it is worth. share: green's, out of 10,000.

    evidence None: the watch begins here, and what the sources counted before does not belong to it. Samples must
    begin where the evidence ends; anything else is invalid evidence, and nothing is added.
    """
    if isinstance(samples, Unknown):
        return evidence, Unsure(because=because(Code.SAMPLES_UNREAD, why=samples.why))
    seen = samples.value
    if evidence is None:
        begun = Evidence(judge=NAME, cursor=seen.cursor_to)
        return begun, weigh(guard, green, share, begun)
    if evidence.judge != NAME or seen.cursor_from != evidence.cursor:
        return evidence, Invalid(
            because=because(Code.SAMPLES_BROKEN, why="they do not begin where the evidence ends")
        )
    grown = replace(evidence, cursor=seen.cursor_to, counts=add(evidence.counts, seen.counts))
    if not seen.complete:
        why = "a source started again, and what it had counted last is not known"
        return grown, Invalid(because=because(Code.SAMPLES_BROKEN, why=why))
    return grown, weigh(guard, green, share, grown)


def weigh(guard: Guard, green: RevisionId, share: int, evidence: Evidence) -> Verdict:
    """What was counted says under the limits of the guard. Nothing is fine that callers did not really meet."""
    counts = evidence.of(green)
    least = max(counts.requests, guard.requests_min)
    if counts.errors > guard.error_share_max * least:
        return Harm(
            because=because(
                Code.ERROR_SHARE,
                errors=counts.errors,
                requests=counts.requests,
                percent=100 * counts.errors / counts.requests,
                limit_percent=100 * guard.error_share_max,
            )
        )
    if counts.requests < guard.requests_min:
        return Unsure(
            because=because(Code.TOO_FEW_REQUESTS, requests=counts.requests, needed=guard.requests_min)
        )
    p95 = quantile(counts.latency, 0.95)
    if p95 is not None and p95 > guard.latency_ms_p95_max:
        limit = guard.latency_ms_p95_max
        return Harm(
            because=because(Code.LATENCY, latency=shown(p95), limit_ms=limit, requests=counts.requests)
        )
    answered, own = _measured(evidence, green, share)
    if own * FULL < SPLIT_AGREES * share * answered:
        percent = 100 * own / answered
        return Invalid(because=because(Code.SPLIT_OFF, percent=percent, asked_percent=share / 100))
    return Fine(
        because=because(
            Code.WITHIN_LIMITS, requests=counts.requests, errors=counts.errors, latency=shown(p95)
        )
    )


def _measured(evidence: Evidence, green: RevisionId, share: int) -> tuple[int, int]:
    """All answers of which it is known that they are of this stage, once they tell anything of a split, and green's."""
    counted, unread = (
        (sum(one.requests for one in of), sum(one.requests for one in of if one.revision == green))
        for of in (evidence.counts, evidence.unread)
    )
    known = counted[0] - unread[0]
    return (known, counted[1] - unread[1]) if known * share >= SPLIT_LEAST * FULL else counted


def shown(latency_ms: float | None) -> str:
    """A latency for people; unknown is shown as not known."""
    if latency_ms is None:
        return "unknown"
    return f"{latency_ms:.3g} ms" if latency_ms < 1000 else f"{latency_ms:.0f} ms"


def quantile(latency: tuple[tuple[float, int], ...], q: float) -> float | None:
    """The q-quantile in ms, linear inside a bucket; None without answers. Above the last bound: that bound.

    latency: cumulative buckets as in `Counts`. Source: the interpolation of Prometheus' histogram_quantile.
    """
    if not latency or latency[-1][1] == 0:
        return None
    rank = q * latency[-1][1]
    for (low, below), (high, upto) in pairwise(((0.0, 0), *latency)):
        if upto >= rank and upto > below:
            return low + (high - low) * (rank - below) / (upto - below)
    return latency[-1][0]


def add(left: tuple[Counts, ...], right: tuple[Counts, ...]) -> tuple[Counts, ...]:
    """Counts of both, revision by revision, sorted by revision: associative and commutative."""
    total: dict[RevisionId, Counts] = {}
    for counts in (*left, *right):
        total[counts.revision] = _sum(total[counts.revision], counts) if counts.revision in total else counts
    return tuple(total[revision] for revision in sorted(total))


def _sum(a: Counts, b: Counts) -> Counts:
    return Counts(
        revision=a.revision,
        requests=a.requests + b.requests,
        errors=a.errors + b.errors,
        latency=tuple(merged(a.latency, b.latency)),
    )
