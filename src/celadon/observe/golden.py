"""Proving a revision: golden requests through the preview address, in order, each answer compared.

A proof has one of three ends. Passed: every answer was as expected. Failed with mismatches: green answered
something else. Failed with a fault: green was never reached, so nothing is known of its answers; every answer must
carry the id of the revision that is being proved, else the preview reached another one.
"""

import asyncio
import json
import ssl
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path

import httpx2

from celadon.domain.facts import ProofFact, ProofState
from celadon.domain.golden import Answer, GoldenRequest, Mismatch, predict_path
from celadon.domain.names import Address, Digest, RevisionId, ServiceKey
from celadon.domain.problem import ProblemsError
from celadon.judge.golden import check

REVISION_HEADER = "x-celadon-revision"
RETRY_S = 0.2
ANSWER_BYTES_MAX = 16 * 2**20
MISMATCHES_MAX = 20
"""After this many the rest is not asked: the revision has failed, and a person reads the first few."""

FROM_A_PROXY = frozenset({502, 503, 504})
"""What a proxy says when it did not reach the server, although the server may say it too."""

TRIES = 4
"""What a proxy said, or what came later than callers wait, is asked for so often in all: it may have been a bad moment."""


class _UnreachedError(Exception):
    """The revision itself gave no answer, and why."""


class _LateError(Exception):
    """An answer that callers would not have waited for."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """Who is asked, where, and how soon an answer has to begin."""

    revision: RevisionId
    preview: Address
    within_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Proof:
    """One proof under way or ended, and the task that drives it."""

    fact: ProofFact
    task: asyncio.Task[None]


class GoldenProber:
    """Sends golden requests, one proof per service at a time. Used from one event loop.

    wake: called with the service when its proof has ended. request_s: how long one answer may take.
    patience_s: how long an unreachable revision is asked again before that is reported.
    """

    def __init__(
        self, wake: Callable[[ServiceKey], None], *, request_s: float = 10.0, patience_s: float = 20.0
    ) -> None:
        self._wake = wake
        self._request_s, self._patience_s = request_s, patience_s
        self._proofs: dict[ServiceKey, _Proof] = {}
        self._leaving: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Nothing has to be there before the first proof."""

    async def close(self) -> None:
        """Stop asking."""
        for service in [*self._proofs]:
            self.forget(service)
        await asyncio.gather(*self._leaving, return_exceptions=True)

    def observe(self, service: ServiceKey) -> ProofFact | None:
        """How the last proof stands; None when there is none, or it was forgotten."""
        proof = self._proofs.get(service)
        return proof.fact if proof else None

    def forget(self, service: ServiceKey) -> None:
        """Stop a proof that is under way and drop what came of it: the next release asks anew."""
        proof = self._proofs.pop(service, None)
        if proof is not None and not proof.task.done():
            self._leaving.add(proof.task)
            proof.task.add_done_callback(self._leaving.discard)
            proof.task.cancel()

    def prove(
        self,
        service: ServiceKey,
        revision: RevisionId,
        golden: Digest | None,
        path: Path | None,
        preview: Address,
        *,
        within_s: float | None = None,
    ) -> None:
        """Begin a proof. path: where the golden requests lie. One that is under way or has ended stays as it is.

        within_s: how soon an answer has to begin, None for any time; one that comes later is asked for again, since the
        first of its kind may be slow. Without golden requests nothing is asked and the proof has passed: readiness
        is all there is.
        """
        there = self.observe(service)
        if there is not None and (there.revision, there.golden) == (revision, golden):
            return
        self.forget(service)
        fact = ProofFact(revision=revision, golden=golden, state=ProofState.RUNNING)
        drive = self._drive(service, fact, path, _Asked(fact.revision, preview, within_s))
        task = asyncio.get_running_loop().create_task(drive, name=f"prove {service}")
        self._proofs[service] = _Proof(fact=fact, task=task)

    async def _drive(self, service: ServiceKey, fact: ProofFact, path: Path | None, asked_of: _Asked) -> None:
        try:
            requests = await asyncio.to_thread(_read, path, service) if path is not None else ()
            asked, mismatches = await self._ask_all(requests, asked_of)
            state = ProofState.FAILED if mismatches else ProofState.PASSED
            fact = replace(fact, state=state, asked=asked, mismatches=mismatches)
        except (_UnreachedError, ProblemsError, OSError, ValueError, httpx2.InvalidURL) as error:
            fact = replace(fact, state=ProofState.FAILED, fault=str(error))
        self._proofs[service] = replace(self._proofs[service], fact=fact)
        self._wake(service)

    async def _ask_all(
        self, requests: tuple[GoldenRequest, ...], of: _Asked
    ) -> tuple[int, tuple[Mismatch, ...]]:
        """How many were asked, and which answers were not as expected."""
        mismatches: list[Mismatch] = []
        asked = 0
        # The preview is plain HTTP on loopback: no proxy of the environment, and no certificates to load.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        async with httpx2.AsyncClient(trust_env=False, verify=context, timeout=self._request_s) as client:
            for request in requests:
                asked += 1
                mismatch = await self._ask_patiently(client, request, of)
                if mismatch is not None:
                    mismatches.append(mismatch)
                if len(mismatches) >= MISMATCHES_MAX:
                    break
        return asked, tuple(mismatches)

    async def _ask_patiently(
        self, client: httpx2.AsyncClient, request: GoldenRequest, of: _Asked
    ) -> Mismatch | None:
        clock = asyncio.get_running_loop().time
        deadline, tries, late = clock() + self._patience_s, 0, 0
        while True:
            try:
                found = await self._ask(client, request, of)
            except _UnreachedError:
                if clock() >= deadline:
                    raise
            except _LateError as error:
                late += 1
                if late >= TRIES:
                    return Mismatch(name=request.name, found=str(error))
                continue
            else:
                tries += 1
                if isinstance(found, Mismatch):
                    return found
                mismatch = check(request, found)
                if mismatch is None or found.status not in FROM_A_PROXY or tries >= TRIES:
                    return mismatch
            await asyncio.sleep(RETRY_S)

    async def _ask(self, client: httpx2.AsyncClient, request: GoldenRequest, of: _Asked) -> Answer | Mismatch:
        """One answer of the revision, or how it failed to give one."""
        clock = asyncio.get_running_loop().time
        began = clock()
        try:
            async with asyncio.timeout(self._request_s):
                response = await client.send(_as_sent(client, request, of.preview), stream=True)
                async with aclosing(response):
                    _check_reached(response, of.revision, of.preview)
                    _check_in_time(clock() - began, of)
                    return await _receive(response, request)
        except (TimeoutError, httpx2.ReadTimeout):
            return Mismatch(name=request.name, found=f"gave no answer within {self._request_s:g} s")
        except (httpx2.TransportError, httpx2.DecodingError) as error:
            why = f"{type(error).__name__}: {error}".rstrip(": ")
            raise _UnreachedError(
                f"{request.name}: the preview address {of.preview} gave no answer ({why})"
            ) from error


