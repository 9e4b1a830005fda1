"""The curves of a soak as a picture: small multiples over one axis of time, each with what it grew by."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
from bench.celadon_home import Json
from bench.soak_figures import COUNT, LIMITS, curve, judged_from
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from celadon.sim.flat import growth

MINUTE_S = 60.0
INK, PALE, GRID = "#22312b", "#6f7d77", "#e3e8e5"
GREEN, BLUE, RUST, SAND = "#2f7d5b", "#3566a8", "#b3452c", "#c9952b"
STORM = "#f3e3dc"

STYLE: Any = {
    "font.family": "sans-serif",
    "font.size": 9.0,
    "svg.fonttype": "none",
    "svg.hashsalt": "soak",
    "text.color": INK,
    "axes.edgecolor": PALE,
    "axes.labelcolor": PALE,
    "xtick.color": PALE,
    "ytick.color": PALE,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One curve of a panel; shown as it stands where it is no quantity of LIMITS."""

    name: str
    label: str
    colour: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    title: str
    unit: str
    lines: tuple[Line, ...]


PANELS = (
    Panel(
        title="Memory",
        unit="MB resident",
        lines=(
            Line(name="envoy_rss_mb", label="Envoy", colour=BLUE),
            Line(name="daemon_rss_mb", label="daemon", colour=GREEN),
        ),
    ),
    Panel(
        title="Descriptors and threads",
        unit="open",
        lines=(
            Line(name="envoy_fds", label="Envoy, descriptors", colour=BLUE),
            Line(name="daemon_fds", label="daemon, descriptors", colour=GREEN),
            Line(name="daemon_threads", label="daemon, threads", colour=SAND),
        ),
    ),
    Panel(
        title="Journal and labels",
        unit="MB on disk",
        lines=(
            Line(name="home_journal_mb", label="journal", colour=GREEN),
            Line(name="home_labels_mb", label="labels", colour=BLUE),
        ),
    ),
    Panel(
        title="The rest of the home",
        unit="MB on disk",
        lines=(
            Line(name="home_answers_mb", label="answers", colour=GREEN),
            Line(name="home_envoy_mb", label="Envoy's files", colour=BLUE),
            Line(name="home_replicas_mb", label="replicas' files", colour=SAND),
            Line(name="home_models_mb", label="models", colour=RUST),
        ),
    ),
    Panel(
        title="Releases ended",
        unit="so far",
        lines=(
            Line(name="releases", label="all", colour=INK),
            Line(name="promoted", label="promoted", colour=GREEN),
            Line(name="rolled_back", label="rolled back", colour=RUST),
            Line(name="reported", label="reported", colour=BLUE),
            Line(name="superseded", label="superseded", colour=SAND),
        ),
    ),
    Panel(
        title="Kills, and requests that failed",
        unit="so far",
        lines=(
            Line(name="kills_replica", label="replicas killed", colour=GREEN),
            Line(name="kills_envoy", label="Envoys killed", colour=BLUE),
            Line(name="kills_daemon", label="daemons killed", colour=SAND),
            Line(name="failed", label="requests failed", colour=RUST),
        ),
    ),
)


def draw(course: Mapping[str, float], samples: Sequence[Json], file: Path) -> None:
    """course: when the storm ended and the judging began; file: the format is that of its suffix."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(10.5, 9.0), layout="constrained")
        rows = figure.subplots(3, 2, sharex=True)
        for axes, panel in zip(rows.flat, PANELS, strict=True):
            _panel(axes, panel, course, samples)
        for axes in rows[-1]:
            axes.set_xlabel("minutes")
        _say_when(rows[0, 0], course)
        last = samples[-1]
        figure.suptitle(
            f"{last['releases']:,} releases, {last['requests']:,} requests and "
            f"{sum(last[name] for name in last if name.startswith('kills_')):,} kills in "
            f"{last['at_s'] / MINUTE_S:.0f} minutes",
            x=0.01,
            ha="left",
            fontsize=13,
            fontweight="bold",
        )
        metadata = {"Date": None} if file.suffix == ".svg" else {}
        figure.savefig(file, dpi=130, metadata=metadata)


def _say_when(axes: Axes, course: Mapping[str, float]) -> None:
    """What the shade and the strong parts of curves mean, once."""
    for begin, what in ((0.0, "storm"), (course["storm_s"] / MINUTE_S, "what is judged is drawn strong")):
        across = axes.get_xaxis_transform()
        axes.text(begin, 0.02, f" {what}", transform=across, fontsize=7.5, color=PALE)


def _panel(axes: Axes, panel: Panel, course: Mapping[str, float], samples: Sequence[Json]) -> None:
    axes.axvspan(0, course["storm_s"] / MINUTE_S, color=STORM, linewidth=0)
    for line in panel.lines:
        whole = curve(samples, line.name)
        strong = whole.since(judged_from(line.name, course)) if line.name in LIMITS else whole
        for part, alpha, label in ((whole, 0.35, None), (strong, 1.0, _label(line, course, samples))):
            axes.plot(
                [at / MINUTE_S for at in part.at_s],
                part.values,
                color=line.colour,
                linewidth=1.3,
                alpha=alpha,
                label=label,
            )
    axes.set_title(panel.title, loc="left", fontsize=10.5, fontweight="bold", color=INK, pad=18)
    axes.text(0, 1.02, panel.unit, transform=axes.transAxes, fontsize=8, color=PALE)
    axes.set_xlim(0, samples[-1]["at_s"] / MINUTE_S)
    # Curves of which one looks whether they grow are read from zero, or noise would look like growth.
    axes.set_ylim(bottom=0, top=axes.get_ylim()[1] * 1.25)
    axes.legend(loc="upper right", frameon=False, fontsize=8, ncols=2, borderaxespad=0, handlelength=1.2)


def _label(line: Line, course: Mapping[str, float], samples: Sequence[Json]) -> str:
    if line.name not in LIMITS:
        return line.label
    grown = growth(curve(samples, line.name).since(judged_from(line.name, course)))
    if LIMITS[line.name] is COUNT:
        return f"{line.label} ({grown.amount_per_hour:+.1f}/h)"
    return f"{line.label} ({grown.percent_per_hour:+.1f} %/h)"
