"""The files of a model, looked at before anything loads them: only ONNX, and nothing outside its own folder."""

from __future__ import annotations

import hashlib
import pickletools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from celadon.serving.refusal import ModelRefusedError, Problem, shown

MAIN: Final = "model.onnx"
CONVERT: Final = "export the model to ONNX (torch.onnx.export, skl2onnx, tf2onnx) and serve that file"
PICKLE: Final = "a pickle, which runs code of its author when it is loaded"
PICKLE_SUFFIXES: Final = frozenset({".pkl", ".pickle", ".pt", ".pth", ".joblib", ".dill", ".ckpt"})

# The first bytes of what people train, so that the answer names what they have instead of what it is not.
SIGNATURES: Final = (
    *((b"\x80" + bytes([protocol]), PICKLE) for protocol in range(2, 6)),
    (b"PK\x03\x04", "a zip archive, as PyTorch writes around a pickle"),
    (b"\x1f\x8b", "a gzip archive, as joblib writes around a pickle"),
    (b"BZh", "a bzip2 archive, as joblib writes around a pickle"),
    (b"\xfd7zXZ", "an xz archive, as joblib writes around a pickle"),
    (b"x\x01", "a zlib stream, as joblib writes around a pickle"),
    (b"x\x9c", "a zlib stream, as joblib writes around a pickle"),
    (b"x\xda", "a zlib stream, as joblib writes around a pickle"),
    (b"\x89HDF", "a HDF5 file, as Keras writes"),
    (b"\x93NUMPY", "a numpy array"),
    (b"GGUF", "a GGUF file"),
    (b"<?xml", "an XML file"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """A model whose files were looked at and lie where they may. `main` is the path that is loaded."""

    main: Path
    sha256: str
    opsets: dict[str, int]
    ir_version: int
    producer: str
    producer_version: str
    external_data: tuple[str, ...]
    without_shape: frozenset[str]
    """Inputs and outputs that may have any number of dimensions."""
    map_keys: dict[str, tuple[str | int, ...]]
    """Output name to the keys of its maps, where the model states them (the class labels of a ZipMap)."""


def examine(given: Path) -> Artifact:
    """The artifact at a folder with model.onnx, or at a file. Raises ModelRefusedError; OSError where the file cannot be read."""
    main = _main_file(given)
    _refuse_other_formats(main)
    proto = _parse(main)
    external = _external_data(main, proto)
    return Artifact(
        main=main,
        sha256=_sha256(main),
        opsets={entry.domain or "ai.onnx": entry.version for entry in proto.opset_import},
        ir_version=proto.ir_version,
        producer=proto.producer_name,
        producer_version=proto.producer_version,
        external_data=external,
        without_shape=frozenset(
            info.name
            for info in (*proto.graph.input, *proto.graph.output)
            if info.type.HasField("tensor_type") and not info.type.tensor_type.HasField("shape")
        ),
        map_keys=_map_keys(proto.graph),
    )


def _main_file(given: Path) -> Path:
    if not given.exists():
        raise ModelRefusedError(
            Problem(path=str(given), found="no such file or folder", hint="check the path of the model")
        )
    if given.is_file():
        return given
    main = given / MAIN
    if not main.is_file():
        raise ModelRefusedError(_folder_without_model(given))
    if not main.resolve().is_relative_to(given.resolve()):
        raise ModelRefusedError(
            Problem(
                path=MAIN,
                found=f"a link to {shown(str(main.resolve()))}",
                hint="copy the file itself into the folder",
            )
        )
    return main


def _folder_without_model(folder: Path) -> Problem:
    names = sorted(entry.name for entry in folder.iterdir())
    if "saved_model.pb" in names:
        return Problem(path=str(folder), found="a TensorFlow SavedModel", hint=CONVERT)
    pickles = [name for name in names if Path(name).suffix.lower() in PICKLE_SUFFIXES]
    if pickles:
        return Problem(path=str(folder / pickles[0]), found=PICKLE, hint=CONVERT)
    others = [name for name in names if name.lower().endswith(".onnx")]
    hint = (
        f"rename {others[0]} to {MAIN}, or name that file" if others else f"put the model into it as {MAIN}"
    )
    return Problem(path=str(folder), found=f"a folder without {MAIN}", hint=hint)


def _refuse_other_formats(main: Path) -> None:
    with main.open("rb") as stream:
        head = stream.read(16)
    found = next((what for signature, what in SIGNATURES if head.startswith(signature)), None)
    if found is None and main.suffix.lower() in PICKLE_SUFFIXES:
        found = f"a {main.suffix} file, by its name {PICKLE}"
    if found is None and not head:
        found = "an empty file"
    if found is not None:
        raise ModelRefusedError(Problem(path=main.name, found=found, hint=CONVERT))


def _parse(main: Path) -> onnx.ModelProto:
    proto = onnx.ModelProto()
    content = main.read_bytes()
    try:
        proto.ParseFromString(content)
    except DecodeError:
        raise ModelRefusedError(_not_onnx(main, content)) from None
    if not proto.HasField("graph") or not proto.ir_version:
        raise ModelRefusedError(_not_onnx(main, content))
    return proto


def _not_onnx(main: Path, content: bytes) -> Problem:
    found = PICKLE if _is_text_pickle(content) else "not an ONNX model, or a damaged one"
    return Problem(path=main.name, found=found, hint=CONVERT)


def _is_text_pickle(content: bytes) -> bool:
    """Whether it reads as a pickle of the oldest protocols, which have no signature. Reading the opcodes runs none of them."""
    try:
        return any(opcode.name == "STOP" for opcode, _, _ in pickletools.genops(content[:65536]))
    except Exception:  # noqa: BLE001  # genops raises whatever its opcode readers raise; then it is not a pickle
        return False


def _external_data(main: Path, proto: onnx.ModelProto) -> tuple[str, ...]:
    """The files beside the main one that the model reads, relative to its folder."""
    # Runtimes resolve locations against the folder the path names, not the one a link of the main file leads to.
    folder = main.parent
    locations: dict[str, None] = {}
    problems: dict[Problem, None] = {}
    for tensor in _tensors_of_model(proto):
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            continue
        entries = {entry.key: entry.value for entry in tensor.external_data}
        problem = _external_problem(folder, entries)
        if problem is None:
            locations[Path(entries["location"]).as_posix()] = None
        else:
            problems[problem] = None
    if problems:
        raise ModelRefusedError(*problems)
    return tuple(sorted(locations))


def _external_problem(folder: Path, entries: dict[str, str]) -> Problem | None:
    location = entries.get("location", "")
    path = f"external data {shown(location)}"
    if not location or "\0" in location:
        return Problem(
            path=path, found="no file is named", hint="save the model again with its external data"
        )
    if Path(location).is_absolute() or ".." in Path(location).parts:
        return Problem(
            path=path,
            found="a path that leaves the folder of the model",
            hint="keep the data beside the model",
        )
    target = folder / location
    if not target.resolve().is_relative_to(folder.resolve()):
        return Problem(
            path=path,
            found="a link that leaves the folder of the model",
            hint="copy the data beside the model",
        )
    if not target.is_file():
        return Problem(path=path, found="missing", hint=f"put {location} into the folder of the model")
    return _extent_problem(path, target.stat().st_size, entries)


def _extent_problem(path: str, size: int, entries: dict[str, str]) -> Problem | None:
    offset, length = entries.get("offset", "0"), entries.get("length", "0")
    if not (offset.isdecimal() and length.isdecimal()):
        return Problem(
            path=path, found=f"offset {shown(offset)}, length {shown(length)}", hint="save the model again"
        )
    if int(offset) + int(length) > size:
        found = f"{size} bytes, where the model reads up to byte {int(offset) + int(length)}"
        return Problem(path=path, found=found, hint="copy the data again, it is cut short")
    return None


def _tensors_of_model(proto: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    yield from _tensors_of_graph(proto.graph)
    for function in proto.functions:
        yield from _tensors_of_nodes(function.node)
    for training in proto.training_info:
        yield from _tensors_of_graph(training.initialization)
        yield from _tensors_of_graph(training.algorithm)


def _tensors_of_graph(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    yield from _tensors_of_nodes(graph.node)


def _tensors_of_nodes(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.TensorProto]:
    """Constants and the bodies of If, Loop and Scan can hold external data as well as initializers can."""
    for attribute in (attribute for node in nodes for attribute in node.attribute):
        yield attribute.t
        yield from attribute.tensors
        for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
            yield from (sparse.values, sparse.indices)
        for graph in (attribute.g, *attribute.graphs):
            yield from _tensors_of_graph(graph)


def _map_keys(graph: onnx.GraphProto) -> dict[str, tuple[str | int, ...]]:
    return {node.output[0]: _class_labels(node) for node in graph.node if node.op_type == "ZipMap"}


def _class_labels(node: Any) -> tuple[str | int, ...]:
    for attribute in node.attribute:
        if attribute.name == "classlabels_int64s" and attribute.ints:
            return tuple(attribute.ints)
        if attribute.name == "classlabels_strings" and attribute.strings:
            return tuple(label.decode() for label in attribute.strings)
    return ()


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
