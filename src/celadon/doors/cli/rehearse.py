"""`celadon rehearse`: the file's own release in a simulated world, with things going wrong, before anybody is hurt."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import click

from celadon.domain.problem import Problem, ProblemsError
from celadon.domain.release import Outcome
from celadon.domain.spec import ServiceSpec
from celadon.doors.cli import bundle
from celadon.doors.cli.ahead import rate_of
from celadon.doors.cli.exits import ENDS, ExitCode, of_all
from celadon.doors.cli.human import several, share
from celadon.doors.cli.lines import BAD, GOOD, PLAIN, QUIET, STRONG, WAIT, Line, Span, entry
from celadon.doors.cli.picture import picture
from celadon.doors.cli.plan import refuse_impossible
from celadon.doors.cli.screen import OUTPUTS, is_plain, save_svg, say, say_json, show_lines, show_table
from celadon.doors.cli.top import COMMANDS
from celadon.parse.identity import settings_of
from celadon.sim.orders import GOLDEN
from celadon.sim.rehearsal import ERROR_SHARE, FAULTS, FEW, LABELLED, WRONG_SHARE, Green, Rehearsal, Wish
from celadon.sim.rehearsal import rehearse as play

Json = dict[str, Any]

OF_DRILLS = {"hang-replica": "hang", "kill-zone": "lose-zone", "freeze-metrics": "freeze-counters"}
"""What `celadon drill` calls some of them."""

SEEDS = 20
RATE_PER_S = 50.0

HOW = {
    Green.GOOD: "is like blue",
    Green.ERRORS: f"fails {share(100 * ERROR_SHARE)} of its requests",
    Green.SLOW: "takes three times as long as the watch allows",
    Green.WRONG: f"is wrong in {share(100 * WRONG_SHARE)} of its answers",
    Green.BROKEN: "never gets ready",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the command line asks for, apart from the file."""

    greens: tuple[Green, ...]
    faults: tuple[str, ...]
    seeds: range
    rate_per_s: float | None
    proxies: int

    def wish(self, loaded: bundle.Loaded, green: Green) -> Wish:
        """What is to be rehearsed of a service, but for the seed."""
        spec, golden = loaded.spec, bundle.golden_of(loaded)
        exposure = spec.release.exposure
        return Wish(
            service=spec.service,
            settings=settings_of(spec, GOLDEN if golden else None),
            green=green,
            faults=tuple(FAULTS[name] for name in self.faults),
            rate_per_s=self.rate_per_s or (exposure.rate_per_s if exposure else RATE_PER_S),
            proxies=self.proxies,
            asked=len(golden),
        )


@click.command("rehearse", help=COMMANDS["rehearse"][1])
@click.option("-f", "--file", required=True, help="The service file; - reads standard input.")
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    help="The first course of things; alone without --seeds, and told line by line.",
)
@click.option(
    "--seeds", type=click.IntRange(1, 10_000), help=f"How many courses of things. [default: {SEEDS}]"
)
@click.option("--faults", default=",".join(FEW), show_default=True, help="What goes wrong; all or none.")
@click.option(
    "--green",
    type=click.Choice([one.value for one in Green]),
    help="How the new revision is. [default: good, then errors]",
)
@click.option("--rate", help=f"Requests per second. [default: {RATE_PER_S:g}]")
@click.option(
    "--proxies", type=click.IntRange(1, 2), default=1, show_default=True, help="As `celadon up --proxies`."
)
@click.option(
    "--output", type=OUTPUTS, default="text", show_default=True, help="What to write on standard output."
)
@click.option(
    "--svg", type=click.Path(dir_okay=False, path_type=Path), help="Draw what is shown into this file, too."
)
def rehearse(
    *,
    file: str,
    seed: int | None,
    seeds: int | None,
    faults: str,
    green: str | None,
    rate: str | None,
    proxies: int,
    output: str,
    svg: Path | None,
) -> int:
    """Rehearse the releases of a file, and end as they did."""
    first, count = seed or 0, seeds or (SEEDS if seed is None else 1)
    asked = Asked(
        greens=(Green(green),) if green else (Green.GOOD, Green.ERRORS),
        faults=faults_of(faults),
        seeds=range(first, first + count),
        rate_per_s=None if rate is None else rate_of(rate),
        proxies=proxies,
    )
    found = bundle.load(file, None)
    refuse_impossible(found)
    shown = [_Shown(file, loaded, asked) for loaded in found.services]
    if svg is not None:
        save_svg(svg, [line for one in shown for line in one.drawn()], "celadon rehearse")
        click.echo(f"drawn into {svg}", err=True)
    if output == "json":
        say_json({"file": found.where, "services": [one.json() for one in shown]})
    else:
        for one in shown:
            one.show()
    return of_all([one.code for one in shown])


