"""The judge behind the watch: what a release's stage is worth by all that was seen of it.

The plain guard judges green by itself against stated limits. Where the plan compares green with blue, a ledger goes on
through all stages and freezes, and the guard's limits are proved by bets before they are harm; while every request is on
green there is nothing to compare it with, and the guard decides as it does alone.
"""

from celadon.domain.compare import Units
from celadon.domain.draw import EVERY
from celadon.domain.evidence import Clock, Ledger
from celadon.domain.facts import FRESH_S, NO_LABELS, Known, Unknown
from celadon.domain.plan import FULL, Stage
from celadon.domain.reason import Code, Reason, because, text
from celadon.domain.release import Phase, Release
from celadon.domain.samples import Evidence, Pairs, Samples
from celadon.domain.spec import Ends
from celadon.domain.values import replace
from celadon.domain.verdict import Fine, Harm, Invalid, Judged, Unsure, Verdict
from celadon.judge import drift, guard, limits, tallies
from celadon.judge.coin import summed, totals
from celadon.judge.compare import LATENCY, SCORE, Asked
from celadon.judge.metrics import COPIES, DIFFER, ERRORS, WRONG_COPIES, Setup, of_group, setup
from celadon.judge.tallies import Sides, equal_load

IDLE_S = 30.0
"""A service without an answer for so long is idle, and what is idle is not fine."""

NOT_JOINED = "they do not begin where the evidence ends"


def judge(
    release: Release,
    stage: Stage,
    sides: Sides | None,
    evidence: Evidence | None,
    *,
    samples: Known[Samples] | Unknown,
    labels: Known[Samples] | Unknown = NO_LABELS,
) -> tuple[Evidence | None, Judged | None]:
    """Fold what came into the evidence and say what it is worth to the stage that is in force.

    sides None: the service had nothing live, so there is nothing to compare with. evidence None: the watch begins
    here. Samples and labels must begin where the evidence ends; of what does not, nothing is added.
    """
    of, evidence = setup(release.plan), _spanned(release, evidence, samples)
    if of is None or sides is None:
        if stage.guard is None:
            return None, None
        evidence, verdict = guard.judge(stage.guard, release.green, stage.share, evidence, samples)
        return evidence, Judged(verdict=verdict)
    evidence, broken = _folded(evidence, of, sides, samples, frozen=release.phase is Phase.FROZEN)
    if evidence is None:
        return None, Judged(
            verdict=broken or Unsure(because=because(Code.NO_SAMPLES, why="nothing was counted"))
        )
    evidence, labels_broken = _labelled(evidence, of, sides, labels)
    broken = broken or labels_broken
    ledger = evidence.ledger
    assert ledger is not None
    asked = _asked(release, stage, of, sides, ledger)
    said = of.comparison.judge(ledger, replace(asked, notes=(*asked.notes, *_unread(of, labels))))
    findings = (*said.findings, *limits.findings(of.limits, ledger.bets), *drift.findings(ledger.classes))
    taken_at = samples.taken_at if isinstance(samples, Known) else None
    idle_s = 0.0 if taken_at is None else taken_at - ledger.clock.last_s
    verdict = broken or _verdict(release, stage, of, evidence, said=said.verdict, idle_s=idle_s)
    return evidence, replace(said, verdict=verdict, findings=findings)


def _spanned(
    release: Release, evidence: Evidence | None, samples: Known[Samples] | Unknown
) -> Evidence | None:
    """The evidence with these samples as its unread ones, where they are the first and the stage began long before."""
    if evidence is None or evidence.counts or isinstance(samples, Unknown):
        return evidence
    joins = samples.value.cursor_from == evidence.cursor
    late = samples.taken_at > release.entered_at + FRESH_S
    return replace(evidence, unread=guard.add((), samples.value.counts)) if joins and late else evidence


def begin(release: Release, sides: Sides | None, samples: Known[Samples] | Unknown) -> Evidence | None:
    """Evidence of nothing, just before green gets its first request: what is counted from here on belongs to it."""
    if isinstance(samples, Unknown):
        return None
    of, seen = setup(release.plan), samples.value
    ledger = begun(of, sides, seen, int(samples.taken_at)) if of is not None and sides is not None else None
    return Evidence(judge=guard.NAME, cursor=seen.cursor_to, ledger=ledger)


def judge_late(
    release: Release, evidence: Evidence, labels: Known[Samples] | Unknown
) -> tuple[Evidence, Judged | None]:
    """What labels say by now of a release that was promoted before they came. Only harm means anything here."""
    of = setup(release.plan)
    if of is None or release.blue is None or evidence.ledger is None:
        return evidence, None
    sides = Sides(blue=release.blue, green=release.green, blue_ready=0, green_ready=0)
    evidence, broken = _labelled(evidence, of, sides, labels)
    assert evidence.ledger is not None
    said = of.comparison.judge(evidence.ledger, Asked(proof=0.0))
    return evidence, replace(said, verdict=broken) if broken else said


