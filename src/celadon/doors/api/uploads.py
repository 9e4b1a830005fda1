"""Blobs as they come in: streamed to the model store, which checks their digests."""

from starlette.requests import ClientDisconnect, Request

from celadon.domain.names import DIGEST, Digest
from celadon.domain.problem import Problem, ProblemsError, TransientFault
from celadon.store.models import ModelStore


def digest(given: str) -> Digest:
    """A digest out of a path. Raises ProblemsError."""
    if not DIGEST.fullmatch(given):
        hint = "sha256: and 64 lower-case hexadecimal digits"
        raise ProblemsError([Problem(path="digest", found=f"{given!r} is not a digest", hint=hint)])
    return Digest(given)


async def receive(models: ModelStore, wanted: Digest, request: Request) -> None:
    """Store a request's body under its digest."""
    length = request.headers.get("content-length", "")
    try:
        await models.put(wanted, request.stream(), int(length) if length.isdecimal() else None)
    except ClientDisconnect as error:
        raise TransientFault(f"{wanted} did not come whole", "send it again", retry_s=0.0) from error
