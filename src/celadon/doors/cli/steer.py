"""Commands that steer what is there: promote, abort, pause, resume, rollback, remove."""

import time
from typing import Any

import click

from celadon.domain.names import NAME
from celadon.domain.problem import LastingFault, Problem, ProblemsError
from celadon.domain.release import Outcome
from celadon.doors.cli import follow, tree
from celadon.doors.cli.client import Client
from celadon.doors.cli.exits import ExitCode
from celadon.doors.cli.feed import Feed
from celadon.doors.cli.screen import OUTPUTS, is_plain, room, say, say_json
from celadon.doors.cli.top import COMMANDS, Where

Json = dict[str, Any]

REMOVE_S = 3600.0
"""How long a command waits for drains; the removal itself goes on after it."""

SAY_S = 10.0


def _simple(name: str) -> click.Command:
    """A command that asks, waits for the loop's answer, and says it."""

    @click.command(name, help=COMMANDS[name][1])
    @click.argument("service")
    @click.option(
        "--output", type=OUTPUTS, default="text", show_default=True, help="What to write on standard output."
    )
    @click.pass_obj
    def command(where: Where, service: str, output: str) -> int:
        client, service = Client(where.socket), canonical(service)
        asked = _ask(client, service, name)
        answer = _answer(client, service, asked)
        if output == "json":
            say_json({**asked, "service": service, "decision": answer})
        else:
            say(tree.event(answer))
        return (
            ExitCode.REFUSED
            if answer["reason"]["code"] in {"command_too_late", "no_blue"}
            else ExitCode.REACHED
        )

    return command


promote = _simple("promote")
abort = _simple("abort")
pause = _simple("pause")
resume = _simple("resume")


def _ask(client: Client, service: str, name: str, revision: str | None = None) -> Json:
    namespace, bare = split(service)
    body = {"command": name, "revision": revision}
    return client.post(f"/v1/services/{bare}/commands?namespace={namespace}", body)


def split(service: str) -> tuple[str, str]:
    """Namespace and name of a service as it is written."""
    namespace, _, name = service.rpartition("/")
    if not NAME.fullmatch(name) or (namespace and not NAME.fullmatch(namespace)):
        raise ProblemsError([Problem(path="SERVICE", found=f"`{service}` is not a service name")])
    return namespace or "default", name


def canonical(service: str) -> str:
    """A service as the API names it, however it was written."""
    namespace, name = split(service)
    return name if namespace == "default" else f"{namespace}/{name}"


def _answer(client: Client, service: str, asked: Json) -> Json:
    """What the loop decided on the command."""
    for news in Feed(client=client, names=[service], after={service: asked["seq"]}).news():
        for decision in news.decisions:
            if asked["asked_seq"] in decision["handled"]:
                return decision
    raise LastingFault(
        "the daemon ended before it answered", "start it with `celadon up`: the command is kept"
    )


@click.command(help=COMMANDS["rollback"][1])
@click.argument("service")
@click.argument("revision", required=False)
@click.option("--detach", is_flag=True, help="Do not follow the release.")
@click.option("--plain", is_flag=True, help="Append lines instead of redrawing.")
@click.option(
    "--output", type=OUTPUTS, default="text", show_default=True, help="What to write on standard output."
)
@click.pass_obj
def rollback(
    where: Where, service: str, revision: str | None, output: str, *, detach: bool, plain: bool
) -> int:
    """Go back: take a moving release back, else release the revision that was live before."""
    client, service = Client(where.socket), canonical(service)
    asked = _ask(client, service, "rollback", revision)
    target = follow.Target(name=service, release=asked["release"], after=asked["seq"])
    if detach:
        return _said(output, {**asked, "service": service}, f"{asked['release']} is going back")
    to_error = output == "json"
    follower = follow.Follower(
        client=client, targets=[target], say=lambda text: click.echo(text, err=to_error)
    )
    try:
        stood = follower.follow(plain=is_plain(asked=plain or to_error))[target.release]
    except KeyboardInterrupt:
        click.echo(follow.detached([target]), err=True)
        return ExitCode.PERSON
    code = _way_back_code(asked, stood)
    return _said(
        output,
        {**asked, "service": service, "release": stood.release, "exit_code": code},
        follow.verdict_line(stood, room(plain=is_plain())),
        code,
    )


def _way_back_code(asked: Json, stood: follow.Stood) -> ExitCode:
    """A release that was taken back has reached the end that `rollback` asked for."""
    if asked["asked"] == "abort" and stood.release["outcome"] == Outcome.ROLLED_BACK:
        return ExitCode.REACHED
    return stood.code


def _said(output: str, value: Json, text: str, code: ExitCode = ExitCode.REACHED) -> ExitCode:
    if output == "json":
        say_json(value)
    else:
        say(text)
    return code


@click.command(help=COMMANDS["remove"][1])
@click.argument("service")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--detach", is_flag=True, help="Do not wait until it is down.")
@click.option(
    "--output", type=OUTPUTS, default="text", show_default=True, help="What to write on standard output."
)
@click.pass_obj
def remove(where: Where, service: str, output: str, *, yes: bool, detach: bool) -> int:
    """Drain a service and take everything of it down; its history stays."""
    client, service = Client(where.socket), canonical(service)
    namespace, bare = split(service)
    client.get(f"/v1/services/{bare}", namespace=namespace)
    if not yes:
        click.confirm(f"Take {service} down? Its clients get no more answers", abort=True, err=True)
    asked = _ask(client, service, "remove")
    if not detach:
        until_removed(client, {service: asked["seq"]})
    state = "removing" if detach else "removed"
    return _said(
        output, {**asked, "service": service, "state": state}, f"{service} is {'going' if detach else 'gone'}"
    )


def until_removed(client: Client, after: dict[str, int]) -> None:
    """Wait until nothing of these services is left but their journals, and say now and then what is waited for."""
    began = said = time.monotonic()
    for news in Feed(client=client, names=list(after), after=dict(after)).news():
        if news.lost_s is not None or not news.views:
            continue
        left = [view for view in news.views if view["state"] != "removed"]
        if not left:
            return
        if time.monotonic() > began + REMOVE_S:
            names = ", ".join(tree.name(view) for view in left)
            raise LastingFault(
                f"not removed after {REMOVE_S:.0f} s: {names}", "`celadon status` says what is left"
            )
        if time.monotonic() > said + SAY_S:
            said = time.monotonic()
            for view in left:
                click.echo(
                    f"{tree.name(view)} is still {view['state']}: {view['fault'] or view['reason']['text']}",
                    err=True,
                )