def _folded(
    evidence: Evidence | None,
    of: Setup,
    sides: Sides,
    samples: Known[Samples] | Unknown,
    *,
    frozen: bool,
) -> tuple[Evidence | None, Verdict | None]:
    """The evidence with what the router counted, and what is wrong with it."""
    if isinstance(samples, Unknown):
        return evidence, Unsure(because=because(Code.SAMPLES_UNREAD, why=samples.why))
    seen = samples.value
    if evidence is None or evidence.ledger is None:
        ledger = begun(of, sides, seen, int(samples.taken_at))
        start = evidence or Evidence(judge=guard.NAME, cursor=seen.cursor_to)
        return replace(start, cursor=seen.cursor_to, ledger=ledger), None
    if evidence.judge != guard.NAME or seen.cursor_from != evidence.cursor:
        return evidence, _broken(NOT_JOINED)
    evidence = replace(evidence, cursor=seen.cursor_to, counts=guard.add(evidence.counts, seen.counts))
    if not seen.complete:
        return evidence, _broken("a source started again, and what it had counted last is not known")
    assert evidence.ledger is not None
    ledger = heard(evidence.ledger, of, sides, seen)
    ledger = of.comparison.frozen(ledger, now=frozen)
    copies = sum(one.requests for one in seen.answers if one.mirrored and one.revision == sides.green)
    return replace(evidence, ledger=ledger, copies=evidence.copies + copies), None


def _broken(why: str) -> Invalid:
    return Invalid(because=because(Code.SAMPLES_BROKEN, why=why))


def begun(of: Setup, sides: Sides, before: Samples, at_s: int) -> Ledger:
    """A ledger that begins at this second. before: what was seen until then, of which only blue's is a first guess."""
    blue = next((c for c in before.counts if c.revision == sides.blue), None)
    guess = (blue.requests, blue.errors) if blue else (0, 0)
    known = [one for one in before.answers if one.revision == sides.blue and not one.mirrored]
    names = (ERRORS, COPIES, *(of_group(ERRORS, group) for group in of.groups))
    ledger = of.comparison.begin(at_s, dict.fromkeys(names, guess), tallies.summed(known))
    bets = limits.begin(of.limits, at_s)
    clock = Clock(begun_s=at_s, last_s=at_s, late_s=at_s)
    return replace(ledger, bets={**ledger.bets, **bets}, clock=clock)


def heard(ledger: Ledger, of: Setup, sides: Sides, seen: Samples) -> Ledger:
    """The ledger after answers that the router logged."""
    for clock, second, strangers in tallies.seconds(seen.answers, of, sides, ledger.clock):
        grown = of.comparison.add(ledger, second)
        bets = limits.add(of.limits, grown.bets, second)
        ledger = replace(grown, bets=bets, clock=clock, strangers=grown.strangers + strangers)
    return ledger


def _labelled(
    evidence: Evidence, of: Setup, sides: Sides, labels: Known[Samples] | Unknown
) -> tuple[Evidence, Verdict | None]:
    """The evidence with what came to be known of answers. That no labels are read says nothing against anybody."""
    if isinstance(labels, Unknown) or evidence.ledger is None:
        return evidence, None
    seen = labels.value
    if seen.cursor_from != evidence.label_cursor:
        return evidence, _broken(f"labels: {NOT_JOINED}")
    if not seen.complete:
        return replace(evidence, label_cursor=seen.cursor_to), _broken("some of what was predicted is lost")
    ledger = told(evidence.ledger, of, sides, seen)
    return replace(evidence, label_cursor=seen.cursor_to, ledger=ledger), None


def told(ledger: Ledger, of: Setup, sides: Sides, seen: Samples) -> Ledger:
    """The ledger after labels, pairs and classes; the same one where there were none."""
    for clock, second in tallies.late(seen.labels, of, sides, ledger.clock):
        ledger = replace(of.comparison.add(ledger, second), clock=clock)
    for pairs in seen.pairs if of.compare.pairs else ():
        if pairs.copy in (sides.blue, sides.green) and pairs.at_s >= ledger.clock.begun_s:
            ledger = _paired(of.comparison.add(ledger, tallies.paired(pairs, sides)), pairs, sides)
    if seen.classes:
        classes = drift.added(ledger.classes, seen.classes, sides.blue, sides.green)
        ledger = replace(ledger, classes=classes)
    return ledger


def _paired(ledger: Ledger, pairs: Pairs, sides: Sides) -> Ledger:
    if pairs.copy != sides.green or not (pairs.reshaped or pairs.example):
        return ledger
    example = ledger.example or pairs.example
    return replace(ledger, reshaped=ledger.reshaped + pairs.reshaped, example=example)


