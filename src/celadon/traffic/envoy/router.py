"""The `Router` of one machine: one worker per changing service, one look at Envoy twice a second for all."""

import asyncio
import contextlib
import shutil
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from celadon.domain.draw import Draw
from celadon.domain.facts import Known, Refused, RouteFacts, Unknown
from celadon.domain.goal import Wanted
from celadon.domain.names import ServiceKey
from celadon.domain.problem import TransientFault
from celadon.domain.samples import Cursor, Samples
from celadon.traffic.envoy import launcher, leave, stats
from celadon.traffic.envoy.admin import Admin, View
from celadon.traffic.envoy.confirm import Confirmer, RejectedError
from celadon.traffic.envoy.copies import Compared, Copied, compare, who_is_copied
from celadon.traffic.envoy.drained import Drained
from celadon.traffic.envoy.ears import HEAR_S, Ears, TellRouted, Written
from celadon.traffic.envoy.move import Mover, SupersededError
from celadon.traffic.envoy.plane import Plane
from celadon.traffic.envoy.proof import Prover
from celadon.traffic.envoy.proxy import START_S, Proxy, find_envoy
from celadon.traffic.envoy.render import static
from celadon.traffic.envoy.seats import Look, Seat, Seats, remember, remembered, seats_there
from celadon.traffic.envoy.snapshot import fold
from celadon.traffic.envoy.tail import RequestLog
from celadon.traffic.envoy.track import Kept, Track

LOG, COPIES = "log", "copies"
"""Sources of samples beside Envoy's counters, as cursors name them."""

LOOK_S = 0.5
LOOK_SOON_S = 0.13
"""While something drains: two looks that agree are then at most 400 ms apart."""

BLIND_S = 0.03
REFUSED_AGAIN_S = 5.0


