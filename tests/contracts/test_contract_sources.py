"""What every model store promises, the simulated one and that on a disk."""

from contextlib import asynccontextmanager

import pytest
from contract_given import Virtual, nothing, play, wait
from test_model_store import folder_in, send, store_in

from celadon.domain.facts import SourceState
from celadon.sim.observers import Shelf, SimSources
from celadon.store.tree import tree_of

FETCHING, VERIFIED, FAILED = SourceState.FETCHING, SourceState.VERIFIED, SourceState.FAILED


class Side:
    """What the stories need of either side."""

    def fact(self):
        return self.sources.observe([self.tree]).get(self.tree)

    async def ended(self):
        """How a fetch ended."""
        return await self.until(lambda: (fact := self.fact()).state is not FETCHING and fact)


class Simulated(Side, Virtual):
    tree = "sha256:" + "a" * 64

    def __init__(self):
        super().__init__()
        self.shelf = Shelf(broken="it is not in the model store")
        self.sources = SimSources(self.kernel, self.clock, self.shelf, nothing)

    async def put(self):
        self.shelf.broken = ""


class Stored(Side):
    def __init__(self, sources, folder):
        self.sources, self.made = sources, tree_of(folder_in(folder))
        self.tree = self.made.digest

    async def put(self):
        await send(self.sources, self.made)

    async def until(self, condition):
        return await wait(condition)


@asynccontextmanager
async def simulated(_):
    yield Simulated()


@asynccontextmanager
async def stored(folder):
    async with store_in(folder / "home") as sources:
        yield Stored(sources, folder)


@pytest.fixture(params=[simulated, stored])
def kept(request, tmp_path):
    return lambda story: play(request.param, story, tmp_path)


def test_of_what_was_never_fetched_nothing_is_known(kept):
    async def story(side):
        await side.put()
        assert side.fact() is None

    kept(story)


def test_a_fetch_is_shown_at_once_and_ends_verified_with_its_place(kept):
    async def story(side):
        await side.put()
        side.sources.fetch(side.tree)
        assert side.fact().state is FETCHING
        side.sources.fetch(side.tree)
        fact = await side.ended()
        assert fact.state is VERIFIED
        assert fact.path
        assert fact.at > 0

    kept(story)


def test_what_can_not_be_brought_fails_and_says_why_and_another_fetch_may_bring_it(kept):
    async def story(side):
        side.sources.fetch(side.tree)
        fact = await side.ended()
        assert fact.state is FAILED
        assert "model store" in fact.why
        await side.put()
        side.sources.fetch(side.tree)
        assert (await side.ended()).state is VERIFIED

    kept(story)


def test_what_was_verified_is_verified_anew_when_it_is_fetched_again(kept):
    async def story(side):
        await side.put()
        side.sources.fetch(side.tree)
        first = await side.ended()
        side.sources.fetch(side.tree)
        assert side.fact().state is FETCHING
        again = await side.ended()
        assert (again.state, again.path) == (VERIFIED, first.path)
        assert again.at >= first.at

    kept(story)
