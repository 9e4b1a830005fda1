"""Releases of several services at the same time, each lived through by a story of its own: most of a release is waiting.

Shares are large and margins wide, so that windows of the judge are what takes time, and no service has errors that were
not planted: then what is decided follows from the plan alone, however slow the machine is.
"""

import json
import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from e2e_load import Load
from e2e_world import until

from celadon.doors.cli import tree
from celadon.doors.cli.client import DaemonGoneError

ENDS_S = 120.0

WIDE = {"errors": {"extraPercent": 20}, "falsePromotionPercent": 40}
"""Fine after two windows of ten seconds, which is the least that a proof takes."""

QUICK = {**WIDE, "falseRollbackPercent": 20}
"""Harm is proved as soon, too."""

WATCH = {"seconds": 1, "minRequests": 5, "maxErrorPercent": 90, "deadlineSeconds": 100}
"""The comparison decides, and not a limit."""


def canary(*stages, **more):
    """A strategy: stages as (percent, seconds), or as they are written."""
    written = [stage if isinstance(stage, dict) else dict(zip(KEYS, stage, strict=True)) for stage in stages]
    return {"canary": {"stages": written, **more}}


KEYS = ("percent", "seconds")


@dataclass(kw_only=True)
class Story:
    """One service with its callers, and one release that is to come.

    act: what a person and the world do while the release goes on; it ends when the story does. code: the exit code
    that the pipeline ended with. green: the answer.json of the new server.
    """

    name: str
    release: dict
    act: Callable[["Story"], None] = lambda story: story.ends()
    green: dict = field(default_factory=dict)
    rate: float = 40.0
    headers: Callable[[int], dict] = lambda _: {}
    spec: dict = field(default_factory=dict)
    green_spec: dict = field(default_factory=dict)
    path: str = "/score"
    body: bytes = b"{}"

    def offered(self, made, *, green):
        """The service file of one of its two revisions."""
        answer = {"score": 1}
        if green:
            answer = {"score": 2, "fails_if": str(self.fault), **self.green}
        spec = {**self.spec, **(self.green_spec if green else {})}
        return made.service(self.name, answer=answer, release=self.release, **spec)

    @property
    def fault(self):
        """While this file is there, green fails every request but golden ones."""
        return self.made.work / f"{self.name}-fault"

    def lived(self):
        """Lives through the release, under load."""
        made, name = self.made, self.name
        self.blue, self.began_at = made.live(name), time.time() - time.monotonic()
        port = made.port(name)
        with Load(
            port=port, rate=self.rate, headers=self.headers, path=self.path, body=self.body
        ) as self.load:
            self.pipeline = made.start("deploy", "-f", f"{name}-green.json")
            until(self._begun, ENDS_S, every_s=0.1)
            self.id = f"{name}-2"
            self.green_id = made.client.get(f"/v1/releases/{self.id}")["release"]["green"]
            try:
                self.act(self)
            except AssertionError as failure:
                failure.add_note(f"{self.id}: {self.view()['reason']['text']}")
                failure.add_note("\n".join(f"{d['at']:.2f} {tree.event(d)}" for d in self.told()))
                raise
        return self

    # what a story waits for

    def _begun(self):
        return self.view()["release"] or self.pipeline.poll() is not None

    def view(self):
        """How the service stands, once a daemon answers."""
        return until(self._view, every_s=0.1)

    def _view(self):
        try:
            return self.made.view(self.name)
        except DaemonGoneError:
            return None

    def moving(self):
        return self.view()["release"] or {}

    def at(self, phase, stage=None):
        """Wait until the release stands there."""
        until(lambda: self._stands(phase, stage), ENDS_S, every_s=0.1)

    def _stands(self, phase, stage):
        release = self.moving()
        assert release, self.told()[-1]
        return release["phase"] == phase and stage in {None, release["stage"]}

    def ends(self):
        """Wait until nothing moves any more."""
        until(lambda: not self.moving(), ENDS_S, every_s=0.1)
        self.pipeline_ends()

    def gone(self):
        """Wait until nothing moves any more, after the pipeline has left."""
        until(lambda: not self.moving(), ENDS_S, every_s=0.1)

    def pipeline_ends(self):
        """Wait for what the pipeline that asked for the release says."""
        self.said, _ = self.pipeline.communicate(timeout=60)
        self.code = self.pipeline.returncode

    def answers_more(self, count=20):
        """Wait until callers have got so many more answers."""
        seen = len(self.load.ended)
        until(lambda: len(self.load.ended) >= seen + count)

    # what a test asks afterwards

    def told(self):
        """Every decision on the release."""
        return self.made.client.get(f"/v1/releases/{self.id}")["decisions"]

    def codes(self):
        return [decision["reason"]["code"] for decision in self.told()]

    @property
    def last(self):
        return self.made.client.get(f"/v1/releases/{self.id}")["release"]

    def ended_as(self):
        return self.last["outcome"], self.last["cause"], self.code

    def spans(self):
        """How long the proxy showed each share, as (percent, from, to) on the monotonic clock."""
        found, told = [], self.told()
        for number, decision in enumerate(told):
            if decision["reason"]["code"] != "route_confirmed":
                continue
            left = next((d for d in told[number + 1 :] if d["reason"]["code"] in LEAVES), None)
            if left is not None:
                percent = decision["reason"]["fields"]["percent"]
                found.append((percent, decision["at"] - self.began_at, left["at"] - self.began_at))
        return found

    def since(self, code):
        """The instant of the first decision with this code, on the monotonic clock."""
        return next(d["at"] for d in self.told() if d["reason"]["code"] == code) - self.began_at

    def judged(self, metric="errors"):
        """What the judge has heard of one metric, as (answers, events) of green and of blue."""
        findings = {finding["metric"]: finding for finding in self.view()["judged"]["findings"]}
        return tuple(
            (side["answers"], side["events"]) for side in map(findings[metric].get, ("green", "blue"))
        )

    def sent(self, begin, end=math.inf):
        """Exchanges that began and ended between two instants."""
        return [f for f in self.load.ended if begin <= f.sent_at and f.ended_at <= end]


