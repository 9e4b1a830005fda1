"""The second part of the demo as it runs: four services, their callers, the labels, and four releases at once."""

import asyncio
import shlex
import time
from dataclasses import dataclass, field

from celadon.domain.problem import LastingFault
from celadon.domain.release import Outcome
from celadon.doors.cli.client import Client
from celadon.doors.demo.callers import Callers
from celadon.doors.demo.commands import CommandLine
from celadon.doors.demo.digits import Lesson
from celadon.doors.demo.exchange import Exchange
from celadon.doors.demo.labels import LATE_S, Labeller
from celadon.doors.demo.premises import Premises
from celadon.doors.demo.report import Report, Told, merged, report
from celadon.doors.demo.show import Show
from celadon.doors.demo.trials import TRIALS, Trial, pens
from celadon.doors.demo.workshop import Workshop

QUIET_S = 2.0


@dataclass(slots=True, kw_only=True)
class Compared:
    """Four releases. exchanges: everything that callers of this part saw, in the order in which it ended."""

    place: Premises
    workshops: tuple[Workshop, ...]
    ports: tuple[int, ...]
    lesson: Lesson
    commands: CommandLine
    show: Show
    exchanges: list[Exchange] = field(default_factory=list)
    known: dict[str, str] = field(default_factory=dict)

    async def run(self) -> Report:
        """Bring four services up, let callers call, and release on all of them."""
        self.show.title("Four services, each of which is to get a green that looks healthy")
        for trial in TRIALS:
            self.show.say(f"{trial.service:<8} {trial.chapter.what}")
        shown = self.workshops[0].service_file
        self.show.title(f"One of their service files, {shown.name}")
        self.show.file(shown.read_text(encoding="utf-8"))
        first = await asyncio.gather(
            *(self._release(t, w, blue=True) for t, w in zip(TRIALS, self.workshops, strict=True))
        )
        self._all_up(first)
        callers = [self._callers(*each) for each in zip(TRIALS, self.workshops, self.ports, strict=True)]
        labeller = Labeller(
            client=Client(self.place.home / "celadon.sock"),
            exchanges=self.exchanges,
            services=frozenset(trial.service for trial in TRIALS if trial.labelled),
        )
        began = time.monotonic()
        for one in callers:
            one.start()
        try:
            with self.show.traffic(self.exchanges, self._label):
                told = await labeller.beside(self._release_all())
        finally:
            await asyncio.gather(*(one.stop() for one in callers))
        seconds = time.monotonic() - began
        self.show.say(f"{labeller.told:,} labels were posted, each {LATE_S:g} s or more after its answer.")
        return merged(
            [
                report(
                    blue, [green], [e for e in self.exchanges if e.service == trial.service], seconds=seconds
                )
                for trial, blue, green in zip(TRIALS, first, told, strict=True)
            ],
            seconds=seconds,
        )

    def _callers(self, trial: Trial, workshop: Workshop, port: int) -> Callers:
        return Callers(
            workshop=workshop,
            images=self.lesson.callers,
            port=port,
            rate_per_s=trial.rate_per_s,
            pens=pens(self.lesson),
            exchanges=self.exchanges,
        )

    def _all_up(self, first: list[Told]) -> None:
        for one in first:
            if one.outcome is not Outcome.PROMOTED:
                raise LastingFault(f"{one.chapter.label} did not get up: {one.release['reason']['text']}")
            self.known[one.green] = "blue"

    async def _release_all(self) -> list[Told]:
        await asyncio.sleep(QUIET_S)
        self.show.title("Release all four at the same time; blue and green get half of the requests each")
        return await asyncio.gather(
            *(self._release(t, w, blue=False) for t, w in zip(TRIALS, self.workshops, strict=True))
        )

    async def _release(self, trial: Trial, workshop: Workshop, *, blue: bool) -> Told:
        chapter = trial.before if blue else trial.chapter
        arguments = workshop.deploy_arguments(chapter)
        if not blue:
            self.show.command(shlex.join(arguments))
        commands = self.quiet if blue else self.commands
        deployed = await commands.ask(*arguments)
        (one,) = deployed["services"]
        if one["release"] is not None and one["release"]["phase"] == "frozen":
            await self._decide(trial)
        why = await commands.ask("why", one["release_id"], code=0)
        if why["release"] is None or not why["release"]["outcome"]:
            raise LastingFault(
                f"release {one['release_id']} did not end: {why['decisions'][-1]['reason']['text']}"
            )
        told = Told(chapter=chapter, release=why["release"], decisions=why["decisions"])
        if not blue:
            self.known[told.green] = chapter.label
            self.show.ended(report(told, [told], self.exchanges, seconds=0.0).releases[0])
            self.show.findings(told.release)
        return told

    async def _decide(self, trial: Trial) -> None:
        """Harm that was suspected a third time waits for a person, who has read why by now."""
        arguments = ("rollback", trial.service)
        self.show.say(
            f"{trial.service}: harm was suspected three times, and the person who is asked takes it back."
        )
        self.show.command(shlex.join(arguments))
        await self.commands.ask(*arguments, code=0)

    @property
    def quiet(self) -> CommandLine:
        """Four bring-ups at once say nothing that anybody would want to read."""
        return CommandLine(place=self.place, say=lambda _line: None)

    def _label(self, exchange: Exchange) -> str:
        """Blue of all services together; each green by itself."""
        return "nobody" if exchange.revision is None else self.known.get(exchange.revision, exchange.service)
