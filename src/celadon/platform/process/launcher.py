"""The parent of one replica: starts it, keeps its output, passes SIGTERM on, records how it ended.

It runs by file path, as `python -I -S launcher.py RUN_DIR TOKEN`, with its order as JSON on stdin. There is one
per replica and it lives as long as the replica does, so it imports little, nothing of celadon, and everything at
the start: the files it came from may be upgraded or gone while it runs.
"""

import ctypes
import fcntl
import json
import os
import select
import signal
import socket
import sys
import time
from typing import Any, NoReturn

HELD = 75
"""Exit code when another launcher has this replica."""

TAIL_LINES = 20
MARK = b"[secret]"
LINE_BYTES_MAX = 16 * 1024
READ_BYTES = 64 * 1024
REDACTED_BYTES_MIN = 6
"""Shorter secrets are not searched for in output: they would be found inside ordinary words."""

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
LIBC = ctypes.CDLL(None, use_errno=True)


def write_json(path: str, value: object) -> None:
    """Replace a file whole, so that a reader sees the old or the new content."""
    with open(path + ".new", "w", encoding="utf-8") as file:  # noqa: PTH123 -- pathlib costs a megabyte here
        json.dump(value, file)
    os.replace(path + ".new", path)  # noqa: PTH105


def start_ticks(pid: int | str) -> str:
    """When a process started, in clock ticks after boot: with the boot id it tells reused pids apart."""
    with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123
        return file.read().rpartition(b")")[2].split()[19].decode()


def children_of(parent: int) -> list[int]:
    """The processes whose parent is `parent`."""
    found = []
    for name in filter(str.isdecimal, os.listdir("/proc")):  # noqa: PTH208
        try:
            with open(f"/proc/{name}/stat", "rb") as file:  # noqa: PTH123
                fields = file.read().rpartition(b")")[2].split()
        except OSError:
            continue  # It ended while we were looking.
        if int(fields[1]) == parent:
            found.append(int(name))
    return found


def take_lock(run: str, token: str) -> int | None:
    """Hold the replica's lock for life and say in it who holds it; None when another launcher does.

    A daemon that looks whether the lock is held holds it itself for an instant, hence the second looks.
    """
    lock = os.open(run + "/lock", os.O_RDWR | os.O_CREAT, 0o600)
    for _ in range(100):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            time.sleep(0.005)
    else:
        return None
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:  # noqa: PTH123
        boot = file.read().strip()
    identity = {"pid": os.getpid(), "start": start_ticks("self"), "boot": boot, "token": token}
    os.ftruncate(lock, 0)
    os.pwrite(lock, json.dumps(identity).encode(), 0)
    return lock


def pick_port(low: int, high: int) -> tuple[int, socket.socket]:
    """A free loopback port, and a claim on it that other launchers of this machine respect.

    The range lies outside the one the kernel takes ports of outgoing connections from: a replica may need seconds
    until it binds, and no connection may have taken its port by then. The claim is an abstract Unix address: it
    needs no file and ends with this process.
    """
    for _ in range(200):
        port = low + int.from_bytes(os.urandom(4), "big") % (high - low)
        claim = socket.socket(socket.AF_UNIX)
        with socket.socket() as trial:
            # Ports of connections that have just ended are free for servers, and servers ask for them like this.
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                claim.bind(f"\0celadon/port/{port}")
                trial.bind(("127.0.0.1", port))
            except OSError:
                claim.close()
                continue
        return port, claim
    raise OSError(f"no free port between {low} and {high} after 200 trials")


class Log:
    """A size-limited file with `files` older ones beside it: PATH.1 is the newest of them."""

    def __init__(self, path: str, bytes_max: int, files: int) -> None:
        self.path, self.bytes_max, self.files = path, bytes_max, files
        self.lost = 0
        self.fd = self._open()
        self.size = os.fstat(self.fd).st_size

    def _open(self) -> int:
        return os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def write(self, line: bytes) -> None:
        """Append a line. On a full disk it is counted and left out: the replica must go on serving."""
        if self.lost:
            line = b"%s celadon: %d lines lost, the disk was full\n%s" % (stamp(), self.lost, line)
        try:
            if self.size and self.size + len(line) > self.bytes_max:
                self._rotate()
            written = os.write(self.fd, line)
        except OSError:
            self.lost += 1
            return
        self.size += written
        self.lost = 0

    def _rotate(self) -> None:
        for number in range(self.files, 0, -1):
            older = f"{self.path}.{number - 1}" if number > 1 else self.path
            if os.path.exists(older):  # noqa: PTH110
                os.replace(older, f"{self.path}.{number}")  # noqa: PTH105
        if not self.files:
            os.truncate(self.path, 0)
        fresh = self._open()
        os.close(self.fd)
        self.fd, self.size = fresh, 0


