"""Following releases to their ends: redrawn in place in a terminal, appended lines everywhere else."""

import contextlib
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

from celadon.domain.reason import Code
from celadon.domain.release import Cause, Outcome
from celadon.doors.cli import evidence, lines, tree
from celadon.doors.cli.client import Client
from celadon.doors.cli.exits import ENDS, NEVER_BEGAN, ExitCode
from celadon.doors.cli.feed import Feed, News
from celadon.doors.cli.screen import clock, live, room, say_above

Json = dict[str, Any]

EVERY_S = 10.0
"""How often an unchanged phase is said again where nothing is redrawn."""

UNCHANGED_S = 60.0
"""The same where not even its numbers have changed."""

ALONE_S = 5.0
"""How long a watch may be without enough answers before that is said: most services have callers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A release that is followed. name: its service as people call it."""

    name: str
    release: str
    after: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Stood:
    """Where a release stood when following it ended."""

    release: Json
    code: ExitCode


@dataclass(slots=True, kw_only=True)
class Follower:
    """Follows `targets` and says every change through `say`."""

    client: Client
    targets: Sequence[Target]
    say: Callable[[str], None]
    _news: News = field(default_factory=News)
    _said: dict[str, tuple[tuple[Any, ...], str, float]] = field(default_factory=dict)
    _needed: set[str] = field(default_factory=set)

    def follow(self, *, plain: bool) -> dict[str, Stood]:
        """Where each release stood in the end, by its id. Ctrl-C and SIGTERM raise KeyboardInterrupt."""
        with _interruptible():
            if plain:
                return self._until_all_stand(self.say)
            with live(self._draw) as screen:
                return self._until_all_stand(lambda text: say_above(screen, text))

    def _until_all_stand(self, say: Callable[[str], None]) -> dict[str, Stood]:
        feed = Feed(
            client=self.client,
            names=[target.name for target in self.targets],
            after={target.name: target.after for target in self.targets},
        )
        stood: dict[str, Stood] = {}
        for news in feed.news():
            self._say_loss(news, say)
            self._news = news
            needy = self._newly_needy(news)
            for decision in news.decisions:
                if decision["reason"]["code"] != Code.CHECKPOINT or decision["release"] not in needy:
                    self._say_decision(self._as_it_stands(decision), say)
            self._say_needs(needy, say)
            for target in self.targets:
                if target.release not in stood and (end := self._stands(target, news)) is not None:
                    stood[target.release] = end
            if len(stood) == len(self.targets):
                break
        return stood

    def _say_loss(self, news: News, say: Callable[[str], None]) -> None:
        if news.lost_s is not None and self._news.lost_s is None:
            say(f"{clock()} the daemon does not answer; the release goes on when it is back, trying again")

    def _as_it_stands(self, decision: Json) -> Json:
        """A record that only keeps evidence says what was counted; what it is waited for now says more."""
        if decision["reason"]["code"] != Code.CHECKPOINT:
            return decision
        views = (view for view in self._news.views if tree.name(view) == decision["of"])
        return next(({**decision, "reason": view["reason"]} for view in views), decision)

    def _say_decision(self, decision: Json, say: Callable[[str], None]) -> None:
        """Every change, and what only counts on, now and then."""
        key, text = _position(decision), decision["reason"]["text"]
        before, text_before, at = self._said.get(decision["of"], ((), "", 0.0))
        pause_s = UNCHANGED_S if text == text_before else EVERY_S
        if key == before and time.monotonic() < at + pause_s:
            return
        self._said[decision["of"]] = (key, text, time.monotonic())
        say(f"{clock()} {tree.event(decision)}")

    def _newly_needy(self, news: News) -> dict[str, Json]:
        """Services whose release has waited for a while for answers which nobody sends, by release; each once."""
        found = {}
        for view in news.views:
            release = view["release"]
            if release is None or release["paused"] or release["phase"] != "watching":
                continue
            alone = view["at"] > release["entered_at"] + ALONE_S
            if alone and release["release"] not in self._needed and tree.needs(view):
                found[release["release"]] = view
        return found

    def _say_needs(self, needy: dict[str, Json], say: Callable[[str], None]) -> None:
        """What to do, since nothing else would say it."""
        for release, view in needy.items():
            self._needed.add(release)
            stands = {**view["release"], "reason": view["reason"]}
            self._said[tree.name(view)] = (_position(stands), view["reason"]["text"], time.monotonic())
            event = tree.event(stands)
            say("\n    ".join([f"{clock()} {event}", *tree.needs(view)]))

    def _stands(self, target: Target, news: News) -> Stood | None:
        view = next((view for view in news.views if tree.name(view) == target.name), None)
        if view is None or news.lost_s is not None:
            return None
        release = view["release"]
        if release is not None and release["release"] == target.release:
            waits = tree.waits_for_person(release)
            return Stood(release=release, code=ExitCode.PERSON) if waits else None
        if target.release in view["waiting_releases"]:
            return None
        last = view["last_release"]
        if last is None or last["release"] != target.release:
            last = self._from_journal(target)
        if last["outcome"] is None:
            return Stood(release=last, code=NEVER_BEGAN.get(Code(last["reason"]["code"]), ExitCode.REACHED))
        return Stood(release=last, code=end_code(last)) if last["ended_at"] else None

    def _from_journal(self, target: Target) -> Json:
        """A release that is not the last one any more, or that never had to begin: then its answer stands for it."""
        told = self.client.get(f"/v1/releases/{target.release}")
        if told["release"] is not None:
            return dict(told["release"])
        answer = told["decisions"][-1]
        return {
            "release": target.release,
            "outcome": None,
            "ended_at": answer["at"],
            "reason": answer["reason"],
        }

    def _draw(self) -> list[lines.Line]:
        now = time.time()
        told = [line for view in self._news.views for line in tree.service(view, now, room(plain=False))]
        if self._news.lost_s is not None:
            lost = f"the daemon has not answered for {self._news.lost_s:.0f} s; this is what it said last"
            told.append(lines.Line(depth=0, spans=((lost, lines.BAD),)))
        return told


