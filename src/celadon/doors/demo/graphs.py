"""Readers as ONNX files: exported by skl2onnx, and for the bad revisions spoiled in earnest.

The failing one raises inside ONNX Runtime, the slow one computes: nothing of it is acted.
"""

import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from skl2onnx import to_onnx

from celadon.doors.demo.digits import PIXELS, Lesson, Reader

OPSET = {"": 17, "ai.onnx.ml": 3}
IMAGE, LABEL, PROBABILITIES = "image", "label", "probabilities"
RAW = "raw_probabilities"

SLOW_S = 0.32
"""What the slow revision takes for a bold digit."""

THOROUGH_S = 0.009
"""What the thorough reader takes for any digit, so that a fifth more of it is not lost in what a request takes anyway."""

SLOWER = 1.2

SIDE = 192
"""Width of the square matrix that the slow revision multiplies again and again."""

TRIAL_TURNS = 40
TRIALS = 5


def write_models(lesson: Lesson, folder: Path) -> None:
    """`first.onnx`, `better.onnx`, `failing.onnx` and `slow.onnx`."""
    better = _exported(lesson.better)
    _save(_exported(lesson.first), folder / "first.onnx")
    _save(better, folder / "better.onnx")
    _save(_failing(better, lesson.ink_limit), folder / "failing.onnx")
    trial = _slow(better, lesson.ink_limit, TRIAL_TURNS)
    turns = math.ceil(TRIAL_TURNS * SLOW_S / _bold_s(trial))
    _save(_slow(better, lesson.ink_limit, turns), folder / "slow.onnx")


def write_compared_models(lesson: Lesson, folder: Path) -> None:
    """`wrong.onnx`, `unfair.onnx`, `thorough.onnx`, `slower.onnx` and `same.onnx`; blue of the others is there already."""
    better = _exported(lesson.better)
    _save(_negative(better, lesson.heavy_limit), folder / "wrong.onnx")
    _save(_negative(better, lesson.ink_limit), folder / "unfair.onnx")
    trial = _slow(better, 0, TRIAL_TURNS)
    fifths = max(2, round(TRIAL_TURNS * THOROUGH_S / _bold_s(trial) / 5))
    _save(_slow(better, 0, 5 * fifths), folder / "thorough.onnx")
    _save(_slow(better, 0, round(SLOWER * 5 * fifths)), folder / "slower.onnx")
    same = _exported(lesson.better)
    same.doc_string = "trained again on the same images"
    _save(same, folder / "same.onnx")


def _exported(reader: Reader) -> onnx.ModelProto:
    """The reader as skl2onnx writes it, with plain names; ZipMap off, so that it answers tensors."""
    sample = np.zeros((1, PIXELS), dtype=np.float32)
    model = to_onnx(reader.trained, sample, options={"zipmap": False}, target_opset=OPSET)
    label, probabilities = (output.name for output in model.graph.output)
    return _renamed(model, {model.graph.input[0].name: IMAGE, label: LABEL, probabilities: PROBABILITIES})


def _renamed(model: onnx.ModelProto, names: dict[str, str]) -> onnx.ModelProto:
    graph = model.graph
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    for value in (*graph.input, *graph.output):
        value.name = names.get(value.name, value.name)
    return model


def _failing(model: onnx.ModelProto, ink_limit: int) -> onnx.ModelProto:
    """Looks every image's ink up in a table that ends at the limit: beyond it there is nothing to gather."""
    table = numpy_helper.from_array(np.ones(ink_limit, dtype=np.float32), "table")
    column = numpy_helper.from_array(np.array([1], dtype=np.int64), "column")
    nodes = [
        helper.make_node("ReduceSum", [IMAGE, "column"], ["ink"], keepdims=1),
        helper.make_node("Cast", ["ink"], ["place"], to=TensorProto.INT64),
        helper.make_node("Gather", ["table", "place"], ["trust"]),
        helper.make_node("Mul", [RAW, "trust"], [PROBABILITIES]),
    ]
    return _spoiled(model, nodes, [table, column])


