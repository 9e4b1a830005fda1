"""What blue could take back right now."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Headroom:
    """Ready replicas of blue against those it needs for all requests; both 0 when there is no blue."""

    ready: int
    needed: int
