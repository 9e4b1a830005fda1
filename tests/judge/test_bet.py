"""Bets on counts and on scores: fair on average, capped by window, and won by what is true."""

import math
from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from celadon.domain.evidence import Bet, Scores, Stakes
from celadon.judge.bet import budget, not_worse, share_beyond, swapped, wrong_more_often
from celadon.judge.score import ScoreCoin
from celadon.store.codec import decode, encode


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(0, 9)), max_size=6), st.randoms())
def test_inside_a_window_only_the_sums_count(parts, random) -> None:
    pairs = not_worse(0.01)
    start = pairs.add(pairs.begin(0), 12, (900, 20, 20))
    worths = set()
    for _ in range(2):
        bet = start
        for part in parts:
            bet = pairs.add(bet, 15, part)
        worths.add(pairs.worth(decode(Bet, encode(bet))))
        random.shuffle(parts)
    assert len(worths) == 1


@pytest.mark.parametrize("past", [(0, 0, 0), (900, 50, 50), (10, 500, 500)])
@pytest.mark.parametrize("differ", [0.01, 0.05, 0.5])
def test_a_pair_is_a_fair_bet_where_green_is_worse_by_the_margin(past, differ) -> None:
    margin = 0.01
    chances = (1 - differ, (differ - margin) / 2, (differ + margin) / 2)
    for gains in not_worse(margin).gains(past):
        mean = sum(chance * math.exp(gain) for chance, gain in zip(chances, gains, strict=True))
        assert mean <= 1 + 1e-9


def test_pairs_that_agree_prove_that_green_is_not_worse() -> None:
    pairs = not_worse(0.01)
    bet = pairs.begin(0)
    for at_s in range(100):
        bet = pairs.add(bet, at_s, (95, 3, 2) if at_s % 2 else (95, 2, 3))
    assert pairs.worth(bet)[0] >= 20


def test_a_green_that_is_wrong_more_often_is_seen() -> None:
    pairs = wrong_more_often()
    bet = pairs.begin(0)
    for at_s in range(100):
        bet = pairs.add(bet, at_s, (4, 1))
    assert pairs.worth(bet)[0] >= 100


def test_few_differences_prove_that_answers_hardly_differ() -> None:
    alike = share_beyond(0.02, (0.015, 0.01, 0.005))
    bet = alike.begin(0)
    for at_s in range(120):
        bet = alike.add(bet, at_s, (int(at_s % 4 == 0), 49))
    assert alike.worth(bet)[0] >= 20


def test_harm_that_hits_both_sides_breaks_the_budget_although_the_ratio_is_blind() -> None:
    bets = budget(0.01)
    good = bad = bets.begin(0)
    for at_s in range(120):
        good, bad = bets.add(good, at_s, (1, 149)), bets.add(bad, at_s, (5, 95))
    assert bets.worth(good)[0] < 20
    assert bets.worth(bad)[0] >= 100


@pytest.mark.parametrize("calm_s", [0, 60, 600, 3600, 36_000])
def test_a_limit_that_is_broken_late_is_proved_within_minutes_however_long_all_was_well(calm_s: int) -> None:
    bets = budget(0.05)
    bet = bets.begin(0)
    for at_s in range(calm_s):
        bet = bets.add(bet, at_s, (0, 25))
    for at_s in range(calm_s, calm_s + 200):
        bet = bets.add(bet, at_s, (12, 13))
    assert bets.worth(bet)[0] >= 300


def test_a_bet_of_an_older_journal_that_staked_everything_stays_what_it_is_worth() -> None:
    bets, even = budget(0.05), (0.25,) * 4
    old = Bet(window=0, stakes=Stakes(capped=even, free=even), counts=(0, 0), past=(0, 0))
    assert bets.worth(old) == (1, 1)
    assert bets.worth(bets.add(old, 10, (0, 0))) == (1, 1)


def test_money_that_is_kept_for_fresh_bets_makes_no_bet_unfair() -> None:
    """By all that can happen in four windows of one answer each, where the share is at the limit."""
    limit, bets = 0.2, replace(budget(0.2), cap=math.inf)
    mean = [0.0, 0.0]
    for events in product((0, 1), repeat=4):
        chance, bet = 1.0, bets.begin(0)
        for window, event in enumerate(events):
            chance *= limit if event else 1 - limit
            bet = bets.add(bet, 10 * window, (event, 1 - event))
        for place, money in enumerate(bets.worth(bet)):
            mean[place] += chance * money
    assert mean == pytest.approx([1, 1])


@given(st.integers(0, 10_000), st.integers(0, 10_000))
def test_a_swapped_window_is_a_fair_bet_and_never_more_than_doubles(green: int, control: int) -> None:
    swap = swapped()
    one = swap.worth(swap.add(swap.add(swap.begin(0), 0, green, control), 60, 0, 0))
    other = swap.worth(swap.add(swap.add(swap.begin(0), 0, control, green), 60, 0, 0))
    assert (one + other) / 2 == pytest.approx(1)
    assert one <= 2


def test_a_side_that_is_worse_in_every_window_is_found_by_swapping() -> None:
    swap = swapped()
    bet = swap.begin(0)
    for at_s in range(0, 600, 10):
        bet = swap.add(bet, at_s, 10, 1)
    assert swap.worth(bet) >= 100


def scored(blue: float, green: float, seconds: int) -> Scores:
    coin = ScoreCoin()
    scores = coin.begin(0)
    for at_s in range(seconds):
        for place in range(20):
            side = place % 10 == 0
            value = (green if side else blue) + (0.05 if (at_s + place // 2) % 2 else -0.05)
            scores = coin.add(scores, at_s, 1000, value, green=side)
    return decode(Scores, encode(scores))


def test_equal_scores_are_proved_fine_and_lower_ones_harm() -> None:
    coin = ScoreCoin()
    assert coin.worth(scored(0.8, 0.8, 600)).fine >= 20
    assert coin.worth(scored(0.8, 0.8, 600)).harm < 20
    assert coin.worth(scored(0.8, 0.6, 600)).harm >= 100
    assert coin.worth(scored(0.8, 0.6, 600)).fine < 1


@given(st.floats(0, 1), st.floats(0, 1), st.sampled_from([500, 5000]))
def test_one_score_is_a_fair_bet_where_the_means_are_equal(first, second, share) -> None:
    coin, pi = ScoreCoin(fine_margin=0.0), share / 10_000
    start = coin.begin(0)
    # Both sides draw one of the same two scores.
    money = [
        (chance / 2, coin.worth(coin.add(start, 0, share, value, green=side)))
        for value in (first, second)
        for side, chance in ((True, pi), (False, 1 - pi))
    ]
    assert sum(chance * worth.suspected for chance, worth in money) <= 1 + 1e-9
    assert sum(chance * worth.fine for chance, worth in money) <= 1 + 1e-9
