"""An answer and that of its copy are compared, whichever is logged first."""

import asyncio
import math

import pytest
from labels_given import BLUE, GREEN, Home, interest

from celadon.domain.compare import Compare, PairMargin
from celadon.observe.labels.answer import Likeness, MisreadError, likeness, read_answer


def pair(home, request, answer, copied, *, copy=GREEN, first=BLUE, reverse=False):
    sides = [(answer, first, False, 0), (copied, copy, True, 1)]
    for said, revision, mirrored, index in reversed(sides) if reverse else sides:
        home.predict(request, said, revision, mirrored=mirrored, index=index)
        home.settle()


def numbers(pairs):
    return (pairs.pairs, pairs.differ, pairs.reshaped)


def summed(home, copy=GREEN):
    found = [pairs for pairs in home.read().pairs if pairs.copy == copy]
    return tuple(map(sum, zip(*map(numbers, found), strict=True)))


@pytest.mark.parametrize("reverse", [False, True])
def test_alike_and_different_answers_are_counted_whichever_comes_first(home, reverse):
    pair(home, "a", "3", "3", reverse=reverse)
    pair(home, "b", "3", "8", reverse=reverse)
    assert summed(home) == (2, 1, 0)


def test_a_changed_shape_is_a_finding_with_an_example(home):
    pair(
        home,
        "a",
        {"shape": "float32[1,2]", "numbers": [1, 2]},
        {"shape": "float32[1,3]", "numbers": [1, 2, 3]},
    )
    (pairs,) = (pairs for pairs in home.read().pairs if pairs.pairs)
    assert numbers(pairs) == (1, 1, 1)
    assert pairs.example == "request a: float32[1,2], and the copy float32[1,3]"


def test_blue_beside_itself_is_the_noise_and_green_beside_itself_is_nothing(home):
    pair(home, "a", "3", "4", copy=BLUE)
    pair(home, "b", "3", "4", copy=GREEN, first=GREEN)
    assert [(pairs.copy, pairs.pairs, pairs.differ) for pairs in home.read().pairs] == [(BLUE, 1, 1)]


def test_two_copies_of_one_request_are_two_pairs(home):
    pair(home, "a", "3", "4")
    home.predict("a", "3", BLUE, mirrored=True, index=2)
    found = {pairs.copy: pairs.differ for pairs in home.read().pairs}
    assert found == {GREEN: 1, BLUE: 0}


def test_answers_that_are_logged_twice_are_one_pair(home):
    pair(home, "a", "3", "3")
    pair(home, "a", "3", "3")
    assert summed(home) == (1, 0, 0)


@pytest.mark.parametrize("label_first", [False, True])
def test_a_label_says_which_of_the_two_was_right(home, label_first):
    told = [("a", "3", "3"), ("b", "3", "4"), ("c", "4", "3"), ("d", "1", "2")]
    for request, _, _ in told if label_first else ():
        home.tell(request, label="3")
    for request, answer, copied in told:
        pair(home, request, answer, copied)
    for request, _, _ in () if label_first else told:
        home.tell(request, label="3")
    found = home.read().pairs
    assert sum(pairs.pairs for pairs in found) == 4
    assert sum(pairs.labelled_alike for pairs in found) == 2
    assert (sum(p.only_copy_wrong for p in found), sum(p.only_first_wrong for p in found)) == (1, 1)


def test_what_was_answered_is_counted_by_revision_and_class(home):
    for request, said in (("a", "3"), ("b", "3"), ("c", "5")):
        home.predict(request, said, BLUE)
    home.predict("a", "4", GREEN, mirrored=True, index=1)
    assert sorted(home.read().classes) == [(BLUE, "3", 2), (BLUE, "5", 1), (GREEN, "4", 1)]
    assert home.read().classes == ()


def test_classes_are_counted_where_nothing_but_errors_is_compared(tmp_path):
    home = Home(tmp_path).open(interest(Compare()))
    home.predict("a", "3")
    assert home.read().classes == ((GREEN, "3", 1),)
    asyncio.run(home.close())


def test_without_end_of_different_answers_the_rest_is_counted_together(home):
    for number in range(300):
        home.predict(f"r{number}", f"c{number}")
    classes = home.read().classes
    assert sum(number for _, _, number in classes) == 300
    assert len(classes) == 201


@pytest.mark.parametrize(
    ("first", "copy", "found"),
    [
        ("cat", "cat", Likeness.ALIKE),
        ("cat", "dog", Likeness.DIFFER),
        (3, 3, Likeness.ALIKE),
        (1000, 1001, Likeness.DIFFER),
        (1000, 1000.5, Likeness.ALIKE),
        (3, 3.5, Likeness.DIFFER),
        (0.5, 0.5004, Likeness.ALIKE),
        (0.0, 0.0, Likeness.ALIKE),
        (0.0, 1e-9, Likeness.DIFFER),
        (None, None, Likeness.ALIKE),
        (None, 1.5, Likeness.DIFFER),
        ("cat", 0.5, Likeness.RESHAPED),
        ("cat", ["cat"], Likeness.RESHAPED),
        ([0.5, 1.5], [0.5, 1.5, 2.5], Likeness.RESHAPED),
        ([0.5, 1.5], [0.5, 1.9], Likeness.DIFFER),
        ({"class": 3, "numbers": [0.9]}, {"class": 3, "numbers": [0.1]}, Likeness.ALIKE),
        ({"digest": "a"}, {"digest": "a"}, Likeness.ALIKE),
        ({"digest": "a"}, {"digest": "b"}, Likeness.DIFFER),
        ({"digest": "a", "numbers": [1.0]}, {"digest": "b", "numbers": [1.0]}, Likeness.ALIKE),
        (True, False, Likeness.DIFFER),
    ],
)
def test_likeness(first, copy, found):
    assert likeness(read_answer(first), read_answer(copy), 1e-3) is found
    assert likeness(read_answer(copy), read_answer(first), 1e-3) is found


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"class": 0.5},
        {"class": "x" * 65},
        {"class": "a\nb"},
        {"unknown": 1},
        {"numbers": ["x"]},
        list(range(17)),
        [[1]],
        10**400,
        {"class": {}},
        {"shape": 3, "class": "a"},
    ],
)
def test_what_is_no_answer_is_refused_with_a_reason(answer):
    with pytest.raises(MisreadError, match="`"):
        read_answer(answer)


def test_what_is_no_number_is_kept_as_nothing():
    assert read_answer([math.nan, math.inf, 1.5]).numbers == (None, None, 1.5)


def test_pairs_alone_need_no_requests(tmp_path):
    home = Home(tmp_path).open(interest(Compare(pairs=PairMargin(tolerance=0.5))))
    pair(home, "a", 1.0, 1.4)
    pair(home, "b", 1.0, 9.4)
    assert summed(home) == (2, 1, 0)
    asyncio.run(home.close())