def _position(decision: Json) -> tuple[Any, ...]:
    """What of a decision is said again at once when it changes; the numbers in its words are not."""
    stands = tuple(decision[name] for name in ("release", "phase", "paused", "stage"))
    return (*stands, decision["reason"]["code"])


def end_code(release: Json) -> ExitCode:
    """The exit code of a release that has ended."""
    return ENDS[Outcome(release["outcome"]), Cause(release["cause"])]


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """SIGTERM means what Ctrl-C means: whoever follows leaves, the release goes on."""

    def leave(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def detached(targets: Sequence[Target]) -> str:
    """What to say to whoever leaves."""
    lines = [
        f"{target.release} goes on by itself; follow it: celadon watch {target.name}   take it back: celadon abort {target.name}"
        for target in targets
    ]
    return "\n".join(lines)


def verdict_line(stood: Stood, width: int | None = None) -> str:
    """How it ended, in one line, what each metric said, and what a person can do where one is needed."""
    told = stood.release
    rows = evidence.lines(told.get("findings", ()), told.get("levels"), width and width - 2)
    table = ["  " + "".join(text for text, _ in row).rstrip() for row in rows]
    sentence, *rest = _sentence(stood).split("\n")
    return "\n".join([sentence, *table, *rest])


def _sentence(stood: Stood) -> str:
    release = stood.release
    why = tree.first_line(release["reason"]["text"])
    if stood.code is ExitCode.PERSON:
        name = release["release"].rpartition("-")[0]
        act = tree.what_a_person_does(name, paused=release["paused"])
        state = "is paused" if release["paused"] else f"is {tree.words(release['phase'])}"
        return f"{release['release']} {state}: {why}\n  next: {act}"
    ended = tree.words(release["outcome"]) if release["outcome"] else "had nothing to do"
    line = f"{release['release']} {ended}: {why}"
    if release["outcome"] != Outcome.ROLLED_BACK:
        return line
    name = release["release"].rpartition("-")[0]
    return f"{line}\n  more: celadon why {release['release']}   and: celadon logs {name}"
