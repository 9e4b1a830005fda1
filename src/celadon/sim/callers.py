"""Callers: a stream of requests, counted by small steps, of which every replica knows until when it is busy."""

from dataclasses import dataclass, field

from celadon.domain.draw import EVERY
from celadon.domain.durations import bucket
from celadon.domain.goal import Arm, Endpoint, Part, Route, Wanted
from celadon.domain.names import Address, RevisionId
from celadon.domain.plan import FULL
from celadon.domain.samples import Answers, Label, Pairs
from celadon.sim.kernel import Clock, Kernel
from celadon.sim.observers import Labels
from celadon.sim.proxies import Proxies, Proxy
from celadon.sim.replicas import Character, Machine, Replica

LONG_SHARE = 0.1
LONG_S = (0.5, 6.0)
"""So many steps hold one request that takes so long; it is what a drain has to wait for."""

SLOW_MS = 2_000.0


@dataclass(slots=True)
class Callers:
    """Everybody who calls the service. rate: requests per second. matching: the part that a match selects.

    asked, failed, unanswered: requests so far, those that failed, and those that no replica was there for. by: of each
    revision, true counts of (requests, errors). unseen_s: for so long a replica that hangs gets its part all the same; 0:
    proxies know at once. stuck: requests that went to one; where repeats is true, another one answers them later.
    """

    kernel: Kernel
    clock: Clock
    proxies: Proxies
    machine: Machine
    labels: Labels
    characters: dict[RevisionId, Character]
    rate: float = 50.0
    matching: float = 0.5
    labelled: float = 0.0
    asked: int = 0
    failed: int = 0
    unanswered: int = 0
    unseen_s: float = 0.0
    repeats: bool = True
    stuck: int = 0
    by: dict[RevisionId, list[int]] = field(default_factory=dict)
    slow: dict[Address, float] = field(default_factory=dict)
    _until: float = 0.0
    _owed: dict[tuple[object, ...], float] = field(default_factory=dict)

    def catch_up(self) -> None:
        """Everything that was called since the last time, by what was true until now."""
        at = self.kernel.at
        span_s, self._until = at - self._until, at
        if span_s <= 0:
            return
        living = self.proxies.living()
        if not living:
            lost = self._whole(("nobody",), self.rate * span_s)
            self.asked, self.unanswered = self.asked + lost, self.unanswered + lost
            return
        for proxy in living:
            if proxy.in_force is not None:
                self._through(proxy, proxy.in_force, self.rate * span_s / len(living))

    def _through(self, proxy: Proxy, wanted: Wanted, left: float) -> None:
        """Requests of the first route that matches them; `matching` is the part that another one is before."""
        for route in wanted.routes:
            here = left if route.match == EVERY else left * self.matching
            left -= here
            for part in route.split:
                points = wanted.endpoints if part.arm is Arm.MAIN else wanted.controls
                requests = here * part.share / FULL
                if part.revision == proxy.starves:
                    requests = self._starved(route, part, wanted, requests)
                self._answer(route, part.revision, part.arm, _of(points, part.revision), requests)
            for mirror in route.mirrors if route.draw is not None else ():
                self._copy(route, mirror.revision, here * mirror.share / FULL)

    def _starved(self, route: Route, part: Part, wanted: Wanted, requests: float) -> float:
        """Most of what a revision should get goes to another one."""
        split = [one.revision for one in route.split if one.revision != part.revision]
        there = [key for key, points in wanted.endpoints if key != part.revision and points]
        other = next(iter((*split, *there)), None)
        if other is None:
            return requests
        self._answer(route, other, Arm.MAIN, _of(wanted.endpoints, other), requests * 0.8)
        return requests * 0.2

    def _answer(
        self, route: Route, revision: RevisionId, arm: Arm, points: tuple[Endpoint, ...], requests: float
    ) -> None:
        count = self._whole((revision, arm), requests)
        if not count:
            return
        serving = self._serving(points, standby=False) or self._serving(points, standby=True)
        errors = self._errors(revision, arm, count, serving)
        if self.unseen_s and serving:
            routed = [point.address for point in points if not point.draining]
            errors = min(count, errors + self._stuck(routed, count, len(serving)))
        self._accept(revision, serving)
        self.asked += count
        self.failed += errors
        self.unanswered += 0 if serving else count
        total = self.by.setdefault(revision, [0, 0])
        total[0] += count
        total[1] += errors
        took_ms = self._took_ms(revision, serving)
        self._count(revision, count, errors, took_ms)
        if route.draw is not None:
            self._log(route, revision, arm, (count, errors), took_ms)
            if self.labelled:
                self._label(revision, _green(route), count)

    def _serving(self, points: tuple[Endpoint, ...], *, standby: bool) -> list[Replica]:
        """Replicas that answer, of one of the two sets: the second gets only what the first can not carry."""
        addresses = [point.address for point in points if not point.draining and point.standby is standby]
        return [one for one in self.machine.there.values() if one.serves and one.address in addresses]

    def _errors(self, revision: RevisionId, what: object, count: int, serving: list[Replica]) -> int:
        if not serving:
            return count
        share = self.characters[revision].error_share
        return min(count, self._whole((revision, what, "errors"), count * share)) if share else 0

    def _stuck(self, addresses: list[Address], count: int, serving: int) -> int:
        """How many of these fail because they went to a replica that hangs, of which the proxies do not know yet."""
        since = self.kernel.at - self.unseen_s
        there = self.machine.there.values()
        hung = sum(one.hung and one.hung_at > since and one.address in addresses for one in there)
        waited = self._whole(("hung",), count * hung / (hung + serving)) if hung else 0
        self.stuck += waited
        return 0 if self.repeats else waited

    def _accept(self, revision: RevisionId, serving: list[Replica]) -> None:
        """Each of them is busy with what it accepted, now and then with something long."""
        if not serving:
            return
        kernel = self.kernel
        until = kernel.at + self.characters[revision].latency_ms / 1000
        for one in serving:
            one.busy_until = max(one.busy_until, until)
            one.unreached_since = kernel.at
        if kernel.random.random() < LONG_SHARE:
            one = serving[int(kernel.random.random() * len(serving))]
            one.busy_until = max(one.busy_until, kernel.at + kernel.random.uniform(*LONG_S))

    def _took_ms(self, revision: RevisionId, serving: list[Replica]) -> float:
        usual = self.characters[revision].latency_ms
        if not self.slow or not serving:
            return usual
        return max(self.slow.get(one.address, usual) for one in serving)

    def _count(self, revision: RevisionId, count: int, errors: int, took_ms: float) -> None:
        requests, failed, fast, middling = self.proxies.counts.get(revision, (0, 0, 0, 0))
        good = count - errors
        self.proxies.counts[revision] = (
            requests + count,
            failed + errors,
            fast + (good if took_ms <= 10 else 0),
            middling + (good if took_ms <= 100 else 0),
        )

    def _copy(self, route: Route, revision: RevisionId, requests: float) -> None:
        count = self._whole((revision, "copies"), requests)
        if not count:
            return
        serving = [one for one in self.machine.there.values() if one.serves and one.id.revision == revision]
        errors = self._errors(revision, "copies", count, serving)
        self._log(
            route, revision, Arm.MAIN, (count, errors), self.characters[revision].latency_ms, copies=True
        )
        assert route.draw is not None
        if any(mirror.revision != route.draw.green for mirror in route.mirrors):
            self.labels.arrived.append(Pairs(at_s=int(self.clock.wall()), copy=revision, pairs=count))

    def _log(
        self,
        route: Route,
        revision: RevisionId,
        arm: Arm,
        found: tuple[int, int],
        took_ms: float,
        *,
        copies: bool = False,
    ) -> None:
        assert route.draw is not None
        count, errors = found
        good = count - errors
        self.proxies.log.append(
            Answers(
                at_s=int(self.clock.wall()),
                revision=revision,
                arm=arm,
                share=_green(route),
                mirrored=copies,
                requests=count,
                errors=errors,
                failed=errors,
                durations=((bucket(1000 * took_ms), good),) if good else (),
                mirror=sum(one.share for one in route.mirrors if one.revision == route.draw.green),
                units=count,
                first_failed=errors,
            )
        )

    def _label(self, revision: RevisionId, share: int, count: int) -> None:
        labelled = self._whole(("labels", revision), count * self.labelled)
        wrong = self._whole(("wrong", revision), labelled * self.characters[revision].wrong_share)
        at_s = int(self.clock.wall())
        self.labels.arrived += [
            Label(at_s=at_s, revision=revision, share=share, wrong=place < wrong) for place in range(labelled)
        ]

    def _whole(self, what: tuple[object, ...], number: float) -> int:
        """A whole number now; what is left of it comes later, so that nothing is lost to rounding."""
        owed = self._owed.get(what, 0.0) + number
        whole = int(owed + 1e-9)
        self._owed[what] = owed - whole
        return whole


def _of(
    points: tuple[tuple[RevisionId, tuple[Endpoint, ...]], ...], revision: RevisionId
) -> tuple[Endpoint, ...]:
    for key, there in points:
        if key == revision:
            return there
    return ()


def _green(route: Route) -> int:
    """Green's share in force, out of 10,000."""
    green = route.draw.green if route.draw is not None else None
    return sum(part.share for part in route.split if part.revision == green)
