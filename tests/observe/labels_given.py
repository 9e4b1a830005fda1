"""Labels over a real file in a folder, with a clock of the test's own."""

import json

from celadon.domain.compare import Compare, LabelMargin, Margin, PairMargin, ScoreMargin
from celadon.domain.facts import Known
from celadon.domain.feedback import Feedback, Interest, Routed
from celadon.domain.names import RevisionId, ServiceKey
from celadon.observe.labels import SqliteLabels

DIGITS = ServiceKey(name="digits")
BLUE, GREEN = RevisionId("b" * 12), RevisionId("e" * 12)
WRONG = LabelMargin(wrong=Margin(), mature_s=3600.0)
COMPARE = Compare(labels=WRONG, score=ScoreMargin(), pairs=PairMargin())


def interest(compare=COMPARE, *, began_at=900.0, ended_at=None, blue=BLUE):
    return Interest(compare=compare, blue=blue, began_at=began_at, ended_at=ended_at)


def routed(request, revision=GREEN, at_s=1000, share=500, group="", unit=""):
    return Routed(request=request, at_s=at_s, revision=revision, share=share, group=group, unit=unit)


class Home:
    """One daemon's labels. `at` is its clock; whatever `read` gave is behind its cursor."""

    def __init__(self, folder, at=1000.0):
        self.folder, self.at = folder, at
        self.cursor = ()
        self.labels = None

    def open(self, *interests):
        self.labels = SqliteLabels(self.folder, lambda: self.at)
        self.labels.start()
        self.follow(*interests or (interest(),))
        return self

    async def close(self):
        await self.labels.close()

    def follow(self, *interests):
        self.interests = interests
        self.labels.follow(DIGITS, interests)
        self.settle()

    def route(self, *requests):
        self.labels.routed(DIGITS, requests)

    def predict(self, request, answer, revision=GREEN, *, mirrored=False, index=0):
        """A line of a replica's own file."""
        folder = self.folder / "predictions"
        folder.mkdir(exist_ok=True)
        line = {"id": request, "answer": answer, "mirrored": mirrored, "share": 500, "at": 1.5, "group": ""}
        with (folder / f"default.digits.{revision}.{index}.jsonl").open("a") as file:
            file.write(json.dumps(line) + "\n")

    def post(self, *feedback):
        return self.labels.post(DIGITS, feedback)

    def tell(self, request, **what):
        return self.post(Feedback(request=request, **what))

    def settle(self):
        """Every file is read behind a job, so all that was there before is joined after the second one."""
        self.post()
        self.post()

    def read(self):
        """What came since the last reading, for the first interest."""
        self.settle()
        known = self.labels.samples(DIGITS, self.cursor, self.interests[0])
        assert isinstance(known, Known), known
        assert known.value.cursor_from == self.cursor
        self.cursor = known.value.cursor_to
        return known.value

    @property
    def heard(self):
        return self.labels.heard(DIGITS)