def _read(path: Path, service: ServiceKey) -> tuple[GoldenRequest, ...]:
    from celadon.parse.golden import read_golden  # noqa: PLC0415 -- a daemon loads it once it answers

    return read_golden(path.read_text(encoding="utf-8"), "golden", predict_path(service))


def _as_sent(client: httpx2.AsyncClient, request: GoldenRequest, preview: Address) -> httpx2.Request:
    headers = dict(request.headers)
    content = None
    if request.body is not None:
        content = json.dumps(request.body, separators=(",", ":")).encode()
        if "content-type" not in {name.lower() for name in headers}:
            headers["content-type"] = "application/json"
    # Built from parts, so that no path can name another host.
    url = httpx2.URL(scheme="http", host=preview.host, port=preview.port, raw_path=request.path.encode())
    return client.build_request(request.method, url, headers=headers, content=content)


async def _receive(response: httpx2.Response, request: GoldenRequest) -> Answer | Mismatch:
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > ANSWER_BYTES_MAX:
            return Mismatch(name=request.name, found=f"answered more than {ANSWER_BYTES_MAX} bytes")
    return Answer(status=response.status_code, body=bytes(body))


def _check_in_time(took_s: float, of: _Asked) -> None:
    if of.within_s is not None and took_s > of.within_s:
        raise _LateError(
            f"was answered after {took_s:.2f} s, and `route` gives an answer {of.within_s:g} s to begin"
        )


def _check_reached(response: httpx2.Response, revision: RevisionId, preview: Address) -> None:
    found = response.headers.get(REVISION_HEADER)
    if found != revision:
        reached = f"reached revision {found}" if found else f"answered {response.status_code} for no revision"
        raise _UnreachedError(f"the preview address {preview} {reached} while {revision} was being proved")