LEAVES = {"stage_ended", "watch_ended", "test_ended", "shadow_ended", "frozen", "third_freeze", "harm_proved"}


def by_chance(part, percent, of):
    """Whether `part` of `of` requests is what a draw with this percentage may bring; wrongly not once in a million."""
    expected, spread = of * percent / 100, math.sqrt(of * percent / 100 * (1 - percent / 100))
    return abs(part - expected) <= 5 * spread + 1e-9


class Stories:
    """All of them at once, each told to whoever asks for it."""

    def __init__(self, made, stories):
        self.made = made
        for story in stories:
            story.made = made
        blues = [made.work / story.offered(made, green=False) for story in stories]
        everything = made.work / "everything.yaml"
        everything.write_text("\n---\n".join(path.read_text() for path in blues))
        made.done("deploy", "-f", everything.name, timeout=120)
        for story in stories:
            made_file = made.work / story.offered(made, green=True)
            made_file.rename(made.work / f"{story.name}-green.json")
        pool = ThreadPoolExecutor(len(stories))
        self._lived = {story.name: pool.submit(story.lived) for story in stories}
        pool.shutdown(wait=False)

    def __call__(self, name):
        """The story, once it is over."""
        return self._lived[name].result(timeout=3 * ENDS_S)

    def over(self):
        """Wait for all of them, however they ended."""
        for lived in self._lived.values():
            lived.exception(timeout=3 * ENDS_S)


def log_of(made, name):
    """The lines of a service in the request log of the proxy itself, as they stand there."""
    text = b"".join(path.read_bytes() for path in sorted(Path(made.home, "envoy").glob("access.log*")))
    found = [json.loads(line) for line in text.splitlines()]
    return [line for line in found if (line["cluster"] or "").split("/")[1:2] == [name]]


def wrong_answers(answers):
    """What became known of them: only a score of 1 was right."""
    return [{"id": f.request_id, "wrong": json.loads(f.body)["score"] != 1} for f in answers if f.answered]
