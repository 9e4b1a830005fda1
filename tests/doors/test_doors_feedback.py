"""Feedback through a real daemon: joined with what Envoy routed and replicas predicted, and nothing of it lost."""

import http.client
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from doors_given import SERVER, Home, ask, until

pytestmark = pytest.mark.e2e

PREDICTS = SERVER.replace(
    "        fails = told",
    """        if "x-celadon-share" in self.headers:
            line = {"id": self.headers["x-request-id"], "answer": told["score"]}
            line["mirrored"] = "x-celadon-mirrored" in self.headers
            with open(os.environ["CELADON_PREDICTIONS"], "a") as file:
                file.write(json.dumps(line) + chr(10))
        fails = told""",
)
SHADOW = """\
    strategy: {shadow: {percent: 100, seconds: 600}}
"""
SPLIT = """\
    strategy: {canary: {stages: [{percent: 50, seconds: 600}, {percent: 100, seconds: 60}]}}
    judge: {labels: {}, scores: {}}
"""


@pytest.fixture(scope="module")
def split():
    """A daemon in the middle of a release: score 1 is blue, score 2 is green, and half of the requests go to each."""
    home = Home(Path(tempfile.mkdtemp(prefix="cel-")))
    home.done("up")
    deploy_both(home, SPLIT)
    yield home
    home.end()


def deploy_both(up, strategy):
    """Score 1 is blue and score 2 is green."""
    for score, more in ((1, ()), (2, ("--detach",))):
        spec = up.work / up.service(score=score, deadline=600)
        (up.work / "score-files" / "server.py").write_text(PREDICTS)
        spec.write_text(spec.read_text() + strategy)
        up.done("deploy", "-f", spec.name, *more)
    until(lambda: 50.0 in shares(up) if strategy is SPLIT else copies(up))


def view(up):
    return ask(up.socket, "GET", "/v1/services/score")[1]


def shares(up):
    return [part["share_percent"] for part in view(up)["route"]["confirmed"] or ()]


def copies(up):
    return any(group["mirrors"] for group in view(up)["route"]["groups"] or ())


def answered(up, requests):
    """Send requests under these ids; what was answered to each."""
    connection, found = http.client.HTTPConnection("127.0.0.1", up.ports("score")[0], timeout=10), {}
    for request in requests:
        connection.request("POST", "/score", b"{}", {"x-request-id": request})
        answer = connection.getresponse()
        assert answer.headers["x-request-id"] == request
        found[request] = json.loads(answer.read())["score"]
    connection.close()
    return found


def finding(up, metric):
    judged = view(up)["judged"]
    return next((one for one in judged["findings"] if one["metric"] == metric), None) if judged else None


def write(up, name, *lines):
    (up.work / name).write_text("".join(f"{line}\n" for line in lines))
    return name


def test_wrong_lines_are_told_by_number_and_cost_no_other(split):
    name = write(
        split,
        "some.jsonl",
        '{"id": "a", "wrong": true}',
        "nonsense",
        "",
        '{"id": "b", "score": 1.5}',
        '{"id": "b c", "score": 1}',
        '{"id": "d"}',
        '{"id": "e", "label": "x", "note": 1}',
        '{"id": "f", "label": false}',
        "[1]",
    )
    ran = split.run("feedback", name, "--service", "score")
    assert ran.returncode == 1
    assert ran.stdout == "score: 2 wait until their request is known, 6 wrong\n"
    numbered = dict(line.split(": ", 1) for line in ran.stderr.splitlines())
    assert list(numbered) == [f"line {number}" for number in (2, 4, 5, 6, 7, 9)]
    assert "is not JSON" in numbered["line 2"]
    assert numbered["line 4"] == "`score` must be a number from 0 to 1"
    assert numbered["line 6"] == "has none of `wrong`, `label` and `score`"
    assert numbered["line 7"] == "has `note`, which is not known"
    told = json.loads(split.run("feedback", name, "--output", "json").stdout)
    assert (told["twice"], told["waiting"], told["refused"], len(told["problems"])) == (2, 0, 6, 6)


def test_a_csv_file_and_a_pipe_are_read_too(split):
    name = write(split, "labels.csv", "id,label,wrong,score", "csv-a,3,,", "csv-b,,TRUE,0.5", "csv-c,,,high")
    ran = split.run("feedback", name)
    assert (ran.returncode, ran.stdout) == (1, "score: 2 wait until their request is known, 1 wrong\n")
    assert ran.stderr == "line 4: `score` must be a number from 0 to 1\n"
    told = split.done(
        "feedback", "-", stdin='{"id": "csv-b", "wrong": false}\n{"id": "csv-x", "wrong": true}'
    )
    expected = "score: 1 wait until their request is known, 1 were there before, and the first stays\n"
    assert told == expected
    nameless = split.run("feedback", write(split, "nameless.csv", "request,label", "a,3"))
    assert nameless.returncode == 1
    assert "names no column `id`" in nameless.stderr


