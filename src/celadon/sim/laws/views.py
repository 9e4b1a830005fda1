"""Laws about what a tick decided on: they need the facts it saw, and the truth behind them."""

from dataclasses import dataclass, field

from celadon.control.view import View
from celadon.domain.facts import Facts, Known, Now, Unknown
from celadon.domain.goal import Arm
from celadon.domain.memory import Memory
from celadon.domain.names import RevisionId
from celadon.domain.plan import FULL
from celadon.domain.reason import Code
from celadon.domain.release import Phase, Release
from celadon.domain.verdict import Fine, Invalid, Verdict
from celadon.sim.laws.book import Book, share_of
from celadon.sim.laws.names import Law

FRESH_S = 5.0
"""Facts older than this move nothing forward."""

AGAIN = 20.0
"""By how much money on harm has to grow before what was forgiven is suspected again."""

FREEZES_MAX = 3

HARM_TICKS = 12
"""Harm that can be seen leads away from green within so many ticks, given a blue that is ready."""

PROOF_TICKS = 75
"""The same where nothing less than a proof by green's own limits is listened to: a suspicion was forgiven, requests did
not go where they were sent, or blue had been far worse. The limits' bets prove a quarter of errors against 5 % in 121 s, if
green was calm for ten minutes before; a tick may come sooner than 2 s after the last one."""

OUTDONE = 25
"""So many errors more by blue outweigh what green does within a few ticks."""

HARM_SHARE = 0.25
HARM_ANSWERS = 400
"""Harm that anybody would see: so large a part of green's answers are errors, and it gave so many."""

SPLIT_LEAST = 0.4
"""A stage may end with no less than this part of green's share in all answers."""

SPLIT_KNOWN = 20
"""So many answers of green have to be expected before what is known of a stage alone tells of its split."""

BY_PLAN = frozenset({Code.STAGE_ENDED, Code.WATCH_ENDED, Code.TEST_ENDED, Code.SHADOW_ENDED})
ON_STAGE = frozenset({Phase.WATCHING, Phase.HOLDING})
SERVED = frozenset({Phase.MOVING, Phase.WATCHING, Phase.HOLDING})

Counted = dict[RevisionId, tuple[int, int]]
"""How many answers each revision truly gave, and how many of them were errors."""


@dataclass(slots=True)
class Visit:
    """One stage as long as it lasts. seen_s: time with fresh samples and the route in force;
    shown_s: with any samples. before: true counts when
    it was entered, or when anything was counted for its release at all; counted: that was so by then. known: true counts
    when the first of a stage could be read that had begun long before.
    away: it was left since, and may be entered again.
    """

    key: tuple[str, int]
    seen_s: float = 0.0
    shown_s: float = 0.0
    before: Counted = field(default_factory=dict)
    known: Counted | None = None
    away: bool = False
    counted: bool = True


@dataclass(slots=True)
class Harmed:
    """Visible harm as long as it lasts. answers: green's before it. outdone: blue had been far worse by then."""

    answers: int
    outdone: bool
    ticks: int = 0


