"""A loaded model: what it takes, what it gives, and one run of it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import onnxruntime as ort

from celadon.serving.artifact import Artifact
from celadon.serving.refusal import InferenceFailedError, ModelRefusedError, Problem, shown
from celadon.serving.tensors import ELEMENT_TYPES, Array, ElementType, TensorSpec

TENSOR: Final = re.compile(r"tensor\((\w+)\)")
MAPS: Final = re.compile(r"seq\(map\((?:int64|string),tensor\((\w+)\)\)\)")
FATAL: Final = 4

Feeds = dict[str, Array]
Maps = list[dict[str | int, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class MapsSpec:
    """An output that is a sequence of maps, as ZipMap makes: one map of class to score per row."""

    name: str
    element: ElementType
    keys: tuple[str | int, ...]
    """In the model's order; empty where the model does not state them."""


OutputSpec = TensorSpec | MapsSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    artifact: Artifact
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[OutputSpec, ...]
    session: Any

    def run(self, feeds: Feeds, names: Sequence[str]) -> list[Array | Maps]:
        """The named outputs, in that order. Raises InferenceFailedError when the model does."""
        try:
            outputs: list[Array | Maps] = self.session.run(names, feeds)
        except Exception as error:
            # The bindings raise plain RuntimeErrors and a dozen classes with no common base; all mean that the run failed.
            raise InferenceFailedError(first_line(error)) from error
        return outputs


def load(artifact: Artifact, threads: int) -> Model:
    """Loads on the CPU with `threads` threads per run. Raises ModelRefusedError, or MemoryError where the machine is too small."""
    ort.set_default_logger_severity(FATAL)
    try:
        session = ort.InferenceSession(
            str(artifact.main), _options(threads), providers=["CPUExecutionProvider"]
        )
    except Exception as error:
        # As in run: whatever it raises, the file was readable and the runtime did not want it, unless memory ran out.
        text = first_line(error)
        if re.search(r"bad_alloc|[Ff]ailed to allocate", text):
            raise MemoryError(text) from error
        raise ModelRefusedError(_load_problem(artifact, text)) from error
    return _described(artifact, session)


def _options(threads: int) -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    # Spinning threads would slow the other colour on the same machine and so bias every comparison of the two.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    # What fails is raised, answered and written by us once; the runtime's own lines would repeat it.
    options.log_severity_level = FATAL
    return options


def _load_problem(artifact: Artifact, text: str) -> Problem:
    hint = "check that the file is whole and passes onnx.checker"
    if re.search(
        r"not a registered function/op|NOT_IMPLEMENTED|[Nn]o opset import|Could not find an implementation",
        text,
    ):
        hint = "use only the standard operators that ONNX Runtime has, or export with another opset"
    elif re.search(r"opset \d+ is under|[Oo]pset|IR version", text):
        hint = f"export with an opset and IR version that ONNX Runtime {ort.__version__} knows"
    return Problem(
        path=artifact.main.name, found=f"ONNX Runtime does not load it: {shown(text, 600)}", hint=hint
    )


def _described(artifact: Artifact, session: Any) -> Model:
    problems: list[Problem] = []
    inputs = [_tensor(node, "input", artifact, problems) for node in session.get_inputs()]
    outputs = [
        _maps(node, artifact.map_keys) or _tensor(node, "output", artifact, problems)
        for node in session.get_outputs()
    ]
    if problems:
        raise ModelRefusedError(*problems)
    return Model(
        artifact=artifact,
        inputs=tuple(spec for spec in inputs if spec is not None),
        outputs=tuple(spec for spec in outputs if spec is not None),
        session=session,
    )


def _tensor(node: Any, role: str, artifact: Artifact, problems: list[Problem]) -> TensorSpec | None:
    match = TENSOR.fullmatch(node.type)
    element = ELEMENT_TYPES.get(match[1]) if match else None
    if element is None:
        hint = f"give the model an {role} of type {', '.join(ELEMENT_TYPES)}"
        problems.append(Problem(path=f"{role} {node.name}", found=f"type {node.type}", hint=hint))
        return None
    shape = tuple(size if isinstance(size, int) else (size or None) for size in node.shape)
    # The runtime shows a tensor without a stated shape as if it were a scalar, unless it worked the shape out.
    any_rank = not shape and node.name in artifact.without_shape
    return TensorSpec(name=node.name, element=element, shape=shape, any_rank=any_rank)


def _maps(node: Any, keys: Mapping[str, tuple[str | int, ...]]) -> MapsSpec | None:
    match = MAPS.fullmatch(node.type)
    if match is None or match[1] not in ELEMENT_TYPES:
        return None
    return MapsSpec(name=node.name, element=ELEMENT_TYPES[match[1]], keys=keys.get(node.name, ()))


def flattened(maps: Maps, spec: MapsSpec) -> tuple[Array, tuple[str | int, ...]]:
    """One row per map and one column per key, for protocols that know tensors only.

    The columns stand in the model's order, else in the order of the keys. Raises InferenceFailedError when the maps differ in keys.
    """
    keys = spec.keys or tuple(sorted(maps[0], key=str) if maps else ())
    if any(set(row) != set(keys) for row in maps):
        raise InferenceFailedError(f"output {spec.name!r}: its maps do not all have the keys {shown(keys)}")
    rows = [[row[key] for key in keys] for row in maps]
    return np.array(rows, dtype=spec.element.numpy).reshape(len(maps), len(keys)), keys


def first_line(error: BaseException) -> str:
    """What the runtime says, without its status code, its source file and its C++ signature."""
    text = (str(error).strip() or type(error).__name__).splitlines()[0]
    text = re.sub(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ", "", text)
    return re.sub(r"/onnxruntime_src/\S+:\d+ .*\) (?=\S)", "", text)


def sample(model: Model, fill: int, free_size: int) -> Feeds:
    """Inputs of the declared shapes, all alike: `fill` (0 or 1), with one row, and `free_size` for all other free dimensions."""
    return {spec.name: _filled(spec, fill, free_size) for spec in model.inputs}


def _filled(spec: TensorSpec, fill: int, free_size: int) -> Array:
    shape = (
        [1, free_size]
        if spec.any_rank
        else [
            size if isinstance(size, int) else (1 if position == 0 else free_size)
            for position, size in enumerate(spec.shape)
        ]
    )
    assert math.prod(shape) >= 0, shape
    if spec.element.onnx == "string":
        return np.full(shape, str(fill), dtype=object)
    return np.full(shape, fill, dtype=spec.element.numpy)