def faults_of(given: str) -> tuple[str, ...]:
    """`hang,kill-proxy`, `all` or `none`. Raises ProblemsError with every name that there is not."""
    if given == "all":
        return tuple(FAULTS)
    asked = [] if given == "none" else [name.strip() for name in given.split(",")]
    names = [OF_DRILLS.get(name, name) for name in asked]
    hint = f"there are all, none, or some of {', '.join(FAULTS)}"
    problems = [
        Problem(path="--faults", found=f"`{name}` is no fault", hint=hint)
        for name in names
        if name not in FAULTS
    ]
    if problems:
        raise ProblemsError(problems)
    return tuple(names)


def code_of(one: Rehearsal) -> ExitCode:
    """What a rehearsal means to a pipeline: a good green reaches its end, and a bad one does not."""
    if one.broken:
        return ExitCode.INFRASTRUCTURE
    if one.ended is None:
        return ExitCode.PERSON
    if one.green is Green.GOOD:
        return ENDS[one.ended, one.cause]
    return ExitCode.PERSON if one.ended is Outcome.PROMOTED else ExitCode.REACHED


class _Shown:
    """One service's rehearsals, and how they are told."""

    def __init__(self, file: str, loaded: bundle.Loaded, asked: Asked) -> None:
        self.file, self.spec, self.asked = file, loaded.spec, asked
        self.wishes = {green: asked.wish(loaded, green) for green in asked.greens}
        wishes = [replace(wish, seed=seed) for wish in self.wishes.values() for seed in asked.seeds]
        hidden = not sys.stderr.isatty()
        with click.progressbar(wishes, label="rehearsing", file=sys.stderr, hidden=hidden) as shown:
            made = [play(wish) for wish in shown]
        self.made = {green: [one for one in made if one.green is green] for green in self.wishes}
        self.rate_per_s = next(iter(self.wishes.values())).rate_per_s

    @property
    def all(self) -> list[Rehearsal]:
        return [one for made in self.made.values() for one in made]

    @property
    def code(self) -> ExitCode:
        return of_all([code_of(one) for one in self.all])

    @property
    def alone(self) -> bool:
        return len(self.asked.seeds) == 1

    def show(self) -> None:
        plain = is_plain()
        show_lines(self.head(), plain=plain)
        if not self.alone:
            show_table(TITLES, [row for made in self.made.values() for row in _rows(made)], plain=plain)
            show_lines(self.unwanted(), plain=plain)
            say()
        show_lines(self.drawn(), plain=plain)
        show_lines(
            [*self.failing(), *(entry("note", (note, QUIET)) for note in notes(self.spec))], plain=plain
        )

    def head(self) -> list[Line]:
        faults = ", ".join(self.asked.faults) or "none"
        under = f"{self.rate_per_s:g} requests a second, {several(len(self.asked.seeds), 'course')} of things"
        return [
            Line(depth=0, spans=((self.spec.service.name, STRONG), ("  rehearsal", QUIET))),
            entry("under", (under, PLAIN)),
            entry("faults", (faults, PLAIN)),
            *(entry("green", (f"{green}: {HOW[green]}", PLAIN)) for green in self.made),
        ]

    def drawn(self) -> list[Line]:
        """Of every green the one course that is shown: the only one, or the one that cost callers most."""
        said = []
        for green, made in self.made.items():
            one = max(made, key=lambda made: (bool(made.broken), made.failed))
            told = "" if self.alone or not one.failed else "; it cost callers most"
            said.append(Line(depth=0, spans=((f"{green}, seed {one.seed}", STRONG), (told, QUIET))))
            said += [
                *(transcript(one) if self.alone else ()),
                *summary(one),
                *self.spared(one),
                *picture(one),
            ]
        return said

    def absent(self, one: Rehearsal) -> list[str]:
        """The faults that were asked for and did not come: the release had ended before their moment."""
        came = {said.text for said in one.said if said.what == "fault"}
        return [name for name in self.asked.faults if FAULTS[name].value not in came]

    def spared(self, one: Rehearsal) -> Iterator[Line]:
        absent = self.absent(one)
        if absent:
            told = f"{', '.join(absent)} did not come: the release had ended before"
            yield entry("spared", (told, QUIET))

    def unwanted(self) -> Iterator[Line]:
        """One course of each end that should not have been, and why it ended so."""
        for made in self.made.values():
            for end in _ends(made):
                if not end["as_it_should"]:
                    told = (f"{end['green']}, {end['ends']} as with seed {end['seed']}: ", BAD)
                    yield entry("why", told, (end["because"].replace("\n", "; "), PLAIN))

    def failing(self) -> Iterator[Line]:
        """Every course in which a law was broken, with what shows it again."""
        for one in self.all:
            for broken in one.broken:
                yield entry("broken", (f"{broken.law} ({broken.what})", BAD))
            if one.broken:
                yield entry("replay", (self.replay(one), PLAIN))

    def replay(self, one: Rehearsal) -> str:
        """The command that shows it again."""
        asked = self.asked
        rate = f" --rate {asked.rate_per_s:g}" if asked.rate_per_s else ""
        proxies = f" --proxies {asked.proxies}" if asked.proxies > 1 else ""
        faults = ",".join(asked.faults) or "none"
        return f"celadon rehearse -f {self.file} --green {one.green} --seed {one.seed} --faults {faults}{rate}{proxies}"

    def json(self) -> Json:
        return {
            "service": self.spec.service.name,
            "namespace": self.spec.service.namespace,
            "rate_per_s": self.rate_per_s,
            "faults": list(self.asked.faults),
            "ends": [end for made in self.made.values() for end in _ends(made)],
            "rehearsals": [self._told(one) for one in self.all],
            "notes": notes(self.spec),
            "exit_code": int(self.code),
        }

    def _told(self, one: Rehearsal) -> Json:
        told = {
            **asdict(one),
            "faults_absent": self.absent(one),
            "exit_code": int(code_of(one)),
            "replay": self.replay(one),
        }
        return (
            told
            if self.alone
            else {key: value for key, value in told.items() if key not in {"said", "steps"}}
        )


