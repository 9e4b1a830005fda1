"""The API's paths. Each endpoint reads a request, asks the engine, and shapes the answer; docs/api.md lists them."""

import asyncio
import importlib
import importlib.metadata
import json
import os
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, cast, get_args

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from celadon.control import accept, drilling
from celadon.domain.command import OF_DRILLS, Asked
from celadon.domain.names import ServiceKey
from celadon.domain.problem import Fault, Problem, ProblemsError
from celadon.doors.api import drills, errors, export, feedback, logs, releases, shape, uploads, watch
from celadon.doors.api.session import Session, named
from celadon.doors.offered import drill_kinds

if TYPE_CHECKING:
    from celadon.doors.api.offer import Offer

BODY_BYTES_MAX = 4 * 1024 * 1024
"""A body is documents and digests; models come as blobs."""

API = 1

OFFER = "celadon.doors.api.offer"
LOADS_AFTER_S = 1.0

VERSION = importlib.metadata.version("celadon")
"""Read once: whoever asks for it anew makes the library keep what it saw of every folder that changed since."""

Endpoint = Callable[[Session, Request], Awaitable[Response]]


def application(session: Session) -> Starlette:
    """The whole API of one daemon."""
    paths: list[tuple[str, str, Endpoint]] = [
        ("GET", "/v1/health", _health),
        ("HEAD", "/v1/blobs/{digest}", _has_blob),
        ("PUT", "/v1/blobs/{digest}", _put_blob),
        ("POST", "/v1/plan", _plan),
        ("POST", "/v1/deploy", _deploy),
        ("GET", "/v1/services", _services),
        ("GET", "/v1/services/{name}", _service),
        ("POST", "/v1/services/{name}/commands", _command),
        ("POST", "/v1/services/{name}/feedback", _feedback),
        ("POST", "/v1/services/{name}/predictions", _predictions),
        ("GET", "/v1/services/{name}/releases", _history),
        ("GET", "/v1/services/{name}/logs", _logs),
        ("GET", "/v1/services/{name}/export", _export),
        ("GET", "/v1/drills", _drill_kinds),
        ("GET", "/v1/services/{name}/drills", _drills),
        ("POST", "/v1/services/{name}/drills", _run_drill),
        ("POST", "/v1/services/{name}/drills/end", _end_drill),
        ("POST", "/v1/services/{name}/drills/mark", _mark_drill),
        ("GET", "/v1/releases/{release:path}", _why),
        ("GET", "/v1/watch", _watch),
        ("POST", "/v1/stop", _stop),
        ("POST", "/v1/down", _down),
    ]
    routes = [Route(path, _bound(session, endpoint), methods=[method]) for method, path, endpoint in paths]
    return Starlette(routes=routes, exception_handlers={Exception: _our_bug, 404: _no_path, 405: _no_path})


def _bound(session: Session, endpoint: Endpoint) -> Callable[[Request], Awaitable[Response]]:
    @wraps(endpoint)
    async def answer(request: Request) -> Response:
        try:
            return await endpoint(session, request)
        except (ProblemsError, Fault) as error:
            status, body = errors.body(error)
            return JSONResponse(body, status)

    return answer


async def _our_bug(_request: Request, error: Exception) -> Response:
    status, body = errors.body(error)
    return JSONResponse(body, status)


async def _no_path(request: Request, _error: Exception) -> Response:
    found = f"{request.method} is not answered here"
    wrong = ProblemsError([Problem(path=request.url.path, found=found, hint="docs/api.md lists the paths")])
    return JSONResponse(errors.body(wrong)[1], 404)


def _key(request: Request) -> ServiceKey:
    namespace = request.query_params.get("namespace")
    return named(f"{namespace}/{request.path_params['name']}" if namespace else request.path_params["name"])


async def _raw(request: Request, hint: str = "") -> bytes:
    raw = bytearray()
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > BODY_BYTES_MAX:
            found = f"is larger than {BODY_BYTES_MAX} bytes"
            raise ProblemsError([Problem(path="body", found=found, hint=hint)])
    return bytes(raw)


async def _body(request: Request) -> dict[str, Any]:
    try:
        value = json.loads(await _raw(request))
    except ValueError as error:
        raise ProblemsError([Problem(path="body", found=f"is not JSON: {error}")]) from error
    if not isinstance(value, dict):
        raise ProblemsError([Problem(path="body", found="is not an object")])
    return value


async def _health(session: Session, _request: Request) -> Response:
    about = {"api": API, "version": VERSION, "pid": os.getpid(), "home": str(session.daemon.home)}
    router = session.daemon.router
    proxies = {"wanted": router.proxies, "running": router.running()}
    return JSONResponse({**about, "started_at": session.started_at, "proxies": proxies})


async def _has_blob(session: Session, request: Request) -> Response:
    digest = uploads.digest(request.path_params["digest"])
    there = await asyncio.to_thread(session.models.has, digest)
    return Response(status_code=200 if there else 404)


async def _put_blob(session: Session, request: Request) -> Response:
    digest = uploads.digest(request.path_params["digest"])
    await uploads.receive(session.models, digest, request)
    return JSONResponse({"digest": digest}, 201)


async def load_the_rest() -> None:
    """What reads files of people, a third of all there is to load, is loaded beside the loop once the daemon answers."""
    await asyncio.sleep(LOADS_AFTER_S)
    await asyncio.to_thread(importlib.import_module, OFFER)


