"""The plain guard: stated limits, additive counts, and nothing said on missing data."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from celadon.domain.facts import Known, Unknown
from celadon.domain.names import RevisionId
from celadon.domain.plan import FULL, Guard
from celadon.domain.reason import text
from celadon.domain.samples import Counts, Evidence, Samples
from celadon.domain.verdict import Fine, Harm, Invalid, Unsure, Verdict
from celadon.judge.guard import add, judge, quantile, weigh

GREEN = RevisionId("a" * 12)
GUARD = Guard(requests_min=50, error_share_max=0.02, latency_ms_p95_max=200.0)
BOUNDS = (1.0, 10.0, 100.0, 1000.0)


def counts(requests: int, errors: int = 0, latency_ms: float = 5.0) -> Counts:
    latency = tuple((bound, requests - errors if latency_ms <= bound else 0) for bound in BOUNDS)
    return Counts(revision=GREEN, requests=requests, errors=errors, latency=latency)


def seen(what: Counts, start: str = "0", to: str = "1", *, complete: bool = True) -> Known[Samples]:
    samples = Samples(
        cursor_from=(("envoy", start),), cursor_to=(("envoy", to),), counts=(what,), complete=complete
    )
    return Known(value=samples, taken_at=0.0)


def begun(at: str = "0") -> Evidence:
    return Evidence(judge="guard/1", cursor=(("envoy", at),))


def weighed(*what: Counts, share: int = FULL) -> Verdict:
    return weigh(GUARD, GREEN, share, Evidence(judge="guard/1", cursor=(), counts=what))


def test_a_split_that_callers_did_not_meet_is_never_fine() -> None:
    blue = Counts(revision=RevisionId("b" * 12), requests=500)
    assert isinstance(weighed(counts(100), blue), Invalid)
    assert isinstance(weighed(counts(100), blue, share=2_000), Fine)
    assert isinstance(weighed(counts(100, errors=50), blue), Harm)


def test_answers_under_way_at_the_switch_still_count_for_blue() -> None:
    assert isinstance(weighed(counts(100), Counts(revision=RevisionId("b" * 12), requests=90)), Fine)


def test_what_was_counted_before_the_watch_does_not_belong_to_it() -> None:
    evidence, verdict = judge(GUARD, GREEN, FULL, None, seen(counts(1000, errors=900)))
    assert isinstance(verdict, Unsure)
    assert evidence is not None
    assert evidence.of(GREEN).requests == 0


def test_errors_above_the_limit_are_harm() -> None:
    _, verdict = judge(GUARD, GREEN, FULL, begun(), seen(counts(100, errors=3)))
    assert isinstance(verdict, Harm)


def test_errors_at_the_limit_are_not_harm() -> None:
    _, verdict = judge(GUARD, GREEN, FULL, begun(), seen(counts(100, errors=2)))
    assert isinstance(verdict, Fine)


def test_harm_is_said_as_soon_as_no_further_answer_could_undo_it() -> None:
    assert isinstance(weighed(counts(2, errors=2)), Harm)
    assert isinstance(weighed(counts(2, errors=1)), Unsure)


def test_slow_answers_are_harm() -> None:
    assert isinstance(weighed(counts(100, latency_ms=800)), Harm)
    assert isinstance(weighed(counts(100, latency_ms=8)), Fine)


def test_too_few_answers_are_never_fine() -> None:
    assert isinstance(weighed(counts(49)), Unsure)


def test_missing_samples_change_nothing() -> None:
    evidence, verdict = judge(GUARD, GREEN, FULL, begun(), Unknown(why="envoy does not answer"))
    assert evidence == begun()
    assert isinstance(verdict, Unsure)


def test_samples_that_do_not_join_are_invalid_evidence() -> None:
    evidence, verdict = judge(
        GUARD, GREEN, FULL, begun("0"), seen(counts(100, errors=100), start="5", to="6")
    )
    assert evidence == begun("0")
    assert isinstance(verdict, Invalid)


def test_a_source_that_restarted_spoils_one_look_and_not_the_watch() -> None:
    evidence, verdict = judge(GUARD, GREEN, FULL, begun(), seen(counts(60), complete=False))
    assert isinstance(verdict, Invalid)
    assert evidence is not None
    _, verdict = judge(GUARD, GREEN, FULL, evidence, seen(counts(60), start="1", to="2"))
    assert isinstance(verdict, Fine)


def buckets() -> st.SearchStrategy[Counts]:
    def build(revision: str, within: list[int], errors: int, bounds: list[float]) -> Counts:
        total, latency = 0, []
        for bound, count in zip(sorted(set(bounds)), within, strict=False):
            total += count
            latency.append((bound, total))
        return Counts(
            revision=RevisionId(revision), requests=total + errors, errors=errors, latency=tuple(latency)
        )

    return st.builds(
        build,
        st.sampled_from(["a" * 12, "b" * 12]),
        st.lists(st.integers(0, 50), min_size=4, max_size=4),
        st.integers(0, 20),
        st.just(list(BOUNDS)),
    )


@given(st.lists(buckets(), max_size=6), st.integers(0, 6))
def test_counts_add_up_the_same_however_they_are_cut(parts: list[Counts], cut: int) -> None:
    whole = add((), tuple(parts))
    pieces = add(add((), tuple(parts[:cut])), add((), tuple(parts[cut:])))
    assert whole == pieces
    assert add((), tuple(reversed(parts))) == whole
    assert sum(c.requests for c in whole) == sum(c.requests for c in parts)


@given(buckets(), st.floats(0.01, 1.0))
def test_a_quantile_lies_between_the_bounds_that_hold_it(some: Counts, q: float) -> None:
    found = quantile(some.latency, q)
    if found is None:
        assert not some.latency or some.latency[-1][1] == 0
        return
    total = some.latency[-1][1]
    assert 0 <= found <= BOUNDS[-1]
    below = max((n for bound, n in some.latency if bound < found), default=0)
    assert below <= q * total + 1e-9


def test_an_empty_histogram_has_no_quantile() -> None:
    assert quantile((), 0.95) is None


def test_what_could_not_be_read_when_the_stage_began_says_nothing_of_its_split() -> None:
    blue = Counts(revision=RevisionId("b" * 12), requests=1546)
    before = Evidence(judge="guard/1", cursor=(), counts=(counts(1474), blue), unread=(counts(1474), blue))
    assert isinstance(weigh(GUARD, GREEN, 5_000, before), Fine)
    since = replace(before, counts=add(before.counts, (counts(11), replace(blue, requests=95))))
    verdict = weigh(GUARD, GREEN, 5_000, since)
    assert isinstance(verdict, Invalid)
    assert "green gave 10 % of the answers" in text(verdict.because)
    assert isinstance(weigh(GUARD, GREEN, 5_000, replace(since, unread=())), Fine)
    assert isinstance(
        weigh(GUARD, GREEN, 5_000, replace(since, counts=(counts(1485, errors=90), blue))), Harm
    )
