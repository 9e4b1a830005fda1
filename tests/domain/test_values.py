"""Copies of values are those that the standard library makes."""

import dataclasses
from typing import ClassVar

import pytest

from celadon.domain.goal import Part, Route, Stamp
from celadon.domain.memory import Memory
from celadon.domain.names import RevisionId, ServiceKey
from celadon.domain.plan import FULL
from celadon.domain.values import replace

ROUTE = Route(split=(Part(revision=RevisionId("a"), share=FULL),))


@pytest.mark.parametrize(
    ("value", "changes"),
    [
        (Memory(service=ServiceKey(name="fraud")), {}),
        (Memory(service=ServiceKey(name="fraud")), {"seq": 7, "live": RevisionId("b")}),
        (Stamp(epoch=1, seq=2), {"seq": 3}),
        (ROUTE, {"mirrors": ()}),
    ],
)
def test_a_copy_has_the_changed_fields_and_all_others_as_they_were(value, changes):
    copied = replace(value, **changes)
    assert copied == dataclasses.replace(value, **changes)
    assert type(copied) is type(value)
    assert hash(Stamp(epoch=1, seq=3)) == hash(replace(Stamp(epoch=1, seq=2), seq=3))


def test_a_field_that_is_not_there_is_refused():
    with pytest.raises(TypeError, match="no field 'sequence'"):
        replace(Memory(service=ServiceKey(name="fraud")), sequence=1)


def test_what_a_value_checks_of_itself_is_checked_of_its_copies():
    with pytest.raises(AssertionError):
        replace(ROUTE, split=())


@dataclasses.dataclass(frozen=True, slots=True)
class Born:
    """Made by its own `__new__`, as the classes of a compiled module are: the interpreter's refuses them."""

    made: ClassVar[list[type]] = []
    low: float
    high: float

    def __new__(cls, *_values, **_fields):
        cls.made.append(cls)
        return object.__new__(cls)


def test_a_class_that_makes_its_own_values_makes_the_copies_too():
    first = Born(low=1.0, high=2.0)
    assert replace(first, high=3.0) == Born(low=1.0, high=3.0)
    assert Born.made == [Born] * 3
