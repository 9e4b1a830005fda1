"""What a replica is started with, and what is told when it can not be."""

import http.server
import json
import os
import stat
import sys
import threading

import pytest
from platform_given import (
    SERVER,
    SERVICE,
    alive,
    contents,
    environ,
    facts,
    launch,
    members,
    until,
    until_none,
    until_state,
)

from celadon.domain.facts import ReplicaState
from celadon.domain.launch import Launch
from celadon.domain.names import Digest, ReplicaId, RevisionId
from celadon.domain.problem import LastingFault
from celadon.domain.revision import ModelRuntime, Revision, Secret
from celadon.domain.spec import Resources, SecretEnv, SecretFile, Serving
from celadon.platform.process import secret_digest
from celadon.platform.process.order import command_line
from celadon.platform.process.rundir import run_dirs

READY, EXITED = ReplicaState.READY, ReplicaState.EXITED
DUMPS_ENVIRONMENT = SERVER + (
    "import json; json.dump(dict(os.environ), open('environment', 'w'))\n"
    "http.server.HTTPServer(('127.0.0.1', int(sys.argv[1])), Answer).serve_forever()\n"
)
PRINTS_SECRET = SERVER + (
    "print('connecting with', os.environ['DB_URL'], flush=True)\n"
    "print('x' * 16380 + os.environ['DB_URL'] + 'y' * 20000, file=sys.stderr, flush=True)\n"
    "print('x' * 16380 + os.environ['DB_URL'], end='', file=sys.stderr, flush=True)\n"
    "http.server.HTTPServer(('127.0.0.1', int(sys.argv[1])), Answer).serve_forever()\n"
)


