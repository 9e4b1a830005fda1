"""The laws of the release engine, over random walks through everything that can be seen and asked."""

from dataclasses import dataclass, replace

from hypothesis import given, settings
from hypothesis import strategies as st
from release_given import BLUE, GREEN, THIRD, deploy, facts, live, replicas

from celadon.domain.command import Abort, Asked, Pause, Promote, Remove, Resume
from celadon.domain.facts import Facts, Now, ProofState, ReplicaState, SourceState
from celadon.domain.headroom import Headroom
from celadon.domain.memory import Memory
from celadon.domain.plan import FULL
from celadon.domain.reason import Code, because, text
from celadon.domain.release import Outcome, Phase
from celadon.domain.verdict import Fine, Harm, Invalid, Judged, Unsure, Verdict
from celadon.release.decide import Choice, decide
from celadon.release.phases import NEXT
from celadon.release.split import routes
from celadon.resilience.place import place

FINE = Fine(because=because(Code.WITHIN_LIMITS, requests=50, errors=0, latency="3 ms"))
HARM = Harm(
    because=because(Code.ERROR_SHARE, errors=9, requests=50, percent=18.0, limit_percent=2.0),
)
UNSURE = Unsure(because=because(Code.TOO_FEW_REQUESTS, requests=3, needed=10))
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
    command: str | None
    passes_s: float


steps = st.builds(
    Step,
    blue=mostly(READY, *OTHER_STATES, times=20),
    green=mostly(READY, *OTHER_STATES, times=20),
    third=mostly(READY, *OTHER_STATES, times=20),
    confirms=mostly(True, False, times=4),
    proof=mostly(ProofState.PASSED, None, *ProofState, times=20),
    source=mostly(SourceState.VERIFIED, *SourceState, times=40),
    samples=mostly(True, False, times=4),
    verdict=mostly(FINE, None, HARM, UNSURE, UNSURE, INVALID, times=4),
    command=st.sampled_from([None] * 30 + ["promote", "abort", "pause", "resume", "deploy"]),
    passes_s=mostly(0.5, 0.1, 5.0, 25.0, times=3),
)


def judged(verdict: Verdict | None) -> Judged | None:
    return Judged(verdict=verdict) if verdict is not None else None


def walk(memory: Memory, path: list[Step]) -> list[tuple[Memory, Facts, Step, Choice]]:
    told, at = [], 1000.0
    for step in path:
        at += step.passes_s
        memory = command(memory, step)
        seen = look(memory, step, at)
        choice = decide(
            memory,
            seen,
            judged(step.verdict),
            Headroom(ready=0, needed=2),
            Now(wall=at, elapsed_s=step.passes_s),
        )
        told.append((memory, seen, step, choice))
        left = tuple(c for c in choice.memory.commands if c.seq not in choice.handled)
        goal = place(choice.memory, choice.routes)
        memory = replace(choice.memory, seq=memory.seq + 1, commands=left, goal=goal)
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
    if not step.confirms:
        return shown
    asked = routes(memory, shown)
    return facts(
        at,
        there,
        confirmed=asked,
        preview=GREEN.id,
        proof=step.proof,
        samples=step.samples,
        sources=step.source,
    )


paths = st.lists(steps, min_size=1, max_size=60)
gates = st.booleans()


@given(path=paths, gate=gates)
@settings(max_examples=300, deadline=None)
def test_shares_always_sum_to_ten_thousand_and_somebody_serves_once_live(
    path: list[Step], gate: bool
) -> None:
    for _, _, _, choice in walk(deploy(live(), gate=gate), path):
        assert choice.routes, "a live service is always routed somewhere"
        assert all(sum(p.share for p in route.split) == FULL for route in choice.routes)


@given(path=paths, gate=gates)
@settings(max_examples=300, deadline=None)
def test_a_rollback_never_moves_forward_again(path: list[Step], gate: bool) -> None:
    for before, _, _, choice in walk(deploy(live(), gate=gate), path):
        was, now = before.release, choice.memory.release
        if was is not None and was.phase is Phase.ROLLING_BACK and now is not None and now.id == was.id:
            assert now.phase is Phase.ROLLING_BACK
        if was is not None and was.phase is Phase.ROLLING_BACK and now is None:
            assert choice.memory.last is not None
            assert choice.memory.last.outcome in {Outcome.ROLLED_BACK, Outcome.SUPERSEDED}
            assert choice.memory.live == before.live