def test_a_pipe_is_read_as_its_lines_come(split):
    command = [sys.executable, "-m", "celadon", "feedback", "-"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    # What an earlier test posted is counted once a tick has looked again.
    asked_at = time.time()
    before = until(lambda: (seen := view(split))["at"] > asked_at and seen)["feedback"]["waiting"]
    with subprocess.Popen(command, env=split.environment(), **pipes) as process:
        process.stdin.write('{"id": "live", "wrong": true}\n')
        process.stdin.flush()
        until(lambda: view(split)["feedback"]["waiting"] == before + 1)
        assert process.poll() is None
        assert process.communicate()[0] == "score: 1 wait until their request is known\n"


def test_feedback_on_what_is_not_compared_or_not_there_is_said(up):
    up.done("deploy", "-f", up.service())
    told = up.done("feedback", write(up, "one.jsonl", '{"id": "a", "wrong": true}'))
    assert told == "score: 1 not needed, since no release compares by labels or scores now\n"
    assert view(up)["feedback"] is None
    assert ask(up.socket, "POST", "/v1/services/nobody/feedback", [])[0] == 404
    assert up.run("feedback", "one.jsonl", "-s", "nobody").returncode == 1
    assert up.run("feedback", "missing.jsonl").returncode == 1
    status, body = ask(up.socket, "POST", "/v1/services/score/feedback", b"[" + b" " * 5_000_000 + b"]")
    assert (status, body["error"]["problems"][0]["hint"]) == (422, "send it in several parts")
    status, body = ask(up.socket, "POST", "/v1/services/score/feedback", b"3")
    assert (status, body["error"]["problems"][0]["path"]) == (422, "body")
    up.done("deploy", "-f", up.service("other"))
    which = up.run("feedback", "one.jsonl")
    assert (which.returncode, "services here: other, score" in which.stderr) == (1, True)


def test_predictions_can_be_posted_by_replicas_that_write_no_file(split):
    green = view(split)["release"]["green"]
    path = "/v1/services/score/predictions"
    good = {"id": "p-1", "answer": {"class": "cat"}, "revision": green}
    bad = [{**good, "answer": {}}, {**good, "revision": "other"}, {"id": "p-2", "revision": green}]
    status, told = ask(split.socket, "POST", path, {"predictions": [good, good, *bad]})
    assert (status, told["accepted"], told["twice"], told["refused"]) == (200, 1, 1, 3)
    assert [problem["path"] for problem in told["problems"]] == [f"predictions/{n}" for n in (2, 3, 4)]


def test_labels_and_scores_of_a_release_are_joined_with_its_answers(split):
    before = view(split)["feedback"]
    early = ask(split.socket, "POST", "/v1/services/score/feedback", [{"id": "q-0", "label": 1}])
    assert early[1] == {
        "accepted": 0, "waiting": 1, "twice": 0, "unneeded": 0, "refused": 0, "problems": []
    }  # fmt: skip
    said = answered(split, [f"q-{number}" for number in range(60)])
    assert set(said.values()) == {1, 2}
    lines = [json.dumps({"id": request, "label": 1, "score": 0.5}) for request in said]
    told = split.asked("feedback", write(split, "labels.jsonl", *lines))
    assert (told["twice"], told["refused"], told["lines"]) == (1, 0, 60)
    until(lambda: view(split)["feedback"]["accepted"] == before["accepted"] + 60)
    assert view(split)["feedback"]["twice"] == before["twice"] + 1
    green = sum(score == 2 for score in said.values())
    wrong = until(
        lambda: (
            found
            if (found := finding(split, "wrong answers")) and found["green"]["answers"] == green
            else None
        )
    )
    assert wrong["green"]["events"] == green
    assert wrong["blue"] == {"answers": 60 - green, "events": 0}
    assert re.search(
        r"feedback +60 taken, (\d+ wait for their request, )?\d+ came twice", split.done("status", "score")
    )


def test_copies_are_compared_with_their_originals_request_by_request(up):
    deploy_both(up, SHADOW)
    assert set(answered(up, [f"q-{number}" for number in range(30)]).values()) == {1}

    def all_paired():
        found = finding(up, "differing answers")
        return found if found and found["green"]["answers"] == 30 else None

    assert until(all_paired)["green"]["events"] == 30
