"""What everybody promises who tells of answers later, in the simulation and on a disk."""

import asyncio

import pytest
from contract_given import Virtual
from labels_given import DIGITS, GREEN, Home, interest, routed

from celadon.domain.facts import Known
from celadon.domain.names import ServiceKey
from celadon.domain.samples import Label
from celadon.sim.kernel import EPOCH_S
from celadon.sim.observers import Labels, SimLabels


class Simulated:
    """Labels of a world."""

    def __init__(self, _):
        self.world, self.kept = Virtual(), Labels()
        self.interest = interest(began_at=EPOCH_S + 100)
        self.world.pass_s(200)
        self.open()

    def open(self):
        self.labels = SimLabels(self.world.clock, self.kept)
        self.labels.follow(DIGITS, (self.interest,))

    def arrives(self, request, *, wrong):
        self.kept.arrived.append(
            Label(at_s=int(self.world.clock.wall()), revision=GREEN, share=500, wrong=wrong)
        )

    def settle(self):
        pass

    def close(self):
        pass


class OnDisk:
    """Labels of a home."""

    def __init__(self, folder):
        self.home, self.interest = Home(folder), interest()
        self.home.open(self.interest)

    @property
    def labels(self):
        return self.home.labels

    def open(self):
        self.close()
        self.home.open(self.interest)

    def arrives(self, request, *, wrong):
        self.home.route(routed(request))
        self.home.tell(request, wrong=wrong)

    def settle(self):
        self.home.settle()

    def close(self):
        asyncio.run(self.home.close())


@pytest.fixture(params=[Simulated, OnDisk])
def side(request, tmp_path):
    made = request.param(tmp_path)
    yield made
    made.close()


def read(side, since=()):
    """What came after a position, and the next one."""
    side.settle()
    known = side.labels.samples(DIGITS, since, side.interest)
    assert isinstance(known, Known)
    assert known.value.cursor_from == since
    return [one.wrong for one in known.value.labels], known.value.cursor_to


def test_what_came_is_told_once_in_its_order(side):
    side.arrives("a", wrong=True)
    side.arrives("b", wrong=False)
    first, cursor = read(side)
    assert first == [True, False]
    assert read(side, cursor)[0] == []
    side.arrives("c", wrong=True)
    assert read(side, cursor)[0] == [True]


def test_the_same_position_tells_the_same_again(side):
    side.arrives("a", wrong=True)
    assert read(side) == read(side)


def test_a_position_outlives_the_daemon(side):
    side.arrives("a", wrong=True)
    cursor = read(side)[1]
    side.arrives("b", wrong=False)
    side.settle()
    side.open()
    assert read(side, cursor)[0] == [False]
    assert read(side)[0] == [True, False]


def test_nothing_was_heard_of_a_service_that_nobody_told_of(side):
    assert side.labels.heard(ServiceKey(name="nobody")) is None
