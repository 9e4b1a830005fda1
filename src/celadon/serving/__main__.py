"""``python -m celadon.serving serve|inspect``: the two things this server does.

Exit codes: 0 done, 2 the model (or its warm-up) is wrong, 1 everything else.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from pathlib import Path
from typing import Any, Final, NoReturn

from celadon.serving.refusal import MODEL_REFUSED, OK, PROGRAM, WORLD_FAILED, ModelRefusedError

DEFAULT_MAX_BODY_BYTES: Final = 64 * 1024 * 1024
DEFAULT_DRAIN_S: Final = 30.0
PREDICTIONS: Final = "CELADON_PREDICTIONS"
"""Environment variable with the file to which predictions are appended; without it none are."""
NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """The original exits with 2, which here means a wrong model."""
        self.print_usage(sys.stderr)
        self.exit(WORLD_FAILED, f"{PROGRAM}: {message}\n")


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    # numpy brings a pool of one thread per core that nothing here uses; it must not exist before numpy is imported.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # ONNX Runtime tells its makers about the models it runs unless this is set before it is imported. Nobody who
    # serves a model with celadon has agreed to that, so it is not left to the environment.
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    try:
        return _inspect(options) if options.command == "inspect" else _serve(options)
    except ModelRefusedError as refused:
        _say(f"the model cannot be served. {refused}")
        return MODEL_REFUSED
    except ModuleNotFoundError as missing:
        _say(f"{missing.name} is not installed: install celadon[serving]")
    except MemoryError as failure:
        _say(f"not enough memory for this model: {failure}")
    except OSError as failure:
        _say(str(failure.strerror or failure) + (f": {failure.filename}" if failure.filename else ""))
    return WORLD_FAILED


def _say(text: str) -> None:
    sys.stderr.write(f"{PROGRAM}: {text}\n")


def _serve(options: argparse.Namespace) -> int:
    from celadon.serving import replay, serve  # noqa: PLC0415  # so that a missing extra is said and not raised

    settings = serve.Settings(
        model=options.model,
        name=options.name,
        version=str(options.version),
        host=options.host,
        port=options.port,
        revision=options.revision,
        warmup=options.warmup,
        threads=options.threads,
        max_body_bytes=options.max_body_bytes,
        drain_s=options.drain_seconds,
        predictions=Path(os.environ[PREDICTIONS]) if os.environ.get(PREDICTIONS) else None,
    )
    try:
        return serve.serve(settings)
    except replay.WarmupError as wrong:
        _say(str(wrong))
        return MODEL_REFUSED


def _inspect(options: argparse.Namespace) -> int:
    from celadon.serving import answering, inspection  # noqa: PLC0415  # as in _serve

    try:
        description: dict[str, Any] = inspection.inspect(
            options.model,
            name=options.name,
            version=str(options.version),
            record=options.record,
            threads=options.threads,
        )
        code = OK
    except ModelRefusedError as refused:
        problems = [
            {"path": entry.path, "found": entry.found, "hint": entry.hint} for entry in refused.problems
        ]
        description, code = {"problems": problems}, MODEL_REFUSED
    sys.stdout.buffer.write(answering.dump(description) + b"\n")
    return code


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog=f"python -m {PROGRAM}", description="Serves an ONNX model over HTTP, or looks into one."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    serving = commands.add_parser("serve", help="serve a model until SIGTERM")
    serving.add_argument(
        "--model", type=Path, required=True, help="a folder with model.onnx, or an ONNX file"
    )
    serving.add_argument("--name", type=_name, required=True, help="the model's name in the protocols")
    serving.add_argument("--revision", default="", help="said in the metrics")
    serving.add_argument("--host", default="127.0.0.1")
    serving.add_argument(
        "--port", type=_between(0, 65535), required=True, help="0 takes a free one and says which"
    )
    serving.add_argument("--warmup", type=Path, help="JSON Lines of requests to answer before being ready")
    serving.add_argument("--max-body-bytes", type=_between(1, 2**40), default=DEFAULT_MAX_BODY_BYTES)
    serving.add_argument(
        "--drain-seconds", type=_seconds, default=DEFAULT_DRAIN_S, help="from SIGTERM to the end"
    )
    inspecting = commands.add_parser("inspect", help="print what a model takes and gives, as JSON")
    inspecting.add_argument("model", type=Path)
    inspecting.add_argument(
        "--name", type=_name, default="model", help="the name in the paths of the examples"
    )
    inspecting.add_argument("--record", action="store_true", help="run the examples and add their answers")
    for command in (serving, inspecting):
        command.add_argument(
            "--version", type=_between(1, 2**63 - 1), default=1, help="the version in the protocols"
        )
        command.add_argument(
            "--threads", type=_between(1, 1024), default=1, help="threads of one run of the model"
        )
    return parser


def _name(text: str) -> str:
    if not NAME.fullmatch(text):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a name of letters, digits, dots, dashes and underscores"
        )
    return text


def _between(low: int, high: int) -> Any:
    def number(text: str) -> int:
        if not text.isdecimal() or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {low} to {high}")
        return int(text)

    return number


def _seconds(text: str) -> float:
    if not re.fullmatch(r"\d+(\.\d+)?", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds")
    return float(text)


if __name__ == "__main__":
    sys.exit(main())
