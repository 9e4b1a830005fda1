"""Stories as people live them: commands in, transcripts out, against a real daemon, real replicas and a real Envoy."""

import re
import signal

import pytest
from doors_given import post, traffic, until

pytestmark = pytest.mark.e2e


def transcript(text):
    """What was written, with what differs between runs replaced by its kind."""
    text = re.sub(r"\d\d:\d\d:\d\d ", "TIME ", text)
    text = re.sub(r"\b[0-9a-f]{12}\b", "REVISION", text)
    text = re.sub(r"\d+ answers, (\d+) errors, p95 [^:;]*", r"N answers, \1 errors, p95 L", text)
    text = re.sub(
        r"\d+ of green's \d+ answers were errors: [0-9.]+ %", "N of green's N answers were errors: P %", text
    )
    return re.sub(r" {2,}", " ", text)


def phases(text):
    return re.findall(
        r"^TIME (\S+) (preparing|proving|waiting|moving|watching|holding|rolling back|ended) ",
        text,
        re.MULTILINE,
    )


def test_the_first_release_ends_promoted_and_is_told_line_by_line(up):
    ran = up.run("deploy", "-f", up.service())
    assert (ran.returncode, ran.stderr) == (0, "")
    told = transcript(ran.stdout)
    assert told.startswith("sending 3 files, ")
    assert "score\n change releases revision REVISION over nothing\n" in told
    assert "score-1 accepted: revision REVISION\nTIME score-1 - asked: deploy\n" in told
    met = [phase for _, phase in phases(told)]
    assert list(dict.fromkeys(met))[:3] == ["preparing", "proving", "moving"]
    assert met[-1] == "ended"
    assert told.splitlines()[-1].startswith("score-1 promoted: ")
    assert post(up.url()) == 200


def test_a_better_revision_is_promoted_after_its_watch_and_a_rollback_takes_it_back(up):
    up.done("deploy", "-f", up.service())
    first = up.asked("status")["services"][0]["live"]
    with traffic(up.url()) as statuses:
        ran = up.run("deploy", "-f", up.service(score=2), "--label", "commit=abc")
        assert ran.returncode == 0, (ran.stdout, ran.stderr)
        assert "watching" in [phase for _, phase in phases(transcript(ran.stdout))]
        back = up.run("rollback", "score")
    assert back.returncode == 0, (back.stdout, back.stderr)
    assert up.asked("status")["services"][0]["live"] == first
    assert set(statuses) == {200}
    releases = up.asked("history", "score")["releases"]
    assert [r["outcome"] for r in releases] == ["promoted", "promoted", "promoted"]
    assert [r["way_back"] for r in releases] == [False, False, True]
    assert releases[1]["labels"] == {"commit": "abc"}


def test_a_revision_that_fails_requests_is_taken_back_with_exit_code_2(up):
    up.done("deploy", "-f", up.service())
    blue = up.asked("status")["services"][0]["live"]
    with traffic(up.url()):
        ran = up.run("deploy", "-f", up.service(score=3, fails=True))
    assert ran.returncode == 2, (ran.stdout, ran.stderr)
    told = transcript(ran.stdout)
    assert [phase for _, phase in phases(told)][-2:] == ["rolling back", "ended"]
    assert "score-2 rolled back: " in told
    assert up.asked("status")["services"][0]["live"] == blue
    why = up.done("why", "score-2")
    assert "N of green's N answers were errors: P %, limit 5 %" in transcript(why)
    assert "evidence: " in why


def test_a_server_that_ends_at_once_is_refused_before_any_traffic_with_its_own_words(up):
    up.done("deploy", "-f", up.service())
    ran = up.run("deploy", "-f", up.service(dies=True))
    assert ran.returncode == 2, (ran.stdout, ran.stderr)
    assert "no licence for today" in ran.stdout
    assert "moving" not in ran.stdout
    assert post(up.url()) == 200


def test_a_wrong_golden_answer_is_refused_before_any_traffic(up):
    up.done("deploy", "-f", up.service())
    ran = up.run("deploy", "-f", up.service(score=100))
    assert ran.returncode == 2, (ran.stdout, ran.stderr)
    assert "green answered 1 of 1 golden requests wrongly" in ran.stdout
    assert "moving" not in ran.stdout


