"""The files that a person would have: models or a server's folder, golden requests, a service file."""

import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from celadon.doors.demo import digit_server
from celadon.doors.demo.digits import CLASSES, Image, Lesson, Reader
from celadon.doors.demo.story import BETTER, FAILING, FIRST, SERVICE, SLOW, Chapter

Runtime = Literal["model", "command"]

WATCH_S = 8
LATENCY_MS_P95_MAX = 200
SLOW_COMMAND_S = 0.4

SERVER_FOLDER = "reader"

TEMPLATE = """\
apiVersion: celadon.dev/v1alpha1
kind: ModelService
metadata: {{name: {name}}}
spec:
{runtime}
  golden: ./golden.jsonl
  replicas: 2
  route: {{port: {port}}}
  release:
    watch:            # short, because this is a demo: the default is a minute
      seconds: {watch_s}
      maxLatencyMsP95: {latency_ms}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workshop:
    """A folder with everything that is released. path: where callers send images."""

    folder: Path
    runtime: Runtime
    path: str
    service: str = SERVICE

    @property
    def service_file(self) -> Path:
        """What is deployed, every time the same file."""
        return self.folder / f"{self.service}.yaml"

    def request(self, image: Image) -> dict[str, Any]:
        """What a caller sends for one image."""
        if self.runtime == "model":
            return {"instances": [image.pixels]}
        return {"image": image.pixels}

    def read(self, answer: bytes) -> int | None:
        """The digit of an answer; None when it is not the answer of a reader of digits."""
        try:
            value = json.loads(answer)
            return int(value["predictions"][0]["label"] if self.runtime == "model" else value["digit"])
        except (ValueError, KeyError, TypeError, IndexError):
            return None

    def lay_out(self, chapter: Chapter) -> None:
        """Put the files of one revision where the service file names them. A model is named by `--model` instead."""
        if self.runtime == "command":
            shutil.copyfile(
                self.folder / f"{chapter.label}.json", self.folder / SERVER_FOLDER / "reader.json"
            )

    def deploy_arguments(self, chapter: Chapter) -> list[str]:
        """What a person types to release this revision."""
        model = ["--model", f"{chapter.file}.onnx"] if self.runtime == "model" else []
        return ["deploy", "-f", self.service_file.name, *model, "--label", f"demo={chapter.label}"]


def furnish(folder: Path, runtime: Runtime, lesson: Lesson, port: int) -> Workshop:
    """Write every file of the demo into an empty folder."""
    path = predict_path(SERVICE) if runtime == "model" else "/read"
    workshop = Workshop(folder=folder, runtime=runtime, path=path)
    if runtime == "model":
        from celadon.doors.demo.graphs import write_models  # noqa: PLC0415 -- `command` needs nothing of ONNX

        write_models(lesson, folder)
        source = f"  model: ./{FIRST.label}.onnx"
    else:
        _write_server(folder, lesson)
        command = json.dumps([sys.executable, "server.py", "--port", "{port}"])
        source = f"  command: {command}\n  files: ./{SERVER_FOLDER}\n  ready: /healthz"
    workshop.service_file.write_text(_service(source, port), encoding="utf-8")
    write_golden(workshop, "golden.jsonl", lesson.plain)
    return workshop


def predict_path(service: str) -> str:
    """Where celadon's own server takes requests."""
    return f"/v1/models/{service}:predict"


def write_golden(workshop: Workshop, name: str, plain: Sequence[Image]) -> None:
    """The golden requests of a service, in its folder."""
    lines = [json.dumps(line) for line in _golden(workshop, plain)]
    (workshop.folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")


def _service(runtime: str, port: int) -> str:
    return TEMPLATE.format(
        name=SERVICE,
        runtime=runtime,
        port=port,
        watch_s=WATCH_S,
        latency_ms=LATENCY_MS_P95_MAX,
    )


def _golden(workshop: Workshop, plain: Sequence[Image]) -> list[dict[str, Any]]:
    """Probabilities have to be some, and plain digits are read rightly. No number is that of one training."""
    at = "predictions/0/probabilities" if workshop.runtime == "model" else "probabilities"
    return [
        {
            "name": f"a plain {image.digit}",
            "path": workshop.path,
            "body": workshop.request(image),
            "expect": {
                "at": at,
                "shape": [CLASSES],
                "finite": True,
                "low": 0,
                "high": 1,
                "argmax": image.digit,
            },
        }
        for image in plain
    ]


def _write_server(folder: Path, lesson: Lesson) -> None:
    """The server as somebody else would have written it, and what each revision of it has learned."""
    home = folder / SERVER_FOLDER
    home.mkdir()
    shutil.copyfile(digit_server.__file__, home / "server.py")
    better = _learned(lesson.better)
    flaws: dict[Chapter, dict[str, Any]] = {
        FAILING: {"table": [1.0] * lesson.ink_limit},
        SLOW: {"bold_ink": lesson.ink_limit, "bold_s": SLOW_COMMAND_S},
    }
    revisions = {FIRST: _learned(lesson.first), BETTER: better, **{c: better | flaws[c] for c in flaws}}
    for chapter, learned in revisions.items():
        (folder / f"{chapter.label}.json").write_text(json.dumps(learned), encoding="utf-8")


def _learned(reader: Reader) -> dict[str, Any]:
    trained = reader.trained
    return {"weights": trained.coef_.tolist(), "intercepts": trained.intercept_.tolist()}