async def _offers(session: Session, request: Request) -> "tuple[Offer, ...]":
    offer = await asyncio.to_thread(importlib.import_module, OFFER)
    return cast("tuple[Offer, ...]", await offer.read_offer(session, await _body(request)))


async def _plan(session: Session, request: Request) -> Response:
    offers = await _offers(session, request)
    return JSONResponse({"services": [shape.difference(offer.preview(session)) for offer in offers]})


async def _deploy(session: Session, request: Request) -> Response:
    """All of the documents or none: what can be refused is refused before the first is accepted."""
    offers = await _offers(session, request)
    for offer in offers:
        offer.preview(session)
    return JSONResponse({"services": [_accept(session, offer) for offer in offers]}, 202)


def _accept(session: Session, offer: "Offer") -> dict[str, Any]:
    before = offer.seq(session)
    accepted = offer.accept(session)
    return {
        "service": offer.spec.service.name,
        "namespace": offer.spec.service.namespace,
        "release": accepted.release,
        "revision": accepted.revision,
        "changed": accepted.changed,
        "seq": before,
    }


async def _services(session: Session, _request: Request) -> Response:
    views = [shape.service(session.view(key)) for key in session.engine.services()]
    return JSONResponse({"services": views})


async def _service(session: Session, request: Request) -> Response:
    return JSONResponse(shape.service(session.view(_key(request))))


async def _command(session: Session, request: Request) -> Response:
    key, body = _key(request), await _body(request)
    before = session.view(key).memory.seq
    name, revision = body.get("command"), body.get("revision")
    words = get_args(accept.Word)
    if name not in words or not isinstance(revision, str | None):
        hint = f"one of {', '.join(words)}"
        raise ProblemsError([Problem(path="command", found=f"{name!r} is not a command", hint=hint)])
    asked = accept.command(session.engine, key, cast("accept.Word", name), revision)
    release = getattr(asked.command, "release", None)
    told = {"asked": type(asked.command).__name__.lower(), "release": release}
    return JSONResponse({**told, "seq": before, "asked_seq": asked.seq}, 202)


async def _feedback(session: Session, request: Request) -> Response:
    return await _tell(session, request, feedback.feedback)


async def _predictions(session: Session, request: Request) -> Response:
    return await _tell(session, request, feedback.predictions)


async def _tell(
    session: Session, request: Request, take: Callable[[Session, ServiceKey, bytes], dict[str, Any]]
) -> Response:
    key = _key(request)
    session.view(key)
    raw = await _raw(request, "send it in several parts")
    return JSONResponse(await asyncio.to_thread(take, session, key, raw))


async def _history(session: Session, request: Request) -> Response:
    key = _key(request)
    session.view(key)
    return JSONResponse({"releases": releases.history(session.records(key))})


async def _drill_kinds(_session: Session, _request: Request) -> Response:
    return JSONResponse({"kinds": drill_kinds()})


async def _drills(session: Session, request: Request) -> Response:
    key = _key(request)
    view = session.view(key)
    return JSONResponse({"drill": drills.drill(view), "drills": drills.history(view, session.records(key))})


async def _run_drill(session: Session, request: Request) -> Response:
    key = _key(request)
    memory = session.view(key).memory
    order = drills.read_order(await _body(request), memory.settings)
    return _drill_asked(memory.seq, drilling.run_drill(session.engine, key, order))


async def _end_drill(session: Session, request: Request) -> Response:
    key = _key(request)
    before = session.view(key).memory.seq
    return _drill_asked(before, drilling.end_drill(session.engine, key))


async def _mark_drill(session: Session, request: Request) -> Response:
    key = _key(request)
    before = session.view(key).memory.seq
    return _drill_asked(before, drilling.mark_drill(session.engine, key))


def _drill_asked(before: int, asked: Asked) -> Response:
    command = asked.command
    assert isinstance(command, OF_DRILLS)
    return JSONResponse({"drill": command.drill, "seq": before, "asked_seq": asked.seq}, 202)


async def _why(session: Session, request: Request) -> Response:
    return JSONResponse(releases.why(session, request.path_params["release"]))


async def _logs(session: Session, request: Request) -> Response:
    key = _key(request)
    session.view(key)
    follow = request.query_params.get("follow") == "true"
    start = logs.moment(request.query_params.get("since"))
    return StreamingResponse(logs.lines(session, key, start, follow=follow), media_type=watch.NDJSON)


async def _watch(session: Session, request: Request) -> Response:
    query = request.query_params
    wishes = watch.wishes(session, query.getlist("service"), query.getlist("after"))
    return StreamingResponse(watch.frames(session, wishes), media_type=watch.NDJSON)


async def _export(session: Session, request: Request) -> Response:
    key = _key(request)
    return JSONResponse({"files": export.files(session, session.view(key))})


async def _stop(session: Session, _request: Request) -> Response:
    session.stopping.set()
    return JSONResponse({"pid": os.getpid()}, 202)


async def _down(session: Session, _request: Request) -> Response:
    """End the proxy and the daemon. Only once nothing is served: services are removed before, one by one."""
    if services := session.engine.services():
        hint = "remove them first, as `celadon down` does"
        found = f"{len(services)} services are still there"
        raise ProblemsError([Problem(path="services", found=found, hint=hint)], refused=True)
    await session.daemon.router.close(stop_proxy=True)
    return await _stop(session, _request)
