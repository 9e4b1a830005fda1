"""Commands about the daemon itself: up, stop, down."""

import os
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

import click

from celadon.domain.problem import LastingFault, Problem, ProblemsError
from celadon.doors.api.home import make_home
from celadon.doors.cli.client import Client, DaemonGoneError, Json
from celadon.doors.cli.exits import ExitCode
from celadon.doors.cli.human import several
from celadon.doors.cli.screen import OUTPUTS, say, say_json
from celadon.doors.cli.steer import until_removed
from celadon.doors.cli.top import COMMANDS, Where
from celadon.doors.cli.tree import name

START_S = 60.0
"""How long the daemon may take until it answers: it reads its journal and finds its replicas and Envoy again."""

PROXIES_MAX = 4
STOP_S = 30.0
LOOK_S = 0.05
TAIL_LINES = 20
LOG = "daemon.log"
LOG_BYTES_MAX = 4 * 1024 * 1024

output_option = click.option(
    "--output", type=OUTPUTS, default="text", show_default=True, help="What to write on standard output."
)


@click.command(help=COMMANDS["up"][1])
@click.option("--foreground", is_flag=True, help="Run the daemon in this process until SIGTERM or Ctrl-C.")
@click.option(
    "--proxies",
    type=click.IntRange(1, PROXIES_MAX),
    help="How many Envoys share the ports, so that one may die. The home remembers it; 1 at first.",
)
@output_option
@click.pass_obj
def up(where: Where, output: str, *, foreground: bool, proxies: int | None) -> int:
    """Start the daemon, wait until it answers, and say what a reboot ends."""
    if where.forwarded:
        hint = "leave --socket and CELADON_SOCKET out; --home chooses the daemon's folder"
        raise ProblemsError(
            [Problem(path="--socket", found="a daemon makes its own socket in its home", hint=hint)]
        )
    if foreground:
        from celadon.doors.api.tuning import tune  # noqa: PLC0415 -- only the daemon lives long

        tune()  # Before the engine is loaded: a tenth of that went into searches for cycles.
        from celadon.doors.api.serve import serve  # noqa: PLC0415 -- only the daemon loads the engine

        serve(where.home, proxies)
        return ExitCode.REACHED
    make_home(where.home)
    client = Client(where.socket)
    about = _health(client)
    started = about is None
    if about is None:
        about = _start(where, client, proxies)
    elif proxies not in {None, about["proxies"]["wanted"]}:
        found = f"the daemon runs already, with {several(about['proxies']['wanted'], 'Envoy')}"
        hint = "`celadon stop` first; traffic lives on meanwhile"
        raise ProblemsError([Problem(path="--proxies", found=found, hint=hint)])
    if output == "json":
        say_json({**about, "started": started, "socket": str(where.socket)})
        return ExitCode.REACHED
    word = "started" if started else "runs already"
    say(f"celadon {about['version']} {word}: pid {about['pid']}, home {about['home']}")
    say(_reboot_note(where.home))
    return ExitCode.REACHED


def _health(client: Client) -> Json | None:
    try:
        return client.get("/v1/health")
    except DaemonGoneError:
        return None


def _start(where: Where, client: Client, proxies: int | None) -> Json:
    """The daemon in a session of its own, with its words in a file. Raises LastingFault with its last lines."""
    log = where.home / LOG
    _rotate(log)
    number = [] if proxies is None else ["--proxies", str(proxies)]
    with os.fdopen(os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab") as words:
        begins = words.tell()
        child = subprocess.Popen(
            [sys.executable, "-m", "celadon", "--home", str(where.home), "up", "--foreground", *number],
            stdin=subprocess.DEVNULL,
            stdout=words,
            stderr=words,
            cwd="/",
            start_new_session=True,
        )
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if (about := _health(client)) is not None:
            return about
        if child.poll() is not None:
            raise LastingFault(
                f"the daemon ended with status {child.returncode}\n{_tail(log, begins)}".rstrip()
            )
        time.sleep(LOOK_S)
    hint = f"{log} says more; the daemon (pid {child.pid}) was left running"
    raise LastingFault(f"the daemon does not answer after {START_S:.0f} s", hint)


def _rotate(log: Path) -> None:
    if log.exists() and log.stat().st_size > LOG_BYTES_MAX:
        log.replace(log.with_name(f"{LOG}.1"))


def _tail(log: Path, begins: int) -> str:
    with log.open("rb") as words:
        words.seek(begins)
        lines = words.read().decode("utf-8", "replace").splitlines()
    return "\n".join(f"  {line}" for line in lines[-TAIL_LINES:])


def _reboot_note(home: Path) -> str:
    """What will not survive a reboot, and how to change it with what this machine has."""
    again = shlex.join([sys.executable, "-m", "celadon", "--home", str(home), "up"])
    if shutil.which("crontab"):
        how = f"(crontab -l 2>/dev/null; echo {shlex.quote(f'@reboot {again}')}) | crontab -"
    else:
        how = f"let your init system run `{again}` as {os.environ.get('USER', 'you')}; docs/cli.md has a systemd unit"
    return (
        "After a reboot nothing is served until `celadon up` has run again; it then starts every replica by itself.\n"
        f"To have that done at boot: {how}"
    )


@click.command(help=COMMANDS["stop"][1])
@output_option
@click.pass_obj
def stop(where: Where, output: str) -> int:
    """End the daemon alone. Replicas and Envoy go on; `celadon up` finds them again."""
    client = Client(where.socket)
    drills = [(view["drill"]["drill"], name(view)) for view in _services(client) if view["drill"]]
    pid = client.post("/v1/stop")["pid"]
    _until_gone(where, client)
    if output == "json":
        say_json({"pid": pid, "stopped": True})
    else:
        say("the daemon has ended; traffic lives on, and `celadon up` takes over again")
        for number, service in drills:
            say(f"drill {number} of {service} is undone when its time is over; `celadon up` ends it")
    return ExitCode.REACHED


def _services(client: Client) -> list[Json]:
    return list(client.get("/v1/services")["services"])


def _until_gone(where: Where, client: Client) -> None:
    """Wait until nothing of the daemon is left: it takes its socket away last."""
    deadline = time.monotonic() + STOP_S
    while _health(client) is not None or (not where.forwarded and where.socket.exists()):
        if time.monotonic() > deadline:
            hint = "daemon.log in its home says why"
            raise LastingFault(f"the daemon has not ended after {STOP_S:.0f} s", hint)
        time.sleep(LOOK_S)


@click.command(help=COMMANDS["down"][1])
@click.option("--yes", is_flag=True, help="Do not ask.")
@output_option
@click.pass_obj
def down(where: Where, output: str, *, yes: bool) -> int:
    """Drain and remove every service, then end the proxy and the daemon."""
    client = Client(where.socket)
    views = _services(client)
    names = [name(view) for view in views]
    if not yes:
        what = (
            f"{several(len(names), 'service')} ({', '.join(names)})"
            if names
            else "the daemon; it has no service"
        )
        click.confirm(f"Take down {what}?", abort=True, err=True)
    asked = {view_name: _remove(client, view) for view_name, view in zip(names, views, strict=True)}
    if asked:
        until_removed(client, asked)
    client.post("/v1/down")
    _until_gone(where, client)
    if output == "json":
        say_json({"removed": names, "stopped": True})
    else:
        say(f"down: {several(len(names), 'service')} removed, the daemon and all proxies have ended")
    return ExitCode.REACHED


def _remove(client: Client, view: Json) -> int:
    path = f"/v1/services/{view['service']}/commands?namespace={view['namespace']}"
    return int(client.post(path, {"command": "remove"})["seq"])
