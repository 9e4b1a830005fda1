"""The laws of the release engine, over random walks through everything that can be seen and asked."""

from dataclasses import dataclass, replace

from hypothesis import given, settings
from hypothesis import strategies as st
from release_given import BLUE, GREEN, THIRD, deploy, facts, live, replicas
from release_policies import POLICIES

from celadon.domain.command import Abort, Asked, Pause, Promote, Remove, Resume
from celadon.domain.draw import Match
from celadon.domain.facts import Facts, Known, Now, ProofState, ReplicaState, SourceState, Unknown
from celadon.domain.goal import Arm, Route
from celadon.domain.memory import Memory, Probation
from celadon.domain.names import RevisionId
from celadon.domain.plan import FULL
from celadon.domain.reason import Code, because, text
from celadon.domain.release import Cause, Outcome, Phase
from celadon.domain.samples import Evidence
from celadon.domain.verdict import Fine, Harm, Invalid, Judged, Suspected, Unsure, Verdict
from celadon.release.decide import Choice, decide
from celadon.release.freeze import FREEZES_MAX
from celadon.release.phases import NEXT, waits_for_a_person
from celadon.release.split import routes
from celadon.release.stage import blue_holds, green_share, in_force
from celadon.resilience.headroom import headroom
from celadon.resilience.place import place

FINE = Fine(because=because(Code.WITHIN_LIMITS, requests=50, errors=0, latency="3 ms"))
HARM = Harm(
    because=because(Code.ERROR_SHARE, errors=9, requests=50, percent=18.0, limit_percent=2.0),
)
UNSURE = Unsure(because=because(Code.TOO_FEW_REQUESTS, requests=3, needed=10))
SUSPECTED = Suspected(because=because(Code.NO_SAMPLES, why="planted suspicion"))
INVALID = Invalid(because=because(Code.SAMPLES_BROKEN, why="planted"))

READY = (ReplicaState.READY, ReplicaState.READY)
OTHER_STATES = [(ReplicaState.READY, ReplicaState.STARTING), (ReplicaState.EXITED, ReplicaState.UNREADY), ()]


def mostly(good: object, *others: object, times: int = 12) -> st.SearchStrategy:
    """A walk in which every step is troubled gets nowhere; most of what is seen is as it should be."""
    return st.sampled_from([good] * times + list(others))


@dataclass(frozen=True)
class Step:
    blue: tuple[ReplicaState, ...]
    green: tuple[ReplicaState, ...]
    third: tuple[ReplicaState, ...]
    confirms: bool
    proof: ProofState | None
    source: SourceState
    samples: bool
    verdict: Verdict | None
    suspicion: float
    command: str | None
    passes_s: float
    seen: bool = True


steps = st.builds(
    Step,
    blue=mostly(READY, *OTHER_STATES, times=20),
    green=mostly(READY, *OTHER_STATES, times=20),
    third=mostly(READY, *OTHER_STATES, times=20),
    confirms=mostly(True, False, times=4),
    proof=mostly(ProofState.PASSED, None, *ProofState, times=20),
    source=mostly(SourceState.VERIFIED, *SourceState, times=40),
    samples=mostly(True, False, times=4),
    verdict=mostly(FINE, None, HARM, UNSURE, UNSURE, INVALID, SUSPECTED, SUSPECTED, times=14),
    suspicion=mostly(1.0, 0.5, 30.0, 2000.0, times=2),
    command=st.sampled_from([None] * 30 + ["promote", "abort", "pause", "resume", "deploy"]),
    passes_s=mostly(0.5, 0.1, 5.0, 25.0, times=3),
    seen=mostly(True, False, times=20),
)


def judged(step: Step) -> Judged | None:
    """What the judge says is one thing: who is suspected has money on harm, and who is fine has not."""
    if step.verdict is None:
        return None
    suspicion = step.suspicion
    if isinstance(step.verdict, Suspected):
        suspicion = max(suspicion, 20.0)
    elif not isinstance(step.verdict, Harm):
        suspicion = min(suspicion, 19.0)
    return Judged(verdict=step.verdict, suspicion=suspicion)


