"""The demo itself, from training to the last table."""

import asyncio
import shlex
import time
from dataclasses import dataclass, field

from celadon.domain.problem import LastingFault
from celadon.domain.release import Outcome
from celadon.doors.demo.callers import Callers
from celadon.doors.demo.commands import CommandLine, Json
from celadon.doors.demo.compared import Compared
from celadon.doors.demo.digits import Lesson, learn
from celadon.doors.demo.premises import Premises, free_ports, open_premises, residents
from celadon.doors.demo.report import Report, Told, merged, report
from celadon.doors.demo.show import Show, labelled
from celadon.doors.demo.story import FAILING, FIRST, RELEASES, SERVICE, SLOW, Chapter
from celadon.doors.demo.trials import TRIALS, furnish_trials
from celadon.doors.demo.workshop import LATENCY_MS_P95_MAX, WATCH_S, Runtime, Workshop, furnish

QUIET_S = 2.0
"""Callers are watched for so long before each release, so that what it changes can be seen."""

LOG_S = 5.0
LOG_LOOK_S = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """rate_per_s: requests a second in the first part. keep: leave everything running at the end. short: no second part."""

    runtime: Runtime
    rate_per_s: float
    keep: bool
    short: bool = False

    @property
    def compares(self) -> bool:
        """Whether there is a second part: labels are joined with what celadon's own server logs."""
        return self.runtime == "model" and not self.short


@dataclass(slots=True, kw_only=True)
class Play:
    """One run. known: label by revision, as far as releases have ended."""

    place: Premises
    workshop: Workshop
    callers: Callers
    commands: CommandLine
    show: Show
    known: dict[str, str] = field(default_factory=dict)
    current: Chapter = FIRST

    async def run(self) -> Report:
        """The bring-up, then callers, then the three releases."""
        self.show.title("Bring it up")
        self.show.command("up")
        await self.commands.ask("up", code=0)
        first = await self._release(FIRST)
        if first.outcome is not Outcome.PROMOTED:
            raise LastingFault(f"the first revision did not get up: {first.release['reason']['text']}")
        self.show.title(f"Callers send {self.callers.rate_per_s:g} requests a second from now on, each once")
        began = time.monotonic()
        self.callers.start()
        try:
            with self.show.traffic(self.callers.exchanges, labelled(self.known, lambda: self.current.label)):
                told = [await self._release_under_traffic(chapter, first, began) for chapter in RELEASES]
                await asyncio.sleep(QUIET_S)
        finally:
            await self.callers.stop()
        seconds = time.monotonic() - began
        retries = await self._retries()
        return report(first, told, self.callers.exchanges, retries=retries, seconds=seconds)

    async def _retries(self) -> int:
        """What the proxy sent again. It writes its log every second, so the last lines take a moment."""
        deadline = time.monotonic() + LOG_S
        attempts = self.place.attempts()
        while len(attempts) < len(self.callers.exchanges) and time.monotonic() < deadline:
            await asyncio.sleep(LOG_LOOK_S)
            attempts = self.place.attempts()
        return sum(max(0, attempt - 1) for attempt in attempts)

    async def _release_under_traffic(self, chapter: Chapter, first: Told, began: float) -> Told:
        await asyncio.sleep(QUIET_S)
        self.show.title(f"Release {chapter.label}: {chapter.what}")
        told = await self._release(chapter)
        so_far = report(first, [told], self.callers.exchanges, retries=0, seconds=time.monotonic() - began)
        self.show.ended(so_far.releases[0])
        return told

    async def _release(self, chapter: Chapter) -> Told:
        self.current = chapter
        self.workshop.lay_out(chapter)
        arguments = self.workshop.deploy_arguments(chapter)
        self.show.command(shlex.join(arguments))
        deployed = await self.commands.ask(*arguments)
        (one,) = deployed["services"]
        why: Json = await self.commands.ask("why", one["release_id"], code=0)
        if why["release"] is None or not why["release"]["outcome"]:
            raise LastingFault(f"release {one['release_id']} did not end by itself")
        self.known[one["revision"]] = chapter.label
        return Told(chapter=chapter, release=why["release"], decisions=why["decisions"])


async def _both(first: Play, second: Compared | None) -> Report:
    """One part after the other, so that neither is disturbed by the other's callers."""
    told = await first.run()
    return told if second is None else merged([told, await second.run()], seconds=told.seconds)


def play(settings: Settings, show: Show) -> Report:
    """Everything, on premises that are gone afterwards. Raises Fault when it can not be played to its end."""
    with open_premises(keep=settings.keep, say=show.say) as place:
        show.title("A release demo")
        ends = "stays when it ends" if settings.keep else "is removed at the end"
        show.say(f"Everything happens in {place.folder}, on ports of its own, and {ends}.")
        show.title("Train readers of handwritten digits")
        lesson = learn()
        _tell(lesson, show)
        with free_ports(1 + len(TRIALS) * settings.compares) as (port, *others):
            workshop = furnish(place.workshop, settings.runtime, lesson, port)
            trials = furnish_trials(place.workshop, lesson, others) if settings.compares else ()
            show.title(f"The service file, {workshop.service_file.name}")
            show.file(workshop.service_file.read_text(encoding="utf-8"))
        callers = Callers(workshop=workshop, images=lesson.callers, port=port, rate_per_s=settings.rate_per_s)
        commands = CommandLine(place=place, say=show.line)
        first = Play(place=place, workshop=workshop, callers=callers, commands=commands, show=show)
        second = Compared(
            place=place,
            workshops=trials,
            ports=tuple(others),
            lesson=lesson,
            commands=commands,
            show=show,
        )
        told = asyncio.run(_both(first, second if settings.compares else None))
        show.report(told)
        if settings.keep:
            show.say(f"It is all still there: export CELADON_HOME={place.home}")
            show.say(f"Look: celadon status {SERVICE}   End: celadon down, then rm -r {place.folder}")
            return told
    left = [f"process {pid}" for pid in residents(place)] + [str(place.folder)] * place.folder.exists()
    if left:
        raise LastingFault(f"not everything of the demo could be removed: {', '.join(left)}")
    show.say("Nothing of it is left.")
    return told


def _tell(lesson: Lesson, show: Show) -> None:
    held_out = len(lesson.callers)
    for label, reader in (("first", lesson.first), ("better", lesson.better)):
        show.say(
            f"{label:<8} learned from {reader.learned:>5,} images, reads {reader.right * 100:.1f} % of {held_out} unseen ones rightly"
        )
    show.say(f"{FAILING.label:<8} {FAILING.what}: it answers 500")
    show.say(f"{SLOW.label:<8} {SLOW.what}: over the limit of {LATENCY_MS_P95_MAX} ms")
    show.say(f"Each is watched for {WATCH_S} s, which is short; the default is a minute.", "dim")
