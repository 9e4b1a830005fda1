"""What the page on feedback shows is what is read, and its tables name every field."""

import json
import re
from dataclasses import fields
from pathlib import Path

from celadon.domain.feedback import Heard, Received
from celadon.domain.names import RevisionId
from celadon.observe.labels.lines import read_feedback, read_prediction

PAGE = (Path(__file__).parents[2] / "docs" / "feedback.md").read_text()


def shown():
    return [
        [json.loads(line) for line in block.splitlines()]
        for block in re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL)
    ]


def test_every_line_that_is_shown_can_be_read():
    told, predicted = shown()
    assert [read_feedback(line).request for line in told] == [line["id"] for line in told]
    said = [read_prediction(line, RevisionId("a" * 12)) for line in predicted]
    assert [(one.answer.claim, one.mirrored) for one in said] == [("fraud", False), ("ok", True)]


def test_every_number_of_what_became_of_feedback_is_explained():
    names = {field.name for kind in (Heard, Received) for field in fields(kind)}
    assert names <= set(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE))
