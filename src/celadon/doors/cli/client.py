"""The daemon as the command line sees it: HTTP on a Unix socket, nothing else.

The standard library's client is enough for this, and it loads in a tenth of the time of a larger one.
"""

import contextlib
import http.client
import io
import json
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote, urlencode

from celadon.domain.problem import LastingFault, Problem, ProblemsError, TransientFault

ANSWER_S = 60.0
"""How long an answer may take; checking golden requests of some megabytes is the longest of them."""

SILENCE_S = 15.0
"""How long a stream may be silent. The daemon sends an empty line every few seconds when there is no news."""

LINE_BYTES_MAX = 16 * 1024 * 1024

GONE = (ConnectionError, FileNotFoundError, http.client.HTTPException, TimeoutError)

Json = dict[str, Any]


class DaemonGoneError(TransientFault):
    """Nothing answers on the socket (any more)."""


class _Unix(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class Client:
    """One daemon. Every call raises ProblemsError or a Fault as the daemon meant it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def get(self, path: str, **query: object) -> Json:
        """Ask for one object."""
        return self._call("GET", path + _query(query))

    def post(self, path: str, body: Mapping[str, Any] | None = None) -> Json:
        """Ask for something to be done."""
        return self._call("POST", path, json.dumps(body or {}).encode())

    def post_lines(self, path: str, lines: bytes, **query: object) -> Json:
        """Tell of many things, one JSON object a line."""
        headers = {"content-type": "application/x-ndjson"}
        with self._answer("POST", path + _query(query), lines, headers) as answer:
            return _read(answer)

    def has_blob(self, digest: str) -> bool:
        """Whether the daemon holds a blob already."""
        with self._answer("HEAD", f"/v1/blobs/{quote(digest)}") as answer:
            return answer.status == http.HTTPStatus.OK

    def put_blob(self, digest: str, content: IO[bytes], size: int) -> None:
        """Stream a blob to the daemon, which checks its digest."""
        headers = {"content-length": str(size), "content-type": "application/octet-stream"}
        with self._answer("PUT", f"/v1/blobs/{quote(digest)}", content, headers) as answer:
            _read(answer)

    def put_bytes(self, digest: str, content: bytes) -> None:
        """A blob that is in memory already."""
        self.put_blob(digest, io.BytesIO(content), len(content))

    def stream(self, path: str, **query: object) -> Iterator[Json]:
        """Objects as they come, one per line, until the daemon ends the stream. `{}` means that nothing is new."""
        with self._answer("GET", path + _query(query), timeout_s=SILENCE_S) as answer:
            if answer.status != http.HTTPStatus.OK:
                _read(answer)
            while line := answer.readline(LINE_BYTES_MAX):
                yield json.loads(line) if line.strip() else {}

    def _call(self, method: str, path: str, body: bytes | None = None) -> Json:
        headers = {"content-type": "application/json"} if body is not None else {}
        with self._answer(method, path, body, headers) as answer:
            return _read(answer)

    @contextlib.contextmanager
    def _answer(
        self,
        method: str,
        path: str,
        body: bytes | IO[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = ANSWER_S,
    ) -> Iterator[http.client.HTTPResponse]:
        connection = _Unix(self._path, timeout_s)
        try:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                # A daemon that refuses a blob before all of it was sent has answered: that is what is read next.
                connection.request(method, path, body, dict(headers or {}))
            yield connection.getresponse()
        except PermissionError as error:
            raise LastingFault(
                f"{self._path} belongs to somebody else", "use the daemon's own user"
            ) from error
        except GONE as error:
            hint = "start it with `celadon up`; another folder is chosen with --home or CELADON_HOME"
            raise DaemonGoneError(f"no daemon answers on {self._path}", hint, retry_s=1.0) from error
        except OSError as error:
            raise LastingFault(f"{self._path} can not be used: {error.strerror or error}") from error
        finally:
            connection.close()


def _query(given: Mapping[str, object]) -> str:
    pairs = [
        (name, str(one))
        for name, value in given.items()
        if value is not None
        for one in (value if isinstance(value, list | tuple) else [value])
    ]
    return f"?{urlencode(pairs)}" if pairs else ""


def _read(answer: http.client.HTTPResponse) -> Json:
    """The object of an answer. Raises what the daemon says went wrong."""
    raw = answer.read()
    try:
        body = json.loads(raw) if raw else {}
    except ValueError as error:
        raise LastingFault(
            "the daemon's answer is not JSON", "is this the socket of a celadon daemon?"
        ) from error
    if answer.status < http.HTTPStatus.BAD_REQUEST:
        assert isinstance(body, dict)
        return body
    raise _error(answer.status, body)


def _error(status: int, body: Any) -> Exception:
    error = body.get("error") if isinstance(body, dict) else None
    if not isinstance(error, dict):
        return LastingFault(
            f"the daemon answered with status {status}", "is its version the same as this one's?"
        )
    if error["problems"]:
        problems = [Problem(path=p["path"], found=p["found"], hint=p["hint"]) for p in error["problems"]]
        return ProblemsError(problems, refused=error["kind"] == "refused")
    fault = error["fault"]
    if fault["retry_s"] is not None:
        return TransientFault(fault["what"], fault["hint"], retry_s=fault["retry_s"])
    return LastingFault(fault["what"], fault["hint"])