@dataclass(slots=True)
class Views:
    """Checks every tick of the loop. begun: the release under way, and the true counts when it began.

    read: when the counters were read last, as they say it, and the true counts by then.
    """

    book: Book
    visit: Visit | None = None
    harmed: Harmed | None = None
    begun: tuple[str, Counted] = ("", {})
    read: tuple[float, Counted] = (-1.0, {})

    def looked(self, before: Memory, view: View, now: Now) -> None:
        """A tick is over."""
        facts, after = view.facts, view.memory
        assert facts is not None
        judged = view.judged.verdict if view.judged else None
        if after.release is not None and after.release.id != self.begun[0]:
            self.begun = (after.release.id, self._counted())
        if isinstance(facts.samples, Known) and facts.samples.taken_at != self.read[0]:
            self.read = (facts.samples.taken_at, self._counted())
        if isinstance(facts.samples, Unknown):
            fine = isinstance(judged, Fine)
            self.book.holds(Law.UNKNOWN_SHOWN, not fine, "nothing was counted, and it is called fine")
        if after.seq != before.seq:
            self._routed(before, after, facts, now)
            self._froze(before, after, view)
            self._confirmed(before, after, facts)
            self._ended(before, facts, now)
        self._stays(before, after, facts, now)
        self._harmed(after, facts, now, judged)

    def resumed(self, found: Memory) -> None:
        """A daemon goes on after a crash: its last tick may be in the journal, and nobody was told of it."""
        self.harmed = None
        visit, release = self.visit, found.release
        if visit is not None and release is not None and (release.id, release.stage) == visit.key:
            visit.seen_s = max(visit.seen_s, release.dwelt_s)
            visit.shown_s = max(visit.shown_s, release.dwelt_s)
            visit.counted = found.evidence is not None

    def _routed(self, before: Memory, after: Memory, facts: Facts, now: Now) -> None:
        if after.goal is None or after.goal == before.goal:
            return
        known = isinstance(facts.replicas, Known)
        release = after.release or after.last
        for revision in sorted(after.goal.routed):
            if share_of(after.goal, revision) <= share_of(before.goal, revision):
                continue
            forward = release is not None and revision == release.green
            ready = facts.ready(revision) if forward else _carrying(facts, revision)
            instead = release is not None and not forward and known and _carrying(facts, release.green) == 0
            self.book.holds(Law.READY_FIRST, ready or instead, f"{revision} gets more, and {ready} are ready")
            if forward:
                proved = revision in after.proved or revision in before.proved
                self.book.holds(Law.READY_FIRST, proved, f"{revision} gets more and was never proved")
                self.book.holds(
                    Law.FRESH_FORWARD, _fresh(facts.replicas, now), f"{revision} gets more by old facts"
                )
        had = before.goal.routed if before.goal else frozenset()
        if known and had and after.goal.routed and had != after.goal.routed:
            served = any(_carrying(facts, one) for one in sorted(had))
            serves = any(_carrying(facts, one) for one in sorted(after.goal.routed))
            self.book.holds(Law.SOMEBODY_SERVES, serves or not served, "requests go where nobody is ready")

    def _froze(self, before: Memory, after: Memory, view: View) -> None:
        was, now = before.release, after.release
        if was is None or now is None or was.id != now.id or now.freezes <= was.freezes:
            return
        waits = now.freezes < FREEZES_MAX or now.stays_frozen
        self.book.holds(Law.NO_FLAPPING, waits, f"{now.id} froze {now.freezes} times and waits for nobody")
        suspicion = view.judged.suspicion if view.judged else 0.0
        grown = was.forgiven < 1 or suspicion >= AGAIN * was.forgiven
        self.book.holds(
            Law.NO_FLAPPING, grown, f"{suspicion:.3g} froze again, and {was.forgiven:.3g} had been forgiven"
        )

    def _confirmed(self, before: Memory, after: Memory, facts: Facts) -> None:
        was, now = before.release, after.release
        if now is None or now.phase not in ON_STAGE or after.goal is None:
            return
        if was is not None and was.id == now.id and was.phase in ON_STAGE and was.stage == now.stage:
            return
        routes = facts.routes.value.confirmed if isinstance(facts.routes, Known) else None
        shown = routes is not None and routes.routes == after.goal.routes
        self.book.holds(Law.CONFIRMED_FIRST, shown, f"{now.id} is watched and its route is not in force")
        in_force = {
            proxy.in_force.routes if proxy.in_force is not None else None
            for proxy in self.book.site.proxies.living()
        }
        self.book.holds(
            Law.CONFIRMED_FIRST,
            in_force <= {after.goal.routes},
            f"{now.id} is watched and a proxy routes otherwise",
        )

    def _ended(self, before: Memory, facts: Facts, now: Now) -> None:
        """A stage that ended by its plan was seen for as long as the plan says, with what was asked of the proxy."""
        release, record = before.release, self.book.last
        if release is None or record is None or self.visit is None or release.blue is None:
            return
        codes = [step.because.code for step in record.steps]
        codes += [record.reason.code] if record.reason is not None else []
        stage = release.plan.stages[release.stage]
        if release.phase not in ON_STAGE or stage.guard is None or not any(code in BY_PLAN for code in codes):
            return
        self.book.holds(
            Law.UNKNOWN_SHOWN,
            isinstance(facts.samples, Known),
            f"{release.id} passed and nothing was counted",
        )
        self.book.holds(
            Law.FRESH_FORWARD, _fresh(facts.samples, now), f"{release.id} passed by counts that were old"
        )
        copies = stage.mirrored_max is not None
        seen_s = self.visit.seen_s + now.elapsed_s
        self.book.holds(
            Law.UNKNOWN_SHOWN,
            copies or max(seen_s, self.visit.shown_s + now.elapsed_s) >= stage.dwell_s - 0.01,
            f"{release.id} passed after {seen_s:.1f} of {stage.dwell_s:.0f} s in which it was seen",
        )
        self.book.holds(
            Law.FRESH_FORWARD,
            copies or seen_s >= stage.dwell_s - 0.01,
            f"{release.id} passed after {seen_s:.1f} of {stage.dwell_s:.0f} s in which counts were fresh",
        )
        self._split(release, stage.share)

    def _split(self, release: Release, share: int) -> None:
        """The split was as asked, by all answers or by those that were counted: a count may be some seconds old."""
        if release.plan.match.conditions and share < FULL:
            return  # Of a group's share nothing can be said by all answers.
        total, green = self._answers(release, share, self._counted())
        if green < _green_least(share, total):
            total, green = self._answers(release, share, self.read[1])
        self.book.holds(
            Law.SPLIT_AGREES,
            green >= _green_least(share, total),
            f"{release.id} passed with {green} of {total} answers by green",
        )

    def _answers(self, release: Release, share: int, until: Counted) -> tuple[int, int]:
        """How many answers callers got in this stage until then, and how many of them from green."""
        assert self.visit is not None
        if self.visit.known is not None:
            # Nobody can tell what was answered before the first counts could be read from the stage before.
            total, green = _between(self.visit.known, until, release.green)
            if total * share >= SPLIT_KNOWN * FULL:
                return total, green
        return _between(self.visit.before, until, release.green)

    def _stays(self, before: Memory, after: Memory, facts: Facts, now: Now) -> None:
        release, visit = after.release, self.visit
        if visit is not None and _key(before.release) == visit.key and _in_force(before, facts):
            visit.shown_s += now.elapsed_s if isinstance(facts.samples, Known) else 0.0
            visit.seen_s += now.elapsed_s if _fresh(facts.samples, now) else 0.0
        if release is None or (visit is not None and visit.key[0] != release.id):
            self.visit = visit = None
        if release is None or release.phase not in ON_STAGE:
            if visit is not None:
                visit.away = True
        elif visit is None or visit.away or visit.key != _key(release):
            # After a freeze a stage goes on, and what was answered is counted anew.
            key = (release.id, release.stage)
            seen_s = visit.seen_s if visit is not None and visit.key == key else 0.0
            shown_s = visit.shown_s if visit is not None and visit.key == key else 0.0
            counted = after.evidence is not None
            self.visit = Visit(key, seen_s, shown_s, before=self._counted(), counted=counted)
        elif not visit.counted:
            # Nobody can measure what was answered before the first counts of a release could be read.
            visit.before, visit.counted = self._counted(), after.evidence is not None
        elif visit.known is None and after.evidence is not None and after.evidence.unread:
            visit.known = self._counted()

    def _counted(self) -> Counted:
        return {one: (counts[0], counts[1]) for one, counts in self.book.site.callers.by.items()}

    def _failed(self, revision: RevisionId) -> int:
        """How many of a revision's answers failed since the release began."""
        errors = self.book.site.callers.by.get(revision, [0, 0])[1]
        return errors - self.begun[1].get(revision, (0, 0))[1]

    def _harmed(self, after: Memory, facts: Facts, now: Now, judged: Verdict | None) -> None:
        """Green fails before everybody's eyes, and blue could serve."""
        release, site = after.release, self.book.site
        if release is None or release.blue is None or release.phase not in SERVED:
            self.harmed = None
            return
        stage = release.plan.stages[release.stage]
        seen = (
            stage.guard is not None
            and share_of(after.goal, release.green) > 0
            and site.characters[release.green].error_share >= HARM_SHARE
            and _fresh(facts.samples, now)
            and _fresh(facts.replicas, now)
            and isinstance(facts.routes, Known)
            and site.characters[release.blue].error_share == 0.0
            and site.machine.ready(release.blue) >= 1
            and not any(proxy.starves or not proxy.alive for proxy in site.proxies.all)
            and facts.samples.value.complete
            if isinstance(facts.samples, Known)
            else False
        )
        answers = site.callers.by.get(release.green, [0, 0])[0]
        if not seen:
            self.harmed = None
            return
        if self.harmed is None:
            outdone = self._failed(release.blue) - self._failed(release.green) >= OUTDONE
            self.harmed = Harmed(answers, outdone)
        harmed = self.harmed
        proof_alone = release.forgiven >= 1 or isinstance(judged, Invalid) or harmed.outdone
        limit = PROOF_TICKS if proof_alone else HARM_TICKS
        late = harmed.ticks >= limit and answers - harmed.answers >= HARM_ANSWERS
        self.book.holds(
            Law.HARM_TURNS_BACK,
            not late,
            f"{release.id} failed for {harmed.ticks} ticks and is {release.phase}",
        )
        harmed.ticks += 1