def recorded(choice: Choice, at: float) -> Memory:
    """The memory once the goal is in the journal."""
    goal = place(choice.memory, choice.routes)
    old = choice.memory.goal
    moved = old is None or goal.routes != old.routes
    return replace(choice.memory, goal=goal, routed_at=at if moved else choice.memory.routed_at)


def walk(memory: Memory, path: list[Step]) -> list[tuple[Memory, Facts, Step, Choice]]:
    told, at = [], 1000.0
    for step in path:
        at += step.passes_s
        memory = command(memory, step)
        seen = look(memory, step, at)
        choice = decide(
            memory,
            seen,
            judged(step),
            headroom(seen),
            Now(wall=at, elapsed_s=step.passes_s),
        )
        told.append((memory, seen, step, choice))
        left = tuple(c for c in choice.memory.commands if c.seq not in choice.handled)
        memory = replace(recorded(choice, at), seq=memory.seq + 1, commands=left)
    return told


def command(memory: Memory, step: Step) -> Memory:
    if step.command == "deploy":
        return deploy(memory, THIRD, gate=True)
    if step.command is None or memory.release is None:
        return memory
    kind = {"promote": Promote, "abort": Abort, "pause": Pause, "resume": Resume}[step.command]
    asked = Asked(seq=memory.seq + 1, at=0.0, command=kind(release=memory.release.id))
    return replace(memory, seq=memory.seq + 1, commands=(*memory.commands, asked))


def look(memory: Memory, step: Step, at: float) -> Facts:
    there = (*replicas(BLUE, step.blue), *replicas(GREEN, step.green), *replicas(THIRD, step.third))
    shown = facts(at, there, proof=step.proof, samples=step.samples, sources=step.source)
    if step.confirms:
        shown = facts(
            at,
            there,
            confirmed=routes(memory, shown),
            preview=GREEN.id,
            proof=step.proof,
            samples=step.samples,
            sources=step.source,
        )
    return shown if step.seen else replace(shown, replicas=Unknown(why="nobody can look"))


CALM = Step(
    blue=READY,
    green=READY,
    third=READY,
    confirms=True,
    proof=ProofState.PASSED,
    source=SourceState.VERIFIED,
    samples=True,
    verdict=FINE,
    suspicion=0.9,
    command=None,
    passes_s=5.0,
)

paths = st.builds(
    lambda calm, troubled: [CALM] * calm + troubled,
    st.integers(min_value=0, max_value=12),
    st.lists(steps, min_size=10, max_size=40),
)
policies = st.sampled_from(sorted(POLICIES))


def begun(policy: str) -> Memory:
    return deploy(live(), **POLICIES[policy])


def judged_in(memory: Memory) -> bool:
    release = memory.release
    return release is not None and in_force(release) is not None and release.phase is not Phase.ROLLING_BACK


def served(choice: Choice) -> set[str]:
    return {part.revision for route in choice.routes for part in route.split if part.share}


@given(path=paths, policy=policies)
@settings(max_examples=120, deadline=None)
def test_shares_always_sum_to_ten_thousand_and_somebody_serves_once_live(
    path: list[Step], policy: str
) -> None:
    for _, _, _, choice in walk(begun(policy), path):
        assert choice.routes, "a live service is always routed somewhere"
        assert all(sum(p.share for p in route.split) == FULL for route in choice.routes)


@given(path=paths, policy=policies)
@settings(max_examples=120, deadline=None)
def test_a_rollback_never_moves_forward_again(path: list[Step], policy: str) -> None:
    for before, _, _, choice in walk(begun(policy), path):
        was, now = before.release, choice.memory.release
        if was is None or was.phase is not Phase.ROLLING_BACK:
            continue
        if now is not None and now.id == was.id:
            assert now.phase is Phase.ROLLING_BACK
        if now is None:
            assert choice.memory.last is not None
            assert choice.memory.last.outcome is was.outcome
            assert choice.memory.last.outcome is not Outcome.PROMOTED
            assert choice.memory.live == before.live


