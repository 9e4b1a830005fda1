"""Requests, predictions and labels find each other here, in whatever order they come, each joined exactly once.

All of it happens inside one transaction of the caller. What comes of it are arrivals: rows that never change, in the
order in which things came to be known.
"""

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from celadon.domain.compare import Compare
from celadon.domain.feedback import Feedback, Interest, Received, Routed
from celadon.domain.names import RevisionId
from celadon.observe.labels.answer import Answer, Likeness, Said, kept, likeness, shown, written

CLASSES_MAX = 200
"""Different answers that are told apart in one transaction; the rest are counted together."""

OTHER = "(other)"
TOLERANCE = 1e-3
TOLD = ("label", "score")
"""What is told of a caller, each used once in a release."""

DAY_S = 86_400.0
"""How long scores are waited for where there are no labels to say it."""


class Kind(IntEnum):
    """What an arrival tells."""

    LABEL = 0
    PAIRS = 1
    CLASSES = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is kept of one service: the interests of its releases, under the number that the service has here."""

    service: int
    interests: tuple[Interest, ...]

    @property
    def labels(self) -> bool:
        """Whether anybody waits for labels or scores."""
        return any(one.compare.labels or one.compare.score for one in self.interests)

    @property
    def pairs(self) -> bool:
        """Whether answers to copies are compared."""
        return any(one.compare.pairs for one in self.interests)

    @property
    def positive(self) -> bool:
        """Whether it matters of which class an answer was."""
        return any(one.compare.labels and one.compare.labels.positive for one in self.interests)

    def tolerance(self, first: RevisionId) -> float | None:
        """How near numbers of a pair must be whose original `first` answered; None where it is nobody's blue."""
        of = [one.compare.pairs for one in self.interests if one.blue == first]
        return next((pairs.tolerance if pairs else TOLERANCE for pairs in of), None)

    def mature_s(self) -> float:
        """For how long labels and scores are waited for."""
        return max((mature_s(one.compare) for one in self.interests), default=0.0)


def mature_s(compare: Compare) -> float:
    """For how long one release waits for labels and scores."""
    if compare.labels:
        return compare.labels.mature_s
    return DAY_S if compare.score else 0.0


@dataclass(slots=True)
class Counted:
    """Pairs of one revision's copies, as `Pairs` counts them."""

    pairs: int = 0
    differ: int = 0
    reshaped: int = 0
    labelled_alike: int = 0
    only_copy_wrong: int = 0
    only_first_wrong: int = 0
    example: str = ""


