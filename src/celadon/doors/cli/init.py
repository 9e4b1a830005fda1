"""`celadon init`: from a model file to a service file and golden requests that a person then reviews."""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from celadon.domain.names import NAME
from celadon.domain.problem import LastingFault, Problem, ProblemsError
from celadon.doors.cli.exits import ExitCode
from celadon.doors.cli.inspect import fields, inspect
from celadon.doors.cli.screen import OUTPUTS, say, say_json
from celadon.doors.cli.top import COMMANDS

Json = dict[str, Any]

GOLDEN = "golden.jsonl"
TOLERANCE = 0.25
"""Recorded answers get this much room, of their largest number: retraining moves answers, breaking moves them far."""

NUMBERS_MAX = 1000
"""Larger answers are described by shape and range alone, so that the file stays readable."""

TEMPLATE = """\
# One AI service. `celadon plan -f {file}` shows every default; docs/reference/service.yaml explains every option.
apiVersion: celadon.dev/v1alpha1
kind: ModelService
metadata: {{name: {name}}}
spec:
  # {inputs}
  # {outputs}
  model: {model}
  golden: ./{golden}      # what a new revision must answer before it may have traffic; review it
  replicas: 2
  route: {{port: {port}}}
"""


@click.command(help=COMMANDS["init"][1])
@click.argument("model", type=click.Path(exists=True, path_type=Path))
@click.option("--name", help="The service's name [the model's file name].")
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    default=8080,
    show_default=True,
    help="Where clients will reach it.",
)
@click.option(
    "--dir",
    "folder",
    type=click.Path(file_okay=False, exists=True, path_type=Path),
    default=Path(),
    help="Where to write [here].",
)
@click.option("--force", is_flag=True, help="Overwrite files that are there.")
@click.option(
    "--output", type=OUTPUTS, default="text", show_default=True, help="What to write on standard output."
)
def init(model: Path, name: str | None, port: int, folder: Path, output: str, *, force: bool) -> int:
    """Write NAME.yaml and golden.jsonl for a model, with its own answers of today as a first expectation."""
    chosen = _name(model, name)
    service, golden = folder / f"{chosen}.yaml", folder / GOLDEN
    _refuse_overwriting([service, golden], force=force)
    described = inspect(model, str(model), name=chosen, record=True)
    examples = [
        example for example in described["examples"] if example.get("answer", {}).get("status") == 200
    ]
    lines = [json.dumps(_golden(number, example)) for number, example in enumerate(examples, start=1)]
    text = _service_file(service, model, chosen, port, described)
    _write(service, text if lines else _without_golden(text))
    if lines:
        _write(golden, "".join(f"{line}\n" for line in lines))
    written = [str(service), *([str(golden)] if lines else [])]
    if output == "json":
        say_json(
            {
                "service": chosen,
                "written": written,
                "golden_requests": len(lines),
                "notes": described["notes"],
            }
        )
        return ExitCode.REACHED
    _tell(chosen, written, len(lines), described)
    return ExitCode.REACHED


def _name(model: Path, given: str | None) -> str:
    if given is not None:
        if NAME.fullmatch(given):
            return given
        hint = "lower-case letters, digits and dashes, at most 40, a letter first"
        raise ProblemsError([Problem(path="--name", found=f"`{given}` is not a service name", hint=hint)])
    stem = model.resolve().parent.name if model.stem == "model" else model.stem
    made = re.sub(r"[^a-z0-9]+", "-", stem.lower()).strip("-")[:40].rstrip("-")
    return made if NAME.fullmatch(made) else "model"


def _refuse_overwriting(paths: list[Path], *, force: bool) -> None:
    there = [path for path in paths if path.exists()]
    if there and not force:
        hint = "--force overwrites it; --dir and --name choose another place"
        raise ProblemsError(Problem(path=str(path), found="is there already", hint=hint) for path in there)