@given(path=paths)
@settings(max_examples=300, deadline=None)
def test_no_automatic_step_passes_a_manual_gate(path: list[Step]) -> None:
    untouched = [replace(step, command=None if step.command == "promote" else step.command) for step in path]
    for _, _, _, choice in walk(deploy(live(), gate=True), untouched):
        assert choice.memory.live == BLUE.id
        assert all(part.revision == BLUE.id for route in choice.routes for part in route.split)


@given(path=paths, gate=gates)
@settings(max_examples=300, deadline=None)
def test_no_traffic_moves_to_a_green_that_is_not_ready_and_proved(path: list[Step], gate: bool) -> None:
    for before, seen, _, choice in walk(deploy(live(), gate=gate), path):
        release = choice.memory.release
        if release is None or release.phase is not Phase.MOVING:
            continue
        if before.release is None or before.release.phase is not Phase.MOVING:
            assert seen.ready(release.green) > 0
            assert release.green in choice.memory.proved


@given(path=paths, gate=gates)
@settings(max_examples=300, deadline=None)
def test_missing_or_broken_samples_never_promote_and_never_roll_back(path: list[Step], gate: bool) -> None:
    blind = [replace(step, samples=False, verdict=UNSURE, command=None, green=READY) for step in path]
    for before, _, _, choice in walk(deploy(live(), gate=gate), blind):
        watched = before.release is not None and before.release.phase in {Phase.WATCHING, Phase.HOLDING}
        if watched:
            assert choice.memory.release is not None
            assert choice.memory.release.phase in {Phase.WATCHING, Phase.HOLDING}


@given(path=paths, gate=gates)
@settings(max_examples=300, deadline=None)
def test_given_blue_ready_harm_leads_to_a_rollback_in_the_same_tick(path: list[Step], gate: bool) -> None:
    for before, _, step, choice in walk(deploy(live(), gate=gate), path):
        release = before.release
        steered = step.command is not None or before.commands
        if release is None or release.phase not in {Phase.WATCHING, Phase.HOLDING} or steered:
            continue
        if isinstance(step.verdict, Harm) and step.blue == READY:
            assert choice.memory.release is None or choice.memory.release.phase is Phase.ROLLING_BACK
            assert {p.revision for r in choice.routes for p in r.split} == {BLUE.id}


@given(path=paths, gate=gates)
@settings(max_examples=300, deadline=None)
def test_every_decision_has_a_reason_that_people_can_read(path: list[Step], gate: bool) -> None:
    for _, _, _, choice in walk(deploy(live(), gate=gate), path):
        assert text(choice.because)


@given(path=paths)
@settings(max_examples=200, deadline=None)
def test_deciding_again_on_the_same_facts_changes_nothing(path: list[Step]) -> None:
    for _, seen, step, choice in walk(deploy(live()), path):
        left = tuple(c for c in choice.memory.commands if c.seq not in choice.handled)
        after = replace(choice.memory, commands=left)
        verdict = None if choice.memory.evidence is None else step.verdict
        if left or verdict is not None:
            continue
        again = decide(after, seen, None, Headroom(ready=0, needed=2), Now(wall=seen.at, elapsed_s=0.0))
        if again.memory.release is None or after.release is None:
            continue
        assert again.memory.release.phase == after.release.phase


@given(path=paths, gate=gates)
@settings(max_examples=200, deadline=None)
def test_a_phase_moves_only_along_its_table_also_when_the_service_is_removed(
    path: list[Step], gate: bool
) -> None:
    for before, seen, step, _ in walk(deploy(live(), gate=gate), path):
        release = before.release
        if release is None or before.commands:
            continue
        removed = replace(before, commands=(Asked(seq=before.seq, at=0.0, command=Remove()),))
        after = decide(
            removed, seen, judged(step.verdict), Headroom(ready=0, needed=2), Now(wall=seen.at, elapsed_s=0.0)
        ).memory
        assert after.release is None
        assert after.last is not None
        assert after.last.phase in NEXT[release.phase]


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

    @given(path=paths, gate=gates)
    @settings(max_examples=400, deadline=None, database=None, derandomize=True)
    def roam(path: list[Step], gate: bool) -> None:
        for _, _, _, choice in walk(deploy(live(), gate=gate), path):
            release, last = choice.memory.release, choice.memory.last
            phases.update({release.phase} if release else ())
            ends.update({last.outcome} if last else ())

    roam()
    assert phases == set(Phase) - {Phase.ENDED}
    assert ends == {Outcome.PROMOTED, Outcome.ROLLED_BACK, Outcome.SUPERSEDED}