def stamp() -> bytes:
    """UTC with milliseconds, sortable as text."""
    now = time.time()
    return (time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now % 1 * 1000):03d}Z").encode()


class Stream:
    """One of the replica's two outputs, cut into stamped lines. Values of secrets never get past it."""

    def __init__(self, fd: int, mark: bytes, log: Log, secrets: list[bytes]) -> None:
        self.fd, self.mark, self.log, self.secrets = fd, mark, log, secrets
        self.rest = b""
        self.tail: list[str] = []

    def read(self) -> bool:
        """Take what is there; False at the end of the stream."""
        data = os.read(self.fd, READ_BYTES)
        *lines, self.rest = (self.rest + data).split(b"\n")
        for line in lines:
            self.line(line)
        # An endless line is cut only where a secret across the cut would already be whole, and so be found.
        margin = len(self.secrets[0]) if self.secrets else 0
        while len(self.rest) > LINE_BYTES_MAX + margin:
            self.rest = self.redacted(self.rest)
            # Nor is the mark in its place cut in two.
            mark = self.rest.find(MARK, LINE_BYTES_MAX - len(MARK) + 1, LINE_BYTES_MAX + len(MARK) - 1)
            end = mark + len(MARK) if mark >= 0 else LINE_BYTES_MAX
            self.line(self.rest[:end])
            self.rest = self.rest[end:]
        if not data and self.rest:
            self.line(self.rest)
            self.rest = b""
        return bool(data)

    def redacted(self, text: bytes) -> bytes:
        for secret in self.secrets:
            text = text.replace(secret, MARK)
        return text

    def line(self, line: bytes) -> None:
        line = self.redacted(line)
        self.log.write(b"%s %s %s\n" % (stamp(), self.mark, line))
        self.tail = [*self.tail[1 - TAIL_LINES :], line[:2000].decode("utf-8", "replace")]


def redactable(order: dict[str, Any]) -> list[bytes]:
    """What output must not show: each line of each secret that is long enough to be told from ordinary words."""
    values = (order["env"][name] for name in order["secrets"])
    lines = (
        line.strip() for value in values for line in value.encode("utf-8", "surrogateescape").split(b"\n")
    )
    return sorted({line for line in lines if len(line) >= REDACTED_BYTES_MIN}, key=len, reverse=True)