TITLES = ("green", "ends", "of", "after", "failed", "met green", "bad answers", "nobody for")


def end_of(one: Rehearsal) -> str:
    """How it ended, in two words."""
    return one.ended.replace("_", " ") if one.ended else f"waits, {one.phase.replace('_', ' ')}"


def _ends(made: Sequence[Rehearsal]) -> Iterator[Json]:
    """How often it ends how, the most frequent end first, with (median, worst) of what it takes and costs."""
    ends = sorted(
        {end_of(one) for one in made}, key=lambda end: (-sum(end_of(one) == end for one in made), end)
    )
    for end in ends:
        there = [one for one in made if end_of(one) == end]
        figures = ("took_s", "failed", "met_green", "bad", "unserved_s")
        yield {
            "green": there[0].green.value,
            "ends": end,
            "count": len(there),
            "seed": there[0].seed,
            "because": there[0].because,
            "as_it_should": all(code_of(one) is ExitCode.REACHED for one in there),
            **{
                name: {"median": median(values), "worst": max(values)}
                for name in figures
                for values in [[getattr(one, name) for one in there]]
            },
        }


def _rows(made: Sequence[Rehearsal]) -> list[list[Span]]:
    rows: list[list[Span]] = []
    for end in _ends(made):
        style = GOOD if end["as_it_should"] else BAD
        spans = [_both(end["took_s"], " s"), *(_both(end[name]) for name in ("failed", "met_green", "bad"))]
        texts = [f"{end['count']} of {len(made)}", *spans, _both(end["unserved_s"], " s")]
        rows.append([(end["green"], PLAIN), (end["ends"], style), *((text, PLAIN) for text in texts)])
    return rows


