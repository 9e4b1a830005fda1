"""The API: who may open it, what it refuses, and that nothing but its socket is needed."""

import asyncio
import hashlib
import json
import os
import socket
import stat
import threading

import pytest
from doors_given import Unix, ask, post

from celadon.doors.api.serve import peer_uid

pytestmark = pytest.mark.e2e


@pytest.fixture
def relay(up):
    """A socket elsewhere that is forwarded to the daemon's, as `ssh -L` does it."""
    forwarded = up.folder / "elsewhere.sock"
    loop = asyncio.new_event_loop()

    async def copy(reader, writer):
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def forward(reader, writer):
        there_reader, there_writer = await asyncio.open_unix_connection(up.socket)
        await asyncio.gather(copy(reader, there_writer), copy(there_reader, writer))

    server = loop.run_until_complete(asyncio.start_unix_server(forward, forwarded))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield forwarded

    async def close():
        server.close()
        mine = asyncio.current_task()
        others = [task for task in asyncio.all_tasks() if task is not mine]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    asyncio.run_coroutine_threadsafe(close(), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def test_the_socket_and_its_folder_are_their_owners_alone(up):
    assert stat.S_IMODE(up.socket.stat().st_mode) == 0o600
    assert stat.S_IMODE(up.path.stat().st_mode) == 0o700
    assert stat.S_IMODE((up.path / "daemon.log").stat().st_mode) == 0o600


def test_a_stale_socket_of_a_killed_daemon_is_replaced(home):
    home.path.mkdir(mode=0o755)
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(home.socket))
    stale.close()
    home.done("up")
    assert stat.S_IMODE(home.socket.stat().st_mode) == 0o600
    assert stat.S_IMODE(home.path.stat().st_mode) == 0o700


def test_up_twice_leaves_the_first_daemon_alone(up):
    first = up.asked("up")
    assert first["started"] is False
    second = up.run("up", "--foreground")
    assert second.returncode == 4
    assert "another daemon" in second.stderr
    assert up.asked("up")["pid"] == first["pid"]


def test_up_says_what_a_reboot_ends_and_how_to_change_that(home):
    told = home.done("up")
    assert "After a reboot nothing is served until `celadon up` has run again" in told
    assert f"--home {home.path} up" in told


def test_a_home_that_is_too_long_for_a_socket_is_refused_with_the_daemons_own_words(home):
    ran = home.run("--home", str(home.folder / ("long" * 30)), "up")
    assert ran.returncode == 4
    assert "choose a shorter folder with --home" in ran.stderr


def test_a_service_is_deployed_through_a_forwarded_socket_alone(up, relay):
    spec = up.service()
    ran = up.run("--socket", str(relay), "deploy", "-f", spec, CELADON_HOME=str(up.folder / "nothing-here"))
    assert ran.returncode == 0, (ran.stdout, ran.stderr)
    assert post(up.url()) == 200
    assert "score" in up.run("--socket", str(relay), "status").stdout
    assert up.run("--socket", str(relay), "up").returncode == 1


def test_errors_have_one_shape_and_a_status_of_their_own(up):
    up.done("deploy", "-f", up.service())
    status, body = ask(up.socket, "GET", "/v1/services/nothing")
    assert (status, body["error"]["kind"], body["error"]["fault"]) == (404, "unknown", None)
    assert body["error"]["problems"][0]["hint"] == "services here: score"
    status, body = ask(up.socket, "POST", "/v1/services/score/commands", {"command": "promote"})
    assert (status, body["error"]["kind"]) == (409, "refused")
    status, body = ask(up.socket, "POST", "/v1/services/score/commands", {"command": "explode"})
    assert (status, body["error"]["problems"][0]["path"]) == (422, "command")
    status, body = ask(up.socket, "POST", "/v1/deploy", b"{")
    assert (status, body["error"]["problems"][0]["path"]) == (422, "body")
    status, body = ask(up.socket, "POST", "/v1/deploy", {"documents": []})
    assert (status, body["error"]["problems"][0]["path"]) == (422, "sources")
    status, body = ask(up.socket, "GET", "/v1/no-such-path")
    assert (status, body["error"]["problems"][0]["path"]) == (404, "/v1/no-such-path")


