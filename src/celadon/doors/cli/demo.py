"""`celadon demo`."""

import importlib.util
import os

import click

from celadon.domain.problem import Problem, ProblemsError
from celadon.doors.cli.exits import ExitCode
from celadon.doors.cli.screen import OUTPUTS, is_plain, say_json
from celadon.doors.cli.top import COMMANDS

NEEDED = {
    "model": ("sklearn", "skl2onnx", "onnx", "onnxruntime", "numpy", "orjson"),
    "command": ("sklearn", "numpy"),
}
"""Modules of the extra, by runtime."""


@click.command(help=COMMANDS["demo"][1])
@click.option(
    "--runtime",
    type=click.Choice(list(NEEDED)),
    default="model",
    show_default=True,
    help="Serve with celadon's own server, or with a small one that knows nothing of celadon.",
)
@click.option(
    "--rate",
    type=click.FloatRange(10, 1000),
    default=50,
    show_default=True,
    help="Requests a second.",
)
@click.option(
    "--short", is_flag=True, help="Leave out the second part, in which four services are released at once."
)
@click.option("--keep", is_flag=True, help="Leave everything running at the end.")
@click.option(
    "--output", type=OUTPUTS, default="text", show_default=True, help="What to write on standard output."
)
def demo(runtime: str, rate: float, output: str, *, short: bool, keep: bool) -> int:
    """Train models, serve them, send traffic, and release good revisions and bad ones."""
    _refuse_without_extra(runtime)
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # ONNX Runtime reads it once, when it is imported.
    from celadon.doors.demo.play import Settings, play  # noqa: PLC0415 -- loads the extra
    from celadon.doors.demo.show import Show  # noqa: PLC0415 -- as above

    to_error = output == "json"
    show = Show(plain=is_plain(asked=to_error), to_error=to_error)
    settings = Settings(
        runtime="model" if runtime == "model" else "command", rate_per_s=rate, keep=keep, short=short
    )
    try:
        told = play(settings, show)
    except KeyboardInterrupt:
        raise click.Abort from None
    if to_error:
        say_json(told.json())
    for deviation in told.deviations:
        click.echo(f"failed: {deviation}", err=True)
    return ExitCode.INFRASTRUCTURE if told.deviations else ExitCode.REACHED


def _refuse_without_extra(runtime: str) -> None:
    missing = [name for name in NEEDED[runtime] if importlib.util.find_spec(name) is None]
    if missing:
        verb = "is" if len(missing) == 1 else "are"
        found = f"needs the extra `demo`, of which {', '.join(missing)} {verb} not installed"
        raise ProblemsError([Problem(path="demo", found=found, hint="pip install 'celadon[demo]'")])