def _both(figure: Json, unit: str = "") -> str:
    usual, worst = figure["median"], figure["worst"]
    return f"{usual:.0f}{unit}" if usual == worst else f"{usual:.0f} ({worst:.0f}){unit}"


def transcript(one: Rehearsal) -> list[Line]:
    """What happened, in its order."""
    said = []
    for told in one.said:
        struck = told.what == "fault"
        text = told.text.replace("\n", "; ")
        spans = (
            (f"{told.at:8.1f} s  ", QUIET),
            (f"{told.what.replace('_', ' '):<14}", BAD if struck else QUIET),
        )
        said.append(Line(depth=1, spans=(*spans, (text, WAIT if struck else PLAIN)), hang=28))
    return said


def summary(one: Rehearsal) -> list[Line]:
    """What it came to, in two lines."""
    style = GOOD if code_of(one) is ExitCode.REACHED else BAD
    because = one.because.replace("\n", "; ")
    frozen = "" if one.frozen_s is None else f", frozen after {one.frozen_s:.1f} s"
    lost = [
        (one.by_green, "by green's own errors"),
        (one.unserved, f"with nobody there, for up to {one.unserved_s:.1f} s"),
        (one.failed - one.by_green - one.unserved, "at a replica that hung"),
    ]
    parts = ", ".join(f"{count:,} {how}" for count, how in lost if count > 0)
    late = one.stuck - max(0, one.failed - one.by_green - one.unserved)
    waited = f", {late:,} waited for a replica that hung" if late > 0 else ""
    callers = f"{one.failed:,} of {one.asked:,} requests failed{': ' if parts else ''}{parts}{waited}"
    met = f"{one.met_green:,} met green, {one.bad:,} of its answers were bad"
    return [
        entry("ends", (f"{end_of(one)} after {one.took_s:.1f} s{frozen}: ", style), (because, PLAIN)),
        entry("callers", (f"{callers}; {met}", PLAIN)),
    ]


def notes(spec: ServiceSpec) -> list[str]:
    """What a rehearsal of this service does not tell."""
    compare, redundancy = spec.release.compare, spec.redundancy
    golden = ", and answers its golden requests as it should" if spec.golden else ""
    said = [
        f"no model is loaded: green is as `--green` says{golden}",
        "a replica carries any number of requests here: what the rest carries after a loss is not rehearsed",
    ]
    if spec.route.timeout_s or spec.route.retry.per_try_s:
        said.append(
            "no request is given up here however slow it is: what `route` says of that is not rehearsed"
        )
    if redundancy.standby:
        said.append("when a standby steps in is not rehearsed")
    if compare is not None and compare.pairs is not None:
        said.append("copies are counted here, and what they answer is not compared")
    if compare is not None and compare.score is not None:
        said.append("no scores come to be known here")
    if compare is not None and compare.labels is not None:
        said.append(f"labels come for {share(100 * LABELLED)} of the answers, at once")
    else:
        said.append("without `judge: {labels: ...}` nothing sees wrong answers")
    if spec.release.gate or any(
        getattr(step, "gate", False) for step in getattr(spec.release.strategy, "steps", ())
    ):
        said.append("who is waited for at a gate promotes after 10 s")
    return said
