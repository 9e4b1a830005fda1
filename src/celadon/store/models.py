"""The model store: blobs by content digest, and verified working copies of trees.

`HOME/store/sha256/ab/abcdef…` holds one blob each, never changed once it is there. `HOME/trees/abcdef…` is the
working copy of one tree. Drafts of both lie in `HOME/drafts`, on the same disk, and get their place by renaming.
"""

import asyncio
import hashlib
import os
import shutil
import time
from collections.abc import AsyncIterable, Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import mkdtemp, mkstemp
from typing import IO

from celadon.domain.facts import SourceFact, SourceState
from celadon.domain.names import DIGEST, Digest
from celadon.domain.problem import Problem, ProblemsError, TransientFault
from celadon.store.layout import DamagedError, discard, lay_out, verify
from celadon.store.tree import MANIFEST_BYTES_MAX, Entry, read_manifest

BLOB_BYTES_MAX = 32 * 2**30
RESERVE_BYTES = 256 * 2**20
"""Space that is left free on the disk, so that the journal can go on."""

YOUNG_S = 3600.0
"""A blob that was put or asked for within this time is kept: its deploy may not have been accepted yet."""

RETRY_S = 5.0
BATCH = 2**20


class ModelStore:
    """Keeps blobs and working copies. Public methods are called inside one event loop, unless they say otherwise.

    wake: called when a fetch has ended. reserve_bytes: space that is always left free on the disk.
    """

    def __init__(
        self,
        home: Path,
        wake: Callable[[], None],
        *,
        blob_bytes_max: int = BLOB_BYTES_MAX,
        reserve_bytes: int = RESERVE_BYTES,
    ) -> None:
        self._blobs, self._trees, self._drafts = home / "store" / "sha256", home / "trees", home / "drafts"
        self._wake = wake
        self._blob_bytes_max, self._reserve_bytes = blob_bytes_max, reserve_bytes
        self._facts: dict[Digest, SourceFact] = {}
        self._fetches: dict[Digest, asyncio.Task[None]] = {}

    async def start(self) -> None:
        """Make the folders, and remove drafts that a crash left. The home's lock must be held."""
        await asyncio.to_thread(self._tidy)

    async def close(self) -> None:
        """Wait for the fetches that are under way: a thread can not be stopped in the middle."""
        await asyncio.gather(*self._fetches.values(), return_exceptions=True)

    def _tidy(self) -> None:
        for folder in (self._blobs, self._trees, self._drafts):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for draft in self._drafts.iterdir():
            if draft.is_dir():
                discard(draft)
            else:
                draft.unlink()

    def blob(self, digest: Digest) -> Path:
        """Where a blob lies, or would. Raises ProblemsError when `digest` is none."""
        if not DIGEST.fullmatch(digest):
            raise ProblemsError(
                [Problem(path="digest", found=f"{digest!r} is not a digest", hint="sha256:...")]
            )
        hexadecimal = digest.removeprefix("sha256:")
        return self._blobs / hexadecimal[:2] / hexadecimal

    def has(self, digest: Digest) -> bool:
        """Whether a blob is there. From any thread.

        Who asks is about to deploy it: it is kept for another hour, and if it is a tree whose fetch failed, that
        is forgotten, so that the next release verifies it anew.
        """
        fact = self._facts.get(digest)
        if fact is not None and fact.state is SourceState.FAILED:
            self._facts.pop(digest, None)
        try:
            os.utime(self.blob(digest))
        except FileNotFoundError:
            return False
        return True

    async def put(self, digest: Digest, stream: AsyncIterable[bytes], size: int | None = None) -> None:
        """Store what `stream` gives, under its digest.

        size: how much will come, if that is known. Raises ProblemsError when the bytes are others or too many,
        and TransientFault when the disk is too full.
        """
        final = self.blob(digest)
        self._check_size(digest, size or 0)
        self._check_space(size or 0)
        if await asyncio.to_thread(self.has, digest):
            return
        descriptor, name = await asyncio.to_thread(mkstemp, dir=self._drafts)
        draft = Path(name)
        try:
            with os.fdopen(descriptor, "wb", buffering=0) as file:
                found = await self._receive(digest, stream, file)
            if found != digest:
                what = f"its bytes have the digest {found}, so they were damaged on the way or changed"
                raise ProblemsError([Problem(path=digest, found=what, hint="send it again")])
            await asyncio.to_thread(_place, draft, final)
        except OSError as error:
            raise _disk_fault(error) from error
        finally:
            await asyncio.to_thread(draft.unlink, missing_ok=True)

    async def _receive(self, digest: Digest, stream: AsyncIterable[bytes], file: IO[bytes]) -> Digest:
        sha, size, batch = hashlib.sha256(), 0, bytearray()

        def write() -> None:
            sha.update(batch)
            self._check_space(len(batch))
            file.write(batch)
            batch.clear()

        async for chunk in stream:
            size += len(chunk)
            self._check_size(digest, size)
            batch += chunk
            if len(batch) >= BATCH:
                await asyncio.to_thread(write)
        await asyncio.to_thread(write)
        await asyncio.to_thread(os.fsync, file.fileno())
        return Digest(f"sha256:{sha.hexdigest()}")

    def _check_size(self, digest: Digest, size: int) -> None:
        if size > self._blob_bytes_max:
            raise ProblemsError([Problem(path=digest, found=f"is larger than {self._blob_bytes_max} bytes")])

    def _check_space(self, wanted: int) -> None:
        free = shutil.disk_usage(self._drafts).free - self._reserve_bytes
        if wanted > free:
            what = f"{wanted} bytes do not fit on the disk of {self._drafts.parent}: {max(free, 0)} bytes are free"
            raise TransientFault(
                what, f"free some space there; {self._reserve_bytes} are kept free", retry_s=RETRY_S
            )

    def observe(self, trees: Sequence[Digest]) -> Mapping[Digest, SourceFact]:
        """What is known of these trees; one that was never fetched under this daemon is not in it."""
        return {tree: self._facts[tree] for tree in trees if tree in self._facts}

    def fetch(self, tree: Digest) -> None:
        """Begin to verify every byte of a tree and to lay out its working copy.

        One that is under way goes on; one that has ended is verified anew.
        """
        if tree in self._fetches:
            return
        self._facts[tree] = SourceFact(state=SourceState.FETCHING)
        task = asyncio.get_running_loop().create_task(self._fetch(tree), name=f"fetch {tree}")
        self._fetches[tree] = task

    async def _fetch(self, tree: Digest) -> None:
        began = time.time()
        try:
            path = await asyncio.to_thread(self._bring, tree)
            self._facts[tree] = SourceFact(state=SourceState.VERIFIED, path=str(path), at=began)
        except (DamagedError, ProblemsError) as error:
            self._facts[tree] = SourceFact(state=SourceState.FAILED, why=str(error))
        except (OSError, TransientFault) as error:
            why = str(_disk_fault(error) if isinstance(error, OSError) else error)
            self._facts[tree] = SourceFact(state=SourceState.FAILED, why=why, lasting=False)
        finally:
            del self._fetches[tree]
            self._wake()

    def _bring(self, tree: Digest) -> Path:
        entries = self.entries(tree)
        final = self.working_copy(tree)
        if final.exists():
            self._verify_copy(entries, final)
            return final
        self._check_space(sum(entry.size for entry in entries))
        draft = Path(mkdtemp(dir=self._drafts))
        try:
            lay_out(entries, [self.blob(entry.digest) for entry in entries], draft / "tree", final)
        except DamagedError as error:
            # Whoever deploys again asks for the manifest first and, where it is, sends nothing of the tree.
            self.blob(tree).unlink(missing_ok=True)
            if error.blob is None:
                raise DamagedError(f"{error}; deploy it again to send it") from error
            error.blob.unlink(missing_ok=True)
            raise DamagedError(f"{error}, and was removed from it; deploy it again to send it") from error
        finally:
            discard(draft)
        return final

    def _verify_copy(self, entries: Sequence[Entry], folder: Path) -> None:
        try:
            verify(entries, folder)
        except DamagedError as error:
            hint = f"find out who did, stop what runs on it, remove {folder} and deploy again"
            raise DamagedError(f"the working copy is not what was deployed: {error}; {hint}") from error

    def entries(self, tree: Digest) -> tuple[Entry, ...]:
        """The files of a tree, from its verified manifest. From any thread; raises DamagedError, ProblemsError."""
        path = self.blob(tree)
        try:
            with path.open("rb") as file:
                data = file.read(MANIFEST_BYTES_MAX + 1)
        except FileNotFoundError:
            raise DamagedError(f"{tree} is not in the model store; deploy it again to send it") from None
        if len(data) > MANIFEST_BYTES_MAX:
            found = f"is larger than {MANIFEST_BYTES_MAX} bytes, so it is no tree"
            raise ProblemsError([Problem(path=tree, found=found)])
        if hashlib.sha256(data).hexdigest() != path.name:
            path.unlink(missing_ok=True)
            why = f"the manifest of {tree} was damaged and was removed; deploy it again to send it"
            raise DamagedError(why)
        return read_manifest(data)

    def working_copy(self, tree: Digest) -> Path:
        """Where the working copy of a tree lies, or would."""
        return self._trees / self.blob(tree).name

    def gc(self, keep: Iterable[Digest]) -> tuple[Digest, ...]:
        """Remove blobs and working copies that nothing names; returns what went. From the event loop.

        keep: every tree and blob that any service names or any replica runs on; a tree keeps the blobs of its
        files. What is being fetched, and what is younger than an hour, stays too.
        """
        kept = set(keep) | set(self._fetches)
        for tree in [*kept]:
            kept |= self._named_by(tree)
        gone = [digest for digest in self._stored() if digest not in kept and self._is_old(digest)]
        for digest in gone:
            self.blob(digest).unlink()
        for folder in [*self._trees.iterdir()]:
            digest = Digest(f"sha256:{folder.name}")
            if digest not in kept:
                # Renamed first, so that a crash never leaves half a working copy in its place.
                folder.chmod(0o700)
                discard(folder.rename(self._drafts / folder.name))
        # Of what could not be fetched there is no folder.
        self._facts = {digest: fact for digest, fact in self._facts.items() if digest in kept}
        return tuple(gone)

    def _named_by(self, tree: Digest) -> set[Digest]:
        try:
            return {entry.digest for entry in self.entries(tree)}
        except (DamagedError, ProblemsError):
            # Golden requests are blobs and no trees, and what is missing names nothing.
            return set()

    def _stored(self) -> Iterator[Digest]:
        for file in sorted(self._blobs.glob("*/*")):
            yield Digest(f"sha256:{file.name}")

    def _is_old(self, digest: Digest) -> bool:
        return time.time() - self.blob(digest).stat().st_mtime > YOUNG_S


def _place(draft: Path, final: Path) -> None:
    """Give a finished draft its name, durably."""
    draft.chmod(0o400)
    final.parent.mkdir(mode=0o700, exist_ok=True)
    draft.rename(final)
    descriptor = os.open(final.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _disk_fault(error: OSError) -> TransientFault:
    what = f"the model store can not be used: {error.strerror or error}"
    return TransientFault(what, "free some space, and check that this user may write there", retry_s=RETRY_S)
