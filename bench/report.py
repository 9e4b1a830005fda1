"""How a benchmark says what it found: a table for people, one JSON line for programs."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    bench: str
    figures: Mapping[str, float | int]
    peers: Mapping[str, str]
    machine: Mapping[str, str | int]
    seed: int
    seconds: float


def configuration_hash(configuration: Any) -> str:
    """One configuration serves for validity, speed and cost; two figures compare only under one hash."""
    text = json.dumps(asdict(configuration), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def json_line(report: Report) -> str:
    return json.dumps(asdict(report), sort_keys=False)


def table(report: Report) -> str:
    width = max(len(name) for name in report.figures)
    lines = [f"bench.{report.bench}  seed {report.seed}  {report.seconds:.0f} s"]
    lines += [f"  {name:<{width}}  {_shown(value)}" for name, value in report.figures.items()]
    lines += [f"  {name}: {version}" for name, version in report.peers.items()]
    lines.append("  " + ", ".join(f"{name} {value}" for name, value in report.machine.items()))
    return "\n".join(lines)


def _shown(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,.3f}"
