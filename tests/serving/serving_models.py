"""Tiny ONNX models, made on the spot: one for each thing a model can do to its server."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 17


def save(path, nodes, inputs, outputs, *, initializers=(), opsets=None, ir_version=9, functions=()):
    """Writes a model; inputs and outputs are (name, element type, shape) or ready-made value infos."""
    infos = [
        [
            info if isinstance(info, onnx.ValueInfoProto) else helper.make_tensor_value_info(*info)
            for info in group
        ]
        for group in (inputs, outputs)
    ]
    graph = helper.make_graph(nodes, "tiny", *infos, initializer=list(initializers))
    opsets = opsets or {"": OPSET, "ai.onnx.ml": 3}
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid(domain, version) for domain, version in opsets.items()],
        ir_version=ir_version,
        producer_name="celadon tests",
        functions=list(functions),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(model.SerializeToString())
    return path


def doubles(path):
    """y = x + x for rows of two floats."""
    shape = ["N", 2]
    return save(
        path,
        [helper.make_node("Add", ["x", "x"], ["y"])],
        [("x", TensorProto.FLOAT, shape)],
        [("y", TensorProto.FLOAT, shape)],
    )


def identity(path, element=TensorProto.FLOAT, shape=("N", 2)):
    shape = None if shape is None else list(shape)
    return save(
        path, [helper.make_node("Identity", ["x"], ["y"])], [("x", element, shape)], [("y", element, shape)]
    )


def two_by_two(path):
    """Two inputs that share their rows, two outputs of different types."""
    nodes = [
        helper.make_node("Add", ["a", "b"], ["sum"]),
        helper.make_node("Greater", ["a", "b"], ["greater"]),
    ]
    inputs = [("a", TensorProto.FLOAT, ["N", 1]), ("b", TensorProto.FLOAT, ["N", 1])]
    outputs = [("sum", TensorProto.FLOAT, ["N", 1]), ("greater", TensorProto.BOOL, ["N", 1])]
    return save(path, nodes, inputs, outputs)


def total(path):
    """The sum over everything: an output without rows."""
    node = helper.make_node("ReduceSum", ["x"], ["y"], keepdims=0)
    return save(path, [node], [("x", TensorProto.FLOAT, ["N", 2])], [("y", TensorProto.FLOAT, [])])


def reciprocal(path):
    """y = 1 / x: zero gives infinity."""
    shape = ["N", 1]
    return save(
        path,
        [helper.make_node("Reciprocal", ["x"], ["y"])],
        [("x", TensorProto.FLOAT, shape)],
        [("y", TensorProto.FLOAT, shape)],
    )


def classes(path, labels=("cat", "dog")):
    """A label and a ZipMap of scores, as skl2onnx writes classifiers."""
    nodes = [
        helper.make_node("ArgMax", ["x"], ["label"], axis=1, keepdims=0),
        helper.make_node("ZipMap", ["x"], ["scores"], domain="ai.onnx.ml", classlabels_strings=list(labels)),
    ]
    row = helper.make_map_type_proto(
        TensorProto.STRING, helper.make_tensor_type_proto(TensorProto.FLOAT, None)
    )
    scores = helper.make_value_info("scores", helper.make_sequence_type_proto(row))
    return save(
        path, nodes, [("x", TensorProto.FLOAT, ["N", 2])], [("label", TensorProto.INT64, ["N"]), scores]
    )


def fails_above(path, rows=3):
    """Raises inside the runtime for inputs of more than `rows` rows: a model with a bug, not a client with one."""
    picked = numpy_helper.from_array(np.arange(rows, dtype=np.int64), "picked")
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Gather", ["shape", "zero"], ["count"], axis=0),
        helper.make_node("Sub", ["count", "one"], ["last"]),
        helper.make_node("Gather", ["picked", "last"], ["at"], axis=0),
        helper.make_node("Identity", ["x"], ["y"]),
    ]
    constants = [
        numpy_helper.from_array(np.array(value, dtype=np.int64), name)
        for name, value in (("zero", 0), ("one", 1))
    ]
    outputs = [("y", TensorProto.FLOAT, ["N", 2]), ("at", TensorProto.INT64, [])]
    return save(path, nodes, [("x", TensorProto.FLOAT, ["N", 2])], outputs, initializers=[picked, *constants])


def counts(path):
    """A loop of as many turns as its input says: takes as long as a test wants."""
    body = helper.make_graph(
        [
            helper.make_node("Sin", ["held"], ["next"]),
            helper.make_node("Identity", ["go"], ["go_on"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("turn", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("held", TensorProto.FLOAT, [65536]),
        ],
        [
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("next", TensorProto.FLOAT, [65536]),
        ],
    )
    nodes = [
        helper.make_node("Loop", ["turns", "", "start"], ["end"], body=body),
        helper.make_node("ReduceSum", ["end"], ["y"], keepdims=0),
    ]
    start = numpy_helper.from_array(np.full(65536, 0.5, dtype=np.float32), "start")
    return save(
        path, nodes, [("turns", TensorProto.INT64, [])], [("y", TensorProto.FLOAT, [])], initializers=[start]
    )


def external(path, location="weights.bin", *, offset=0, length=8, write=True):
    """y = x + w where w lies outside the file, at `location`."""
    weight = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[2], data_location=TensorProto.EXTERNAL)
    for key, value in (("location", location), ("offset", str(offset)), ("length", str(length))):
        weight.external_data.add(key=key, value=value)
    shape = ["N", 2]
    save(
        path,
        [helper.make_node("Add", ["x", "w"], ["y"])],
        [("x", TensorProto.FLOAT, shape)],
        [("y", TensorProto.FLOAT, shape)],
        initializers=[weight],
    )
    if write:
        (path.parent / location).write_bytes(np.array([10, 20], dtype=np.float32).tobytes())
    return path