class Replica:
    """The child, from its start until nothing of it is left."""

    def __init__(self, run: str, token: str, order: dict[str, Any], umask: int) -> None:
        self.run, self.token, self.order, self.umask = run, token, order, umask
        self.pid = 0
        self.code: int | None = None
        self.kill_at: float | None = None
        log = Log(order["log"], order["log_bytes"], order["log_files"])
        secrets = redactable(order)
        out, self.out_write = os.pipe()
        err, self.err_write = os.pipe()
        self.out = Stream(out, b"out", log, secrets)
        self.err = Stream(err, b"err", log, secrets)

    def start(self) -> None:
        """Fork and exec; on failure the exit code is 127 and the reason stands in stderr's tail."""
        port, self.claim = pick_port(*self.order["ports"])
        argv = [argument.replace("{port}", str(port)) for argument in self.order["argv"]]
        env = {**self.order["env"], "PORT": str(port)}
        report, report_write = os.pipe()
        parent = os.getpid()
        self.pid = os.fork()
        if not self.pid:
            self._become(argv, env, parent, report_write)
        for fd in (self.out_write, self.err_write, report_write):
            os.close(fd)
        child = {"pid": self.pid, "start": start_ticks(self.pid), "port": port, "at": time.time()}
        write_json(self.run + "/child.json", child)
        with open(report, "rb") as file:  # noqa: PTH123
            for line in file.read().splitlines():
                self.err.line(line)
        self.order["env"] = {}  # The child has them now; secrets need not stay in two processes.

    def _become(self, argv: list[str], env: dict[str, str], parent: int, report: int) -> NoReturn:
        """In the child: leave our session, die with us, take the limits, and become the replica."""
        try:
            os.setsid()
            LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:
                os._exit(127)
            for group in self.order["groups"]:
                with open(group + "/cgroup.procs", "w", encoding="ascii") as file:  # noqa: PTH123
                    file.write(str(os.getpid()))
            os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
            os.dup2(self.out_write, 1)
            os.dup2(self.err_write, 2)
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGPIPE, signal.SIGHUP, signal.SIGINT, signal.SIGXFSZ, signal.SIGTERM):
                signal.signal(number, signal.SIG_DFL)
            os.umask(self.umask)
            os.chdir(self.order["cwd"])
            os.execvpe(argv[0], argv, env)  # noqa: S606 -- a list of arguments and no shell is what we want
        except BaseException as error:  # noqa: BLE001 -- whatever it is, the parent must hear of it
            why = getattr(error, "strerror", None) or error
            where = "" if "/" in argv[0] else " on the PATH of the daemon"
            os.write(report, f"celadon: could not start {argv[0]!r}{where}: {why}".encode("utf-8", "replace"))
        os._exit(127)

    def asked_to_stop(self) -> None:
        """SIGTERM to the replica's first process alone, as containers do, and SIGKILL to all of it after the grace."""
        grace_s = float(self.order["grace_s"])
        if os.path.exists(self.run + "/stop.json"):  # noqa: PTH110
            with open(self.run + "/stop.json", encoding="utf-8") as file:  # noqa: PTH123
                grace_s = float(json.load(file)["grace_s"])
        first = self.kill_at is None
        self.kill_at = min(self.kill_at or float("inf"), time.monotonic() + grace_s)
        if first and self.code is None:
            os.kill(self.pid, signal.SIGTERM)

    def reap(self) -> None:
        """Take the exit status of the child, and of orphans of its family that were handed to us."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            if pid == self.pid:
                self.code = os.waitstatus_to_exitcode(status)

    def follow(self, signals: int) -> None:
        """Copy output and mind signals until the child has ended."""
        streams = {stream.fd: stream for stream in (self.out, self.err)}
        while self.code is None:
            wait_s = None if self.kill_at is None else max(0.0, self.kill_at - time.monotonic())
            for fd in select.select([signals, *streams], [], [], wait_s)[0]:
                if fd in streams:
                    if not streams[fd].read():
                        del streams[fd]
                    continue
                if signal.SIGTERM in os.read(signals, 64):
                    self.asked_to_stop()
                self.reap()
            if self.code is None and self.kill_at is not None and time.monotonic() >= self.kill_at:
                os.kill(self.pid, signal.SIGKILL)
                self.kill_at = time.monotonic() + 1.0

    def end(self) -> None:
        """Kill what the child left behind, take the last output, record the exit, and give back the limits."""
        deadline = time.monotonic() + 5.0
        # We are the subreaper: every orphan of the family, also one with a session of its own, is our child.
        while (rest := children_of(os.getpid())) and time.monotonic() < deadline:
            for pid in rest:
                try:
                    os.kill(pid, signal.SIGKILL)
                except OSError as error:  # It changed its user; say that it lives on.
                    self.err.line(f"celadon: process {pid} was left behind: {error}".encode())
                    deadline = 0.0
            time.sleep(0.002)
            self.reap()
        for stream in (self.out, self.err):
            while select.select([stream.fd], [], [], 0)[0] and stream.read():
                pass
        if self._killed_for_memory():
            self.err.line(b"celadon: killed because it needed more than its memory limit")
        stderr = self.err.tail
        write_json(
            self.run + "/exit.json",
            {"token": self.token, "code": self.code, "at": time.time(), "stderr": stderr},
        )
        for group in self.order["groups"]:
            remove_group(group)

    def _killed_for_memory(self) -> bool:
        for group in self.order["groups"]:
            for name in ("memory.oom_control", "memory.events"):
                if os.path.exists(f"{group}/{name}"):  # noqa: PTH110
                    with open(f"{group}/{name}", encoding="ascii") as file:  # noqa: PTH123
                        counts = dict(line.split() for line in file.read().splitlines())
                    if counts.get("oom_kill", "0") != "0":
                        return True
        return False


def remove_group(group: str) -> None:
    """Remove an empty control group. The kernel counts a dead process as a member for an instant."""
    for _ in range(200):
        try:
            os.rmdir(group)  # noqa: PTH106
        except FileNotFoundError:
            return
        except OSError:
            time.sleep(0.005)
        else:
            return


def main() -> int:
    signals, signals_write = os.pipe()
    os.set_blocking(signals, False)
    os.set_blocking(signals_write, False)
    signal.set_wakeup_fd(signals_write, warn_on_full_buffer=False)
    signal.signal(signal.SIGTERM, lambda *_: None)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    for number in (signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    run, token = sys.argv[1:]
    umask = os.umask(0o077)
    os.chdir("/")
    if take_lock(run, token) is None:
        return HELD
    order = json.loads(sys.stdin.buffer.read())
    LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1)
    replica = Replica(run, token, order, umask)
    if not os.path.exists(run + "/stop.json"):  # noqa: PTH110
        replica.start()
        replica.follow(signals)
        replica.end()
    return 0


if __name__ == "__main__":
    sys.exit(main())
