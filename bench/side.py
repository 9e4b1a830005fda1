"""What every party of `bench.switch` can do, celadon and its peers alike."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bench.backends import BackendSettings

BLUE = "blue"
GREEN = "green"


class Side(Protocol):
    """A router in front of two backends, on loopback. `blue` and `green` here are the names of the two
    backends; either may be live. Whatever a side starts inherits the measured core from its caller."""

    @property
    def port(self) -> int:
        """Where callers are served."""

    def start(self) -> None:
        """Serves with blue live and green not there yet; returns when callers can be served."""

    def prepare(self) -> None:
        """Starts green beside blue; returns when it is ready to be switched to."""

    def validate(self, to: str) -> None:
        """Whatever is checked before a switch; not counted, for any party."""

    def switch(self, to: str) -> int:
        """Moves all traffic; returns the monotonic time just before the command was given."""

    def settle(self, to: str) -> None:
        """Returns when the side itself says that it has switched."""

    def retire(self, name: str) -> None:
        """Drains and stops the backend that is not live, then starts it anew for the next switch."""

    def retries(self) -> int:
        """Requests that the router itself has sent again, since it started."""

    def shell_command(self, to: str) -> list[str]:
        """What a person would type to switch, ending when the switch is done; empty where nothing tells that."""

    def stop(self) -> None:
        """Ends everything that was started; safe to call whatever happened before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """A side that can be set up afresh for every round, and what it is called and which release of it ran."""

    name: str
    version: str
    make: Callable[[Path, BackendSettings], Side]