@given(path=paths, policy=policies)
@settings(max_examples=120, deadline=None)
def test_no_automatic_step_passes_a_manual_gate(path: list[Step], policy: str) -> None:
    untouched = [
        replace(step, command=None if step.command in {"promote", "deploy"} else step.command)
        for step in path
    ]
    for _, _, _, choice in walk(begun(policy), untouched):
        release = choice.memory.release or choice.memory.last
        assert release is not None
        gates = [number for number, stage in enumerate(release.plan.stages) if stage.gate]
        if gates:
            assert release.outcome is not Outcome.PROMOTED
            assert release.stage < gates[0] or release.phase is not Phase.MOVING
            assert green_share(release) <= max((s.share for s in release.plan.stages[: gates[0]]), default=0)


@given(path=paths, policy=policies)
@settings(max_examples=120, deadline=None)
def test_no_traffic_moves_to_a_green_that_is_not_ready_and_proved(path: list[Step], policy: str) -> None:
    for before, seen, _, choice in walk(begun(policy), path):
        release = choice.memory.release
        if release is None or release.phase is not Phase.MOVING:
            continue
        if before.release is None or before.release.phase is not Phase.MOVING:
            assert seen.ready(release.green) > 0
            assert release.green in choice.memory.proved


@given(path=paths, policy=policies, verdict=st.sampled_from([UNSURE, INVALID, None]))
@settings(max_examples=120, deadline=None)
def test_missing_or_broken_samples_never_promote_and_never_roll_back(
    path: list[Step], policy: str, verdict: Verdict | None
) -> None:
    told = walk(begun(policy), path)
    after = told[-1][3].memory
    blind = replace(CALM, samples=False, verdict=verdict, passes_s=0.5)
    if after.commands or after.release is None or not judged_in(after) or after.release.waved:
        return
    stays = after.release.stage
    for _, _, _, choice in walk(after, [blind] * 20):
        now = choice.memory.release
        assert now is not None
        passed = after.release.phase is Phase.WAITING and after.release.stage in after.release.passed_gates
        assert now.stage == stays or passed
        assert now.phase not in {Phase.ROLLING_BACK, Phase.ENDED}


@given(path=paths, policy=policies)
@settings(max_examples=120, deadline=None)
def test_given_blue_ready_harm_leads_to_a_rollback_in_the_same_tick(path: list[Step], policy: str) -> None:
    for before, _, step, choice in walk(begun(policy), path):
        if not judged_in(before) or step.command is not None or before.commands:
            continue
        if isinstance(step.verdict, Harm) and step.blue == READY and step.seen:
            assert choice.memory.release is None or choice.memory.release.phase is Phase.ROLLING_BACK
            assert served(choice) == {BLUE.id}


def going_back(choice: Choice) -> int | None:
    """What green keeps of the requests, out of 10,000; None while nothing goes back to a blue."""
    release = choice.memory.release
    if release is None or release.phase is not Phase.ROLLING_BACK or not release.moved or not release.blue:
        return None
    return release.kept


RETURNS = {Code.RETURNS_IN_STEPS, Code.RETURNS_WHOLE, Code.RETURNS_TO_FEW}


