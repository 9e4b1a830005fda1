"""Everything that Envoy reads, as one thing that can be published: the tracks of all services and their files."""

import asyncio
import json
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import cattrs

from celadon.domain.goal import Wanted
from celadon.domain.names import ServiceKey
from celadon.domain.problem import TransientFault
from celadon.traffic.envoy.files import XdsFolder, write_durably, write_quickly
from celadon.traffic.envoy.render import Part, bootstrap, parts
from celadon.traffic.envoy.snapshot import Claim, Snapshot, fold
from celadon.traffic.envoy.track import Kept, Track, prepared, settled, undrained
from celadon.traffic.envoy.words import Paths

_codec = cattrs.Converter(forbid_extra_keys=True)
DISK_RETRY_S = 1.0
AT_ONCE = 2
"""A switch writes one file. To hand it to a thread costs more than writing it: 2 ms at the median, 15 at the p99."""


@dataclass(slots=True)
class Plane:
    """home: celadon's folder for Envoy. seats: how many Envoys read the files here."""

    home: Path
    seats: int = 1
    tracks: dict[ServiceKey, Track] = field(default_factory=dict)
    xds: XdsFolder = field(init=False)
    _unkept: dict[Path, str] = field(default_factory=dict)
    _writing: asyncio.Lock = field(default_factory=asyncio.Lock)

    def __post_init__(self) -> None:
        self.xds = XdsFolder(self.home / "xds")

    def folder(self, seat: int) -> Path:
        """What one Envoy has for itself: the first lies where the only one does."""
        return self.home / str(seat) if seat else self.home

    def paths(self, seat: int) -> Paths:
        folder = self.folder(seat)
        return Paths(
            xds=self.home / "xds",
            access_log=folder / "access.log",
            admin_socket=folder / "admin.sock",
            number=seat,
        )

    def bootstrap(self, seat: int) -> Path:
        return self.folder(seat) / "bootstrap.json"

    def open(self, *, same_boot: bool) -> None:
        """Takes up what lies there. After a reboot nothing of it is true: addresses may be somebody else's."""
        self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not same_boot:
            shutil.rmtree(self.home / "xds", ignore_errors=True)
            shutil.rmtree(self.home / "kept", ignore_errors=True)
        (self.home / "kept").mkdir(mode=0o700, exist_ok=True)
        for seat in range(self.seats):
            self._bootstrap(seat)
        self.xds.load()
        for path in sorted((self.home / "kept").glob("[!.]*.json")):
            kept = _codec.structure(json.loads(path.read_text(encoding="utf-8")), Kept)
            self.tracks[kept.service] = _resumed(kept)
        if any(name.startswith("routes.") for name in self._behind()):
            # We died before the routes were written: what leaves has to serve until they are.
            for track in self.tracks.values():
                track.clusters = undrained(track.clusters, track.kept.leaving)

    def _bootstrap(self, seat: int) -> None:
        self.folder(seat).mkdir(mode=0o700, exist_ok=True)
        file, text = self.bootstrap(seat), json.dumps(bootstrap(self.paths(seat)), indent=1) + "\n"
        if not file.exists() or file.read_text(encoding="utf-8") != text:
            write_durably(file, text)

    def _parts(self) -> list[Part]:
        """Of everything one file for all, but of the listeners."""
        snapshot = self.snapshot()
        found = parts(snapshot, self.paths(0))
        for paths in map(self.paths, range(1, self.seats)):
            found += [part for part in parts(snapshot, paths) if part.file == paths.listeners_file]
        return found

    @property
    def followed(self) -> int:
        """How many files each Envoy follows."""
        return len(self.xds.versions) - (self.seats - 1)

    async def let_go(self, seat: int) -> None:
        """The last Envoy has ended, and nobody reads any more what it had for itself."""
        self.seats = seat
        await self.sweep()
        shutil.rmtree(self.folder(seat), ignore_errors=True)

    def _behind(self) -> Mapping[str, str]:
        """Files that do not say yet what is remembered."""
        peek = XdsFolder(self.xds.folder)
        peek.load()
        return peek.changed(self._parts())

    def keep(self, track: Track) -> None:
        """With the next publication, before Envoy's files: a restarted daemon never knows less than Envoy."""
        name = f"{track.service.namespace}.{track.service.name}.json"
        self._unkept[self.home / "kept" / name] = json.dumps(_codec.unstructure(track.kept))

    def snapshot(self) -> Snapshot:
        return fold(track.claim for track in self.tracks.values())

    def with_targets(self, targets: Iterable[Wanted]) -> Snapshot:
        """What would be served if these were accepted and everybody else stayed."""
        wishes = {wanted.service: wanted for wanted in targets}
        claims = []
        for service, track in self.tracks.items():
            target = wishes.get(service)
            clusters = track.clusters if target is None else prepared((), target)
            claims.append(Claim(wanted=target or track.kept.published, clusters=clusters))
        return fold(claims)

    async def publish(self) -> None:
        """Writes the files whose content changed. Raises TransientFault when the disk does not take them."""
        async with self._writing:
            texts = self.xds.changed(self._parts())
            unkept, self._unkept = self._unkept, {}
            if not texts and not unkept:
                return
            try:
                if len(texts) <= AT_ONCE:
                    self._write(unkept, texts)
                else:
                    await asyncio.to_thread(self._write, unkept, texts)
            except OSError as error:
                self.xds.forget(texts)
                self._unkept = unkept | self._unkept
                what = f"Envoy's files can not be written: {error.strerror}"
                raise TransientFault(what, f"see the disk of {self.home}", retry_s=DISK_RETRY_S) from error

    def _write(self, unkept: Mapping[Path, str], texts: Mapping[str, str]) -> None:
        for path, text in unkept.items():
            write_quickly(path, text)
        if texts:
            self.xds.write(texts)

    async def sweep(self) -> None:
        """Deletes files that nothing names any more."""
        async with self._writing:
            self.xds.retain(part.file for part in self._parts())


def _resumed(kept: Kept) -> Track:
    return Track(kept=kept, target=kept.published, clusters=settled(kept.published, kept.leaving))