def _asked(release: Release, stage: Stage, of: Setup, sides: Sides, ledger: Ledger) -> Asked:
    """What the stage asks of the comparison, with notes on what is not compared in it."""
    return Asked(
        proof=stage.proof,
        copies=stage.share == 0,
        forgiven=release.forgiven,
        notes=tuple(_notes(release, stage, of, sides, ledger)),
    )


def _notes(release: Release, stage: Stage, of: Setup, sides: Sides, ledger: Ledger) -> list[tuple[str, str]]:
    notes: list[tuple[str, str]] = []
    undrawn = _undrawn(release, stage)
    names = (ERRORS, *(of_group(ERRORS, group) for group in of.groups))
    if of.compare.units is Units.UNSEEN:
        notes += [(name, "users can not be told apart") for name in (*names, LATENCY, SCORE, *of.late)]
    elif undrawn:
        notes += [(name, undrawn) for name in (*names, LATENCY)]
    elif of.compare.latency and not equal_load(sides, stage.share, control=of.control):
        notes.append((LATENCY, "unsure: green's replicas do not have the same load as those of blue"))
    if ledger.reshaped:
        shown = f", such as {ledger.example}" if ledger.example else ""
        notes.append((DIFFER, f"{ledger.reshaped} answers have another shape or type{shown}"))
    elif ledger.example:
        notes.append((DIFFER, f"such as {ledger.example}"))
    return notes


def _unread(of: Setup, labels: Known[Samples] | Unknown) -> list[tuple[str, str]]:
    """Notes on what could not be read: nobody must take it for what was never posted."""
    if isinstance(labels, Known) or labels == NO_LABELS:
        return []
    why = "; ".join(line.strip() for line in labels.why.splitlines())
    return [(name, f"can not be read: {why}") for name in (*sorted(of.late), DIFFER, WRONG_COPIES)]


def _undrawn(release: Release, stage: Stage) -> str:
    """Why no request is drawn to a side now."""
    if release.phase is Phase.FROZEN:
        return "frozen: every request is on blue"
    if stage.share == FULL:
        return "every request is on green"
    return "green gets copies alone" if stage.share == 0 else ""


def _verdict(
    release: Release, stage: Stage, of: Setup, evidence: Evidence, *, said: Verdict, idle_s: float
) -> Verdict:
    """Harm first; then what the comparison says; then whether there was enough, for the guard and for the stage."""
    ledger = evidence.ledger
    assert ledger is not None
    frozen = release.phase is Phase.FROZEN
    guarded = None if frozen else _guarded(release, stage, evidence, ledger)
    if isinstance(guarded, Harm) and stage.share == FULL:
        return guarded
    broken = limits.broken(of.limits, ledger.bets, of.compare.alpha_harm)
    if broken is not None:
        return Harm(because=broken)
    if frozen or not isinstance(said, Fine | Unsure):
        return said
    if guarded is not None and not isinstance(guarded, Fine):
        # What is over a limit and not proved to be is no harm yet, and never fine.
        return Unsure(because=guarded.because) if isinstance(guarded, Harm) else guarded
    if idle_s > IDLE_S:
        return Unsure(because=because(Code.NO_SAMPLES, why=f"no answer for {idle_s:.0f} s"))
    if isinstance(said, Unsure) and (stage.proof > 0 or stage.share < FULL):
        return said
    return Fine(because=_fine_reason(release, stage, evidence, said.because, guarded))


def _guarded(release: Release, stage: Stage, evidence: Evidence, ledger: Ledger) -> Verdict | None:
    """What the plain guard says of the stage's own answers, or of its copies where there are no others."""
    if stage.guard is None:
        return None
    if stage.share:
        # Of a group's share nothing can be said by all answers; there the coin alone judges the split.
        all_drawn = release.plan.match == EVERY or (
            stage.share == FULL and release.plan.ends is Ends.PROMOTED
        )
        return guard.weigh(stage.guard, release.green, stage.share if all_drawn else 0, evidence)
    if evidence.copies < stage.guard.requests_min:
        needed = stage.guard.requests_min
        return Unsure(because=because(Code.TOO_FEW_REQUESTS, requests=evidence.copies, needed=needed))
    errors = summed(totals(ledger.coins[COPIES])).green_events if COPIES in ledger.coins else 0
    return Fine(because=_counted(evidence.copies, errors))


def _fine_reason(
    release: Release, stage: Stage, evidence: Evidence, said: Reason, guarded: Verdict | None
) -> Reason:
    """Why green is fine, always with what was counted in the stage."""
    counts = evidence.of(release.green)
    own = guarded.because if guarded is not None else _counted(counts.requests, counts.errors)
    if stage.share == FULL:
        return because(Code.ABSOLUTE_ONLY, **{**own.fields, "why": text(own)})
    return because(said.code, **{**own.fields, **said.fields}) if stage.proof > 0 else own


def _counted(requests: int, errors: int) -> Reason:
    return because(Code.WITHIN_LIMITS, requests=requests, errors=errors, latency=guard.shown(None))