@given(path=paths, policy=policies, blue=st.sampled_from(OTHER_STATES), seen=st.booleans())
@settings(max_examples=120, deadline=None)
def test_without_headroom_requests_return_in_no_more_steps_than_blue_needs_replicas(
    path: list[Step], policy: str, blue: tuple[ReplicaState, ...], *, seen: bool
) -> None:
    short = [replace(CALM, blue=blue, seen=seen, verdict=HARM, passes_s=0.5)] * 3
    left: dict[str, list[int]] = {}
    for _, facts_then, step, choice in walk(begun(policy), [*[CALM] * 3, *short, *path]):
        kept, release = going_back(choice), choice.memory.release
        if kept is None or release is None:
            continue
        before = left.setdefault(release.id, [])
        assert not before or kept <= before[-1], "whoever went back to blue stays there"
        assert green_share(release) == kept
        if step.seen:
            ready = facts_then.ready(BLUE.id)
            assert kept <= FULL - FULL * min(ready, 2) // 2, "blue has what it can carry, in the same tick"
            assert kept == 0 or facts_then.ready(release.green), "somebody serves"
        if before and kept < before[-1]:
            told = {choice.because.code, *(one.because.code for one in choice.steps)}
            assert told & RETURNS, "every step is journalled with its reason"
        before.append(kept)
    for shares in left.values():
        assert len(set(shares)) <= 1 + 2, "the first share, and one more for each replica that blue needs"


def drawn(given: tuple[Route, ...], green: RevisionId) -> tuple[Match | None, int]:
    """Which requests green may get, None for none; and how many of them, out of 10,000, blue's control gets."""
    for route in given:
        if any(part.revision == green for part in route.split):
            return route.match, sum(part.share for part in route.split if part.arm is Arm.CONTROL)
    return None, 0


@given(calm=st.integers(1, 12), path=st.lists(steps, max_size=20), policy=policies, lost=st.booleans())
@settings(max_examples=200, deadline=None)
def test_a_way_back_draws_nobody_who_was_not_drawn_before(
    calm: int, path: list[Step], policy: str, *, lost: bool
) -> None:
    short = replace(CALM, blue=OTHER_STATES[0], verdict=FINE if lost else HARM)
    ended = replace(short, green=(ReplicaState.READY, ReplicaState.EXITED), passes_s=60.0)
    for before, _, _, choice in walk(begun(policy), [*[CALM] * calm, ended if lost else short, short, *path]):
        was, now = before.release, choice.memory.release
        if was is None or now is None or was.id != now.id or now.phase is not Phase.ROLLING_BACK:
            continue
        assert before.goal is not None
        had, controlled = drawn(before.goal.routes, now.green)
        match, control = drawn(choice.routes, now.green)
        assert match in {None, had}
        assert control <= controlled


@given(path=paths, policy=policies)
@settings(max_examples=120, deadline=None)
def test_greens_share_rises_only_while_enough_of_it_is_ready(path: list[Step], policy: str) -> None:
    for before, seen, step, choice in walk(begun(policy), path):
        was, now, last = before.release, choice.memory.release, choice.memory.last
        if was is not None and now is not None and was.id == now.id and green_share(now) > green_share(was):
            assert step.seen
            assert seen.ready(now.green) >= now.settings.needed
        promoted = last is not None and last != before.last and last.outcome is Outcome.PROMOTED
        if promoted and last is not None and last.cause is not Cause.PERSON:
            assert seen.ready(last.green) >= last.settings.needed


@given(path=paths, policy=policies)
@settings(max_examples=60, deadline=None)
def test_what_was_live_before_goes_only_when_what_is_live_can_carry_everything(
    path: list[Step], policy: str
) -> None:
    late = [replace(step, passes_s=step.passes_s * 100) for step in path]
    for before, seen, step, choice in walk(begun(policy), [*[CALM] * 15, *late]):
        if before.predecessor is None or choice.memory.predecessor == before.predecessor:
            continue
        if before.release is None and choice.memory.predecessor is None:
            assert step.seen
            assert before.live is not None
            assert seen.ready(before.live) == 2


@given(path=paths, policy=policies)
@settings(max_examples=120, deadline=None)
def test_given_blue_ready_a_first_suspicion_leaves_green_no_caller_in_the_same_tick(
    path: list[Step], policy: str
) -> None:
    for before, _, step, choice in walk(begun(policy), path):
        release = before.release
        if release is None or not judged_in(before) or step.command is not None or before.commands:
            continue
        if isinstance(step.verdict, Suspected) and step.blue == READY and step.seen and not release.freezes:
            assert served(choice) == {BLUE.id}