def test_a_gate_returns_to_the_pipeline_with_exit_code_3_and_a_person_opens_it(up):
    ran = up.run("deploy", "-f", up.service(gate=True))
    assert ran.returncode == 3, (ran.stdout, ran.stderr)
    assert "score-1 is waiting: waits for a person: promote or abort" in ran.stdout
    assert "next: celadon promote score   or: celadon abort score" in ran.stdout
    assert "a person opened the gate" in up.done("promote", "score")
    until(lambda: up.asked("status")["services"][0]["live"])


def test_an_abort_by_a_person_ends_the_pipeline_with_exit_code_7(up):
    up.done("deploy", "-f", up.service())
    with traffic(up.url()):
        spec = up.service(score=2, deadline=600)
        text = (up.work / spec).read_text().replace("seconds: 1,", "seconds: 300,")
        (up.work / spec).write_text(text)
        follower = up.start("deploy", "-f", spec)
        until(lambda: (up.asked("status")["services"][0]["release"] or {}).get("phase") == "watching")
        assert "paused by a person" in up.done("pause", "score")
        said, _ = follower.communicate(timeout=20)
        assert follower.returncode == 3, said
        assert "score-2 is paused" in said
        assert "resumed by a person" in up.done("resume", "score")
        follower = up.start("rollback", "score")
        said, _ = follower.communicate(timeout=30)
    assert follower.returncode == 0, said
    release = up.asked("history", "score")["releases"][1]
    assert (release["outcome"], release["cause"]) == ("rolled_back", "person")


def test_ctrl_c_leaves_the_release_alone(up):
    up.done("deploy", "-f", up.service())
    follower = up.start("deploy", "-f", up.service(score=2))
    until(lambda: (up.asked("status")["services"][0]["release"] or {}).get("phase") == "watching")
    follower.send_signal(signal.SIGINT)
    said, errors = follower.communicate(timeout=20)
    assert follower.returncode == 3, (said, errors)
    assert errors == (
        "score-2 goes on by itself; follow it: celadon watch score   take it back: celadon abort score\n"
    )
    with traffic(up.url()):
        until(lambda: up.asked("status")["services"][0]["release"] is None)
    assert up.asked("history", "score")["releases"][1]["outcome"] == "promoted"


def test_whoever_deploys_without_traffic_is_told_what_to_do(up):
    up.done("deploy", "-f", up.service())
    follower = up.start("deploy", "-f", up.service(score=2))
    told = [next(line for line in follower.stdout if "too little traffic" in line)]
    told += [follower.stdout.readline().strip() for _ in range(2)]
    assert told[1:] == [
        f"send requests to {up.url().removesuffix('score')}",
        "or decide: celadon promote score   or: celadon abort score",
    ]
    assert f"next       {told[1]}" in up.done("status", "score")
    assert "score-2 releases revision" in up.done("deploy", "-f", up.service(score=2), "--detach")
    up.done("promote", "score")
    said, errors = follower.communicate(timeout=20)
    assert follower.returncode == 0, (said, errors)


def test_a_release_is_followed_across_a_restart_of_the_daemon(up):
    up.done("deploy", "-f", up.service())
    with traffic(up.url()) as statuses:
        follower = up.start("deploy", "-f", up.service(score=2))
        told = next(line for line in follower.stdout if "watching" in line)
        up.done("stop")
        up.done("up")
        said, errors = follower.communicate(timeout=30)
    assert follower.returncode == 0, (told, said, errors)
    assert "the daemon does not answer" in said
    assert "score-2 promoted" in said
    assert set(statuses) == {200}


def test_deploying_what_is_live_changes_nothing(up):
    spec = up.service()
    up.done("deploy", "-f", spec)
    again = up.done("deploy", "-f", spec)
    assert "nothing to do" in again
    assert len(up.asked("history", "score")["releases"]) == 1


def test_settings_change_without_a_release_and_plan_says_so_before(up):
    spec = up.service()
    up.done("deploy", "-f", spec)
    path = up.work / spec
    path.write_text(path.read_text().replace("drainSeconds: 2", "drainSeconds: 3"))
    planned = up.asked("plan", "-f", spec)["services"][0]["difference"]
    assert (planned["releases"], planned["changes"]) == (
        False,
        [{"path": "spec/drainSeconds", "before": 2.0, "after": 3.0}],
    )
    assert "its settings change without a release" in up.done("deploy", "-f", spec)


