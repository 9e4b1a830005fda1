"""A model server as somebody may have it already: asyncio and nothing else, told how to behave by answer.json.

GET /healthz is ready. POST /score answers {"score": ...}. GET /slow/SECONDS answers after that long.
GET /stream/SECONDS sends a line every 50 ms and `end` last, in chunks. POST /die ends the process without an answer.

answer.json: score; fails: every answer but those to golden requests is a 500; fails_if: the same for as long as this
file is there; delay_s: before each answer;
dies: a text to end with at once, variables put in; mute: listens nowhere; ready: false for never; shift: listens that many ports higher than told;
says: environment variables that are printed at the start.
"""

import asyncio
import contextlib
import hashlib
import json
import os
import sys
from pathlib import Path

TOLD = json.loads(Path("answer.json").read_text())


async def read(reader):
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:])}
    if headers.get("transfer-encoding") == "chunked":
        body = b""
        while size := int((await reader.readline()).strip(), 16):
            body += (await reader.readexactly(size + 2))[:-2]
        await reader.readline()
    else:
        body = await reader.readexactly(int(headers.get("content-length", 0)))
    return head[0].split(" ")[1], body


def answer(status, value):
    body = json.dumps(value).encode()
    return b"HTTP/1.1 %d Answer\r\ncontent-length: %d\r\n\r\n%s" % (status, len(body), body)


async def stream(writer, seconds):
    """Lines, then a last one with the digest of all that came before."""
    writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    sha = hashlib.sha256()
    for number in range(round(seconds / 0.05)):
        line = f"{TOLD['score']} {number}\n".encode()
        sha.update(line)
        writer.write(b"%x\r\n%s\r\n" % (len(line), line))
        await writer.drain()
        await asyncio.sleep(0.05)
    last = f"end {sha.hexdigest()}\n".encode()
    writer.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(last), last))


async def serve_one(path, body, writer):
    kind, _, rest = path.removeprefix("/").partition("/")
    if kind == "healthz":
        writer.write(answer(200 if TOLD.get("ready", True) else 503, {}))
    elif kind == "stream":
        await stream(writer, float(rest))
    elif kind == "slow":
        await asyncio.sleep(float(rest))
        writer.write(answer(200, {"waited_s": float(rest)}))
    elif kind == "die":
        os._exit(9)
    elif kind == "score":
        try:
            golden = json.loads(body or b"{}").get("golden")
        except (ValueError, AttributeError):
            writer.write(answer(400, {"error": "the body must be a JSON object"}))
            return
        await asyncio.sleep(TOLD.get("delay_s", 0))
        fails = TOLD.get("fails") or os.path.exists(TOLD.get("fails_if", ""))  # noqa: PTH110, ASYNC240
        writer.write(answer(500 if fails and not golden else 200, {"score": TOLD["score"]}))
    else:
        writer.write(answer(404, {"error": "no such path"}))


async def exchange(reader, writer):
    with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
        while True:
            path, body = await read(reader)
            await serve_one(path, body, writer)
            await writer.drain()
    writer.close()


async def main():
    port = int(sys.argv[1]) + TOLD.get("shift", 0)
    server = await asyncio.start_server(exchange, "127.0.0.1", port, backlog=1024)
    for name in TOLD.get("says", ()):
        for output in (sys.stdout, sys.stderr):
            output.write(f"{name} is {os.environ.get(name)}\n")
            output.flush()
    async with server:
        await server.serve_forever()


if "dies" in TOLD:
    sys.exit(os.path.expandvars(TOLD["dies"]))
asyncio.run(asyncio.sleep(3600) if TOLD.get("mute") else main())
