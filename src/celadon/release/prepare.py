"""The steps before any traffic moves: what green is made of, its start, its proof, and the gate."""

from celadon.domain.facts import ProofState, ReplicaFact, ReplicaState, SourceFact, SourceState, Unknown
from celadon.domain.memory import Memory
from celadon.domain.reason import Code, Reason, because
from celadon.domain.release import Cause, Phase, Release
from celadon.domain.revision import ModelRuntime
from celadon.domain.values import replace
from celadon.release.end import roll_back
from celadon.release.phases import enter
from celadon.release.split import routes
from celadon.release.stage import counts_anew
from celadon.release.step import Seen, Step

TRIES = 2
"""A replica of green that ended this often before it was ever ready will not get better by waiting."""

MODEL_IS_WRONG = 2
"""The exit status by which our own server says that the model, and not the world, is at fault."""


def preparing(memory: Memory, release: Release, seen: Seen) -> Step:
    """Fetch, verify, start, warm up. On a way back as many replicas are enough as carry everything."""
    revision = memory.revisions[release.green]
    sources = [seen.facts.sources.get(tree) for tree in revision.trees]
    for source in sources:
        if source is not None and source.state is SourceState.FAILED and source.lasting:
            why = because(Code.SOURCE_BROKEN, why=source.why)
            return back(memory, release, why, Cause.VERDICT, seen)
    wanted, ready = _wanted(release), seen.facts.ready(release.green)
    stands = ready >= (release.settings.needed if release.way_back else wanted)
    if not all(source is not None and _verified(source, release, stands=stands) for source in sources):
        failed = next((s for s in sources if s is not None and s.state is SourceState.FAILED), None)
        if _late(release, release.plan.prepare_s, seen):
            why = because(Code.SOURCE_UNREACHABLE, why=failed.why if failed else "it took too long")
            return back(memory, release, why, Cause.WORLD, seen)
        return _wait(memory, because(Code.FETCHING, green=release.green))
    hopeless = next((r for r in seen.facts.of(release.green) if _hopeless(r, memory, release)), None)
    if hopeless is not None:
        why, cause = _start_failed(hopeless)
        return back(memory, release, why, cause, seen)
    if stands and seen.replicas_fresh:
        why = because(Code.GREEN_READY, wanted=wanted)
        if ready < wanted:
            why = because(Code.STARTING, ready=ready, wanted=wanted)
        return Step(memory=_to(memory, release, Phase.PROVING, why, seen), because=why)
    if _late(release, release.plan.prepare_s, seen):
        cause = Cause.VERDICT if seen.replicas_fresh else Cause.WORLD
        return back(memory, release, _never_ready(release, ready, wanted, seen), cause, seen)
    return _wait(memory, because(Code.STARTING, ready=ready, wanted=wanted))


def proving(memory: Memory, release: Release, seen: Seen) -> Step:
    """Golden requests through the preview address, unless they passed already for this very revision.

    A way back to what stands asks no more than was asked when it was live: today's requests are another's.
    """
    golden = release.settings.golden or ""
    if release.green in memory.proved and (release.way_back or memory.proved[release.green] == golden):
        return forward(memory, release, seen)
    refused = seen.refused(asked=routes(memory, seen.facts), preview=release.green, since=release.began_at)
    if refused is not None:
        return back(memory, release, because(Code.ROUTE_REFUSED, why=refused.why), Cause.WORLD, seen)
    if seen.replicas_fresh and seen.facts.ready(release.green) == 0:
        why = because(Code.GREEN_LOST, wanted=_wanted(release))
        return back(memory, release, why, Cause.VERDICT, seen)
    proof = seen.facts.proof
    if proof is not None and (proof.revision, proof.golden or "") == (release.green, golden):
        if proof.state is ProofState.PASSED:
            known = replace(memory, proved={**memory.proved, release.green: golden})
            passed = because(Code.PROOF_PASSED, asked=proof.asked) if golden else because(Code.NO_GOLDEN)
            return Step(memory=known, because=passed)
        if proof.state is ProofState.FAILED and proof.mismatches:
            first = proof.mismatches[0]
            why = because(
                Code.PROOF_FAILED,
                failed=len(proof.mismatches),
                asked=proof.asked,
                first=f"{first.name}: {first.found}",
            )
            return back(memory, release, why, Cause.VERDICT, seen)
        if proof.state is ProofState.FAILED:
            return back(memory, release, because(Code.PROOF_FAULT, why=proof.fault), Cause.WORLD, seen)
    if _late(release, release.plan.prove_s, seen):
        late = Code.PROOF_TIMEOUT if golden else Code.ROUTE_UNCONFIRMED
        why = because(late, seconds=release.plan.prove_s)
        return back(memory, release, why, Cause.VERDICT if golden else Cause.WORLD, seen)
    return _wait(memory, because(Code.PROOF_RUNNING if golden else Code.ROUTE_PENDING))