def _green_least(share: int, total: int) -> float:
    return SPLIT_LEAST * share / FULL * total - 2


def _between(before: Counted, until: Counted, green: RevisionId) -> tuple[int, int]:
    """How many answers callers got between these counts, and how many of them from green."""
    got = {one: counts[0] - before.get(one, (0, 0))[0] for one, counts in until.items()}
    return sum(got.values()), got.get(green, 0)


def _key(release: Release | None) -> tuple[str, int] | None:
    """Which stage a release is on, while it is watched there."""
    return (release.id, release.stage) if release is not None and release.phase in ON_STAGE else None


def _in_force(before: Memory, facts: Facts) -> bool:
    """Whether the routes that were decided on before are shown in force."""
    if before.goal is None or not isinstance(facts.routes, Known):
        return False
    confirmed = facts.routes.value.confirmed
    return confirmed is not None and confirmed.routes == before.goal.routes


def _fresh(fact: Known[object] | Unknown, now: Now) -> bool:
    return isinstance(fact, Known) and now.wall - fact.taken_at <= FRESH_S


def _carrying(facts: Facts, revision: RevisionId) -> int:
    """Ready replicas that requests of a revision can reach: those of the standby, too."""
    return facts.ready(revision) + facts.ready(revision, Arm.STANDBY)
