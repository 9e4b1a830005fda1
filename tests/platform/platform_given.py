"""A workshop of real replicas: small HTTP servers under a real platform, with everything ended afterwards."""

import asyncio
import os
import signal
import sys
import time
from pathlib import Path

from celadon.domain.facts import Known, ReplicaState
from celadon.domain.launch import Launch
from celadon.domain.names import Digest, ReplicaId, RevisionId, ServiceKey
from celadon.domain.revision import CommandRuntime, Revision
from celadon.domain.spec import Resources
from celadon.platform.process import ProcessPlatform
from celadon.platform.process.rundir import holder, run_dirs

SERVICE = ServiceKey(name="ranker")
SERVER = """
import http.server, os, signal, sys
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        status = 503 if os.path.exists("unready") else 200
        self.send_response(status); self.send_header("content-length", "2"); self.end_headers(); self.wfile.write(b"ok")
    def log_message(self, *_): print("asked", flush=True)
"""
SERVE = SERVER + "http.server.HTTPServer(('127.0.0.1', int(sys.argv[1])), Answer).serve_forever()\n"


def revision(command, *, env=(), secrets=(), resources=None, ready="/", files=None):
    return Revision(
        id=RevisionId("0123456789ab"),
        digest="0" * 64,
        runtime=CommandRuntime(command=tuple(command), files=files),
        env=tuple(env),
        secrets=tuple(secrets),
        ready=ready,
        resources=resources or Resources(),
    )


def launch(script=SERVE, *, index=0, tree=None, command=None, service=SERVICE, **more):
    what = revision(
        command or (sys.executable, "-c", script, "{port}"),
        files=None if tree is None else Digest("sha256:" + "1" * 64),
        **more,
    )
    replica = ReplicaId(service=service, revision=what.id, index=index)
    return Launch(replica=replica, revision=what, tree=tree, warmup=None, drain_s=5.0)


class Workshop:
    """One home and the platforms over it. woken: an event that every wake sets."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.wakes = 0
        self.platforms = []

    async def platform(self, **more) -> ProcessPlatform:
        def wake(service):
            assert service == SERVICE
            self.wakes += 1

        made = ProcessPlatform(self.home, wake, time.time, **more)
        await made.open()
        self.platforms.append(made)
        return made

    def run(self, story) -> None:
        """Play a story and then end every process it started."""

        async def play():
            try:
                async with asyncio.timeout(60):
                    await story(self)
            finally:
                for platform in self.platforms:
                    await platform.close()

        try:
            asyncio.run(play())
        finally:
            self.end()

    def end(self) -> None:
        for run in run_dirs(self.home):
            found = holder(run)
            if found is not None:
                child = run.read("child.json")
                signal.pidfd_send_signal(found.pidfd, signal.SIGKILL)
                os.close(found.pidfd)
                if child is not None:
                    until_gone(child["pid"])
                until_gone(found.pid)


def until_gone(pid: int, within_s: float = 10.0) -> None:
    """Wait until a process is gone, or is a zombie that its parent has yet to reap."""
    deadline = time.monotonic() + within_s
    while alive(pid):
        assert time.monotonic() < deadline, f"process {pid} lives on"
        time.sleep(0.01)


def alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] not in {"Z", "X"}


async def until(condition, within_s: float = 20.0):
    """Wait for a condition with a deadline; answers what the condition answered."""
    deadline = time.monotonic() + within_s
    while not (found := condition()):
        assert time.monotonic() < deadline, "the condition never came true"
        await asyncio.sleep(0.01)
    return found


def facts(platform, service=SERVICE):
    seen = platform.observe(service)
    assert isinstance(seen, Known), seen
    return seen.value


async def until_state(platform, state: ReplicaState, index: int = 0):
    def look():
        found = [fact for fact in facts(platform) if fact.id.index == index]
        assert state is ReplicaState.EXITED or not found or found[0].state is not ReplicaState.EXITED, found[
            0
        ]
        return next((fact for fact in found if fact.state is state), None)

    return await until(look)


async def until_none(platform):
    await until(lambda: not facts(platform))


def environ(pid: int) -> list[bytes]:
    return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")


def members(group: str) -> list[int]:
    return [int(pid) for pid in Path(group, "cgroup.procs").read_text().split()]


def pss_kib(pid: int) -> int:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))


def contents(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