def _negative(model: onnx.ModelProto, ink_limit: int) -> onnx.ModelProto:
    """Looks at the negative of every image that has so much ink."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for node in copy.graph.node:
        node.input[:] = ["looked_at" if name == IMAGE else name for name in node.input]
    nodes = [
        helper.make_node("ReduceSum", [IMAGE, "column"], ["ink"], keepdims=1),
        helper.make_node("GreaterOrEqual", ["ink", "ink_limit"], ["dark"]),
        helper.make_node("Sub", ["one", IMAGE], ["negative"]),
        helper.make_node("Where", ["dark", "negative", IMAGE], ["looked_at"]),
    ]
    numbers: dict[str, NDArray[Any]] = {
        "column": np.array([1], dtype=np.int64),
        "ink_limit": np.array(ink_limit, dtype=np.float32),
        "one": np.array(1, dtype=np.float32),
    }
    kept = list(copy.graph.node)
    del copy.graph.node[:]
    copy.graph.node.extend([*nodes, *kept])
    copy.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in numbers.items())
    return copy


def _slow(model: onnx.ModelProto, ink_limit: int, turns: int) -> onnx.ModelProto:
    """Multiplies a matrix by itself, turn after turn, when one of the images is bold."""
    body = helper.make_graph(
        [
            helper.make_node("MatMul", ["held", "held"], ["product"]),
            helper.make_node("Tanh", ["product"], ["next"]),
            helper.make_node("Identity", ["go"], ["go_on"]),
        ],
        "look",
        [
            helper.make_tensor_value_info("turn", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("held", TensorProto.FLOAT, [SIDE, SIDE]),
        ],
        [
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("next", TensorProto.FLOAT, [SIDE, SIDE]),
        ],
    )
    nodes = [
        helper.make_node("ReduceSum", [IMAGE, "column"], ["ink"], keepdims=0),
        helper.make_node("ReduceMax", ["ink"], ["most"], keepdims=0),
        helper.make_node("GreaterOrEqual", ["most", "ink_limit"], ["bold"]),
        helper.make_node("Cast", ["bold"], ["once"], to=TensorProto.INT64),
        helper.make_node("Mul", ["once", "turns"], ["looks"]),
        helper.make_node("Loop", ["looks", "", "start"], ["seen"], body=body),
        helper.make_node("ReduceMean", ["seen"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "nothing"], ["unchanged"]),
        helper.make_node("Add", [RAW, "unchanged"], [PROBABILITIES]),
    ]
    start = np.full((SIDE, SIDE), 0.01, dtype=np.float32)
    numbers: dict[str, NDArray[Any]] = {
        "column": np.array([1], dtype=np.int64),
        "ink_limit": np.array(ink_limit, dtype=np.float32),
        "turns": np.array(turns, dtype=np.int64),
        "nothing": np.array(0, dtype=np.float32),
        "start": start,
    }
    return _spoiled(model, nodes, [numpy_helper.from_array(value, name) for name, value in numbers.items()])


def _spoiled(model: onnx.ModelProto, nodes: Sequence[Any], initializers: Sequence[Any]) -> onnx.ModelProto:
    """A copy whose probabilities go through `nodes` first."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for node in copy.graph.node:
        node.output[:] = [RAW if name == PROBABILITIES else name for name in node.output]
    copy.graph.node.extend(nodes)
    copy.graph.initializer.extend(initializers)
    return copy


def _bold_s(model: onnx.ModelProto) -> float:
    """What one bold image takes at best, on one thread as in the server."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    image = {IMAGE: np.ones((1, PIXELS), dtype=np.float32)}
    took_s = []
    for _ in range(TRIALS):
        began = time.perf_counter()
        session.run(None, image)
        took_s.append(time.perf_counter() - began)
    return min(took_s)


def _save(model: onnx.ModelProto, path: Path) -> None:
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())
