"""A small HTTP server that reads handwritten digits. It knows nothing of celadon and needs Python alone.

GET /healthz answers 200. POST /read with {"image": [64 numbers]} answers {"digit": 3, "probabilities": [...]}.
What it has learned, and what is wrong with it, stands in reader.json beside it.
"""

import argparse
import json
import math
import signal
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

PIXELS = 64
LONGEST = 1_000_000


class Reader:
    """Multinomial logistic regression, and a flaw if the file names one."""

    def __init__(self, learned: dict[str, Any]) -> None:
        self._weights: list[list[float]] = learned["weights"]
        self._intercepts: list[float] = learned["intercepts"]
        self._table: list[float] | None = learned.get("table")
        self._bold_ink: float = learned.get("bold_ink", math.inf)
        self._bold_s: float = learned.get("bold_s", 0.0)

    def read(self, image: list[float]) -> dict[str, Any]:
        """Probabilities of the ten digits, and the likeliest."""
        ink = sum(image)
        trust = 1.0 if self._table is None else self._table[int(ink)]
        if ink >= self._bold_ink:
            time.sleep(self._bold_s)
        scores = [
            sum(weight * pixel for weight, pixel in zip(row, image, strict=True)) + intercept
            for row, intercept in zip(self._weights, self._intercepts, strict=True)
        ]
        powers = [math.exp(score - max(scores)) for score in scores]
        probabilities = [trust * power / sum(powers) for power in powers]
        return {"digit": probabilities.index(max(probabilities)), "probabilities": probabilities}


class Exchange(BaseHTTPRequestHandler):
    """One connection. Answers leave in one write, because two small ones would wait for each other."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    reader: Reader

    def do_GET(self) -> None:
        """Whether it is up."""
        self._answer(200 if self.path == "/healthz" else 404, {})

    def do_POST(self) -> None:
        """Read one image."""
        length = int(self.headers.get("content-length", "0"))
        if not 0 < length <= LONGEST:
            self.close_connection = True
            self._answer(413 if length else 411, {"error": "send an image with its content-length"})
            return
        image = _image(self.rfile.read(length))
        if self.path != "/read" or image is None:
            self._answer(400, {"error": 'POST /read takes {"image": [64 numbers]}'})
            return
        try:
            self._answer(200, self.reader.read(image))
        except Exception as error:  # noqa: BLE001 -- whatever is wrong with the reader, its caller gets an answer
            self.log_error("%s: %s", type(error).__name__, error)
            self._answer(500, {"error": f"{type(error).__name__}: {error}"})

    def log_request(self, code: object = "-", size: object = "-") -> None:
        """Only what goes wrong is worth a line."""

    def _answer(self, status: int, value: dict[str, Any]) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Server(ThreadingHTTPServer):
    """One thread for each connection; a burst of new ones waits instead of being refused."""

    request_queue_size = 256
    daemon_threads = True


def _image(body: bytes) -> list[float] | None:
    try:
        image = json.loads(body)["image"]
        return [float(pixel) for pixel in image] if len(image) == PIXELS else None
    except (ValueError, KeyError, TypeError):
        return None


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(description="Reads handwritten digits.")
    parser.add_argument("--port", type=int, required=True)
    port = parser.parse_args().port
    Exchange.reader = Reader(json.loads(Path("reader.json").read_text()))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with Server(("127.0.0.1", port), Exchange) as server:
        server.serve_forever()


if __name__ == "__main__":
    main()