@given(path=paths, policy=policies)
@settings(max_examples=120, deadline=None)
def test_a_frozen_green_gets_no_caller_and_comes_back_to_those_it_had(path: list[Step], policy: str) -> None:
    for before, _, step, choice in walk(begun(policy), path):
        release = choice.memory.release
        if release is not None and release.phase is Phase.FROZEN:
            assert served(choice) == {release.blue}
            assert all(route.draw is None or route.draw.frozen for route in choice.routes)
        was = before.release
        if was is None or was.phase is not Phase.FROZEN or step.command is not None or before.commands:
            continue
        if release is not None and release.phase is Phase.MOVING:
            assert green_share(release) <= was.plan.stages[was.stage].share
            salts = [d.salt for r in choice.routes if (d := r.draw) and not d.frozen]
            # Where nothing is compared nobody is drawn for a green that gets everything.
            whole = green_share(release) == FULL and was.plan.compare is None and was.plan.sticky is None
            assert salts == ([] if whole else [f"default/{was.id}"])


@given(path=paths, policy=st.sampled_from(["by time", "by evidence", "test, then all"]))
@settings(max_examples=120, deadline=None)
def test_the_third_freeze_ends_by_a_person_or_by_proof_of_harm(path: list[Step], policy: str) -> None:
    most = 0
    doubted = replace(CALM, verdict=SUSPECTED)
    worse = [
        replace(doubted, suspicion=20.0 * 100.0**times) for times in range(FREEZES_MAX) for _ in range(5)
    ]
    for before, _, step, choice in walk(begun(policy), [*[CALM] * 3, *worse, *path]):
        release, now = before.release, choice.memory.release
        most = max(most, now.freezes if now else 0)
        if release is None or release.freezes < FREEZES_MAX or release.phase is not Phase.FROZEN:
            continue
        if step.command is None and not before.commands:
            assert now is None or now.phase in {Phase.FROZEN, Phase.ROLLING_BACK}
    assert most >= FREEZES_MAX


@given(path=paths, policy=policies)
@settings(max_examples=120, deadline=None)
def test_what_was_drawn_to_green_leaves_it_only_by_a_freeze_or_for_good(
    path: list[Step], policy: str
) -> None:
    for before, _, step, choice in walk(begun(policy), path):
        was, now = before.release, choice.memory.release
        if was is None or now is None or was.id != now.id or step.command == "deploy":
            continue
        if now.phase not in {Phase.FROZEN, Phase.ROLLING_BACK} and not blue_holds(now):
            assert green_share(now) >= green_share(was) or was.freezes
        passing = now.stage > was.stage and was.phase is Phase.WATCHING
        if passing and step.command is None and not before.commands:
            assert isinstance(step.verdict, Fine), "a stage ends by a verdict or by a person"
            assert step.samples


@given(path=paths, policy=policies)
@settings(max_examples=120, deadline=None)
def test_every_decision_has_a_reason_that_people_can_read(path: list[Step], policy: str) -> None:
    for _, _, _, choice in walk(begun(policy), path):
        assert text(choice.because)
        assert all(text(step.because) for step in choice.steps)


@given(path=paths, policy=policies)
@settings(max_examples=80, deadline=None)
def test_deciding_again_on_the_same_facts_changes_nothing(path: list[Step], policy: str) -> None:
    for _, seen, step, choice in walk(begun(policy), path):
        left = tuple(c for c in choice.memory.commands if c.seq not in choice.handled)
        after = replace(choice.memory, commands=left)
        if left or step.verdict is not None:
            continue
        again = decide(after, seen, None, headroom(seen), Now(wall=seen.at, elapsed_s=0.0))
        if again.memory.release is None or after.release is None:
            continue
        assert again.memory.release.phase == after.release.phase


