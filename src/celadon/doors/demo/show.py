"""The demo on the terminal: what is done, in the words of the commands themselves, over a line of live traffic.

In a terminal the traffic is redrawn in place; everywhere else there are plain lines and nothing else.
"""

import contextlib
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from celadon.doors.cli import evidence
from celadon.doors.cli.screen import STYLES as STYLES_OF_LINES
from celadon.doors.demo import tables
from celadon.doors.demo.exchange import Exchange, seen
from celadon.doors.demo.report import Json, Released, Report
from celadon.doors.demo.tables import OUTCOMES, STRANGE, STYLES

Label = Callable[[Exchange], str]
"""Who answered, in a word."""

LATELY_S = 1.0
BAR = 48
REDRAWS_PER_S = 8
COLUMNS = re.compile(r"\d\d:\d\d:\d\d .{12} .{13} ")
"""Time, release and phase: what stands before the reason of a decision."""


class Show:
    """Writes on one console. plain: neither colours nor redrawing."""

    def __init__(self, *, plain: bool, to_error: bool) -> None:
        self.plain = plain
        self._console = Console(
            highlight=False,
            emoji=False,
            markup=False,
            soft_wrap=True,
            stderr=to_error,
            force_terminal=False if plain else None,
        )

    def title(self, text: str) -> None:
        """The beginning of a part."""
        self._print(Text(f"\n{text}", style="bold"))

    def say(self, text: str, style: str = "") -> None:
        """A sentence."""
        self._print(Text(f"  {text}", style=style))

    def file(self, text: str) -> None:
        """What stands in a file."""
        for line in text.splitlines():
            self._print(Text(f"    {line}", style="cyan"))

    def command(self, typed: str) -> None:
        """A command as a person would type it."""
        self._print(Text.assemble(("\n  $ ", "dim"), (f"celadon {typed}", "bold")))

    def line(self, text: str) -> None:
        """What a command wrote. A terminal wraps the reason of a decision under itself."""
        found = COLUMNS.match(text)
        if found is None or self.plain:
            self._print(Text(f"    {text}", style="dim"))
            return
        row = Table.grid()
        row.add_row(Text(f"    {found[0]}", style="dim", no_wrap=True), Text(text[found.end() :]))
        self._console.print(row, soft_wrap=False)

    def ended(self, released: Released) -> None:
        """How a release ended, and how soon."""
        word, style = OUTCOMES[released.outcome]
        took = f" {released.seconds:.1f} s after it began"
        self._print(Text.assemble("  ", (f"{released.label}: {word}", style), took))

    def findings(self, release: Json) -> None:
        """What each metric said at the end of a release."""
        room = None if self.plain else self._console.width - 4
        for line in evidence.lines(release["findings"], release["levels"], room):
            self._print(Text.assemble("    ", *((text, STYLES_OF_LINES[style]) for text, style in line)))

    @contextlib.contextmanager
    def traffic(self, exchanges: Sequence[Exchange], label: Label) -> Iterator[None]:
        """Show what callers see below everything else, for as long as the context lasts."""
        if self.plain:
            yield
            return
        with Live(
            get_renderable=lambda: _traffic(exchanges, label),
            console=self._console,
            refresh_per_second=REDRAWS_PER_S,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        ):
            yield

    def report(self, of: Report) -> None:
        """The tables at the end."""
        self.title("What callers saw")
        for line in tables.revisions(of.groups):
            self._print(line)
        self.title("What became of the releases")
        for line in tables.releases(of.releases):
            self._print(line)
        lost = f"{of.requests_failed:,} of {of.requests_total:,} requests failed, not counting bad answers"
        self._print(Text(f"\n  {lost}", style="bold red" if of.requests_failed else "bold green"))
        again = "none was sent twice" if not of.retries else f"the proxy sent {of.retries} requests again"
        self.say(f"{of.bad_answers} bad answers came from revisions that were then taken back; {again}.")

    def _print(self, what: RenderableType) -> None:
        self._console.print(what)


def _traffic(exchanges: Sequence[Exchange], label: Label) -> RenderableType:
    """Two lines: all requests so far, and who answered those of the last second."""
    lately = _lately(exchanges)
    failed = sum(exchange.failed for exchange in exchanges)
    now = seen(lately)
    head = Text.assemble(
        ("\n  callers  ", "bold"),
        f"{len(exchanges):>6,} requests  ",
        (f"{failed} bad answers  ", "bold red" if failed else "dim"),
        f"now: {now.requests}/s",
        "" if now.latency_ms_p95 is None else f", p95 {now.latency_ms_p95:.0f} ms",
        "" if now.right_share is None else f", {now.right_share * 100:.0f} % read rightly",
    )
    bar = Text("           ")
    groups = Counter(label(exchange) for exchange in lately)
    for name, answers in groups.items():
        bar.append("█" * max(1, round(BAR * answers / len(lately))), style=STYLES.get(name, STRANGE))
    for name in groups:
        bar.append(f" {name}", style=STYLES.get(name, STRANGE))
    return Group(head, bar)


def _lately(exchanges: Sequence[Exchange]) -> Sequence[Exchange]:
    """Those that ended in the last second: they stand in the order in which they ended."""
    since = time.time() - LATELY_S
    at = len(exchanges)
    while at and exchanges[at - 1].at + exchanges[at - 1].latency_ms / 1000 >= since:
        at -= 1
    return exchanges[at:]


def labelled(known: Mapping[str, str], current: Callable[[], str]) -> Label:
    """What a revision is called: one that is not known yet is the one that is being released."""

    def label(exchange: Exchange) -> str:
        return "nobody" if exchange.revision is None else known.get(exchange.revision, current())

    return label
