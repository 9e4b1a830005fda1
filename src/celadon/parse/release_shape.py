"""The shape of `release` as people write it: names, types, units and limits of single fields."""

from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field

from celadon.parse import defaults
from celadon.parse.fields import Seconds, SecondsOrNone, Shape

GROUPS_MAX = 20
STAGES_MAX = 50
NAME_OF_FIELD = r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$"


def _header(name: str) -> str:
    lower = name.lower()
    if lower.startswith(("x-celadon-", "x-envoy-")):
        raise ValueError(f"names beginning with {lower[: lower.index('-', 2) + 1]} are the proxy's own")
    if lower == "host":
        raise ValueError("the host is matched by route.hostnames and not as a header")
    return name


def _hundredths(percent: float) -> float:
    if abs(percent * 100 - round(percent * 100)) > 1e-6:
        raise ValueError("is finer than a hundredth of a percent")
    return percent


Header = Annotated[str, Field(pattern=NAME_OF_FIELD, max_length=256), AfterValidator(_header)]
CookieName = Annotated[str, Field(pattern=NAME_OF_FIELD, max_length=256)]
QueryName = Annotated[str, Field(pattern=r"^[^\x00-\x20&=#]+$", max_length=256)]
Exact = Annotated[str, Field(pattern=r"^[^\x00\r\n]+$", max_length=1024)]
Values = Annotated[list[Exact], Field(max_length=1000)]
Percent = Annotated[float, Field(ge=0, le=100), AfterValidator(_hundredths)]
SomePercent = Annotated[float, Field(gt=0, le=100), AfterValidator(_hundredths)]
Ratio = Annotated[float, Field(ge=1, le=100)]
Chance = Annotated[float, Field(ge=0.001, le=50)]


class Stage(Shape):
    """One stage: the shares that green gets, and how long it lasts."""

    percent: Percent
    """Part of the requests that green answers, percent; 0 with `mirrorPercent` is a shadow."""
    seconds: Seconds | None = None
    """How long the stage lasts at least, observed seconds."""
    mirror_percent: Percent = 0.0
    """Part of the requests that green gets as copies whose answers nobody sees, percent."""
    gate: bool = False
    """Whether a person must promote before this stage begins."""


class BlueGreen(Shape):
    """Every request moves at once."""


class Ramp(Shape):
    """Green's share rises stage by stage."""

    stages: Annotated[list[Stage], Field(min_length=1, max_length=STAGES_MAX)] | None = None
    """The stages in their order; the last one has every request."""
    advance: Literal["time", "evidence"] = defaults.ADVANCE
    """`time` (a stage ends after its seconds without suspicion) or `evidence` (once enough is proved)."""
    control: bool = defaults.CONTROL
    """Whether blue gets a second set of replicas of green's size, beside which latency is judged."""


class Match(Shape):
    """Which requests take part: all conditions must hold. A name without values must be there at all."""

    headers: Annotated[dict[Header, Values], Field(max_length=20)] = Field(default={})
    """Headers and the values that are meant."""
    cookies: Annotated[dict[CookieName, Values], Field(max_length=20)] = Field(default={})
    """Cookies and the values that are meant."""
    query: Annotated[dict[QueryName, Values], Field(max_length=20)] = Field(default={})
    """Query parameters and the values that are meant."""


class AbTest(Shape):
    """Both revisions beside each other for a stated time."""

    match: Match = Match()
    """Which requests take part; the others stay on blue."""
    percent: SomePercent = defaults.TEST_PERCENT
    """Part of those requests that green answers, percent."""
    seconds: Seconds
    """How long the test lasts, observed seconds."""
    then: Literal["report", "promote"] = defaults.THEN
    """`report` (blue stays live) or `promote` (when every required metric is proved fine)."""


class Shadow(Shape):
    """Green answers copies of requests; callers get blue's answers alone."""

    percent: SomePercent | None = None
    """Part of the requests that are copied, percent."""
    seconds: Seconds
    """How long the shadow lasts, observed seconds."""
    max_requests: Annotated[int, Field(ge=1, le=10**9)] | None = None
    """Not more copies than this."""


class Strategy(Shape):
    """In which way green gets its requests: exactly one of the four."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [{"required": [name]} for name in ("blueGreen", "canary", "abTest", "shadow")]
        }
    )

    blue_green: BlueGreen | None = None
    """Every request moves at once."""
    ramp: Ramp | None = Field(default=None, alias="canary")
    """Green's share rises stage by stage."""
    ab_test: AbTest | None = None
    """Both revisions beside each other for a stated time."""
    shadow: Shadow | None = None
    """Green answers copies of requests; callers get blue's answers alone."""


class Sticky(Shape):
    """What keeps a caller on one side: exactly one of `header` and `cookie`."""

    model_config = ConfigDict(
        json_schema_extra={"oneOf": [{"required": ["header"]}, {"required": ["cookie"]}]}
    )

    header: Header | None = None
    """Requests with the same value of this header stay together."""
    cookie: CookieName | None = None
    """Name of a cookie that celadon gives to callers."""
    lasts_seconds: Annotated[float, Field(ge=1, le=400 * 86_400)] | None = None
    """Life of the cookie, seconds."""


class Errors(Shape):
    """How many more errors green may have than blue and still be fine."""

    max_ratio: Ratio = defaults.ERRORS_RATIO_MAX
    """How many times blue's share of errors."""
    extra_percent: Percent = defaults.ERRORS_EXTRA_PERCENT
    """And so much more, in percent of the answers."""


class Latency(Shape):
    """How much slower than blue green may be and still be fine, at p50, p95 and p99."""

    max_slower_percent: Annotated[float, Field(ge=1, le=900)] = defaults.SLOWER_PERCENT_MAX
    """How much slower, percent."""
    required: bool = defaults.LATENCY_REQUIRED
    """Whether it must be proved before green is promoted."""


