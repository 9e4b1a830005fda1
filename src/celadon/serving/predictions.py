"""What was predicted, a line of JSON per request, while a release compares revisions; docs/feedback.md has the form.

Only requests that the router drew to a side are logged, so a service at rest pays nothing. Lines are written by a
thread of their own: a full or slow disk costs lines, which are counted, and never an answer.
"""

from __future__ import annotations

import hashlib
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson

from celadon.serving.model import Maps, OutputSpec
from celadon.serving.refusal import PROGRAM
from celadon.serving.tensors import Array

SHARE: Final = b"x-celadon-share"
GROUP: Final = b"x-celadon-group"
MIRRORED: Final = b"x-celadon-mirrored"

FLUSH_S: Final = 0.1
"""How long a line waits for others before all of them are written."""

FILE_BYTES_MAX: Final = 16 * 2**20
"""A file that would grow beyond this is renamed to `.1`, in place of the one before it."""

WAITING_MAX: Final = 20_000
"""Lines that wait for the disk, each some hundred bytes; beyond this they are lost."""

ROWS_MAX: Final = 16
"""Answers of a request with many rows are kept one by one up to here; a digest stands for all of them."""

CLASSES_MAX: Final = 1000
"""Rows of 2 to so many scores are taken for the scores of classes."""

TEXT_MAX: Final = 64
SHAPE_MAX: Final = 200
DIGEST_BYTES_MAX: Final = 2**20
CLOSE_S: Final = 1.0

Outputs = Sequence[tuple[OutputSpec, "Array | Maps"]]


class PredictionLog:
    """Appends to one file, which nobody else writes. `note` and `close` are called by one thread."""

    def __init__(
        self,
        path: Path,
        revision: str,
        logged: Callable[[int], object],
        lost: Callable[[int], object],
        *,
        file_bytes_max: int = FILE_BYTES_MAX,
    ) -> None:
        self._path, self._revision, self._file_bytes_max = path, revision, file_bytes_max
        self._logged, self._lost = logged, lost
        self._waiting: deque[bytes] = deque()
        self._said = False
        self._news, self._closing = threading.Event(), threading.Event()
        self._file: int | None = None
        self._size = 0
        self._thread = threading.Thread(target=self._write_on, name="predictions", daemon=True)
        self._thread.start()

    def note(
        self, share: bytes, request_id: bytes, group: bytes, outputs: Outputs, *, mirrored: bool = False
    ) -> None:
        """Log one answer. A share that is no number of parts out of 10,000 is nobody's draw."""
        if not share.isdigit() or int(share[:6]) > 10_000:
            return
        line = orjson.dumps(
            {
                "at": round(time.time(), 3),
                "id": request_id.decode("latin-1"),
                "revision": self._revision,
                "share": int(share),
                "group": group[:TEXT_MAX].decode("latin-1"),
                "mirrored": mirrored,
                "answer": compact(outputs),
            },
            option=orjson.OPT_APPEND_NEWLINE,
        )
        if len(self._waiting) >= WAITING_MAX or self._closing.is_set():
            self._lost(1)
            return
        self._waiting.append(line)
        if not self._news.is_set():
            self._news.set()

    def close(self) -> None:
        """Write what waits, for a moment at most."""
        self._closing.set()
        self._news.set()
        self._thread.join(CLOSE_S)

    def _write_on(self) -> None:
        while not self._closing.is_set():
            self._news.wait()
            self._closing.wait(FLUSH_S)
            self._news.clear()
            self._write()
        self._write()

    def _write(self) -> None:
        lines = [self._waiting.popleft() for _ in range(len(self._waiting))]
        if not lines:
            return
        try:
            self._append(b"".join(lines))
        except OSError as failure:
            self._lost(len(lines))
            self._let_go()
            if not self._said:
                self._said = True
                sys.stderr.write(
                    f"{PROGRAM}: predictions can not be logged to {self._path}: {failure.strerror}; answers go on\n"
                )
        else:
            self._logged(len(lines))

    def _append(self, text: bytes) -> None:
        file = self._open() if self._file is None else self._file
        if self._size and self._size + len(text) > self._file_bytes_max:
            self._let_go()
            self._path.replace(f"{self._path}.1")
            file = self._open()
        while text:
            written = os.write(file, text)
            self._size += written
            text = text[written:]

    def _open(self) -> int:
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        self._file = os.open(self._path, flags, 0o600)
        self._size = os.fstat(self._file).st_size
        if self._size and os.pread(self._file, 1, self._size - 1) != b"\n":
            # The end of a process or of the disk's room cut the last line; what follows must not be glued to it.
            self._size += os.write(self._file, b"\n")
        return self._file

    def _let_go(self) -> None:
        if self._file is not None:
            os.close(self._file)
        self._file, self._size = None, 0


