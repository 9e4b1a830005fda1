"""What came of the demo: one object for programs, and whether it went as planned."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from celadon.domain.reason import Code
from celadon.domain.release import Outcome
from celadon.doors.demo.exchange import Exchange, Seen, by_revision, seen
from celadon.doors.demo.story import Chapter

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A release that has ended, as the API tells it: itself, and every decision on it in order."""

    chapter: Chapter
    release: Json
    decisions: Sequence[Json]

    @property
    def green(self) -> str:
        """The revision that was released."""
        return str(self.release["green"])

    @property
    def outcome(self) -> Outcome:
        """How it ended."""
        return Outcome(self.release["outcome"])

    @property
    def switch_ms(self) -> float | None:
        """From the record that moves the requests to the record that the proxy has confirmed it; None without."""
        moved, confirmed = self._at(Code.TRAFFIC_MOVES), self._at(Code.ROUTE_CONFIRMED)
        return None if moved is None or confirmed is None else (confirmed - moved) * 1000

    def _at(self, code: Code) -> float | None:
        return next((d["at"] for d in self.decisions if d["reason"]["code"] == code), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Released:
    """One release. green_requests: requests sent before its end that green answered. seconds: from its begin to its end.

    bad_answers: failed ones among them; misread: those that were answered, and wrongly.
    """

    label: str
    outcome: Outcome
    reason: str
    switch_ms: float | None
    green_requests: int
    bad_answers: int
    misread: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """What callers saw of one revision. label: that of the release that brought it."""

    label: str
    revision: str | None
    seen: Seen


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything that callers saw.

    bad_answers: failed requests answered by a revision that was then rolled back. requests_failed: all other
    failed requests. retries: requests that the proxy sent again; callers send each once. seconds: with traffic.
    """

    requests_total: int
    requests_failed: int
    bad_answers: int
    retries: int
    releases: tuple[Released, ...]
    groups: tuple[Group, ...]
    seconds: float
    deviations: tuple[str, ...]

    def json(self) -> Json:
        """The one object that `--output json` prints."""
        return {
            "requests_total": self.requests_total,
            "requests_failed": self.requests_failed,
            "bad_answers": self.bad_answers,
            "retries": self.retries,
            "releases": [asdict(released) for released in self.releases],
            "revisions": [
                {"label": group.label, "revision": group.revision, **asdict(group.seen)}
                for group in self.groups
            ],
            "seconds": self.seconds,
        }


def report(
    first: Told, told: Sequence[Told], exchanges: Sequence[Exchange], *, retries: int = 0, seconds: float
) -> Report:
    """Counts requests. first: the bring-up, before which nobody called."""
    taken_back = {one.green for one in told if one.outcome is Outcome.ROLLED_BACK}
    failed = [exchange for exchange in exchanges if exchange.failed]
    bad = [exchange for exchange in failed if exchange.revision in taken_back]
    labels = {one.green: one.chapter.label for one in (first, *told)}
    lost = [exchange for exchange in failed if exchange.revision not in taken_back]
    releases = tuple(_released(one, exchanges, bad) for one in told)
    return Report(
        requests_total=len(exchanges),
        requests_failed=len(lost),
        bad_answers=len(bad),
        retries=retries,
        releases=releases,
        groups=_groups(exchanges, labels),
        seconds=round(seconds, 1),
        deviations=(*_unplanned(told), *_losses(lost)),
    )


def merged(parts: Sequence[Report], *, seconds: float) -> Report:
    """Reports of different callers as one."""
    return Report(
        requests_total=sum(part.requests_total for part in parts),
        requests_failed=sum(part.requests_failed for part in parts),
        bad_answers=sum(part.bad_answers for part in parts),
        retries=sum(part.retries for part in parts),
        releases=tuple(released for part in parts for released in part.releases),
        groups=tuple(group for part in parts for group in part.groups),
        seconds=round(seconds, 1),
        deviations=tuple(deviation for part in parts for deviation in part.deviations),
    )


def _released(told: Told, exchanges: Sequence[Exchange], bad: Sequence[Exchange]) -> Released:
    release = told.release
    by_green = [e for e in exchanges if e.revision == told.green and e.at <= release["ended_at"]]
    return Released(
        label=told.chapter.label,
        outcome=told.outcome,
        reason=str(release["reason"]["text"]),
        switch_ms=None if told.switch_ms is None else round(told.switch_ms, 1),
        green_requests=len(by_green),
        bad_answers=sum(exchange.revision == told.green for exchange in bad),
        misread=sum(exchange.right is False for exchange in by_green),
        seconds=round(release["ended_at"] - release["began_at"], 1),
    )


def _groups(exchanges: Sequence[Exchange], labels: Mapping[str, str]) -> tuple[Group, ...]:
    return tuple(
        Group(label=labels.get(revision or "", "nobody"), revision=revision, seen=seen(of))
        for revision, of in by_revision(exchanges).items()
    )


def _unplanned(told: Sequence[Told]) -> list[str]:
    return [
        f"{one.chapter.label} was to end {one.chapter.planned.value} and ended {one.outcome.value}:"
        f" {one.release['reason']['text']}"
        for one in told
        if one.outcome is not one.chapter.planned
    ]


def _losses(lost: Sequence[Exchange]) -> list[str]:
    if not lost:
        return []
    first = lost[0]
    what = f"status {first.status}" if first.status is not None else "no answer"
    return [
        f"{len(lost)} requests failed that should not have; the first: {what}, {first.fault or 'unreadable'}"
    ]