@given(path=paths, policy=policies)
@settings(max_examples=80, deadline=None)
def test_a_phase_moves_only_along_its_table_also_when_the_service_is_removed(
    path: list[Step], policy: str
) -> None:
    for before, seen, step, _ in walk(begun(policy), path):
        release = before.release
        if release is None or before.commands:
            continue
        removed = replace(before, commands=(Asked(seq=before.seq, at=0.0, command=Remove()),))
        after = decide(removed, seen, judged(step), headroom(seen), Now(wall=seen.at, elapsed_s=0.0)).memory
        assert after.release is None
        assert after.last is not None
        assert after.last.phase in NEXT[release.phase]


@given(path=paths, policy=policies, verdict=st.sampled_from([FINE, UNSURE, INVALID, SUSPECTED, None]))
@settings(max_examples=80, deadline=None)
def test_every_release_ends_or_names_whom_it_waits_for(
    path: list[Step], policy: str, verdict: Verdict | None
) -> None:
    """Whatever happened before: when all is well with the world and the judge says one thing for ever."""
    calm = replace(CALM, verdict=verdict)
    memory = begun(policy)
    for part in (path, [calm] * 150):
        memory = walk(memory, part)[-1][3].memory
        memory = replace(memory, commands=())
    release = memory.release
    assert release is None or release.paused or waits_for_a_person(release)


def test_every_phase_has_a_way_to_its_end() -> None:
    assert set(NEXT) == set(Phase)
    reaches = {Phase.ENDED}
    while grown := {p for p in Phase if NEXT[p] & reaches} - reaches:
        reaches |= grown
    assert reaches == set(Phase)


def test_rolling_back_leads_nowhere_but_to_the_end() -> None:
    assert NEXT[Phase.ROLLING_BACK] == {Phase.ENDED}


def test_the_walks_of_these_tests_see_every_phase_and_every_end() -> None:
    phases: set[Phase] = set()
    ends: set[Outcome | None] = set()

    @given(path=paths, policy=policies)
    @settings(max_examples=250, deadline=None, database=None, derandomize=True)
    def roam(path: list[Step], policy: str) -> None:
        for _, _, _, choice in walk(begun(policy), path):
            release, last = choice.memory.release, choice.memory.last
            phases.update({release.phase} if release else ())
            ends.update({last.outcome} if last else ())

    roam()
    assert phases == set(Phase) - {Phase.ENDED}
    assert ends == set(Outcome)


def test_a_route_counts_only_as_it_was_seen_since_it_was_asked_for() -> None:
    told = walk(begun("by time"), [CALM] * 20)
    place_of = next(at for at, (_, _, _, choice) in enumerate(told) if _phase(choice) is Phase.MOVING)
    _, before, _, moved = told[place_of]
    memory = recorded(moved, before.at)
    assert memory.goal is not None
    seen = look(memory, CALM, before.at + 2)
    assert isinstance(seen.routes, Known)
    old = replace(seen, routes=replace(seen.routes, taken_at=before.at - 1))
    now = Now(wall=seen.at, elapsed_s=2.0)
    assert _phase(decide(memory, old, None, headroom(old), now)) is Phase.MOVING
    assert _phase(decide(memory, seen, None, headroom(seen), now)) is Phase.WATCHING


def _phase(choice: Choice) -> Phase | None:
    return choice.memory.release.phase if choice.memory.release else None


def test_a_clock_that_is_set_back_makes_no_probation_longer_than_it_is() -> None:
    path = [replace(CALM, passes_s=0.5)] * 60
    promoted = walk(deploy(live(), **POLICIES["by time"]), path)[-1][3].memory
    assert promoted.last is not None
    of = replace(promoted.last, plan=replace(promoted.last.plan, probation_s=3600.0))
    late = Probation(release=of, evidence=Evidence(judge="guard/1", cursor=()), until=90_000.0)
    seen = look(promoted, CALM, 1000.0)
    choice = decide(
        replace(promoted, probation=late),
        seen,
        None,
        headroom(seen),
        Now(wall=1000.0, elapsed_s=1),
    )
    assert choice.memory.probation is not None
    assert choice.memory.probation.until == 4600.0
