"""What a release means to do, fixed when it starts: stages and the guard that watches them."""

from dataclasses import dataclass

from celadon.domain.compare import Compare
from celadon.domain.draw import EVERY, Match, Sticky
from celadon.domain.spec import Ends, OnDeadline, Serves

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
    mirror: part of 10,000 of the requests that green gets as copies; mirrored_max: not more copies than this.
    proof: by how much the money on a fine green must have grown, in every required metric, before the stage ends;
    0 where time alone ends it. A stage without share but with a mirror is a shadow. deadline_s: wall seconds after which
    a stage without a verdict is late; None: the plan's.
    """

    share: int
    dwell_s: float
    gate: bool = False
    guard: Guard | None = None
    mirror: int = 0
    mirrored_max: int | None = None
    proof: float = 0.0
    deadline_s: float | None = None

    def __post_init__(self) -> None:
        assert 0 <= self.share <= FULL


@dataclass(frozen=True, slots=True, kw_only=True, weakref_slot=True)
class Plan:
    """The whole way of one release. Blue-green is the plan of one stage at 10,000.

    parent: the release whose plan this one replaces, if any. Deadlines are wall seconds from a phase's entry.
    compare None: only the guards judge. match: which requests are drawn at all; the others stay on blue. control:
    blue gets a second set of replicas of green's size and share, beside which green's latency is judged. ends: as what
    a clean release ends. hold_serves: who serves when a release holds at the full share. probation_s: how long labels
    may still take a promoted green back. bad_answers_max: of the exposure budget, None without one.
    """

    stages: tuple[Stage, ...]
    prepare_s: float
    prove_s: float
    watch_deadline_s: float
    on_deadline: OnDeadline
    hold_s: float
    parent: str | None = None
    compare: Compare | None = None
    match: Match = EVERY
    sticky: Sticky | None = None
    control: bool = False
    ends: Ends = Ends.PROMOTED
    hold_serves: Serves = Serves.GREEN
    probation_s: float = 0.0
    bad_answers_max: int | None = None

    def __post_init__(self) -> None:
        shares = [stage.share for stage in self.stages]
        assert shares, "a plan without a stage"
        assert shares == sorted(shares), "shares rise from stage to stage"