def _service_file(service: Path, model: Path, name: str, port: int, described: Json) -> str:
    near = Path(os.path.relpath(model.resolve(), service.parent.resolve())).as_posix()
    path = near if near.startswith("..") else f"./{near}"
    return TEMPLATE.format(
        file=service.name,
        name=name,
        inputs="takes " + "; ".join(fields(described, "inputs")).replace("\n", " "),
        outputs="gives " + "; ".join(fields(described, "outputs")).replace("\n", " "),
        model=json.dumps(path),
        golden=GOLDEN,
        port=port,
    )


def _without_golden(text: str) -> str:
    return "".join(line for line in text.splitlines(keepends=True) if not line.startswith("  golden:"))


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise LastingFault(f"{path} can not be written: {error.strerror}") from error


def _golden(number: int, example: Json) -> Json:
    """One line of golden requests. What survives retraining comes first, the recorded numbers last."""
    arrays = list(_arrays(example["answer"]["body"]))
    expect: list[Json] = [{"status": example["answer"]["status"]}]
    expect += [_lasting(at, value) for at, value in arrays]
    expect += [_recorded(at, value) for at, value in arrays if _is_recorded(_flat(value))]
    return {
        "name": f"{example['protocol']} example {number}",
        "method": example["method"],
        "path": example["path"],
        "body": example["body"],
        "expect": expect,
    }


def _lasting(at: str, value: Any) -> Json:
    numbers = _flat(value)
    expect: Json = {"at": at}
    if isinstance(value, list):
        expect["shape"] = _shape(value)
    if numbers:
        expect["finite"] = True
    if any(isinstance(number, float) for number in numbers) and all(0 <= number <= 1 for number in numbers):
        expect |= {"low": 0, "high": 1}
    return expect


def _is_recorded(numbers: list[float]) -> bool:
    """Whole numbers are classes and counts, for which being near says nothing."""
    return 0 < len(numbers) <= NUMBERS_MAX and any(isinstance(number, float) for number in numbers)


def _recorded(at: str, value: Any) -> Json:
    largest = max((abs(number) for number in _flat(value)), default=0)
    return {"at": at, "near": value, "tolerance": round(max(largest, 1) * TOLERANCE, 6)}


def _arrays(value: Any, at: str = "") -> Iterator[tuple[str, Any]]:
    """Every array of numbers in an answer, and every single number, with its path."""
    if isinstance(value, list) and value and _shape(value) is not None and _flat(value):
        yield at, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            if key != "shape" and "/" not in key:
                yield from _arrays(inner, f"{at}/{key}" if at else key)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _arrays(inner, f"{at}/{index}" if at else str(index))
    elif isinstance(value, int | float) and not isinstance(value, bool) and at:
        yield at, value


def _shape(value: Any) -> list[int] | None:
    """List lengths, outermost first; None when the lists inside differ or hold something else than numbers."""
    if not isinstance(value, list):
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return [] if is_number else None
    inner = [_shape(item) for item in value]
    if not inner or any(shape is None or shape != inner[0] for shape in inner):
        return None
    assert inner[0] is not None
    return [len(value), *inner[0]]


def _flat(value: Any) -> list[float]:
    if isinstance(value, list):
        return [number for item in value for number in _flat(item)]
    return [value] if isinstance(value, int | float) and not isinstance(value, bool) else []


def _tell(name: str, written: list[str], golden_requests: int, described: Json) -> None:
    say(f"{described['file']}: opset {described['opset']}, takes {', '.join(fields(described, 'inputs'))}")
    say(f"  gives {', '.join(fields(described, 'outputs'))}")
    for note in described["notes"]:
        say(f"  note: {note}")
    say(f"wrote {' and '.join(written)}")
    if golden_requests:
        say(
            f"review {GOLDEN}: {golden_requests} requests on made-up inputs. Its `near` values are what this model"
            f" answers today, with a quarter of the largest number (of 1 at least) as room: replace the inputs by real ones, then tighten or"
            " drop what retraining may change."
        )
    say(f"next: celadon plan -f {written[0]}   then: celadon up && celadon deploy -f {written[0]}   ({name})")
