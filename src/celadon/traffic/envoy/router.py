"""The `Router` of one machine: one worker per changing service, one look at Envoy twice a second for all."""

import asyncio
import contextlib
import math
import shutil
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from celadon.domain.draw import Draw
from celadon.domain.facts import Known, Refused, RouteFacts, Unknown
from celadon.domain.goal import Wanted
from celadon.domain.names import Address, ServiceKey
from celadon.domain.problem import TransientFault
from celadon.domain.samples import Cursor, Samples
from celadon.traffic.envoy import launcher, stats
from celadon.traffic.envoy.admin import Admin, View
from celadon.traffic.envoy.confirm import Confirmer, RejectedError
from celadon.traffic.envoy.copies import Compared, Copied, compare, who_is_copied
from celadon.traffic.envoy.drain import DrainWatch
from celadon.traffic.envoy.ears import HEAR_S, Ears, TellRouted
from celadon.traffic.envoy.move import Mover, SupersededError
from celadon.traffic.envoy.plane import Plane
from celadon.traffic.envoy.proof import Prover
from celadon.traffic.envoy.proxy import START_S, Identity, Proxy, find_envoy
from celadon.traffic.envoy.render import static
from celadon.traffic.envoy.snapshot import fold
from celadon.traffic.envoy.tail import RequestLog
from celadon.traffic.envoy.track import Kept, Track, serving

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
    ) -> None:
        self._home = home.absolute()
        self._wake = wake
        self._clock = clock
        self._plane = Plane(self._home)
        self._admin = Admin(self._home / "admin.sock")
        self._drains = DrainWatch()
        self._view: Mapping[str, Any] = {}
        self._reading: stats.Reading | None = None
        self._source = ""
        self._seen_at = 0.0
        self._looked_at = 0.0
        self._blind = "Envoy has not been asked yet"
        self._broken = ""
        self._restarts: tuple[str, ...] = ()
        self._unrouted: dict[ServiceKey, Mapping[Address, float]] = {}
        self._workers: dict[ServiceKey, asyncio.Task[None]] = {}
        self._hurry = asyncio.Event()
        self._ears = Ears(
            log=RequestLog(Path(self._plane.paths.access_log)),
            folder=self._home / "units",
            drawn=self._drawn,
            routed=routed,
            reopen=self._admin.reopen_logs,
            wake=wake,
        )
        self._copied: Mapping[ServiceKey, Copied] = {}
        self._lacking: dict[ServiceKey, int] = {}
        self._lookers: list[asyncio.Task[None]] = []
        self._runs: tuple[tuple[int, str], ...] = ()

    # life

    async def start(self) -> None:
        """Finds the running Envoy or starts one. Raises Fault when that can not be done."""
        envoy = find_envoy()
        self._proxy = Proxy(self._home, envoy, self._plane.bootstrap)
        self._proxy.check_paths()
        who = self._proxy.identity()
        self._plane.open(same_boot=who is None or who.boot == launcher.boot_id())
        self._confirmer = Confirmer(self._admin, self._proxy, self._plane.xds)
        self._mover = Mover(
            self._plane,
            self._confirmer,
            Prover(envoy, self._proofs(), self._plane.with_targets),
            self._look_at,
            lambda: self._view,
            self._drains.forget,
        )
        self._ears.open()
        await self._plane.publish()
        await self._await_envoy()
        self._lookers = [self._begin(self._look_for_ever()), self._begin(self._hear_for_ever())]

    async def close(self, *, stop_proxy: bool) -> None:
        """Ends our work; Envoy goes on serving unless it is to be stopped too."""
        tasks = [*self._workers.values(), *self._lookers]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._admin.close()
        if stop_proxy:
            await self._proxy.stop()

    def _proofs(self) -> Path:
        """An empty folder for what is being proved; what a killed daemon left in it goes."""
        folder = self._home / "proofs"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700)
        return folder

    async def _await_envoy(self) -> None:
        until = time.monotonic() + START_S
        log_from = self._proxy.log_size()
        while True:
            try:
                await self._keep_launched()
                await self._look()
            except TransientFault as fault:
                if time.monotonic() > until:
                    said = self._proxy.log_since(log_from).strip().splitlines()[-5:]
                    raise TransientFault(
                        "Envoy did not start", "\n".join(said) or fault.what, retry_s=1
                    ) from fault
                await asyncio.sleep(0.01)
            else:
                return

    async def _keep_launched(self) -> None:
        if not self._proxy.kept():
            await asyncio.to_thread(self._proxy.launch)

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

    # the port

    def observe(self, service: ServiceKey) -> Known[RouteFacts] | Unknown:
        """What is in force for one service, as of the last look."""
        if self._broken or self._blind:
            return Unknown(why=self._broken or self._blind)
        track = self._plane.tracks.get(service)
        if track is None:
            return Known(value=RouteFacts(notes=self._restarts), taken_at=self._seen_at)
        pending = None if track.settled or track.stuck else track.target
        facts = RouteFacts(
            confirmed=track.confirmed,
            pending=pending,
            refused=track.refused,
            drained=self._drained(track),
            unrouted=self._unrouted.get(service, {}),
            notes=(*self._restarts, *track.notes, *self._notes(service)),
        )
        return Known(value=facts, taken_at=self._seen_at)

    def samples(self, service: ServiceKey, since: Cursor) -> Known[Samples] | Unknown:
        """What was counted after the cursor, as of the last look; an empty cursor begins now."""
        if self._reading is None:
            return Unknown(why=self._blind)
        track = self._plane.tracks.get(service)
        published = track.kept.published if track is not None else None
        revisions = [revision for revision, _ in published.endpoints] if published is not None else []
        counted = stats.samples(self._reading, service, revisions, since)
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
        if track.target is not None and wanted.stamp < track.target.stamp:
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
                elif self._untidy(track):
                    await self._mover.tidy(track, self._idle(track))
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
        self._unrouted[track.service] = self._since_unrouted(track)
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
                if undrained := self._undrained():
                    pause_s = LOOK_SOON_S
                    self._take(await self._admin.view(undrained), whole=False)
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
        who = self._proxy.identity()
        if who is None or not who.alive:
            raise TransientFault("Envoy is not running; it is being started", retry_s=BLIND_S)
        before = self._who_is_copied()
        found = await self._admin.samples()
        copied = {key: now for key, now in self._who_is_copied().items() if before.get(key) == now}
        view = await self._admin.view()
        now = self._clock()
        if who.source != self._source:
            self._meet(who)
        self._reading, self._copied = stats.read(found, who.source, now), copied
        self._ears.counted(who.source, self._requests)
        self._take(view, whole=True)
        self._seen_at, self._blind, self._looked_at = now, "", time.monotonic()

    def runs(self) -> tuple[tuple[int, str], ...]:
        """Every run of Envoy that serves as far as is known, by process id and start time in clock ticks."""
        return self._runs

    def _meet(self, who: Identity) -> None:
        """Another run of Envoy than the one we knew: nothing is confirmed until it shows it itself."""
        self._runs = ((who.pid, who.started),)
        if self._source:
            self._restarts = (f"Envoy was restarted: {who.last_exit or 'its last run ended'}",)
        self._source = who.source
        self._confirmer.forget()
        for track in self._plane.tracks.values():
            track.confirmed, track.settled = None, False
            track.target = track.kept.published if track.stuck else track.target
            self._work_on(track)

    async def _look_at(self, clusters: frozenset[str]) -> View:
        view = await self._admin.view(clusters)
        self._view = {**self._view, **view}
        return view

    def _take(self, view: View, *, whole: bool) -> None:
        before = {service: self._drained(track) for service, track in self._plane.tracks.items()}
        self._view = view if whole else {**self._view, **view}
        self._drains.look(view, time.monotonic(), whole=whole)
        for service, track in self._plane.tracks.items():
            self._unrouted[service] = self._since_unrouted(track)
            if self._untidy(track) and (track.settled or track.stuck):
                self._work_on(track)
            if self._drained(track) != before[service]:
                self._wake(service)

    def _drained(self, track: Track) -> frozenset[Address]:
        """Nothing is drained before the routes that leave it out are known to be in force."""
        if not _seen_in_force(track):
            return frozenset()
        busy = _reached(track)
        pairs = _callers_replicas(track)
        busy |= {address for name, address in pairs if not self._drains.quiet(name, address)}
        return frozenset({address for _, address in pairs} | set(track.kept.gone)) - busy

    def _since_unrouted(self, track: Track) -> Mapping[Address, float]:
        """Since when each known replica gets no new requests; while the route is in doubt, since none."""
        before = self._unrouted.get(track.service, {})
        idle = {address for _, address in _callers_replicas(track)} - _reached(track)
        if not _seen_in_force(track):
            return {**dict.fromkeys(idle, math.inf), **before}
        return {address: min(before.get(address, math.inf), self._clock()) for address in idle}

    def _undrained(self) -> frozenset[str]:
        """Clusters of which somebody may be waiting for a replica to become idle."""
        return frozenset(
            cluster.name
            for track in self._plane.tracks.values()
            for cluster in track.clusters
            for endpoint in cluster.endpoints
            if (cluster.name, endpoint.address) not in serving(track.confirmed)
            and not self._drains.quiet(cluster.name, endpoint.address)
            and not cluster.preview
        )

    def _idle(self, track: Track) -> frozenset[tuple[str, Address]]:
        """Replicas taken out that have nothing in flight, and so can go for good."""
        leaving = [(c.name, e.address) for c in track.kept.leaving for e in c.endpoints]
        return frozenset(pair for pair in leaving if self._drains.quiet(*pair))

    def _untidy(self, track: Track) -> bool:
        return bool(self._idle(track)) or any(not cluster.endpoints for cluster in track.kept.leaving)

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

    def _requests(self, service: ServiceKey) -> int:
        tallies = self._reading.tallies.get(service, {}) if self._reading is not None else {}
        return sum(tally.requests for tally in tallies.values())


def _seen_in_force(track: Track) -> bool:
    return track.confirmed is not None or (track.settled and track.target is None)


def _reached(track: Track) -> set[Address]:
    """Replicas that some wish gives requests to: what is in force, what is written, what is wanted."""
    wishes = (track.confirmed, track.kept.published, track.target)
    return {address for wanted in wishes for _, address in serving(wanted)}


def _callers_replicas(track: Track) -> list[tuple[str, Address]]:
    """(cluster, replica) of everything that callers might reach; the preview's own clusters left out."""
    return [(c.name, e.address) for c in track.clusters if not c.preview for e in c.endpoints]


def _restamp(track: Track, wanted: Wanted) -> None:
    """The same traffic under a newer stamp: nothing moves, but facts name the newest wish."""
    track.target = wanted
    if wanted.same_traffic(track.confirmed):
        track.confirmed = wanted
    if wanted.same_traffic(track.kept.published):
        track.kept = replace(track.kept, published=wanted)
