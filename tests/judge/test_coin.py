"""The event coin: a fair bet however its counts are cut, capped by window, and silent where nothing is drawn."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from celadon.domain.evidence import Coin, Tally
from celadon.judge.coin import EventCoin, merged, summed, totals
from celadon.judge.odds import Rules, boundary, fine_odds, harm_odds
from celadon.store.codec import decode, encode

RULES = Rules()
JUDGE = EventCoin(RULES)
SHARES = (500, 2500, 5000)


@st.composite
def tallies(draw, most: int = 60):
    green, blue = draw(st.integers(0, most)), draw(st.integers(0, most))
    return Tally(
        draw(st.sampled_from(SHARES)), green, draw(st.integers(0, green)), blue, draw(st.integers(0, blue))
    )


def heard(coin: Coin, parts, at_s: int = 0) -> Coin:
    for part in parts:
        coin = JUDGE.add(coin, at_s, part)
    return coin


def cut(tally: Tally, at: float) -> list[Tally]:
    """Two tallies that are one: events and the others are cut separately."""
    events, blue_events = int(tally.green_events * at), int(tally.blue_events * at)
    green = events + int((tally.green - tally.green_events) * at)
    blue = blue_events + int((tally.blue - tally.blue_events) * at)
    left = Tally(tally.share, green, events, blue, blue_events)
    return [left, Tally(tally.share, *(a - b for a, b in zip(tally[1:], left[1:], strict=True)))]


@given(st.lists(tallies(), max_size=6), st.floats(0, 1), st.randoms())
def test_inside_a_window_only_the_sums_count(parts, at, random) -> None:
    start = JUDGE.begin(0, (1000, 30))
    pieces = [piece for part in parts for piece in cut(part, at)]
    random.shuffle(pieces)
    whole, cut_up = heard(start, parts), heard(start, pieces)
    assert JUDGE.worth(cut_up) == JUDGE.worth(whole)
    assert JUDGE.worth(JUDGE.add(cut_up, 10, Tally(500, 0, 0, 0, 0))) == JUDGE.worth(
        JUDGE.add(whole, 10, Tally(500, 0, 0, 0, 0))
    )


@given(st.lists(st.tuples(st.integers(0, 15), tallies()), max_size=12))
def test_a_coin_survives_the_journal_to_the_last_bit(steps) -> None:
    coin = JUDGE.begin(0)
    for after_s, tally in steps:
        again = decode(Coin, encode(coin))
        assert again == coin
        at_s = coin.closed.window * RULES.window_s + after_s
        coin = JUDGE.add(again, at_s, tally)
        assert totals(coin) == totals(decode(Coin, encode(coin)))


@pytest.mark.parametrize("share", [0, 10_000])
def test_where_nothing_is_drawn_nothing_is_won(share: int) -> None:
    coin = heard(JUDGE.begin(0, (1000, 50)), [Tally(share, 100, 90, 100, 1)])
    assert JUDGE.worth(coin).harm == pytest.approx(1.0)
    assert JUDGE.worth(coin).suspected == pytest.approx(1.0)
    assert JUDGE.worth(coin).fine == 1.0


@pytest.mark.parametrize("base", [0.0, 0.001, 0.01, 0.05, 0.3])
@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("extra", [0.0, 0.001])
def test_one_answer_is_a_fair_bet_wherever_green_is_no_worse(base: float, share: int, extra: float) -> None:
    rules = Rules(harm_ratio=1.1, harm_extra=extra)
    for blue in (0.0001, 0.001, 0.02, 0.05, 0.4):
        for part in (0.0, 0.5, 1.0):
            green = part * (1.1 * blue + extra)
            for odds in harm_odds(rules, share, base):
                assert expected(odds, share / 10_000, green, blue) <= 1 + 1e-9


@pytest.mark.parametrize("base", [0.0, 0.001, 0.01, 0.05, 0.3])
@pytest.mark.parametrize("extra", [0.0, 0.001, 0.01])
def test_one_answer_is_a_fair_bet_wherever_green_is_beyond_its_margin(base: float, extra: float) -> None:
    rules = Rules(fine_ratio=1.5, fine_extra=extra)
    for blue in (0.0, 0.0001, 0.001, 0.02, 0.05, 0.4):
        for more in (0.0, 0.001, 0.1, 0.3):
            green = 1.5 * blue + extra + more
            for odds in fine_odds(rules, 500, base):
                assert expected(odds, 0.05, green, blue) <= 1 + 1e-9


def expected(odds, pi: float, green: float, blue: float) -> float:
    chances = (pi * green, (1 - pi) * blue, pi * (1 - green), (1 - pi) * (1 - blue))
    return sum(chance * math.exp(log) for chance, log in zip(chances, odds, strict=True))


def test_the_nearest_point_of_equal_shares_is_the_pooled_share() -> None:
    assert boundary(0.3, 0.06, 0.02, 1.0, 0.0) == pytest.approx((0.032, 0.032))


@given(st.lists(tallies(), max_size=8))
def test_a_window_is_worth_no_more_than_its_cap(parts) -> None:
    coin = JUDGE.begin(0)
    before = JUDGE.worth(coin).harm
    assert JUDGE.worth(heard(coin, parts)).harm <= RULES.cap * before + 1e-9


def test_a_green_that_fails_always_is_suspected_at_its_fifth_error_and_proved_after_six_windows() -> None:
    coin = JUDGE.begin(0)
    for _ in range(5):
        coin = JUDGE.add(coin, 0, Tally(500, 1, 1, 19, 0))
    assert JUDGE.worth(coin).suspected >= 20
    for at_s in range(1, 60):
        coin = JUDGE.add(coin, at_s, Tally(500, 5, 5, 95, 0))
        assert at_s >= 40 or JUDGE.worth(coin).harm < 100
    assert JUDGE.worth(coin).harm >= 100


def test_harm_that_sets_in_late_is_seen_although_the_first_bet_is_lost() -> None:
    late, once = EventCoin(Rules(window_s=10)), EventCoin(Rules(window_s=10, first=1.0))
    coins = [late.begin(0), once.begin(0)]
    for at_s in range(1800):
        coins = [
            judge.add(coin, at_s, Tally(500, 10, at_s % 10 == 0, 190, 2))
            for judge, coin in zip((late, once), coins, strict=True)
        ]
    for at_s in range(1800, 1900):
        coins = [
            judge.add(coin, at_s, Tally(500, 10, at_s % 2, 190, 2))
            for judge, coin in zip((late, once), coins, strict=True)
        ]
    assert late.worth(coins[0]).harm >= 100 > once.worth(coins[1]).harm


def test_without_any_error_green_is_fine_after_about_three_thousand_answers() -> None:
    coin = JUDGE.begin(0)
    for at_s in range(3600):
        coin = JUDGE.add(coin, at_s, Tally(500, 10, 0, 190, 0))
        if JUDGE.worth(coin).fine >= 20:
            break
    assert 2500 <= summed(totals(coin)).green <= 4000


def test_late_answers_count_in_the_open_window() -> None:
    coin = JUDGE.add(JUDGE.begin(0), 25, Tally(500, 1, 0, 9, 0))
    assert JUDGE.add(coin, 3, Tally(500, 1, 1, 9, 0)) == JUDGE.add(coin, 25, Tally(500, 1, 1, 9, 0))


@given(st.lists(tallies(), max_size=8))
def test_answers_count_by_the_share_in_force_when_they_were_routed(parts) -> None:
    together: tuple[Tally, ...] = ()
    for part in parts:
        together = merged(together, part)
    assert [tally.share for tally in together] == sorted({part.share for part in parts})
    assert summed(together) == summed(parts)


def test_an_error_among_the_first_few_answers_does_not_cost_the_bets_of_later_windows() -> None:
    coin = JUDGE.add(JUDGE.begin(0), 9, Tally(500, 0, 0, 3, 1))
    unlucky = JUDGE.add(coin, 10, Tally(500, 100, 0, 1900, 2))
    assert JUDGE.worth(unlucky).fine > 0.5
    assert JUDGE.worth(unlucky).suspected > 0.5