class Labels(Shape):
    """How many more answers may turn out wrong than blue's and green still be fine."""

    max_ratio: Ratio = defaults.LABELS_RATIO_MAX
    """How many times blue's share of wrong answers."""
    extra_percent: Percent = defaults.LABELS_EXTRA_PERCENT
    """And so much more, in percent of the labelled answers."""
    required: bool = defaults.LABELS_REQUIRED
    """Whether it must be proved before green is promoted."""
    positive: Exact | None = None
    """The label of which missed ones and false alarms are judged too."""
    mature_seconds: Seconds = defaults.MATURE_S
    """How long after an answer its label is waited for, seconds."""


class Scores(Shape):
    """How much lower than blue's the mean of green's scores, which are from 0 to 1, may be."""

    max_lower: Annotated[float, Field(gt=0, lt=1)] = defaults.LOWER_MAX
    """How much lower."""
    required: bool = defaults.SCORES_REQUIRED
    """Whether it must be proved before green is promoted."""


class Copies(Shape):
    """How many answers to copies may differ from blue's."""

    max_differ_percent: Annotated[float, Field(gt=0, lt=100)] = defaults.DIFFER_PERCENT_MAX
    """Part of the pairs that may differ, beyond what blue differs from itself, percent."""
    tolerance: Annotated[float, Field(ge=0, lt=1)] = defaults.TOLERANCE
    """Numbers nearer than this are alike, relative to the larger."""
    required: bool = defaults.ANSWERS_REQUIRED
    """Whether it must be proved before green is promoted."""


class Groups(Shape):
    """Callers told apart by a header, each group judged for itself too."""

    header: Header
    """The header."""
    values: Annotated[list[Exact], Field(min_length=1, max_length=GROUPS_MAX)]
    """The values of which each is a group."""


class Judge(Shape):
    """What of green is compared with blue, and within which margins."""

    errors: Errors = Errors()
    """How many more errors green may have than blue and still be fine."""
    latency: Latency | None = None
    """How much slower than blue green may be and still be fine."""
    labels: Labels | None = None
    """How many more answers may turn out wrong than blue's."""
    scores: Scores | None = None
    """How much lower green's scores may be."""
    answers: Copies | None = None
    """How many answers to copies may differ from blue's."""
    groups: Groups | None = None
    """Callers told apart by a header, each group judged for itself too."""
    false_rollback_percent: Chance = defaults.FALSE_ROLLBACK_PERCENT
    """How often a green that is no worse may be taken back, percent of the releases."""
    false_promotion_percent: Chance = defaults.FALSE_PROMOTION_PERCENT
    """How often a green beyond a margin may be promoted, percent of the releases."""
    freeze_seconds: Seconds = defaults.FREEZE_S
    """How long a freeze lasts at most, seconds."""
    freeze_mirror_percent: Percent | None = None
    """Part of the requests that a frozen green gets as copies, percent."""


class Exposure(Shape):
    """How many answers may be hurt at most; shares and times are derived from it."""

    bad_answers: Annotated[int, Field(ge=1, le=10**9)]
    """How many of green's answers to callers may be bad."""
    confidence: Annotated[float, Field(ge=0.5, lt=1)] = defaults.CONFIDENCE
    """In which part of all releases it stays below that."""
    requests_per_second: Annotated[float, Field(gt=0, le=10**7)]
    """Requests per second that the service has at its busiest."""


class Watch(Shape):
    """The guard over green while it has requests."""

    seconds: Seconds = defaults.WATCH_S
    """Observed time without harm before green is promoted, seconds."""
    min_requests: Annotated[int, Field(ge=1, le=10**9)] = defaults.REQUESTS_MIN
    """Fewer answers than this never prove that all is well; harm is said as soon as it is certain at so many."""
    max_error_percent: Annotated[float, Field(ge=0, le=100)] = defaults.ERROR_PERCENT_MAX
    """Largest part of green's answers that may be errors, percent."""
    max_latency_ms_p95: Annotated[float, Field(gt=0, le=defaults.DAY_S * 1000, alias="maxLatencyMsP95")] = (
        defaults.LATENCY_MS_P95_MAX
    )
    """Largest 95th percentile of green's latency, milliseconds."""
    deadline_seconds: Seconds = defaults.DEADLINE_S
    """Longest that a stage without a verdict may go on, wall seconds beyond its own time."""
    on_deadline: Literal["hold", "rollback"] = defaults.ON_DEADLINE
    """`hold` (keep the traffic where it is and wait for a person) or `rollback`."""
    hold_serves: Literal["blue", "green"] = defaults.HOLD_SERVES
    """Who serves while a release waits for a person that had moved every request."""


class Release(Shape):
    """How a new revision takes over."""

    gate: bool = defaults.GATE
    """Whether a person must promote before any request moves."""
    start_seconds: Seconds = defaults.START_S
    """Longest that green may take to start and get ready, seconds."""
    prove_seconds: Seconds = defaults.PROVE_S
    """Longest that the golden requests may take, seconds."""
    strategy: Strategy | None = None
    """In which way green gets its requests."""
    sticky: Sticky | None = None
    """What keeps a caller on one side."""
    watch: Watch = Watch()
    """The guard over green while it has requests."""
    judge: Judge | None = None
    """What of green is compared with blue, and within which margins."""
    exposure: Exposure | None = None
    """How many answers may be hurt at most; shares and times are derived from it."""
    probation_seconds: SecondsOrNone = defaults.PROBATION_S
    """How long late labels may still take a promoted green back, seconds."""
    hold_seconds: SecondsOrNone = defaults.HOLD_S
    """How long blue is kept ready after the promotion, seconds."""
