"""Killing on purpose: one event after another, each under load and each after everything is whole again."""

import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random

from bench.celadon_home import LOOK_S
from bench.envoy_view import Host, hosts
from bench.failover_celadon import CeladonFleet
from bench.failover_side import Event, Fleet, Proxy, Server
from bench.processes import wait_until

IN_FLIGHT_MIN = 5
"""A victim with fewer requests on it would show little."""

LOADED_S = 30.0
WHOLE_S = 90.0
"""A replica that was killed many times in a row is started later and later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """rest_s: nobody looks at anything for so long, so that looking is no part of what is measured. hang_s: how long
    a server hangs. after_s: how long the loss of a whole priority is followed. calm_s: whole for so long is steady."""

    rest_s: float
    hang_s: float
    after_s: float
    calm_s: float


Victims = Sequence[Server | Proxy]

Act = Callable[[Fleet, Pace, Victims], float]
"""What is done to the victims, and the seconds that a daemon was away."""


def nothing(fleet: Fleet, pace: Pace, victims: Victims) -> float:
    """An event without an event: what the same procedure sees when nothing happens."""
    del fleet, victims
    time.sleep(pace.rest_s)
    return 0.0


def kill(fleet: Fleet, pace: Pace, victims: Victims) -> float:
    for victim in victims:
        os.kill(victim.pid, signal.SIGKILL)
    fleet.mend([victim.pid for victim in victims])
    time.sleep(pace.rest_s)
    return 0.0


def lose(fleet: Fleet, pace: Pace, victims: Victims) -> float:
    """Every server of the first priority in the same instant."""
    began = time.monotonic()
    kill(fleet, pace, victims)
    time.sleep(max(0.0, began + pace.after_s - time.monotonic()))
    return 0.0


def hang(fleet: Fleet, pace: Pace, victims: Victims) -> float:
    """It keeps its connections and its port, and answers nothing until it is let go on."""
    del fleet
    for victim in victims:
        os.kill(victim.pid, signal.SIGSTOP)
    time.sleep(pace.hang_s)
    for victim in victims:
        os.kill(victim.pid, signal.SIGCONT)
    return 0.0


def lose_daemon(fleet: Fleet, pace: Pace, victims: Victims) -> float:
    del victims
    assert isinstance(fleet, CeladonFleet)
    back_s = fleet.lose_daemon()
    time.sleep(pace.rest_s)
    return back_s


ACTS: dict[str, Act] = {
    "noise": nothing,
    "kill": kill,
    "hang": hang,
    "priority": lose,
    "daemon": lose_daemon,
    "envoy": kill,
}


def happen(fleet: Fleet, kind: str, pace: Pace, draws: Random) -> Event:
    """One event, from a whole fleet to a whole one."""
    victims = _victims(fleet, kind, draws)
    repeated = fleet.retries()
    in_flight = _loaded(fleet, victims)
    at_ns = time.monotonic_ns()
    back_s = ACTS[kind](fleet, pace, victims)
    wait_until(fleet.whole, f"all is whole after a {kind}", deadline_s=WHOLE_S, every_s=LOOK_S)
    time.sleep(pace.calm_s)
    return Event(
        kind=kind,
        at_ns=at_ns,
        steady_ns=time.monotonic_ns(),
        in_flight=in_flight,
        # An Envoy that was killed began to count anew.
        repeated=max(0, fleet.retries() - repeated),
        back_s=back_s,
    )


def _victims(fleet: Fleet, kind: str, draws: Random) -> Victims:
    if kind == "envoy":
        # Callers keep the connections that they opened anew, so one that was killed last time has nothing to lose.
        return [max(fleet.proxies(), key=lambda proxy: _active(proxy, {}))]
    main = [server for server in fleet.servers() if not server.standby]
    if kind == "priority":
        return main
    # Whoever was killed least comes back soonest.
    fewest = min(server.exits for server in main)
    return [draws.choice([server for server in main if server.exits == fewest])]


def _loaded(fleet: Fleet, victims: Victims) -> int:
    """Waits until every victim has its requests, and returns the least of them; the signal follows at once."""
    least = 0

    def loaded() -> bool:
        nonlocal least
        seen = fleet.hosts()
        least = min(_active(victim, seen) for victim in victims)
        return least >= IN_FLIGHT_MIN

    wait_until(loaded, f"{IN_FLIGHT_MIN} requests in flight on every victim", deadline_s=LOADED_S)
    return least


def _active(victim: Server | Proxy, seen: Mapping[int, Host]) -> int:
    """A proxy has what it sent to all servers."""
    match victim:
        case Server(port=port):
            return seen[port].active
        case Proxy(socket=socket):
            return sum(host.active for host in hosts(socket).values())
