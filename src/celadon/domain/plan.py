"""What a release means to do, fixed when it starts: stages and the guard that watches them."""

from dataclasses import dataclass

from celadon.domain.spec import OnDeadline

FULL = 10_000
"""All requests. A share is an integer out of this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """Stated limits on green's own answers; see `Watch` in `spec` for units."""

    requests_min: int
    error_share_max: float
    latency_ms_p95_max: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One step: green gets `share`, and keeps it for `dwell_s` observed seconds under a clean guard.

    gate: a person must promote before this stage's traffic moves. guard None: nothing to watch (a way back).
    """

    share: int
    dwell_s: float
    gate: bool = False
    guard: Guard | None = None

    def __post_init__(self) -> None:
        assert 0 <= self.share <= FULL


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The whole way of one release. Blue-green is the plan of one stage at 10,000.

    parent: the release whose plan this one replaces, if any. Deadlines are wall seconds from a phase's entry.
    """

    stages: tuple[Stage, ...]
    prepare_s: float
    prove_s: float
    watch_deadline_s: float
    on_deadline: OnDeadline
    hold_s: float
    parent: str | None = None

    def __post_init__(self) -> None:
        shares = [stage.share for stage in self.stages]
        assert shares, "a plan without a stage"
        assert shares == sorted(shares), "shares rise from stage to stage"
