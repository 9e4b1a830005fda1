"""Time for both sides of a contract: a simulated world is let on, a real one is waited for."""

import asyncio
import time

from celadon.sim.kernel import Clock, Kernel

LOOK_S = 0.05
LONG_S = 40.0


class Virtual:
    """A world of its own time."""

    def __init__(self, seed="contract"):
        self.kernel = Kernel(seed)
        self.clock = Clock(self.kernel)

    def pass_s(self, seconds):
        until = self.kernel.at + seconds
        self.kernel.after(seconds, lambda: None)
        self.kernel.run(lambda: self.kernel.at >= until)

    async def until(self, condition):
        """Let things happen until a condition holds; what it answered."""
        until = self.kernel.at + LONG_S
        while not (found := condition()):
            assert self.kernel.at < until, "it never came about"
            self.pass_s(LOOK_S)
        return found


async def wait(condition):
    """The same where time passes by itself."""
    until = time.monotonic() + LONG_S
    while not (found := condition()):
        assert time.monotonic() < until, "it never came about"
        await asyncio.sleep(0.01)
    return found


def nothing(*_):
    """Nobody needs to hear of it."""


def play(side, story, *given):
    """One promise on one side, which is opened before and ended after."""

    async def played():
        async with side(*given) as opened:
            await story(opened)

    asyncio.run(played())
