"""Real releases of a green that is planted with a fault, several services at a time on one daemon."""

import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.backends import NAME_HEADER, BackendSettings, server_command
from bench.celadon_home import CeladonHome, Json
from bench.exchanges import Exchange, send_lag_ms_p99
from bench.generator import Demand, Generator
from bench.machine import Cores, on_core
from bench.processes import PartyError, free_ports
from bench.side import BLUE, GREEN

LOOK_S = 0.1
WARM_S = 3.0
FAILED = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of green.

    rate_per_s: of callers, per service. blue_fails, green_fails: shares of requests that get status 500. hashes: work
    of an answer in the place of a delay, None for a delay; slower: how many times green's. release: of the spec.
    """

    name: str
    rate_per_s: float
    blue_fails: float = 0.0
    green_fails: float = 0.0
    hashes: int | None = None
    slower: float = 1.0
    release: Json
    deadline_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One request as its caller saw it, seconds counted from green's first. green: who answered; bad: how."""

    at_s: float
    green: bool
    bad: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One release. Seconds count from the first request that green answered; None for what did not happen.

    outcome None: it had not ended by the deadline. bad: callers' bad answers by green until its share was 0 for good.
    code, reason: why it ended, for programs and for people.
    """

    outcome: str | None
    code: str
    reason: str
    freezes: int
    freeze_s: float | None
    end_s: float | None
    bad: int
    answers: tuple[Answer, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Releases of one daemon at one time."""

    runs: tuple[Run, ...]
    send_lag_ms_p99: float


@dataclass(slots=True)
class Watched:
    """What polling saw of one service's release, on the monotonic clock."""

    release: str
    frozen_at: float | None = None
    ended_at: float | None = None
    view: Json | None = None

    def look(self, home: CeladonHome, service: str) -> None:
        view = home.view(service)
        moving = view["release"]
        if moving and moving["release"] == self.release and moving["phase"] == "frozen":
            self.frozen_at = self.frozen_at or time.monotonic()
        last = view["last_release"]
        if last and last["release"] == self.release and self.ended_at is None:
            self.ended_at, self.view = time.monotonic(), last


def document(
    service: str, kind: Kind, *, green: bool, ports: tuple[int, int], golden: Path, seed: int
) -> Json:
    """A service of one replica; golden requests are answered well by every revision."""
    settings = BackendSettings(delay_ms_median=5, delay_sigma=0.2, warm_ms=100, seed=seed)
    extra = [f"-fail-share={kind.green_fails if green else kind.blue_fails}"]
    if kind.hashes:
        extra.append(f"-hashes={round(kind.hashes * (kind.slower if green else 1.0))}")
    # What tells an identical green from blue is its name alone.
    command = [*server_command(settings, f"{GREEN if green else BLUE}-{service}"), *extra, "-port={port}"]
    return {
        "apiVersion": "celadon.dev/v1alpha1",
        "kind": "ModelService",
        "metadata": {"name": service},
        "spec": {
            "command": command,
            "env": {"GOMAXPROCS": "1"},
            "ready": "/healthz",
            "golden": str(golden),
            "route": {"port": ports[0], "previewPort": ports[1], "retry": {"when": "never"}},
            "release": kind.release,
        },
    }


def batch(kind: Kind, services: int, which: Cores, seed: int) -> Batch:
    """The releases of one batch, all under load from before their start to their end."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, on_core(which.measured):
        home = CeladonHome(Path(folder))
        try:
            home.start()
            return _released(Fleet(home, kind, services, Path(folder), seed), which)
        finally:
            home.stop()


class Fleet:
    """The services of one batch, all alike but for their names, ports and seeds."""

    def __init__(self, home: CeladonHome, kind: Kind, services: int, folder: Path, seed: int) -> None:
        self.home, self.kind, self.folder = home, kind, folder
        self.names = [f"{kind.name}{number}" for number in range(services)]
        self._ports, self._seed = free_ports(2 * services), seed
        self._golden = folder / "golden.jsonl"
        request = {"name": "ok", "method": "GET", "path": "/golden", "expect": {"status": 200}}
        self._golden.write_text(json.dumps(request) + "\n")

    @property
    def ports(self) -> list[int]:
        return self._ports[::2]

    def deploy(self, *, green: bool) -> list[str]:
        """Asked for when it returns; the releases, in the order of the names."""
        return self.home.deploy(
            *(
                document(
                    name,
                    self.kind,
                    green=green,
                    ports=(self._ports[2 * number], self._ports[2 * number + 1]),
                    golden=self._golden,
                    seed=self._seed * 100 + 2 * number + green,
                )
                for number, name in enumerate(self.names)
            )
        )


def _released(fleet: Fleet, which: Cores) -> Batch:
    home, kind = fleet.home, fleet.kind
    for name, release in zip(fleet.names, fleet.deploy(green=False), strict=True):
        home.until_ended(name, release)
    demand = Demand(rate_per_s=kind.rate_per_s * len(fleet.names), connections=8, streams=0, stream_s=1.0)
    out = fleet.folder / "exchanges.csv"
    with Generator(demand, fleet.ports, core=which.load, out=out, name_header=NAME_HEADER) as load:
        load.start()
        time.sleep(WARM_S)
        watched = [Watched(release) for release in fleet.deploy(green=True)]
        _watch(home, fleet.names, watched, kind.deadline_s)
        traffic = load.stop()
    return Batch(
        runs=tuple(
            _run(one, [e for e in traffic.requests if e.target == number])
            for number, one in enumerate(watched)
        ),
        send_lag_ms_p99=send_lag_ms_p99(traffic),
    )


def _watch(home: CeladonHome, names: Sequence[str], watched: Sequence[Watched], deadline_s: float) -> None:
    until = time.monotonic() + deadline_s
    while time.monotonic() < until and any(one.ended_at is None for one in watched):
        for name, one in zip(names, watched, strict=True):
            if one.ended_at is None:
                one.look(home, name)
        time.sleep(LOOK_S)


def _run(one: Watched, exchanges: Sequence[Exchange]) -> Run:
    ours = [e for e in exchanges if e.answered_by.startswith(GREEN)]
    if not ours:
        raise PartyError(f"no request ever reached green of {one.release}: {one.view}")
    began_ns = min(e.intended_ns for e in ours)
    answers = tuple(
        Answer(
            at_s=(e.end_ns - began_ns) / 1e9,
            green=e.answered_by.startswith(GREEN),
            bad=e.status >= FAILED or e.status == 0,
        )
        for e in exchanges
        if e.intended_ns >= began_ns
    )
    reason: Json = one.view["reason"] if one.view else {}
    return Run(
        outcome=one.view["outcome"] if one.view else None,
        code=str(reason.get("code", "")),
        reason=str(reason.get("text", "")),
        freezes=one.view["freezes"] if one.view else 0,
        freeze_s=_since(one.frozen_at, began_ns),
        end_s=_since(one.ended_at, began_ns),
        bad=sum(answer.green and answer.bad for answer in answers),
        answers=answers,
    )


def _since(at: float | None, began_ns: int) -> float | None:
    return None if at is None else at - began_ns / 1e9