class EnvoyRouter:
    """Fits `control.ports.Router`. All methods belong to the event loop that ran `start`.

    wake: called with the service whose facts changed. clock: wall time in Unix seconds. routed: given every request
    of services that are drawn, as it was logged; some again after a crash. It may raise TransientFault.
    """

    def __init__(
        self,
        home: Path,
        wake: Callable[[ServiceKey], None],
        clock: Callable[[], float] = time.time,
        routed: TellRouted | None = None,
        proxies: int | None = None,
    ) -> None:
        self._home = home.absolute()
        self._wake = wake
        self._clock = clock
        self._routed = routed
        self.proxies = remembered(self._home) if proxies is None else proxies
        self._plane = Plane(self._home, seats_there(self._home, self.proxies))
        self._seats = Seats([])
        self._drained = Drained(self._plane.tracks, clock)
        self._view: View = {}
        self._readings: tuple[stats.Reading, ...] = ()
        self._reading: stats.Reading | None = None
        self._sources: frozenset[str] = frozenset()
        self._seen_at = 0.0
        self._looked_at = 0.0
        self._blind = "Envoy has not been asked yet"
        self._broken = ""
        self._restarts: dict[int, str] = {}
        self._workers: dict[ServiceKey, asyncio.Task[None]] = {}
        self._hurry = asyncio.Event()
        self._copied: Mapping[ServiceKey, Copied] = {}
        self._lacking: dict[ServiceKey, int] = {}
        self._lookers: list[asyncio.Task[None]] = []
        self._runs: tuple[tuple[int, str], ...] = ()

    # life

    async def start(self) -> None:
        """Finds the running Envoy or starts one. Raises Fault when that can not be done."""
        envoy = find_envoy()
        self._seats = Seats([self._seat(number, envoy) for number in range(self._plane.seats)])
        for seat in self._seats:
            seat.proxy.check_paths()
        who = self._seats.first.proxy.identity()
        self._plane.open(same_boot=who is None or who.boot == launcher.boot_id())
        for track in self._plane.tracks.values():
            # Not every Envoy may answer at first, and one that does not may go by an earlier wish.
            self._drained.look(track)
        remember(self._home, self.proxies)
        self._ears = Ears(
            logs=[
                Written(log=RequestLog(Path(seat.paths.access_log)), reopen=seat.admin.reopen_logs)
                for seat in self._seats
            ],
            folder=self._home / "units",
            drawn=self._drawn,
            routed=self._routed,
            wake=self._wake,
        )
        self._confirmer = Confirmer(self._seats, self._plane.xds)
        self._mover = Mover(
            self._plane,
            self._confirmer,
            Prover(envoy, self._proofs(), self._plane.with_targets),
            self._look_at,
            lambda: self._view,
            self._drained.watch.forget,
        )
        self._ears.open()
        await self._plane.publish()
        await self._await_envoy()
        self._lookers = [self._begin(self._look_for_ever()), self._begin(self._hear_for_ever())]
        if leaving := [seat for seat in self._seats if seat.leaving]:
            self._lookers.append(self._begin(self._leave(leaving)))

    async def close(self, *, stop_proxy: bool) -> None:
        """Ends our work; Envoy goes on serving unless it is to be stopped too."""
        tasks = [*self._workers.values(), *self._lookers]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._seats.close()
        if stop_proxy:
            await self._seats.stop()

    def _seat(self, number: int, envoy: Path) -> Seat:
        paths = self._plane.paths(number)
        seat = Seat(
            paths=paths,
            proxy=Proxy(self._plane.folder(number), envoy, self._plane.bootstrap(number)),
            admin=Admin(Path(paths.admin_socket)),
        )
        seat.leaving = number >= self.proxies or leave.is_leaving(seat)
        return seat

    def _proofs(self) -> Path:
        """An empty folder for what is being proved; what a killed daemon left in it goes."""
        folder = self._home / "proofs"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700)
        return folder

    async def _await_envoy(self) -> None:
        """Until all of them answer, or those that do after a while; Raises Fault when none does."""
        until = time.monotonic() + START_S
        marks = self._confirmer.marks()
        while True:
            late = time.monotonic() > until
            try:
                await self._keep_launched()
                await self._look()
            except TransientFault as fault:
                if late:
                    said = [
                        line for seat, at in marks for line in seat.proxy.log_since(at).strip().splitlines()
                    ]
                    raise TransientFault(
                        "Envoy did not start", "\n".join(said[-5:]) or fault.what, retry_s=1
                    ) from fault
            else:
                if late or all(seat.met or seat.lacks for seat in self._seats.staying()):
                    return
            await asyncio.sleep(0.01)

    async def _keep_launched(self) -> None:
        if not self._seats.kept():
            await asyncio.to_thread(self._seats.launch, self._plane.followed)

    async def _leave(self, seats: Sequence[Seat]) -> None:
        """The last one first, since those that stay are the first ones. One that is wanted again by now comes back."""
        for seat in reversed(seats):
            last = await leave.last_reading(seat, self._clock)
            back = seat.paths.number < self.proxies
            if not back:
                self._seats.all.remove(seat)
            if last is not None:
                self._seats.ended.append(last)
            await leave.end(seat)
            seat.leaving = False
            if not back:
                await seat.admin.close()
                await self._ears.end(seat.paths.number)
                await self._plane.let_go(seat.paths.number)

    def _begin(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        """A bug in a worker is shown as not knowing from then on, and told to whoever watches the event loop."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self._broken = f"the router failed: {error!r}"
            task.get_loop().call_exception_handler(
                {"message": self._broken, "exception": error, "task": task}
            )

    def running(self) -> int:
        """How many Envoys take requests now."""
        return sum(seat.alive() is not None for seat in self._seats.staying())

    # the port

    def observe(self, service: ServiceKey) -> Known[RouteFacts] | Unknown:
        """What is in force for one service, as of the last look."""
        if self._broken or self._blind:
            return Unknown(why=self._broken or self._blind)
        track = self._plane.tracks.get(service)
        if track is None:
            return Known(value=RouteFacts(notes=self._told_of_runs()), taken_at=self._seen_at)
        facts = RouteFacts(
            confirmed=track.confirmed,
            pending=track.pending,
            unseen=track.unseen,
            refused=track.refused,
            drained=self._drained.of(track),
            unrouted=self._drained.unrouted(service),
            notes=(*self._told_of_runs(), *track.notes, *self._notes(service)),
        )
        return Known(value=facts, taken_at=self._seen_at)

    def samples(self, service: ServiceKey, since: Cursor) -> Known[Samples] | Unknown:
        """What was counted after the cursor, as of the last look; an empty cursor begins now."""
        if self._reading is None:
            return Unknown(why=self._blind)
        if not since and self._seats.sources() != self._sources:
            return Unknown(why="an Envoy has come or gone since the counters were read")
        track = self._plane.tracks.get(service)
        published = track.kept.published if track is not None else None
        revisions = [revision for revision, _ in published.endpoints] if published is not None else []
        counted = stats.samples(self._readings, service, revisions, since, self._seats.ended)
        positions = dict(since)
        told = self._ears.told(service, positions.get(LOG, ""))
        compared = self._compared(service, self._reading, positions.get(COPIES, ""))
        answers = (*told.answers, *compared.answers)
        if compared.lacking:
            # Originals whose copies are missing would speak for green.
            answers = tuple(replace(one, mirror=0) for one in told.answers)
        to = (
            *counted.cursor_to,
            (LOG, told.end),
            *([(COPIES, compared.position)] if compared.position else []),
        )
        samples = replace(
            counted,
            cursor_from=since or to,
            cursor_to=to,
            complete=counted.complete and told.complete,
            answers=answers,
        )
        return Known(value=samples, taken_at=self._reading.taken_at)

    def _compared(self, service: ServiceKey, reading: stats.Reading, since: str) -> Compared:
        """Answers to copies. While it is not known for sure how requests are copied, it is not looked."""
        copied = self._copied.get(service)
        found = Compared(position=since)
        if copied is not None:
            found = compare(reading, reading.tallies.get(service, {}), copied, since)
        self._lacking[service] = found.lacking
        return found

    def set(self, wanted: Wanted) -> None:
        """Begins to serve this. The same wish again changes nothing, an older one is refused."""
        track = self._plane.tracks.setdefault(wanted.service, Track(kept=Kept(service=wanted.service)))
        if track.target is not None and wanted.older_than(track.target):
            why = f"its stamp {wanted.stamp} is older than {track.target.stamp}"
            track.refused = Refused(wanted=wanted, why=why, at=self._clock())
            return
        if not track.stuck and wanted.same_traffic(track.target):
            _restamp(track, wanted)
            return
        if track.stuck and wanted == track.target and self._just_refused(track):
            return
        track.target, track.refused, track.settled = wanted, None, False
        self._work_on(track)

    def _just_refused(self, track: Track) -> bool:
        """The world may have changed since, but asking Envoy at every tick would help nobody."""
        return time.monotonic() - track.refused_at < REFUSED_AGAIN_S

    def drop(self, service: ServiceKey) -> None:
        """Begins to serve nothing for this service; what is in flight finishes."""
        track = self._plane.tracks.get(service)
        if track is None or (track.target is None and track.settled):
            return
        track.target, track.refused, track.settled = None, None, False
        self._work_on(track)

    def export(self, services: Iterable[ServiceKey]) -> str:
        """One static Envoy file (YAML) that serves what is served now, without celadon."""
        import yaml  # noqa: PLC0415 -- for the way out alone

        tracks = [self._plane.tracks[service] for service in services if service in self._plane.tracks]
        whole = static(fold(track.claim for track in tracks), "/dev/stdout")
        return yaml.safe_dump(whole, sort_keys=False, width=110)

    # work

    def _work_on(self, track: Track) -> None:
        running = self._workers.get(track.service)
        if running is None or running.done():
            self._workers[track.service] = self._begin(self._work(track))

    async def _work(self, track: Track) -> None:
        """Until there is nothing left to do for this service."""
        while True:
            target = track.target
            try:
                if not track.settled and not track.stuck:
                    await self._mover.bring(track, target)
                elif self._drained.untidy(track):
                    await self._mover.tidy(track, self._drained.idle(track))
                else:
                    return
                self._told(track)
            except SupersededError:
                continue
            except RejectedError as rejected:
                if target is not None:
                    self._refuse(track, target, rejected.why)
                    continue
                # Serving nothing can not be refused, only fail for now.
                await self._retry_later(track, rejected.why, 1.0)
            except TransientFault as fault:
                await self._retry_later(track, str(fault), fault.retry_s)

    def _told(self, track: Track) -> None:
        track.notes = ()
        self._seen_at = self._clock()
        self._drained.look(track)
        self._hurry.set()
        self._wake(track.service)

    async def _retry_later(self, track: Track, why: str, retry_s: float) -> None:
        track.notes, track.doubted = (why,), True
        self._wake(track.service)
        await asyncio.sleep(retry_s)

    def _refuse(self, track: Track, target: Wanted, why: str) -> None:
        """What is not wanted any more needs no answer."""
        if track.target is target:
            track.refused = Refused(wanted=target, why=why, at=self._clock())
            track.refused_at = time.monotonic()
            self._wake(track.service)

    # looking

    async def _look_for_ever(self) -> None:
        for track in self._plane.tracks.values():
            self._work_on(track)
        while True:
            pause_s = LOOK_S
            try:
                if undrained := self._drained.open_ones():
                    pause_s = LOOK_SOON_S
                if undrained and self._seats.sources() == self._sources:
                    self._take(await self._seats.view(undrained), whole=False)
                if self._blind or time.monotonic() - self._looked_at >= LOOK_S:
                    await self._keep_launched()
                    await self._look()
            except TransientFault as fault:
                self._lose_sight(fault.what)
                pause_s = BLIND_S
            self._hurry.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._hurry.wait()

    def _lose_sight(self, why: str) -> None:
        if not self._blind:
            self._blind = why
            for service in self._plane.tracks:
                self._wake(service)

    async def _look(self) -> None:
        before = self._who_is_copied()
        now = self._clock()
        look = await self._seats.look(now)
        copied = {key: of for key, of in self._who_is_copied().items() if before.get(key) == of}
        if look.new:
            self._meet(look)
        self._runs = self._seats.runs()
        if look.sources != self._sources:
            # Sums of other runs prove nothing beside sums of these.
            self._drained.watch.forget_all(ended=look.sources.isdisjoint(self._sources))
        last, self._sources, self._readings = self._readings, look.sources, look.readings
        self._reading, self._copied = stats.together(look.readings), copied
        self._ears.counted(self._reading.source, partial(stats.requests, last, look.readings))
        if look.whole:
            self._take(look.view, whole=True)
        later = self._seen_at if now < self._seen_at <= self._clock() else now
        self._seen_at, self._blind, self._looked_at = later, "", time.monotonic()

    def runs(self) -> tuple[tuple[int, str], ...]:
        """Every run of Envoy that serves, as it was seen last, by process id and start time in clock ticks."""
        return self._runs

    def _meet(self, look: Look) -> None:
        """Other runs of Envoy than those we knew have to show everything.

        What another one showed, which still runs, stays confirmed; else nothing is until it is shown.
        """
        known = any(seat.met in look.sources for seat in self._seats if seat.met)
        for seat, who in look.new:
            if seat.met:
                self._restarts[seat.paths.number] = who.last_exit or "its last run ended"
            seat.met = who.source
            seat.refused.clear()
        for track in self._plane.tracks.values():
            if not known or track.doubted:
                track.confirmed = None
            track.doubted, track.settled = True, False
            track.target = track.kept.published if track.stuck else track.target
            self._work_on(track)

    def _told_of_runs(self) -> tuple[str, ...]:
        """What a person should know of the Envoys themselves."""
        which = {seat.paths.number: seat.name(len(self._seats.all)) for seat in self._seats}
        return (
            *(f"{which[n]} was restarted: {how}" for n, how in sorted(self._restarts.items()) if n in which),
            *(
                f"{which[seat.paths.number]} is not running; {seat.lacks or 'it is being started'}"
                for seat in self._seats.staying()
                if seat.lacks or (seat.met and seat.met not in self._sources)
            ),
            *(
                f"{which[seat.paths.number]} listens no more, and ends once nothing is in flight there"
                for seat in self._seats
                if seat.leaving
            ),
        )

    async def _look_at(self, clusters: frozenset[str]) -> View:
        view = await self._seats.view(clusters)
        self._view = {**self._view, **view}
        return view

    def _take(self, view: View, *, whole: bool) -> None:
        before = {service: self._drained.of(track) for service, track in self._plane.tracks.items()}
        self._view = view if whole else {**self._view, **view}
        self._drained.watch.look(view, time.monotonic(), whole=whole)
        for service, track in self._plane.tracks.items():
            self._drained.look(track)
            if self._drained.untidy(track) and (track.settled or track.stuck):
                self._work_on(track)
            if self._drained.of(track) != before[service]:
                self._wake(service)

    def _unrepeatable(self, service: ServiceKey) -> tuple[str, ...]:
        tallies = self._reading.tallies.get(service, {}) if self._reading is not None else {}
        count = sum(tally.unrepeatable for tally in tallies.values())
        return (f"{count} requests were too large to be repeated",) if count else ()

    def _notes(self, service: ServiceKey) -> tuple[str, ...]:
        lacking = self._lacking.get(service, 0)
        copies = (f"about {lacking} copies of requests did not reach green",) if lacking else ()
        return (*self._unrepeatable(service), *copies, *self._ears.notes(service))

    # hearing

    async def _hear_for_ever(self) -> None:
        """A slice at a time, so that a long log is caught up with beside everything else."""
        while True:
            more = await self._ears.turn()
            await asyncio.sleep(0 if more else HEAR_S)

    def _drawn(self, service: ServiceKey) -> Draw | None:
        """How a service draws by what is wanted, written or in force."""
        track = self._plane.tracks.get(service)
        wishes = (track.target, track.kept.published, track.confirmed) if track is not None else ()
        draws = (route.draw for wanted in wishes if wanted is not None for route in wanted.routes)
        return next((draw for draw in draws if draw is not None), None)

    def _who_is_copied(self) -> dict[ServiceKey, Copied]:
        """Only where one wish is wanted, written and in force."""
        settled = {
            service: who_is_copied(track.confirmed)
            for service, track in self._plane.tracks.items()
            if track.settled and track.confirmed == track.kept.published
        }
        return {service: found for service, found in settled.items() if found is not None}


def _restamp(track: Track, wanted: Wanted) -> None:
    """The same traffic under a newer stamp: nothing moves, but facts name the newest wish."""
    track.target = wanted
    if wanted.same_traffic(track.confirmed):
        track.confirmed = wanted
    if wanted.same_traffic(track.kept.published):
        track.kept = replace(track.kept, published=wanted)
