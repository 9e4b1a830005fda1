"""Small ONNX models on the spot, and what goes wrong with models."""

import pickle

import numpy as np
from onnx import TensorProto, helper, numpy_helper

ROWS = ["N", 2]


def times(path, factor=2.0, *, external=None, shape=False):
    """y = factor * x for rows of two floats.

    external: where the factor lies when it is not in the file itself. shape: y has one more axis, of one.
    """
    weight = numpy_helper.from_array(np.array([factor], dtype=np.float32), "factor")
    if external is not None:
        weight.ClearField("raw_data")
        weight.data_location = TensorProto.EXTERNAL
        for key, value in (("location", external), ("offset", "0"), ("length", "4")):
            weight.external_data.add(key=key, value=value)
    nodes = [helper.make_node("Mul", ["x", "factor"], ["times" if shape else "y"])]
    last = numpy_helper.from_array(np.array([2], dtype=np.int64), "last")
    if shape:
        nodes.append(helper.make_node("Unsqueeze", ["times", "last"], ["y"]))
    graph = helper.make_graph(
        nodes,
        "times",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ROWS)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [*ROWS, 1] if shape else ROWS)],
        initializer=[weight, last] if shape else [weight],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    path.write_bytes(model.SerializeToString())


def unknown_operator(path):
    """Well-formed ONNX that no runtime can load."""
    graph = helper.make_graph(
        [helper.make_node("Divine", ["x"], ["y"], domain="oracle")],
        "unknown",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ROWS)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ROWS)],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("oracle", 1)]
    path.write_bytes(helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString())


def pickled(path):
    """What a trained estimator is often saved as."""
    path.write_bytes(pickle.dumps({"weights": [1, 2, 3]}))


GOLDEN = {
    "body": {"instances": [[1.0, 2.0]]},
    "expect": {"at": "predictions", "shape": [1, 2], "low": 0, "high": 99},
}
"""Asks the model server for a prediction whose values are of no matter."""
