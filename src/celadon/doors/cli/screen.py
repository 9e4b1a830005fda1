"""Where text goes: a terminal with colours and redrawing, or plain lines for pipes, logs and NO_COLOR."""

import io
import json
import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from celadon.domain.problem import Problem, ProblemsError
from celadon.doors.cli.lines import WRAPPED, Line, Span

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live
    from rich.text import Text

STYLES = {"good": "green", "bad": "bold red", "wait": "yellow", "quiet": "dim", "strong": "bold", "": ""}

HANG_ROOM = 40
"""A rest of a line that would have less than this is set in less deep instead."""

REASON_AT = 36
"""Where the reason of a decision begins on a line: after the time, the release and the phase."""

SVG_WIDTH = 110

WEB_FONTS = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)
"""A picture asks no other host for letters: whoever opens it has some of their own."""

OUTPUTS = click.Choice(["text", "json"])


def is_plain(*, asked: bool = False) -> bool:
    """Whether to write plain lines: asked for, not a terminal, or a terminal that can not redraw."""
    return asked or "NO_COLOR" in os.environ or not sys.stdout.isatty() or os.environ.get("TERM") == "dumb"


def room(*, plain: bool) -> int | None:
    """Columns of the terminal; None where nothing has to fit."""
    return None if plain else shutil.get_terminal_size().columns


def say(text: str = "") -> None:
    """A line on standard output, at once."""
    click.echo(text)
    sys.stdout.flush()


def say_json(value: Any) -> None:
    """The one JSON object of a command."""
    click.echo(json.dumps(value, indent=2, sort_keys=False, ensure_ascii=False))


def clock() -> str:
    """The time of day at the start of an appended line."""
    return time.strftime("%H:%M:%S")


def show_lines(lines: Iterable[Line], *, plain: bool) -> None:
    """Lines, with their colours where that is possible."""
    if plain:
        for line in lines:
            say(line.text.rstrip())
        return
    console = _console()
    for line in lines:
        for text in wrapped(styled(line), line.hang, console.width):
            console.print(text, soft_wrap=True)


def wrapped(text: "Text", hang: int, width: int) -> Iterator["Text"]:
    """A line in pieces of at most `width`, broken between words, each but the first set `hang` in.

    A word that is longer stays whole, so that it can be copied.
    """
    from rich.text import Text  # noqa: PLC0415 -- plain output needs none of it

    text.rstrip()
    hang = hang if hang + HANG_ROOM <= width else WRAPPED
    begins = len(text.plain) - len(text.plain.lstrip())
    while len(text) > width:
        at = text.plain.rfind(" ", begins, width + 1)
        at = text.plain.find(" ", width) if at <= begins else at
        if at < 0:
            break
        head, text = text.divide([at])
        head.rstrip()
        yield head
        text = Text.assemble(" " * hang, text[len(text.plain) - len(text.plain.lstrip()) :])
        begins = hang
    yield text


def show_table(titles: Sequence[str], rows: Sequence[Sequence[Span]], *, plain: bool) -> None:
    """A table whose columns are as wide as their content; the last one is not padded."""
    widths = [
        max(len(title), *(len(row[at][0]) for row in rows)) if rows else len(title)
        for at, title in enumerate(titles)
    ]
    padded = [
        Line(
            depth=0,
            spans=tuple(
                (f"{text:<{width}}  ", style) for (text, style), width in zip(row, widths, strict=True)
            ),
            hang=sum(width + 2 for width in widths[:-1]),
        )
        for row in [[(title, "quiet") for title in titles], *rows]
    ]
    show_lines(padded, plain=plain)


def block(lines: Iterable[Line]) -> "RenderableType":
    """Lines for rich, each cut at the terminal's width so that a redraw stays in its place."""
    from rich.text import Text  # noqa: PLC0415 -- plain output needs none of it

    text = Text(no_wrap=True, overflow="ellipsis", end="")
    for line in lines:
        text.append_text(styled(line)).append("\n")
    return text


def styled(line: Line) -> "Text":
    """A line with its colours."""
    from rich.text import Text  # noqa: PLC0415 -- plain output needs none of it

    text = Text("  " * line.depth)
    for content, style in line.spans:
        text.append(content, STYLES[style])
    return text


def _console() -> "Console":
    from rich.console import Console  # noqa: PLC0415 -- plain output needs none of it

    return Console(highlight=False, emoji=False, markup=False)


def save_svg(path: Path, lines: Iterable[Line], title: str) -> None:
    """Lines as a picture. Raises ProblemsError where it can not be written."""
    from rich.console import Console  # noqa: PLC0415 -- plain output needs none of it

    made = Console(
        record=True, file=io.StringIO(), width=SVG_WIDTH, highlight=False, emoji=False, markup=False
    )
    for line in lines:
        for text in wrapped(styled(line), line.hang, SVG_WIDTH):
            made.print(text, soft_wrap=True)
    try:
        path.write_text(WEB_FONTS.sub("", made.export_svg(title=title)), encoding="utf-8")
    except OSError as error:
        raise ProblemsError(
            [Problem(path="--svg", found=f"{path} can not be written: {error.strerror}")]
        ) from error


def live(draw: Callable[[], list[Line]]) -> "Live":
    """A block that is redrawn in place four times a second until it is left."""
    from rich.live import Live  # noqa: PLC0415 -- plain output needs none of it

    return Live(
        get_renderable=lambda: block(draw()),
        console=_console(),
        refresh_per_second=4,
        redirect_stdout=False,
        redirect_stderr=False,
    )


def say_above(screen: "Live", text: str) -> None:
    """Lines above a block that is redrawn. What does not fit is set under the reason that a decision begins with."""
    from rich.text import Text  # noqa: PLC0415 -- plain output needs none of it

    for line in text.split("\n"):
        for piece in wrapped(Text(line), REASON_AT, screen.console.width):
            screen.console.print(piece, soft_wrap=True)