class Join:
    """What one transaction does for one service. at_s: now, never before the last arrival's."""

    def __init__(self, database: sqlite3.Connection, wish: Wish, at_s: int, waiting: int) -> None:
        self._do = database.execute
        self._wish, self._service, self._at_s = wish, wish.service, at_s
        self._waiting = waiting
        self._pairs: dict[RevisionId, Counted] = {}
        self._classes: Counter[tuple[RevisionId, str]] = Counter()
        self.counts: Counter[str] = Counter()
        """By how much the numbers of `Heard` change."""

    def routed(self, batch: Iterable[Routed]) -> None:
        """Requests that the router logged. One that is known already stays as it is."""
        if not self._wish.labels:
            return
        for one in batch:
            row = (self._service, one.request, one.at_s, one.revision, one.share, one.group, one.unit)
            if self._new("INSERT OR IGNORE INTO requests VALUES (?, ?, ?, ?, ?, ?, ?)", row):
                self.counts["requests"] += 1
                self._try_waiting(one.request)

    def predicted(self, batch: Iterable[Said]) -> Received:
        """Answers that replicas logged, or that were posted for them. What is not kept can not be known twice."""
        keeps, told = self._wish.labels or self._wish.pairs, Counter[str]()
        for one in batch:
            row = (self._service, one.request, one.mirrored, one.revision, self._at_s, written(one.answer))
            if keeps and not self._new("INSERT OR IGNORE INTO predictions VALUES (?, ?, ?, ?, ?, ?)", row):
                told["twice"] += 1
                continue
            told["new"] += 1
            self.counts["predictions"] += keeps
            for name in one.answer.classes:
                key = (one.revision, name)
                room = key in self._classes or len(self._classes) < CLASSES_MAX
                self._classes[key if room else (one.revision, OTHER)] += 1
            if self._wish.pairs:
                self._pair(one)
            if not one.mirrored:
                self._try_waiting(one.request)
        return Received(accepted=told["new"], twice=told["twice"])

    def posted(self, batch: Sequence[Feedback]) -> Received:
        """What was told of answers."""
        if not self._wish.labels:
            return Received(unneeded=len(batch))
        told: Counter[str] = Counter(self._post(one) for one in batch)
        self.counts.update(told)
        return Received(accepted=told["accepted"], waiting=told["waiting"], twice=told["twice"])

    def finish(self) -> None:
        """Write what was counted in this transaction."""
        for copy, of in self._pairs.items():
            body = [copy, of.pairs, of.differ, of.reshaped]
            self._arrive(
                Kind.PAIRS, [*body, of.labelled_alike, of.only_copy_wrong, of.only_first_wrong, of.example]
            )
        if self._classes:
            self._arrive(Kind.CLASSES, [[*key, number] for key, number in self._classes.items()])

    def _post(self, one: Feedback) -> str:
        row = (self._service, one.request, self._at_s, one.wrong, one.label, one.score)
        if not self._new("INSERT OR IGNORE INTO labels VALUES (?, ?, ?, ?, ?, ?, 0)", row):
            return "twice"
        if one.label is not None and self._wish.pairs:
            self._label_pairs(one.request, one.label)
        if not self._resolve(one, self._at_s):
            self._waiting += 1
            return "waiting"
        return "accepted"

    def _try_waiting(self, request: str) -> None:
        """Join a label that came before what it tells of."""
        if not self._waiting:
            return
        rows = self._do(
            "SELECT wrong, label, score, at FROM labels WHERE service = ? AND id = ? AND done = 0",
            (self._service, request),
        ).fetchall()
        for wrong, label, score, at in rows:
            was = None if wrong is None else bool(wrong)
            if self._resolve(Feedback(request=request, wrong=was, label=label, score=score), at):
                self._waiting -= 1
                self.counts["waiting"] -= 1
                self.counts["accepted"] += 1

    def _resolve(self, told: Feedback, posted_s: int) -> bool:
        """Let a label arrive if all is known that it needs."""
        key = (self._service, told.request)
        request = self._do(
            "SELECT at, revision, share, caller, unit FROM requests WHERE service = ? AND id = ?", key
        ).fetchone()
        if request is None:
            return False
        answered_s, revision, share, caller, unit = request
        answer = self._original(told.request, revision) if told.label is not None else None
        if told.label is not None and answer is None and (told.wrong is None or self._wish.positive):
            return False
        claim = answer.claim if answer else None
        wrong = told.wrong
        if wrong is None and told.label is not None and claim is not None:
            wrong = claim != told.label
        self._do("UPDATE labels SET done = 1 WHERE service = ? AND id = ?", key)
        if wrong is None and told.score is None:
            self.counts["unusable"] += 1
            return True
        too_late, truth, score = posted_s - answered_s > self._wish.mature_s(), told.label, told.score
        self.counts["late"] += too_late
        if unit and not too_late:
            if wrong is not None and not self._first(unit, "label"):
                wrong, truth, claim = None, None, None
            if score is not None and not self._first(unit, "score"):
                score = None
            if wrong is None and score is None:
                self.counts["same_caller"] += 1
                return True
        self._arrive(Kind.LABEL, [posted_s, answered_s, revision, share, caller, wrong, truth, claim, score])
        return True

    def _first(self, unit: str, told: str) -> bool:
        """Whether nothing of this kind was told of a caller before.

        It was callers who were drawn to sides. One who is answered wrongly again and again is one event and not many.
        """
        row = (self._service, unit, TOLD.index(told), self._at_s)
        return self._new("INSERT OR IGNORE INTO units VALUES (?, ?, ?, ?)", row)

    def _original(self, request: str, revision: str) -> Answer | None:
        """What the caller was answered, by the replica that the router sent it to."""
        row = self._do(
            "SELECT answer FROM predictions WHERE service = ? AND id = ? AND mirrored = 0 AND revision = ?",
            (self._service, request, revision),
        ).fetchone()
        return kept(row[0]) if row else None

    def _pair(self, said: Said) -> None:
        """Compare an answer with those on the other side of the mirror that are there already."""
        rows = self._do(
            "SELECT revision, answer FROM predictions WHERE service = ? AND id = ? AND mirrored = ?",
            (self._service, said.request, not said.mirrored),
        ).fetchall()
        if not rows:
            return
        label = self._do(
            "SELECT label FROM labels WHERE service = ? AND id = ?", (self._service, said.request)
        ).fetchone()
        for revision, text in rows:
            other = (RevisionId(revision), kept(text))
            mine = (said.revision, said.answer)
            (first, answer), (copy, copied) = (other, mine) if said.mirrored else (mine, other)
            self._compare(said.request, first, answer, copy, copied)
            if label and label[0] is not None:
                self._judge(first, answer, copy, copied, label[0])

    def _compare(
        self, request: str, first: RevisionId, answer: Answer, copy: RevisionId, copied: Answer
    ) -> None:
        tolerance = self._wish.tolerance(first)
        if tolerance is None:
            return
        found = likeness(answer, copied, tolerance)
        count = self._pairs.setdefault(copy, Counted())
        count.pairs += 1
        count.reshaped += found is Likeness.RESHAPED
        count.differ += found is not Likeness.ALIKE
        if found is not Likeness.ALIKE and not count.example:
            what = (
                (answer.shape, copied.shape) if found is Likeness.RESHAPED else (shown(answer), shown(copied))
            )
            count.example = f"request {request[:64]}: {what[0]}, and the copy {what[1]}"

    def _label_pairs(self, request: str, label: str) -> None:
        """Judge the pairs of a request whose label comes after both answers."""
        rows = self._do(
            "SELECT mirrored, revision, answer FROM predictions WHERE service = ? AND id = ?",
            (self._service, request),
        ).fetchall()
        firsts = [(RevisionId(revision), kept(text)) for mirrored, revision, text in rows if not mirrored]
        copies = [(RevisionId(revision), kept(text)) for mirrored, revision, text in rows if mirrored]
        for first, answer in firsts:
            for copy, copied in copies:
                self._judge(first, answer, copy, copied, label)

    def _judge(self, first: RevisionId, answer: Answer, copy: RevisionId, copied: Answer, label: str) -> None:
        """Which of two answers was right. Only a label tells that of both; and both must name one class."""
        if self._wish.tolerance(first) is None or answer.claim is None or copied.claim is None:
            return
        right, copy_right = answer.claim == label, copied.claim == label
        count = self._pairs.setdefault(copy, Counted())
        count.labelled_alike += right == copy_right
        count.only_copy_wrong += right and not copy_right
        count.only_first_wrong += copy_right and not right

    def _arrive(self, kind: Kind, body: list[Any]) -> None:
        self._do(
            "INSERT INTO arrivals (service, at, kind, body) VALUES (?, ?, ?, ?)",
            (self._service, self._at_s, kind, json.dumps(body)),
        )

    def _new(self, statement: str, row: tuple[Any, ...]) -> bool:
        return self._do(statement, row).rowcount == 1