def test_a_blob_is_taken_only_under_its_own_digest(up):
    digest = f"sha256:{hashlib.sha256(b'right').hexdigest()}"
    assert ask(up.socket, "HEAD", f"/v1/blobs/{digest}")[0] == 404
    status, body = ask(up.socket, "PUT", f"/v1/blobs/{digest}", b"wrong")
    assert (status, body["error"]["kind"]) == (422, "problems")
    assert ask(up.socket, "PUT", f"/v1/blobs/{digest}", b"right")[0] == 201
    assert ask(up.socket, "HEAD", f"/v1/blobs/{digest}")[0] == 200
    assert ask(up.socket, "PUT", "/v1/blobs/..%2f..%2fjournal.db", b"x")[0] in {404, 422}


def test_a_deploy_whose_sources_were_not_sent_starts_nothing(up):
    document = {
        "apiVersion": "celadon.dev/v1alpha1",
        "kind": "ModelService",
        "metadata": {"name": "score"},
        "spec": {"model": "./score.onnx", "route": {"port": 1}},
    }
    asked = {"documents": [document], "sources": [{"model": "sha256:" + "0" * 64}]}
    status, body = ask(up.socket, "POST", "/v1/deploy", asked)
    assert (status, body["error"]["problems"][0]["path"]) == (422, "sources/0/model")
    assert ask(up.socket, "GET", "/v1/services")[1] == {"services": []}


def test_a_route_that_another_service_has_is_refused_with_code_6(up):
    up.done("deploy", "-f", up.service("one"))
    two = up.work / up.service("two")
    port, preview = up.ports("one")
    two.write_text(
        (up.work / "one.yaml").read_text().replace("name: one", "name: two").replace(str(preview), "1234")
    )
    ran = up.run("deploy", "-f", two.name)
    assert ran.returncode == 6, (ran.stdout, ran.stderr)
    assert "spec/route: service one has this route already" in ran.stderr
    assert str(port) in ran.stderr
    assert [view["service"] for view in up.asked("status")["services"]] == ["one"]


def test_a_secret_is_nowhere_to_be_read(up):
    secret = "hunter2-hunter2-hunter2"
    (up.folder / "secret").write_text(secret)
    spec = up.work / up.service()
    text = spec.read_text()
    text = text.replace("  ready:", f"  secrets: {{TOKEN: {{file: {up.folder / 'secret'}}}}}\n  ready:")
    spec.write_text(text)
    said = up.done("plan", "-f", spec.name) + up.done("deploy", "-f", spec.name)
    for command in (["status", "score"], ["why", "score-1"], ["history", "score"], ["logs", "score"]):
        said += up.done(*command) + json.dumps(
            up.asked(*command) if command[0] != "logs" else up.done(*command, "--output", "json")
        )
    up.done("export", "score", "out")
    said += "".join(path.read_text() for path in (up.work / "out").iterdir())
    said += (up.path / "daemon.log").read_text() + (up.path / "journal.db").read_bytes().decode("latin-1")
    said += (up.path / "journal.db-wal").read_bytes().decode("latin-1")
    assert "TOKEN" in said
    assert secret not in said


def test_whoever_asks_why_of_a_drill_is_shown_where_drills_are_told(up):
    told = up.run("why", "drill-2")
    assert told.returncode == 1
    assert "is the name of a drill" in told.stderr
    assert "celadon drill history SERVICE" in told.stderr


def test_the_kernel_says_who_is_on_the_other_side():
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    with ours, theirs:
        assert peer_uid(ours) == os.geteuid()


def test_many_changes_come_in_few_frames_and_no_decision_is_left_out(up):
    up.done("deploy", "-f", up.service())
    records = up.asked("why", "score-1")["decisions"]
    connection = Unix(up.socket)
    connection.request("GET", "/v1/watch?service=score&after=0")
    frame = json.loads(connection.getresponse().readline())
    connection.close()
    told = [decision["seq"] for decision in frame["decisions"]]
    assert list(dict.fromkeys(told)) == list(range(1, told[-1] + 1))
    assert {decision["seq"] for decision in records} <= set(told)
