"""Envoy's own judgement of a structure before it is tried: `--mode validate` on the static rendering."""

import asyncio
import contextlib
import errno
import json
import os
import re
import socket
import tempfile
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from pathlib import Path

from celadon.domain.draw import EVERY
from celadon.domain.goal import Wanted
from celadon.domain.names import Address
from celadon.domain.problem import TransientFault
from celadon.traffic.envoy.render import static
from celadon.traffic.envoy.snapshot import Snapshot, clusters_of
from celadon.traffic.envoy.track import routed

VALIDATE_S = 20.0
POLITE = 10
"""The niceness of a proof: it is a tenth of a second of work that callers on a busy machine should not wait for."""


@dataclass(slots=True)
class Prover:
    """Proves together what is asked for together, so that twenty services at once cost little more than one.

    folder: where files lie while Envoy reads them. whole: what would be served with these wishes in it.
    """

    envoy: Path
    folder: Path
    whole: Callable[[list[Wanted]], Snapshot]
    _waiting: list[tuple[Wanted, asyncio.Future[str | None]]] = field(default_factory=list)
    _busy: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def objection(self, wanted: Wanted) -> str | None:
        """Why Envoy would reject this beside what is served, in its own words; None when it would not."""
        answer: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        self._waiting.append((wanted, answer))
        async with self._busy:
            if not answer.done():
                await self._judge()
        return await answer

    async def _judge(self) -> None:
        """Everybody who waits; only when they are bad together is each asked alone."""
        batch, self._waiting = self._waiting, []
        try:
            together = await objection(self.envoy, self.folder, self.whole([wanted for wanted, _ in batch]))
            for wanted, answer in batch:
                alone = len(batch) > 1 and together is not None
                why = await objection(self.envoy, self.folder, self.whole([wanted])) if alone else together
                if not answer.cancelled():
                    answer.set_result(why)
        finally:
            # Whoever was not answered waits for the next turn.
            self._waiting += [(wanted, answer) for wanted, answer in batch if not answer.done()]


async def objection(envoy: Path, folder: Path, snapshot: Snapshot) -> str | None:
    """Why Envoy would reject this, in its own words; None when it would not."""
    with tempfile.TemporaryDirectory(dir=folder) as own:
        file = Path(own) / "static.json"
        file.write_text(json.dumps(static(snapshot, os.devnull)), encoding="utf-8")
        process = await asyncio.create_subprocess_exec(
            *(
                str(envoy),
                "--mode",
                "validate",
                "-c",
                str(file),
                "--log-level",
                "error",
                "--disable-hot-restart",
            ),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        with contextlib.suppress(ProcessLookupError):
            os.setpriority(os.PRIO_PROCESS, process.pid, POLITE)
        try:
            async with asyncio.timeout(VALIDATE_S):
                _, said = await process.communicate()
        except TimeoutError:
            process.kill()
            await process.wait()
            raise TransientFault(f"envoy --mode validate took over {VALIDATE_S:.0f} s", retry_s=1.0) from None
    return None if process.returncode == 0 else reason(said.decode(errors="replace"))


def reason(log: str) -> str:
    """The sentence of Envoy's log that says what is wrong, without time, thread and source line."""
    lines = [line for line in log.splitlines() if line.strip()]
    errors = [line for line in lines if re.search(r"\[(error|critical)\]|rejected|^error", line)] or lines
    found = errors[-1] if errors else "Envoy gave no reason"
    for line in errors:
        if "rror initializing configuration" in line or "rejected" in line:
            found = line
    found = re.sub(r"^(\[[^\]]*\]\s*)+", "", found)
    return re.sub(r"^error initializing configuration '[^']*': ", "", found).strip()


def needs_proof(before: Wanted | None, after: Wanted) -> bool:
    """Whether anything comes that was not there; also when a share goes to a revision without a cluster.

    What goes needs none, nor do shares, replicas, stages and freezes: they are in a hurry, and all alike.
    """
    known = {cluster.name for cluster in clusters_of(after)}
    if before is None or before.route != after.route or not routed(after) <= known:
        return True
    return not _novel(after) <= _novel(before)


def _novel(wanted: Wanted) -> frozenset[Hashable]:
    """Everything of a wish at which Envoy may take offence, besides where it listens.

    Clusters for copies and of control arms are like the main one, under a name that follows from its own.
    """
    covers = dict(wanted.covers)
    clusters = {(c.revision, c.ready, covers.get(c.revision)) for c in clusters_of(wanted)}
    matches = {route.match for route in wanted.routes} - {EVERY}
    draws = {(route.draw.sticky, route.draw.group) for route in wanted.routes if route.draw} - {(None, "")}
    return frozenset({*clusters, *matches, *draws})


def port_taken(address: Address, option: str) -> str | None:
    """Why nobody should listen there, or None. option: what of a spec chose the port. Envoy itself would sit down beside another SO_REUSEPORT listener."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address.host, address.port))
            probe.listen()
        except OSError as error:
            hint = f"another process listens there; stop it or choose another {option}"
            if error.errno == errno.EACCES:
                hint = f"ports below 1024 need privileges; choose a higher {option}"
            return f"can not listen on {address}: {os.strerror(error.errno or 0)} ({hint})"
    return None