def forward(memory: Memory, release: Release, seen: Seen, *, dwelt_s: float = 0.0) -> Step:
    """Into the stage that `release.stage` names: through its gate if it has one, else to its share.

    What was compared goes on; what was counted is counted anew. dwelt_s: what of the stage's time is done already.
    """
    stage = release.plan.stages[release.stage]
    if stage.gate and release.stage not in release.passed_gates:
        why = because(Code.GATE_WAITS)
        return Step(memory=_to(memory, release, Phase.WAITING, why, seen), because=why)
    if release.paused:
        return _wait(memory, because(Code.PAUSED))
    if short(release, seen) is not None:
        # Until green is there the stage has not begun: whoever turns back turns back from where the release stands.
        return wait_for_green(memory, memory.release or release, seen)
    why = because(Code.TRAFFIC_MOVES, percent=stage.share / 100)
    if stage.share == 0:
        why = because(Code.COPIES_BEGIN, percent=stage.mirror / 100)
    evidence, release = counts_anew(memory, release)
    moved = replace(release, moved=release.moved or stage.share > 0, dwelt_s=dwelt_s)
    return Step(memory=_to(replace(memory, evidence=evidence), moved, Phase.MOVING, why, seen), because=why)


def short(release: Release, seen: Seen) -> Reason | None:
    """Why green may not be given more requests now: nobody can say, or too few of its replicas are ready."""
    if seen.replicas_fresh:
        needed, ready = release.settings.needed, seen.facts.ready(release.green)
        return None if ready >= needed else because(Code.GREEN_SHORT, ready=ready, needed=needed)
    replicas = seen.facts.replicas
    why = replicas.why if isinstance(replicas, Unknown) else "nothing was seen of it lately"
    return because(Code.GREEN_UNKNOWN, why=why)


def wait_for_green(memory: Memory, release: Release, seen: Seen) -> Step:
    """Green was ready and is not now, or not enough of it: it may come back, but not for longer than its start may take."""
    replicas = seen.facts.of(release.green)
    hopeless = next((r for r in replicas if _hopeless(r, memory, release)), None)
    if hopeless is not None:
        why, cause = _start_failed(hopeless)
        return back(memory, release, why, cause, seen)
    since = max((replica.since for replica in replicas), default=release.entered_at)
    ready, wanted = seen.facts.ready(release.green), _wanted(release)
    if seen.replicas_fresh and seen.now.wall > max(since, release.entered_at) + release.plan.prepare_s:
        why = because(Code.GREEN_LOST, wanted=wanted)
        if ready:
            why = _never_ready(release, ready, wanted, seen)
        return back(memory, release, why, Cause.VERDICT, seen)
    return _wait(memory, because(Code.STARTING, ready=ready, wanted=wanted))


def _verified(source: SourceFact, release: Release, *, stands: bool) -> bool:
    """Verified for this very release; what runs already was verified when it was started."""
    return source.state is SourceState.VERIFIED and (stands or source.at >= release.began_at)


def _hopeless(replica: ReplicaFact, memory: Memory, release: Release) -> bool:
    """Whether this replica of green ended in a way, or so often, that starting it again will not help."""
    last = replica.last_exit
    if last is None or last.at < release.began_at or replica.state is ReplicaState.READY:
        return False
    ours = isinstance(memory.revisions[release.green].runtime, ModelRuntime)
    return replica.exits >= TRIES or (ours and last.code == MODEL_IS_WRONG)


def _start_failed(replica: ReplicaFact) -> tuple[Reason, Cause]:
    """Green's own end speaks against green; that it could not be started at all is the world's failure."""
    last = replica.last_exit
    assert last is not None
    if last.fault:
        return because(Code.START_FAULT, why=last.fault), Cause.WORLD
    why = because(Code.START_FAILED, ended=ended(last.code), stderr="\n".join(last.stderr))
    return why, Cause.VERDICT


def ended(code: int | None) -> str:
    """How a replica ended, for people. code: exit status, negative for a signal, None when nobody saw it."""
    if code is None:
        return "an unknown status"
    return f"signal {-code}" if code < 0 else f"status {code}"


def _never_ready(release: Release, ready: int, wanted: int, seen: Seen) -> Reason:
    behind = next((r for r in seen.facts.of(release.green) if r.state is not ReplicaState.READY), None)
    notes = "; ".join(behind.notes) if behind else ""
    stderr = "\n".join(behind.last_exit.stderr) if behind and behind.last_exit else ""
    replicas = seen.facts.replicas
    return because(
        Code.NEVER_READY,
        ready=ready,
        wanted=wanted,
        seconds=release.plan.prepare_s,
        why=notes or (replicas.why if isinstance(replicas, Unknown) else "its ready path did not answer 2xx"),
        stderr=stderr,
    )


def _wanted(release: Release) -> int:
    return release.settings.replicas.wanted


def _late(release: Release, limit_s: float, seen: Seen) -> bool:
    return seen.now.wall > release.entered_at + limit_s


def _wait(memory: Memory, why: Reason) -> Step:
    return Step(memory=memory, because=why)


def _to(memory: Memory, release: Release, phase: Phase, why: Reason, seen: Seen) -> Memory:
    return replace(memory, release=enter(release, phase, why, seen.now.wall))


def back(memory: Memory, release: Release, why: Reason, cause: Cause, seen: Seen) -> Step:
    """Turn back for good, as a step of this tick."""
    after, why = roll_back(memory, release, why, cause, seen.now.wall)
    return Step(memory=after, because=why)
