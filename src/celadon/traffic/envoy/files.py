"""The folder that Envoy reads: a file changes only by a rename, and only when what it says changes."""

import contextlib
import json
import os
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from celadon.traffic.envoy.render import Part, response, version_of


def write_durably(path: Path, text: str) -> None:
    """Old or new after a crash, never half of it."""
    write_quickly(path, text, sync=True)
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Makes renames in a folder last."""
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def write_quickly(path: Path, text: str, *, sync: bool = False) -> None:
    """Old or new after a crash of this process; without `sync`, perhaps neither after a power loss."""
    half = path.with_name(f".{path.name}.new")
    with half.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        if sync:
            os.fsync(file.fileno())
    half.rename(path)


@dataclass(slots=True)
class XdsFolder:
    """What was last written, by file. Not safe for two writers at once."""

    folder: Path
    versions: dict[str, str] = field(default_factory=dict)
    _values: dict[str, Hashable] = field(default_factory=dict)

    def load(self) -> None:
        """Learns what lies there already, so that the same content is not written again."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path in self.folder.glob("*.json"):
            with contextlib.suppress(ValueError, KeyError):
                self.versions[path.name] = str(json.loads(path.read_text(encoding="utf-8"))["version_info"])

    def changed(self, parts: Iterable[Part]) -> dict[str, str]:
        """Text by file name for every file that has to be written, in the order of `parts`."""
        texts: dict[str, str] = {}
        for part in parts:
            if part.file in self._values and self._values[part.file] == part.value:
                continue
            resources = part.make()
            version = version_of(resources)
            if self.versions.get(part.file) != version:
                texts[part.file] = response(resources, version)
            self._values[part.file] = part.value
            self.versions[part.file] = version
        return texts

    def write(self, texts: Mapping[str, str]) -> None:
        """Blocks for as long as the disk takes. The folder is synced last, while Envoy is reading already."""
        for name, text in texts.items():
            write_quickly(self.folder / name, text, sync=True)
        sync_folder(self.folder)

    def forget(self, names: Iterable[str]) -> None:
        """These may not have been written: write them next time, whatever they say."""
        for name in names:
            self.versions[name] = ""
            self._values.pop(name, None)

    def retain(self, names: Iterable[str]) -> None:
        """Deletes the files of clusters and listeners that are gone."""
        for name in self.versions.keys() - set(names):
            (self.folder / name).unlink(missing_ok=True)
            self.versions.pop(name)
            self._values.pop(name, None)