def compact(outputs: Outputs) -> dict[str, Any]:
    """What an answer claims, small: classes where it has them, else numbers, and the form of all outputs."""
    form = " ".join(_form(output) for _, output in outputs)[:SHAPE_MAX]
    claims = next((output for _, output in outputs if _names(output)), outputs[0][1])
    if isinstance(claims, list):
        said = _classes([max(row, key=row.__getitem__) if row else "" for row in claims])
    elif _names(claims):
        said = _classes(claims.reshape(-1).tolist())
    elif claims.ndim == 2 and 2 <= claims.shape[1] <= CLASSES_MAX and claims.dtype.kind == "f":
        best = claims.argmax(axis=1).tolist()
        said = _classes(best, [float(claims[row, at]) for row, at in enumerate(best[:ROWS_MAX])])
    else:
        said = _numbers(claims)
    return {"shape": form, **said}


def _form(output: Array | Maps) -> str:
    if isinstance(output, list):
        return f"maps[{len(output)},{len(output[0]) if output else 0}]"
    return _tensor_form(output.dtype, output.shape)


@lru_cache(maxsize=1024)
def _tensor_form(dtype: np.dtype[Any], shape: tuple[int, ...]) -> str:
    """Numpy takes longer to say the name of a type than to find a class."""
    return f"{dtype}{list(shape)}".replace(" ", "")


def _names(output: Array | Maps) -> bool:
    """Whether an output names one class per row."""
    if isinstance(output, list):
        return bool(output)
    return output.dtype.kind in "iubOUS" and 0 < output.size == (output.shape[0] if output.ndim else 1)


def _classes(values: list[Any], numbers: list[float] | None = None) -> dict[str, Any]:
    classes = [_class(value) for value in values[:ROWS_MAX]]
    said: dict[str, Any] = {"class": classes[0] if len(values) == 1 else classes}
    if len(values) > ROWS_MAX:
        said["rows"] = len(values)
        said["digest"] = _digest("\n".join(map(_class, values)).encode())
    elif numbers is not None:
        said["numbers"] = _rounded(numbers)
    return said


def _class(value: Any) -> str:
    return (str(value).lower() if isinstance(value, bool) else str(value))[:TEXT_MAX]


def _numbers(output: Array) -> dict[str, Any]:
    flat = output.reshape(-1)
    if flat.dtype.kind not in "fiub":
        return {"digest": _digest("\n".join(map(str, flat[:CLASSES_MAX].tolist())).encode())}
    if flat.size <= ROWS_MAX:
        return {"numbers": _rounded(flat.tolist())}
    some = flat[np.linspace(0, flat.size - 1, ROWS_MAX).astype(np.int64)]
    bytes_of = np.ascontiguousarray(flat[: DIGEST_BYTES_MAX // flat.itemsize]).tobytes()
    return {"numbers": _rounded(some.tolist()), "digest": _digest(bytes_of)}


def _rounded(values: list[float]) -> list[float]:
    """Six digits: more than any tolerance asks for. What is no number becomes null."""
    return [float(f"{value:.6g}") for value in values]


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=8).hexdigest()
