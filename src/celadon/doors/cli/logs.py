"""`celadon logs`."""

import json
import time

import click

from celadon.doors.cli.client import Client
from celadon.doors.cli.exits import ExitCode
from celadon.doors.cli.human import seconds
from celadon.doors.cli.screen import OUTPUTS, say
from celadon.doors.cli.steer import split
from celadon.doors.cli.top import COMMANDS, Where


@click.command(help=COMMANDS["logs"][1])
@click.argument("service")
@click.option("-f", "--follow", is_flag=True, help="Go on as lines come, until Ctrl-C.")
@click.option("--since", help="Only lines of the last 30s, 10m, 2h or 1d.")
@click.option(
    "--output", type=OUTPUTS, default="text", show_default=True, help="json writes one object per line."
)
@click.pass_obj
def logs(where: Where, service: str, since: str | None, output: str, *, follow: bool) -> int:
    """Lines of all replicas in order of time. Values of secrets are never among them."""
    namespace, bare = split(service)
    start = time.time() - seconds(since, "--since") if since else None
    stream = Client(where.socket).stream(
        f"/v1/services/{bare}/logs", namespace=namespace, since=start, follow="true" if follow else None
    )
    try:
        for line in stream:
            if line and output == "json":
                say(json.dumps(line))
            elif line:
                say(f"{line['at']} {line['replica'].partition('/')[2]} {line['stream']} {line['line']}")
    except KeyboardInterrupt:
        pass
    return ExitCode.REACHED