def test_two_services_of_one_file_are_followed_together(up):
    one, two = up.service("one"), up.service("two")
    both = up.work / "both.yaml"
    both.write_text((up.work / one).read_text() + "---\n" + (up.work / two).read_text())
    told = up.done("deploy", "-f", "both.yaml")
    assert "one-1 promoted" in told
    assert "two-1 promoted" in told
    assert up.done("status").splitlines()[0].split() == [
        "SERVICE",
        "STATE",
        "LIVE",
        "READY",
        "ROUTE",
        "LATELY",
    ]
    assert "one is gone" in up.done("remove", "one", "--yes")
    assert [view["service"] for view in up.asked("status")["services"]] == ["two"]
    assert post(up.url("two")) == 200


def test_the_daemon_stops_alone_and_down_takes_everything(up):
    up.done("deploy", "-f", up.service())
    watcher = up.start("watch")
    assert watcher.stdout.readline().startswith("score")
    assert "traffic lives on" in up.done("stop")
    watcher.communicate(timeout=10)
    assert watcher.returncode == 0
    assert post(up.url()) == 200
    assert "started" in up.done("up")
    assert up.asked("status")["services"][0]["service"] == "score"
    assert up.run("down", stdin="n\n").returncode == 7
    assert post(up.url()) == 200
    assert "down: 1 service removed" in up.done("down", "--yes")
    with pytest.raises(OSError, match="refused"):
        post(up.url())


def test_logs_say_which_replica_said_what(up):
    up.done("deploy", "-f", up.service())
    lines = up.done("logs", "score").splitlines()
    assert re.match(r"\S+Z [0-9a-f]{12}/0 out serving \{'score': 1\}", lines[0])
    follower = up.start("logs", "score", "-f", "--since", "1h")
    assert "serving" in follower.stdout.readline()
    follower.send_signal(signal.SIGINT)
    follower.communicate(timeout=10)
    assert follower.returncode == 0


def test_what_is_exported_runs_the_service_without_celadon(up):
    up.done("deploy", "-f", up.service())
    up.done("export", "score", "way-out")
    again = up.run("export", "score", "way-out")
    assert (again.returncode, again.stderr.count("is there already")) == (1, 3)
    up.done("down", "--yes")
    script = up.begin("./way-out/run.sh")
    until(lambda: answers(up.url()))
    script.send_signal(signal.SIGTERM)
    script.communicate(timeout=20)
    until(lambda: not answers(up.url()))


def answers(url):
    try:
        return post(url) == 200
    except OSError:
        return False


def test_a_removed_service_keeps_its_history_across_a_restart(up):
    up.done("deploy", "-f", up.service())
    up.done("remove", "default/score", "--yes")
    up.done("stop")
    up.done("up")
    assert "no services yet" in up.done("status")
    assert [r["outcome"] for r in up.asked("history", "score")["releases"]] == ["promoted"]
    assert "asked: remove" not in up.done("why", "score-1")
    up.done("deploy", "-f", up.service())
    assert [r["release"] for r in up.asked("history", "score")["releases"]] == ["score-1", "score-2"]


def test_a_second_envoy_comes_and_goes_and_the_home_remembers_how_many_there_are(up):
    up.done("deploy", "-f", up.service())
    refused = up.run("up", "--proxies", "2")
    assert refused.returncode == 1
    assert "the daemon runs already, with 1 Envoy" in refused.stderr
    with traffic(up.url()) as statuses:
        up.done("stop")
        assert up.asked("up", "--proxies", "2")["proxies"] == {"wanted": 2, "running": 2}
        assert "2 of 2 Envoys run\n" in up.done("status")
        up.done("stop")
        up.done("up")
        assert up.asked("status")["proxies"] == {"wanted": 2, "running": 2}
        up.done("stop")
        up.done("up", "--proxies", "1")
        until(lambda: not (up.path / "envoy" / "1").exists())
        assert "Envoys run" not in up.done("status")
    assert set(statuses) == {200}
    assert post(up.url()) == 200
