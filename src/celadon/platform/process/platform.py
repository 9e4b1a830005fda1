"""Replicas as processes of this machine."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from celadon.domain.facts import Known, ReplicaFact, ReplicaState, Unknown
from celadon.domain.launch import Launch
from celadon.domain.names import ReplicaId, ServiceKey
from celadon.domain.spec import SecretEnv, SecretFile
from celadon.platform.process.logs import read_logs
from celadon.platform.process.order import Shelf
from celadon.platform.process.predictions import remove_predictions
from celadon.platform.process.replica import Replica, Surroundings
from celadon.platform.process.rundir import run_dir, run_dirs
from celadon.platform.process.secret import secret_digest

FOUND_S = 5.0
"""How long replicas of an earlier daemon are waited for until they were asked once whether they are ready."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningCommand:
    """How a replica is run, for those who want to run it without celadon. env: names only."""

    replica: ReplicaId
    argv: tuple[str, ...]
    cwd: Path
    env: tuple[str, ...]
    port: int | None


class ProcessPlatform:
    """Runs replicas below `home` and reports them. One event loop uses it; replicas outlive it.

    wake: called in the event loop with a service of which a fact changed. now: wall time, Unix seconds.
    """

    def __init__(
        self,
        home: Path,
        wake: Callable[[ServiceKey], None],
        now: Callable[[], float],
        *,
        log_bytes_max: int = 8 * 2**20,
        log_files: int = 4,
    ) -> None:
        self._shelf = Shelf(home=home.resolve(), log_bytes_max=log_bytes_max, log_files=log_files)
        self._wake, self._now = wake, now
        self._replicas: dict[ReplicaId, Replica] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._unknown: str | None = "replicas of an earlier daemon have not been looked for yet"

    async def open(self) -> None:
        """Find the replicas of an earlier daemon, and ask those that run once whether they are ready."""
        self._shelf.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        for run in list(run_dirs(self._shelf.home)):
            self._spawn(self._add(run.replica).find())
        waits = [replica.looked_at.wait() for replica in self._replicas.values()]
        if waits:
            try:
                async with asyncio.timeout(FOUND_S):
                    await asyncio.gather(*waits)
            except TimeoutError:
                pass  # What has not answered by now is reported as not ready, which is true.
        self._unknown = None

    async def close(self) -> None:
        """Stop looking. Replicas run on."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._unknown = "the platform is closed"

    def observe(self, service: ServiceKey) -> Known[tuple[ReplicaFact, ...]] | Unknown:
        """All replicas of a service, by revision and index."""
        if self._unknown is not None:
            return Unknown(why=self._unknown)
        facts = (self._replicas[key].fact() for key in sorted(self._replicas) if key.service == service)
        return Known(value=tuple(facts), taken_at=self._now())

    def start(self, launch: Launch) -> None:
        """Begin to start a replica; nothing happens to one that runs or is being stopped."""
        assert launch.replica.revision == launch.revision.id, launch.replica
        found = self._replicas.get(launch.replica)
        if found is not None and found.state is not ReplicaState.EXITED:
            return
        self._spawn((found or self._add(launch.replica)).begin(launch))

    def stop(self, replica: ReplicaId, grace_s: float) -> None:
        """Begin to stop a replica: SIGTERM now, SIGKILL after the grace. One that has ended is forgotten."""
        found = self._replicas.get(replica)
        if found is None:
            return
        ended = found.state is ReplicaState.EXITED
        found.stop(grace_s)
        if ended:
            self._spawn(found.remove())

    def secret_digest(self, source: SecretFile | SecretEnv) -> str:
        """The keyed digest of a secret's value now; the value is not kept. Raises Fault when it can not be read."""
        return secret_digest(self._shelf.home, source)

    def run_of(self, replica: ReplicaId) -> tuple[int, str] | None:
        """The process of a replica, by its id and its start time; None when none runs."""
        found = self._replicas.get(replica)
        return None if found is None else found.run

    def remove(self, service: ServiceKey) -> None:
        """Take away the logs and predictions of a service of which no replica is left."""
        assert not any(key.service == service for key in self._replicas), service
        shutil.rmtree(self._logs(service), ignore_errors=True)
        remove_predictions(self._shelf.home, service)

    def logs(
        self, service: ServiceKey, since: float | None = None, *, follow: bool = False
    ) -> AsyncIterator[tuple[ReplicaId, str]]:
        """Stamped lines of all replicas of a service that are kept, in order of time. since: wall time."""
        return read_logs(self._logs(service), service, since, follow=follow)

    def commands(self, service: ServiceKey) -> tuple[RunningCommand, ...]:
        """How each replica of a service is run."""
        return tuple(
            RunningCommand(
                replica=key,
                argv=tuple(replica.launched["argv"]),
                cwd=Path(replica.launched["cwd"]),
                env=tuple(replica.launched["env"]),
                port=replica.port,
            )
            for key, replica in sorted(self._replicas.items())
            if key.service == service and replica.launched
        )

    def _logs(self, service: ServiceKey) -> Path:
        return self._shelf.home / "logs" / service.namespace / service.name

    def _add(self, key: ReplicaId) -> Replica:
        around = Surroundings(
            shelf=self._shelf,
            wake=partial(self._wake, key.service),
            now=self._now,
            gone=partial(self._forget, key),
        )
        self._replicas[key] = Replica(around, run_dir(self._shelf.home, key))
        return self._replicas[key]

    def _forget(self, key: ReplicaId) -> None:
        del self._replicas[key]

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        """A watch that broke must not look like a replica that is well: from then on nothing is known."""
        self._tasks.discard(task)
        if task.cancelled() or (error := task.exception()) is None:
            return
        self._unknown = f"watching replicas failed: {error!r}"
        asyncio.get_running_loop().call_exception_handler(
            {"message": "watching a replica failed", "exception": error, "task": task}
        )
