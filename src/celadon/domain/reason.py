"""Why: every decision carries a code and fields; the text for people is made here and nowhere else.

Codes are never reused for another meaning: old journals are read for ever.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Code(StrEnum):
    """What a decision rests on."""

    # preparing
    RELEASE_BEGAN = "release_began"
    WAY_BACK_BEGAN = "way_back_began"
    FETCHING = "fetching"
    STARTING = "starting"
    GREEN_READY = "green_ready"
    SOURCE_BROKEN = "source_broken"
    SOURCE_UNREACHABLE = "source_unreachable"
    START_FAILED = "start_failed"
    START_FAULT = "start_fault"
    NEVER_READY = "never_ready"
    # proving
    PROOF_RUNNING = "proof_running"
    PROOF_PASSED = "proof_passed"
    NO_GOLDEN = "no_golden"
    PROOF_FAILED = "proof_failed"
    PROOF_FAULT = "proof_fault"
    PROOF_TIMEOUT = "proof_timeout"
    # moving
    GATE_WAITS = "gate_waits"
    GATE_OPENED = "gate_opened"
    TRAFFIC_MOVES = "traffic_moves"
    ROUTE_PENDING = "route_pending"
    ROUTE_REFUSED = "route_refused"
    ROUTE_CONFIRMED = "route_confirmed"
    ROUTE_UNCONFIRMED = "route_unconfirmed"
    # watching
    WATCH_GOES_ON = "watch_goes_on"
    NO_SAMPLES = "no_samples"
    SAMPLES_UNREAD = "samples_unread"
    TOO_FEW_REQUESTS = "too_few_requests"
    SAMPLES_BROKEN = "samples_broken"
    SPLIT_OFF = "split_off"
    WITHIN_LIMITS = "within_limits"
    ERROR_SHARE = "error_share"
    LATENCY = "latency"
    HARM_PROVED = "harm_proved"
    HARM_SUSPECTED = "harm_suspected"
    PAIRS_WORSE = "pairs_worse"
    PAIRS_SUSPECT = "pairs_suspect"
    PROVED_FINE = "proved_fine"
    NEEDS_MORE = "needs_more"
    NOT_PROVED = "not_proved"
    NOT_COMPARED = "not_compared"
    SPLIT_BROKEN = "split_broken"
    UNITS_UNSEEN = "units_unseen"
    LABELS_UNEVEN = "labels_uneven"
    PLACEBO_FIRED = "placebo_fired"
    GREEN_LOST = "green_lost"
    GREEN_UNKNOWN = "green_unknown"
    SLO_BROKEN = "slo_broken"
    SCORE_WORSE = "score_worse"
    LABELS_MISSING = "labels_missing"
    DRIFTED = "drifted"
    # freezing
    FROZEN = "frozen"
    STILL_FROZEN = "still_frozen"
    DOUBT_GREW = "doubt_grew"
    THAWED = "thawed"
    THIRD_FREEZE = "third_freeze"
    FROZE_TOO_LATE = "froze_too_late"
    # strategies
    STAGE_ENDED = "stage_ended"
    STAGE_GOES_ON = "stage_goes_on"
    COPIES_BEGIN = "copies_begin"
    ABSOLUTE_ONLY = "absolute_only"
    TEST_ENDED = "test_ended"
    SHADOW_ENDED = "shadow_ended"
    PROBATION_BEGAN = "probation_began"
    PROBATION_ENDED = "probation_ended"
    PROBATION_HARM = "probation_harm"
    EXPOSURE = "exposure"
    WATCH_DEADLINE = "watch_deadline"
    NOTHING_TO_WATCH = "nothing_to_watch"
    NO_BLUE = "no_blue"
    # people
    PAUSED = "paused"
    RESUMED = "resumed"
    PROMOTED_BY_PERSON = "promoted_by_person"
    NOT_PROMOTED = "not_promoted"
    ABORTED = "aborted"
    SUPERSEDED = "superseded"
    REMOVE_ASKED = "remove_asked"
    REMOVED = "removed"
    # drills
    DRILL_BEGAN = "drill_began"
    DRILL_REFUSED = "drill_refused"
    DRILL_MARKED = "drill_marked"
    DRILL_STRIKES = "drill_strikes"
    DRILL_STRUCK = "drill_struck"
    DRILL_OVER = "drill_over"
    DRILL_ENDS_EARLY = "drill_ends_early"
    DRILL_ENDS_ITSELF = "drill_ends_itself"
    DRILL_PASSED = "drill_passed"
    DRILL_PASSED_UNREPEATED = "drill_passed_unrepeated"
    DRILL_UNWATCHED = "drill_unwatched"
    DRILL_FAILED_REQUESTS = "drill_failed_requests"
    DRILL_TOO_SLOW = "drill_too_slow"
    DRILL_HELD_BACK = "drill_held_back"
    DRILL_NOT_BACK = "drill_not_back"
    DRILL_MOVED_BLIND = "drill_moved_blind"
    DRILL_LOST_COMMANDS = "drill_lost_commands"
    DRILL_NOT_HIT = "drill_not_hit"
    DRILL_NOT_MEASURED = "drill_not_measured"
    DRILL_NOT_STEADY = "drill_not_steady"
    DRILL_GAVE_WAY = "drill_gave_way"
    DRILL_NOT_UNDONE = "drill_not_undone"
    # ends
    WATCH_ENDED = "watch_ended"
    BACK_ON_BLUE = "back_on_blue"
    BLUE_NOT_READY = "blue_not_ready"
    BLUE_UNKNOWN = "blue_unknown"
    PREDECESSOR_RETIRED = "predecessor_retired"
    PROMOTED_WITHOUT_BLUE = "promoted_without_blue"
    SETTINGS_CHANGED = "settings_changed"
    NOTHING_CHANGED = "nothing_changed"
    COMMAND_TOO_LATE = "command_too_late"
    LEADER_TOOK_OVER = "leader_took_over"
    CLOCK_JUMPED = "clock_jumped"
    CHECKPOINT = "checkpoint"
    STEADY = "steady"
    # what can be carried
    RETURNS_IN_STEPS = "returns_in_steps"
    RETURNS_WHOLE = "returns_whole"
    RETURNS_TO_FEW = "returns_to_few"
    REST_WAITS = "rest_waits"
    FREEZE_WAITS = "freeze_waits"
    HOLD_WAITS = "hold_waits"
    GREEN_SHORT = "green_short"
    RETIRING_WAITS = "retiring_waits"
    LOSS_NOT_COVERED = "loss_not_covered"
    LOSS_UNKNOWN = "loss_unknown"


Value = str | int | float | bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """A code with the values it was decided on. Fields never hold a secret or a request's content."""

    code: Code
    fields: Mapping[str, Value]


