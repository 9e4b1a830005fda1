"""Every default there is, in one place, with those that follow from others."""

from typing import Literal

from celadon.domain.spec import Advance, CommandSource, ModelSource, Redundancy, RetryWhen, Step, Survives

DAY_S = 86_400

NAMESPACE = "default"
VERSION = 1
THREADS = 1
MAX_BODY_BYTES = 16 * 1024 * 1024
READY_OF_MODEL = "/healthz/ready"
REPLICAS = 1
HOST = "127.0.0.1"
HOSTNAMES = ("*",)
PREFIX = "/"
RETRY_ATTEMPTS = 2
RETRY_ATTEMPTS_MAX = 10
STANDBY = 0
HANG_S = 5.0
DRAIN_S = 30.0
GATE = False
START_S = 120.0
PROVE_S = 60.0
WATCH_S = 60.0
REQUESTS_MIN = 50
ERROR_PERCENT_MAX = 2.0
LATENCY_MS_P95_MAX = 1000.0
DEADLINE_S = 900.0
ON_DEADLINE: Literal["hold"] = "hold"
HOLD_SERVES: Literal["blue"] = "blue"
PROBATION_S = 0.0
HOLD_S = 3600.0

STAGE_PERCENTS = (5.0, 25.0, 50.0, 100.0)
ADVANCE: Literal["time"] = "time"
LEAST_S = 10.0
"""A stage that ends by evidence lasts at least this long: one window of the judge."""
CONTROL = False
TEST_PERCENT = 50.0
THEN: Literal["report"] = "report"
SHADOW_PERCENT = 100.0
COOKIE_S = 30.0 * DAY_S
ERRORS_RATIO_MAX = 1.5
ERRORS_EXTRA_PERCENT = 0.1
SLOWER_PERCENT_MAX = 20.0
LATENCY_REQUIRED = False
LABELS_RATIO_MAX = 1.25
LABELS_EXTRA_PERCENT = 0.5
LABELS_REQUIRED = True
MATURE_S = 600.0
LOWER_MAX = 0.02
SCORES_REQUIRED = True
DIFFER_PERCENT_MAX = 5.0
TOLERANCE = 0.001
ANSWERS_REQUIRED = False
FALSE_ROLLBACK_PERCENT = 1.0
FALSE_PROMOTION_PERCENT = 5.0
FREEZE_S = 300.0
CONFIDENCE = 0.99

PREVIEW_PORT_OFFSET = 10_000
PORT_MAX = 65_535


def preview_port(port: int) -> int:
    """The preview port of a service that names none: 10,000 above its port, or below where that is no port."""
    above = port + PREVIEW_PORT_OFFSET
    return above if above <= PORT_MAX else port - PREVIEW_PORT_OFFSET


def survives(replicas: int, zones: int) -> Survives:
    """What spread and number allow: whoever asks for two replicas or two zones wants to lose one."""
    if replicas < 2:
        return Survives.NOTHING
    return Survives.ZONE if zones > 1 else Survives.REPLICA


def retry_attempts(replicas: int, redundancy: Redundancy) -> int:
    """So often that a request reaches somebody when all replicas that may be lost are lost together.

    With a standby, which may have been lost with them, every second try is one of it.
    """
    spare = redundancy.spare(replicas)
    needed = 2 * spare if redundancy.standby else spare
    return min(max(RETRY_ATTEMPTS, needed), RETRY_ATTEMPTS_MAX)


def freeze_mirror_percent(source: ModelSource | CommandSource) -> float:
    """A prediction may be asked for twice, and then a frozen green goes on being judged at nobody's cost."""
    return 30.0 if isinstance(source, ModelSource) else 0.0


def retry_when(source: ModelSource | CommandSource) -> RetryWhen:
    """Predictions are pure, so they may be repeated; what a command does is not known."""
    return RetryWhen.RESET if isinstance(source, ModelSource) else RetryWhen.BEFORE_SENT


def parts(percent: float) -> int:
    """A percentage as parts of 10,000."""
    return round(percent * 100)


def step_s(percent: float, advance: Advance, watch_s: float) -> float:
    """How long a stage lasts that does not say: as long as a watch, or one window where evidence ends it."""
    return LEAST_S if advance is Advance.EVIDENCE and percent < 100 else watch_s


def usual_steps(advance: Advance, watch_s: float) -> tuple[Step, ...]:
    """The stages of a ramp that names none."""
    return tuple(
        Step(share=parts(percent), dwell_s=step_s(percent, advance, watch_s)) for percent in STAGE_PERCENTS
    )
