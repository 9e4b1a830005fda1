"""One service of the soak: its documents, and what is done with it on a daemon that may be killed at any moment."""

import json
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from bench.backends import BackendSettings, server_command
from bench.celadon_home import Json
from bench.processes import PartyError
from onnx import TensorProto, helper, numpy_helper

from celadon.domain.problem import Fault, ProblemsError
from celadon.doors.cli.bundle import load
from celadon.doors.cli.client import Client
from celadon.doors.cli.sources import body, resolve, upload

BACK_S = 60.0
SETTLED_S = 120.0
LOOK_S = 0.25
MODEL_PATH = "/v2/models/{}/infer"
INPUT = {"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1.0, 2.0]}]}

T = TypeVar("T")


def saved_model(path: Path, factor: float) -> None:
    """y = factor * x for rows of two floats."""
    graph = helper.make_graph(
        [helper.make_node("Mul", ["x", "factor"], ["y"])],
        "times",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 2])],
        initializer=[numpy_helper.from_array(np.array([factor], dtype=np.float32), "factor")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    path.write_bytes(model.SerializeToString())


class Service:
    """A service of two replicas. Every deploy is a revision that was never there before."""

    def __init__(
        self, name: str, folder: Path, socket: Path, ports: tuple[int, int], *, model: bool, seed: int
    ) -> None:
        self.name, self.port, self.is_model = name, ports[0], model
        self.ended: Counter[str] = Counter()
        self.strange: list[Json] = []
        """Releases that ended otherwise than their script says, which kills can make them do."""
        self._ports, self._seed, self._number = ports, seed, 0
        self._folder = folder / name
        self._folder.mkdir()
        self._client = Client(socket)
        self._seen: set[str] = set()
        self.labels: list[str] = []
        """Request ids of the answers that its callers had lately."""
        self.over = threading.Event()
        """Nothing more is wanted of it: what still moves is aborted."""

    @property
    def target(self) -> Json:
        """What callers are told of it."""
        path = MODEL_PATH.format(self.name) if self.is_model else "/"
        return {
            "service": self.name,
            "port": self.port,
            "path": path,
            "body": INPUT if self.is_model else {},
            "labelled": True,
        }

    def deploy(self, kind: str, release: Json) -> None:
        """Accepted when it returns. kind: good; bad (fails every request but golden ones); dead (ends at once);
        unproved (does not answer its golden requests as expected).
        """
        self._number += 1
        file = self._folder / "service.json"
        file.write_text(json.dumps(self._document(kind, release)))

        def once() -> None:
            bundle = load(str(file), None)
            sources = resolve(bundle)
            upload(self._client, sources, lambda _: None)
            self._client.post("/v1/deploy", body(bundle, sources, {}, None))

        patiently(once)

    def order(self, word: str) -> None:
        """A command that may come too late: then it is refused, and nothing was lost by asking."""

        def once() -> None:
            try:
                self._client.post(f"/v1/services/{self.name}/commands", {"command": word})
            except ProblemsError as problem:
                self.strange.append({"service": self.name, "refused": word, "why": str(problem)})

        patiently(once)

    def feedback(self, wrong: float) -> None:
        """Labels of the answers that callers had lately; this part of them wrong, in turn."""
        ids, self.labels = self.labels, []
        lines = [
            json.dumps({"id": one, "wrong": number % 100 < wrong * 100}) for number, one in enumerate(ids)
        ]
        text = "\n".join(lines).encode()
        if lines:
            patiently(lambda: self._client.post_lines(f"/v1/services/{self.name}/feedback", text))

    def view(self) -> Json:
        found = patiently(lambda: self._client.get(f"/v1/services/{self.name}"))
        last = found["last_release"]
        if last is not None and last["release"] not in self._seen:
            self._seen.add(last["release"])
            self.ended[last["outcome"]] += 1
        return found

    def until_phase(self, *phases: str) -> bool:
        """Whether the release got there, before it ended in another way."""
        return bool(
            self._until(
                lambda view: (
                    None if self.over.is_set() or not self._busy(view) else self._phase(view) in phases
                ),
                f"{self.name} is {' or '.join(phases)}",
            )
        )

    def settle(self, *expected: str) -> None:
        """Returns when nothing of it moves or waits any more, and asks for an abort where a person is waited for."""
        asked: set[str] = set()

        def still(view: Json) -> bool:
            moving = view["release"]
            if moving is not None and moving["release"] not in asked and self._waits(moving):
                asked.add(moving["release"])
                self.order("abort")
            return not self._busy(view)

        self._until(still, f"{self.name} has settled")
        last = self.view()["last_release"]
        if not self.over.is_set() and (last is None or last["outcome"] not in expected):
            self.strange.append({"service": self.name, "expected": expected, "release": _brief(last)})

    def until_removed(self) -> None:
        self._until(lambda view: view["state"] == "removed", f"{self.name} is removed")

    def ready(self) -> list[int]:
        """Processes of the live revision that are ready."""
        view = self.view()
        return [
            one["pid"]
            for revision in view["revisions"]
            if revision["revision"] == view["live"]
            for one in revision["replicas"]
            if one["state"] == "ready" and one["arm"] == "main"
        ]

    def _until(self, condition: Callable[[Json], bool | None], what: str) -> bool:
        """What the condition says as soon as it is true; False when it says None."""
        until = time.monotonic() + SETTLED_S
        while time.monotonic() < until:
            found = condition(self.view())
            if found or found is None:
                return bool(found)
            time.sleep(LOOK_S)
        raise PartyError(f"not within {SETTLED_S:.0f} s: {what}: {json.dumps(_state(self.view()))}")

    def _waits(self, moving: Json) -> bool:
        """Whether a person is waited for who will not come."""
        return self.over.is_set() or moving["phase"] == "holding" or moving["stays_frozen"]

    @staticmethod
    def _busy(view: Json) -> bool:
        return bool(view["release"] or view["waiting_commands"])

    @staticmethod
    def _phase(view: Json) -> str:
        return str(view["release"]["phase"]) if view["release"] else ""

    def _document(self, kind: str, release: Json) -> Json:
        golden = self._folder / f"{kind}.jsonl"
        golden.write_text(json.dumps(self._golden(kind)) + "\n")
        return {
            "apiVersion": "celadon.dev/v1alpha1",
            "kind": "ModelService",
            "metadata": {"name": self.name},
            "spec": {
                **self._runs(kind),
                "golden": str(golden),
                "replicas": 2,
                "route": {"port": self._ports[0], "previewPort": self._ports[1], "retry": {"when": "reset"}},
                "drainSeconds": 5,
                "release": release,
            },
        }

    def _golden(self, kind: str) -> Json:
        status = 201 if kind == "unproved" else 200
        if self.is_model:
            path = MODEL_PATH.format(self.name)
            return {"name": "ok", "method": "POST", "path": path, "body": INPUT, "expect": {"status": status}}
        return {"name": "ok", "method": "GET", "path": "/golden", "expect": {"status": status}}

    def _runs(self, kind: str) -> Json:
        if self.is_model:
            model = self._folder / "model.onnx"
            # Far nearer to each other than answers may differ, and yet another revision each time.
            saved_model(model, 1.0 + self._number * 1e-6)
            return {"model": str(model)}
        settings = BackendSettings(
            delay_ms_median=3, delay_sigma=0.2, warm_ms=20, seed=self._seed * 10_000 + self._number
        )
        command = [*server_command(settings, f"{kind}-{self.name}-{self._number}"), "-port={port}"]
        if kind == "bad":
            command.append("-fail-share=1")
        if kind == "dead":
            command = [sys.executable, "-c", f"raise SystemExit({self._number % 200 + 1})", "{port}"]
        return {"command": command, "env": {"GOMAXPROCS": "1"}, "ready": "/healthz"}


def patiently(ask: Callable[[], T]) -> T:
    """Ask again while the daemon is away, as a person would; it is started again at once."""
    until = time.monotonic() + BACK_S
    while True:
        try:
            return ask()
        except Fault as fault:
            if getattr(fault, "retry_s", None) is None or time.monotonic() > until:
                raise PartyError(f"the daemon did not come back: {fault}") from fault
            time.sleep(0.1)


def _state(view: Mapping[str, Any]) -> Json:
    kept = ("service", "state", "live", "reason", "fault", "waiting_commands", "verdict")
    return {**{name: view[name] for name in kept}, "release": _brief(view["release"])}


def _brief(release: Json | None) -> Json | None:
    if release is None:
        return None
    kept = ("release", "phase", "stage", "dwelt_s", "outcome", "cause", "reason", "freezes")
    return {name: release[name] for name in kept}