def because(code: Code, **fields: Value) -> Reason:
    """A reason; every field that its text names must be given."""
    reason = Reason(code=code, fields=fields)
    assert text(reason) is not None
    return reason


TEXTS: dict[Code, str] = {
    Code.RELEASE_BEGAN: "revision {green} is released over {blue}",
    Code.WAY_BACK_BEGAN: "going back to revision {green}",
    Code.FETCHING: "fetching and verifying what revision {green} is made of",
    Code.STARTING: "{ready} of {wanted} replicas of green are ready",
    Code.GREEN_READY: "{wanted} of {wanted} replicas of green are ready",
    Code.SOURCE_BROKEN: "what green is made of is not what was released: {why}",
    Code.SOURCE_UNREACHABLE: "what green is made of could not be read: {why}",
    Code.START_FAILED: "a replica of green ended with {ended} before it was ready\n{stderr}",
    Code.START_FAULT: "a replica of green could not be started: {why}",
    Code.NEVER_READY: "{ready} of {wanted} replicas of green were ready after {seconds:.0f} s: {why}\n{stderr}",
    Code.PROOF_RUNNING: "golden requests are being sent to green",
    Code.PROOF_PASSED: "green answered {asked} of {asked} golden requests as expected",
    Code.NO_GOLDEN: "green is ready, and without golden requests nothing more is asked of it",
    Code.PROOF_FAILED: "green answered {failed} of {asked} golden requests wrongly: {first}",
    Code.PROOF_FAULT: "golden requests could not be sent: {why}",
    Code.PROOF_TIMEOUT: "golden requests were not answered within {seconds:.0f} s",
    Code.GATE_WAITS: "waits for a person: promote or abort",
    Code.GATE_OPENED: "a person opened the gate",
    Code.TRAFFIC_MOVES: "moving {percent:g} % of the requests to green",
    Code.ROUTE_PENDING: "waiting until the proxy shows the new route",
    Code.ROUTE_REFUSED: "the proxy refused the route: {why}",
    Code.ROUTE_UNCONFIRMED: "the proxy did not show the new route within {seconds:.0f} s",
    Code.ROUTE_CONFIRMED: "the proxy routes {percent:g} % of the requests to green",
    Code.WATCH_GOES_ON: "{requests} answers, {errors} errors, p95 {latency}; {left_s:.0f} s to go",
    Code.NO_SAMPLES: "holding: no samples ({why})",
    Code.SAMPLES_UNREAD: "holding: the samples could not be read ({why})",
    Code.TOO_FEW_REQUESTS: "too little traffic: {requests} of {needed} answers needed to judge green",
    Code.SAMPLES_BROKEN: "holding: the samples can not be trusted ({why})",
    Code.SPLIT_OFF: "holding: green gave {percent:.0f} % of the answers, and {asked_percent:g} % were asked of it",
    Code.WITHIN_LIMITS: "{requests} answers, {errors} errors, p95 {latency}: within the limits",
    Code.ERROR_SHARE: "{errors} of green's {requests} answers were errors: {percent:.1f} %, limit {limit_percent:g} %",
    Code.LATENCY: "green's p95 latency is {latency}, limit {limit_ms:g} ms, over {requests} answers",
    Code.HARM_PROVED: "green is worse by {metric}: "
    "{green_events} of {green} against blue's {blue_events} of {blue}, {ratio} times as many ({low} to {high})",
    Code.HARM_SUSPECTED: "green may be worse by {metric}: "
    "{green_events} of {green} against blue's {blue_events} of {blue}, {ratio} times as many ({low} to {high})",
    Code.PAIRS_WORSE: "green is worse by {metric}: {green_events} of {green} pairs of an answer and its copy",
    Code.PAIRS_SUSPECT: "green may be worse by {metric}: {green_events} of {green} pairs of an answer and its copy",
    Code.PROVED_FINE: "green is within its margins, the least sure by {metric}: "
    "{green_events} of {green} against blue's {blue_events} of {blue}",
    Code.NEEDS_MORE: "about {needed} more answers of green are needed to judge {metric}: "
    "{green_events} of {green} against blue's {blue_events} of {blue} so far",
    Code.NOT_PROVED: "{metric} can not be proved fine as it goes: "
    "{green_events} of {green} against blue's {blue_events} of {blue} so far",
    Code.NOT_COMPARED: "{metric} must be proved and is not compared now: {why}",
    Code.SPLIT_BROKEN: "holding: green got {percent:.2f} % of the requests and {asked_percent:.2f} % was asked for",
    Code.UNITS_UNSEEN: "users stay on their side and can not be told apart, so errors can not be judged by chance",
    Code.LABELS_UNEVEN: "holding: labels for {metric} do not come alike for both sides",
    Code.PLACEBO_FIRED: "holding: two halves of blue differ as if one were worse, "
    "{green_events} of {green} against {blue_events} of {blue}, so chance is not all that is at work",
    Code.SLO_BROKEN: "{whose} errors are more than the limit allows, proved: {events} of {answers}, limit {limit_percent:g} %",
    Code.SCORE_WORSE: "green's scores are lower than blue's: {green_mean} over {green} against {blue_mean} over {blue}",
    Code.LABELS_MISSING: "waits for labels: {labelled} of {needed} answers of green are labelled",
    Code.DRIFTED: "green answers {answer} in {green_percent:.1f} % and blue in {blue_percent:.1f} % of the requests",
    Code.FROZEN: "every request goes to blue for now, for harm is suspected: {why}",
    Code.STILL_FROZEN: "frozen for {seconds:.0f} of at most {rest_s:.0f} s: {why}",
    Code.DOUBT_GREW: "frozen for {seconds:.0f} s, and what is suspected has grown meanwhile: {why}",
    Code.THAWED: "goes on after a freeze of {seconds:.0f} s: {why}",
    Code.THIRD_FREEZE: "harm was suspected {freezes} times, so it waits for a person: promote or abort ({why})",
    Code.FROZE_TOO_LATE: "harm is suspected, and a freeze would leave nobody to serve: {why}",
    Code.COPIES_BEGIN: "copies of {percent:g} % of the requests go to green, and no caller sees its answers",
    Code.STAGE_GOES_ON: "{why}; {left_s:.0f} s to go",
    Code.STAGE_ENDED: "the stage of {percent:g} % ended clean: {why}",
    Code.ABSOLUTE_ONLY: "{why}; with every request on green nothing is left to compare it with",
    Code.TEST_ENDED: "the test ended after {seconds:.0f} s: {why}",
    Code.SHADOW_ENDED: "green answered {copies} copies that no caller saw: {why}",
    Code.PROBATION_BEGAN: "labels may still take it back for {seconds:.0f} s",
    Code.PROBATION_ENDED: "its probation ended: {why}",
    Code.PROBATION_HARM: "labels that came after the promotion prove harm: {why}",
    Code.EXPOSURE: "{bad} of green's answers to callers were bad, {allowed} were allowed",
    Code.GREEN_UNKNOWN: "whether green is ready is not known ({why}); ask again",
    Code.GREEN_LOST: "none of green's {wanted} replicas is ready any more",
    Code.WATCH_DEADLINE: "no verdict after {seconds:.0f} s: {why}",
    Code.NOTHING_TO_WATCH: "an earlier revision is live again, and a way back is not watched",
    Code.NO_BLUE: "there is no blue to go back to: {why}",
    Code.PAUSED: "paused by a person",
    Code.RESUMED: "resumed by a person",
    Code.PROMOTED_BY_PERSON: "promoted by a person",
    Code.NOT_PROMOTED: "a person asked to promote green, but {why}",
    Code.ABORTED: "aborted by a person",
    Code.SUPERSEDED: "superseded by release {by}",
    Code.REMOVE_ASKED: "a person asked to remove the service",
    Code.REMOVED: "everything of the service is down",
    Code.DRILL_BEGAN: "drill {drill} begins: {kind}, after {seconds:g} s of its own requests, {rate:g} a second",
    Code.DRILL_REFUSED: "drill {drill} is refused: {why}",
    Code.DRILL_MARKED: "a mark of drill {drill}, from which nothing follows",
    Code.DRILL_STRIKES: "drill {drill} strikes: {what}; undone after {seconds:g} s at the latest",
    Code.DRILL_STRUCK: "drill {drill} has struck: {what}",
    Code.DRILL_OVER: "drill {drill} is being undone: {why}",
    Code.DRILL_ENDS_EARLY: "a person ended it",
    Code.DRILL_ENDS_ITSELF: "a person asked to end drill {drill}, which is being undone already or has ended",
    Code.DRILL_PASSED: "{failed} of {requests} requests failed, longest gap {gap_ms:.0f} ms, "
    "served as before after {rto_s:.2f} s (goal {goal_s:g} s)",
    Code.DRILL_PASSED_UNREPEATED: "{failed} of {requests} requests failed, which `route.retry` lets nobody repeat; "
    "longest gap {gap_ms:.0f} ms, served as before after {rto_s:.2f} s (goal {goal_s:g} s)",
    Code.DRILL_UNWATCHED: "{failed} of {requests} requests failed, longest gap {gap_ms:.0f} ms; no release was "
    "watched, so nothing could be decided on counters that stood still",
    Code.DRILL_FAILED_REQUESTS: "{failed} of {requests} requests failed that may be repeated, longest gap {gap_ms:.0f} ms",
    Code.DRILL_TOO_SLOW: "served as before only after {rto_s:.2f} s, goal {goal_s:g} s; "
    "{failed} of {requests} requests failed",
    Code.DRILL_HELD_BACK: "a caller waited {slowest_s:.2f} s for an answer that took {before_s:.2f} s at most before, "
    "goal {goal_s:g} s more; {failed} of {requests} requests failed",
    Code.DRILL_NOT_BACK: "not as before {seconds:.0f} s after it was undone: {why}",
    Code.DRILL_MOVED_BLIND: "release {release} moved while its counters stood still: {why}",
    Code.DRILL_LOST_COMMANDS: "{lost} of {acknowledged} confirmed commands were lost, the oldest {age_s:.1f} s old",
    Code.DRILL_NOT_HIT: "nothing was hit: {why}",
    Code.DRILL_NOT_MEASURED: "the probe could not measure: {why}",
    Code.DRILL_NOT_STEADY: "{failed} of {requests} requests failed before anything was done to the service",
    Code.DRILL_GAVE_WAY: "it gave way to what was asked meanwhile: {asked}",
    Code.DRILL_NOT_UNDONE: "not undone after {seconds:.0f} s yet; it is tried until it is",
    Code.WATCH_ENDED: "the watch ended clean: {why}",
    Code.BACK_ON_BLUE: "all requests are on blue again: {why}",
    Code.BLUE_NOT_READY: "going back waits: {ready} of blue's {wanted} replicas are ready",
    Code.BLUE_UNKNOWN: "going back waits: whether blue is ready is not known ({why})",
    Code.PREDECESSOR_RETIRED: "revision {revision} was held for {seconds:.0f} s and is retired",
    Code.PROMOTED_WITHOUT_BLUE: "a first revision has nothing to go back to, so it is not watched",
    Code.SETTINGS_CHANGED: "settings changed; no release is needed",
    Code.NOTHING_CHANGED: "this revision is live already and nothing changed",
    Code.COMMAND_TOO_LATE: "release {release} had ended, so the command changed nothing",
    Code.LEADER_TOOK_OVER: "a daemon took over with epoch {epoch}",
    Code.CLOCK_JUMPED: "the wall clock jumped by {seconds:+.0f} s; deadlines are wall time",
    Code.CHECKPOINT: "evidence so far: {requests} answers, {errors} errors",
    Code.STEADY: "nothing to do",
    Code.RETURNS_IN_STEPS: "blue can take {percent:g} % now: {ready} of the {needed} replicas that it needs are ready; "
    "the rest follows",
    Code.RETURNS_WHOLE: "blue can take every request now: {ready} of the {needed} replicas that it needs are ready",
    Code.RETURNS_TO_FEW: "none of green's replicas is ready any more, so every request goes to blue, "
    "of which {ready} of the {needed} replicas that it needs are ready",
    Code.REST_WAITS: "going back waits with {percent:g} % of the requests on green: "
    "{ready} of the {needed} replicas that blue needs are ready",
    Code.FREEZE_WAITS: "harm is suspected, and a freeze waits for blue: "
    "{ready} of the {needed} replicas that it needs are ready ({why})",
    Code.HOLD_WAITS: "green serves until blue can: {ready} of the {needed} replicas that it needs are ready ({why})",
    Code.GREEN_SHORT: "{ready} of the {needed} replicas that green needs are ready",
    Code.RETIRING_WAITS: "revision {revision} is kept: of what is live {ready} of the {needed} replicas "
    "that it needs are ready",
    Code.LOSS_NOT_COVERED: "would not survive the loss of one {loss}: "
    "{left} of the {needed} replicas that it needs would be ready",
    Code.LOSS_UNKNOWN: "whether a loss would be survived is not known ({why})",
}


def text(reason: Reason) -> str:
    """The sentence for people."""
    return TEXTS[reason.code].format(**reason.fields).rstrip()