class AlwaysWell(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def work(shop):
    return next(run_dirs(shop.home)).work


def secret(shop, name, source):
    return Secret(name=name, source=source, keyed_digest=secret_digest(shop.home, source))


def test_a_replica_is_told_its_port_and_sees_little_of_the_daemon(workshop, monkeypatch):
    monkeypatch.setenv("OF_THE_DAEMON", "only")

    async def story(shop):
        platform = await shop.platform()
        platform.start(launch(DUMPS_ENVIRONMENT, env=[("LEVEL", "info"), ("PORT", "1")]))
        fact = await until_state(platform, READY)
        seen = json.loads((work(shop) / "environment").read_text())
        assert seen["PORT"] == str(fact.address.port)
        assert seen["LEVEL"] == "info"
        assert seen["PATH"] == os.environ["PATH"]
        assert "OF_THE_DAEMON" not in seen
        (command,) = platform.commands(SERVICE)
        assert command.argv == (sys.executable, "-c", DUMPS_ENVIRONMENT, "{port}")
        assert command.port == fact.address.port
        assert "LEVEL" in command.env

    workshop.run(story)


def test_a_replica_works_on_a_copy_of_its_files(workshop, tmp_path):
    tree = tmp_path / "tree"
    (tree / "deep").mkdir(parents=True)
    (tree / "serve.py").write_text(
        "open('deep/data', 'w').write('changed'); open('new', 'w')\n"
        + SERVER
        + "http.server.HTTPServer(('127.0.0.1', int(os.environ['PORT'])), Answer).serve_forever()\n"
    )
    (tree / "deep" / "data").write_text("verified")
    (tree / "run").write_text(f"#!/bin/sh\nexec {sys.executable} serve.py\n")
    for path, mode in ((tree / "run", 0o555), (tree / "deep" / "data", 0o444), (tree / "deep", 0o555)):
        path.chmod(mode)

    async def story(shop):
        platform = await shop.platform()
        platform.start(launch(command=("./run",), tree=tree))
        fact = await until_state(platform, READY)
        assert (work(shop) / "deep" / "data").read_text() == "changed"
        assert (tree / "deep" / "data").read_text() == "verified"
        assert not (tree / "new").exists()
        platform.stop(fact.id, 5.0)
        await until_none(platform)

    workshop.run(story)


def test_a_failed_start_shows_the_last_lines_of_stderr(workshop):
    script = "import sys\nfor n in range(50): print('line', n, file=sys.stderr)\nsys.exit(3)"

    async def story(shop):
        platform = await shop.platform()
        platform.start(launch(script))
        fact = await until_state(platform, EXITED)
        assert fact.last_exit.code == 3
        assert fact.last_exit.stderr == tuple(f"line {n}" for n in range(30, 50))
        assert fact.last_exit.fault == ""
        platform.stop(fact.id, 1.0)
        await until_none(platform)

    workshop.run(story)


def test_a_command_that_is_not_there_is_named(workshop):
    async def story(shop):
        platform = await shop.platform()
        platform.start(launch(command=("no-such-command", "{port}")))
        fact = await until_state(platform, EXITED)
        assert fact.last_exit.code == 127
        assert "no-such-command" in fact.last_exit.stderr[-1]
        assert "No such file" in fact.last_exit.stderr[-1]

    workshop.run(story)


def test_a_replica_that_takes_another_port_is_told_and_never_ready(workshop):
    script = SERVER + (
        "server = http.server.HTTPServer(('127.0.0.1', 0), Answer)\n"
        "open('port', 'w').write(str(server.server_port))\nserver.serve_forever()\n"
    )

    async def story(shop):
        platform = await shop.platform()
        platform.start(launch(script))
        note = (await until(lambda: facts(platform)[0].notes))[0]
        assert f"listens on port {(work(shop) / 'port').read_text()} and not on" in note
        assert facts(platform)[0].state is ReplicaState.STARTING

    workshop.run(story)


def test_a_stranger_that_answers_on_the_port_is_not_the_replica(workshop):
    script = "import time; time.sleep(600)"

    async def story(shop):
        platform = await shop.platform()
        platform.start(launch(script))
        port = (await until(lambda: facts(platform)[0].address)).port
        with http.server.HTTPServer(("127.0.0.1", port), AlwaysWell) as stranger:
            thread = threading.Thread(target=stranger.serve_forever)
            thread.start()
            note = (await until(lambda: facts(platform)[0].notes))[0]
            stranger.shutdown()
            thread.join()
        assert "answered by another process" in note
        assert facts(platform)[0].state is ReplicaState.STARTING

    workshop.run(story)


def test_a_secret_reaches_the_replica_and_nothing_else(workshop, tmp_path, monkeypatch):
    source = tmp_path / "db"
    source.write_text("postgres://fraud:hunter22@db\n")
    monkeypatch.setenv("TOKEN_OF_DAEMON", "s3cr3t-t0k3n")

    async def story(shop):
        platform = await shop.platform()
        secrets = [
            secret(shop, "DB_URL", SecretFile(file=str(source))),
            secret(shop, "TOKEN", SecretEnv(env="TOKEN_OF_DAEMON")),
        ]
        platform.start(launch(PRINTS_SECRET, secrets=secrets))
        fact = await until_state(platform, READY)
        assert b"DB_URL=postgres://fraud:hunter22@db" in environ(fact.pid)
        assert b"TOKEN=s3cr3t-t0k3n" in environ(fact.pid)
        os.kill(fact.pid, 9)
        ended = await until_state(platform, EXITED)
        log = [line async for _, line in platform.logs(SERVICE)]
        assert any("connecting with [secret]" in line for line in log)
        assert sum(line.count("[secret]") for line in log) == 3
        everything = contents(shop.home)
        for value in (b"hunter22", b"s3cr3t-t0k3n"):
            assert not any(value in content for content in everything)
            assert value.decode() not in str(ended)
        assert stat.S_IMODE((shop.home / "secret.key").stat().st_mode) == 0o600

    workshop.run(story)


def test_a_changed_secret_is_used_and_said(workshop, tmp_path):
    source = tmp_path / "db"
    source.write_text("old-value")

    async def story(shop):
        platform = await shop.platform()
        changed = secret(shop, "DB_URL", SecretFile(file=str(source)))
        source.write_text("new-value")
        platform.start(launch(secrets=[changed]))
        fact = await until_state(platform, READY)
        assert b"DB_URL=new-value" in environ(fact.pid)
        assert "secret DB_URL changed" in fact.notes[0]
        assert "value" not in fact.notes[0].removesuffix("its current value is used")

    workshop.run(story)


def test_a_secret_that_can_not_be_read_is_a_fault_of_the_world(workshop, tmp_path):
    source = tmp_path / "db"
    source.write_text("value")

    async def story(shop):
        platform = await shop.platform()
        gone = secret(shop, "DB_URL", SecretFile(file=str(source)))
        source.unlink()
        platform.start(launch(secrets=[gone]))
        fact = await until_state(platform, EXITED)
        assert str(source) in fact.last_exit.fault
        assert fact.last_exit.code is None
        assert fact.exits == 1
        await platform.close()
        again = await shop.platform()
        assert facts(again)[0].exits == 1
        assert facts(again)[0].last_exit == fact.last_exit

    workshop.run(story)


def test_the_digest_of_a_secret_needs_the_key_of_the_home(tmp_path):
    source = tmp_path / "db"
    source.write_text("value\n")
    one, other = tmp_path / "one", tmp_path / "other"
    first = secret_digest(one, SecretFile(file=str(source)))
    assert first == secret_digest(one, SecretFile(file=str(source)))
    assert first != secret_digest(other, SecretFile(file=str(source)))
    with pytest.raises(LastingFault, match="NOT_SET is not set"):
        secret_digest(one, SecretEnv(env="NOT_SET"))


def test_a_replica_over_its_memory_limit_is_killed_or_the_missing_limit_is_said(workshop):
    script = SERVER + (
        "hoard = bytearray(512 * 2**20)\nhoard[::4096] = b'x' * len(hoard[::4096])\n"
        "http.server.HTTPServer(('127.0.0.1', int(sys.argv[1])), Answer).serve_forever()\n"
    )

    async def story(shop):
        platform = await shop.platform()
        platform.start(launch(script, resources=Resources(memory_bytes=96 * 2**20)))
        fact = await until(lambda: facts(platform)[0].state in {READY, EXITED} and facts(platform)[0])
        if fact.notes:
            assert "limit of 96 MiB of memory not applied" in fact.notes[0]
            assert fact.state is READY
        else:
            assert fact.last_exit.code == -9
            assert "memory limit" in fact.last_exit.stderr[-1]

    workshop.run(story)


@pytest.mark.parametrize("ending", ["stop", "kill the launcher"])
def test_control_groups_go_with_their_replica(workshop, ending):
    async def story(shop):
        platform = await shop.platform()
        platform.start(launch(resources=Resources(cpus=0.5, memory_bytes=256 * 2**20)))
        fact = await until_state(platform, READY)
        run = next(run_dirs(shop.home))
        groups = run.read("launch.json")["groups"]
        assert groups or len(fact.notes) == 2
        for group in groups:
            assert fact.pid in members(group)
        if ending == "stop":
            platform.stop(fact.id, 5.0)
            await until_none(platform)
        else:
            os.kill(run.read("lock")["pid"], 9)
            await until_state(platform, EXITED)
        assert not any(map(os.path.exists, groups))
        assert not alive(fact.pid)

    workshop.run(story)


def test_the_model_server_is_one_preset_of_a_command(tmp_path):
    revision = Revision(
        id=RevisionId("0123456789ab"),
        digest="0" * 64,
        runtime=ModelRuntime(model=Digest("sha256:" + "1" * 64), serving=Serving(version=7, threads=2)),
        env=(),
        secrets=(),
        ready="/healthz/ready",
        resources=Resources(),
    )
    replica = ReplicaId(service=SERVICE, revision=revision.id, index=0)
    what = Launch(
        replica=replica,
        revision=revision,
        tree=tmp_path,
        warmup=tmp_path / "golden",
        drain_s=2.5,
    )
    argv = command_line(what)
    assert argv[:4] == [sys.executable, "-m", "celadon.serving", "serve"]
    options = dict(zip(argv[4::2], argv[5::2], strict=True))
    assert options == {
        "--model": str(tmp_path),
        "--name": "ranker",
        "--version": "7",
        "--host": "127.0.0.1",
        "--port": "{port}",
        "--revision": "0123456789ab",
        "--threads": "2",
        "--max-body-bytes": str(16 * 2**20),
        "--drain-seconds": "2.5",
        "--warmup": str(tmp_path / "golden"),
    }


def test_a_missing_model_server_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    revision = Revision(
        id=RevisionId("0123456789ab"),
        digest="0" * 64,
        runtime=ModelRuntime(model=Digest("sha256:" + "1" * 64), serving=Serving()),
        env=(),
        secrets=(),
        ready="/healthz/ready",
        resources=Resources(),
    )
    replica = ReplicaId(service=SERVICE, revision=revision.id, index=0)
    what = Launch(replica=replica, revision=revision, tree=tmp_path, warmup=None, drain_s=2.0)
    with pytest.raises(LastingFault, match=r"celadon\[serving\]"):
        command_line(what)
