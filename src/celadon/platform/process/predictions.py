"""Where replicas append what they predicted: home/predictions/NAMESPACE.NAME.REVISION.INDEX.jsonl, and `.1` of each.

Whoever joins predictions with labels reads them there. A replica that is restarted goes on in the same file.
"""

import time
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path

from celadon.domain.names import ReplicaId, ServiceKey

KEPT_S = 86_400.0
"""Files of replicas that no longer run are kept for so long after their last line."""


def predictions_path(home: Path, replica: ReplicaId) -> Path:
    """The file of one replica; its folder is there then, open to its owner alone."""
    folder = home / "predictions"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder / f"{_stem(replica)}.jsonl"


def prune_predictions(home: Path, running: Collection[ReplicaId]) -> None:
    """Remove files of replicas that have been gone for long."""
    stems = {_stem(replica) for replica in running}
    for path in _files(home):
        with suppress(FileNotFoundError):
            if path.name.partition(".jsonl")[0] not in stems and path.stat().st_mtime < time.time() - KEPT_S:
                path.unlink()


def remove_predictions(home: Path, service: ServiceKey) -> None:
    """Remove the files of a service that was taken down."""
    for path in _files(home):
        if path.name.startswith(f"{service.namespace}.{service.name}."):
            path.unlink(missing_ok=True)


def _files(home: Path) -> Iterator[Path]:
    yield from sorted((home / "predictions").glob("*.jsonl*"))


def _stem(replica: ReplicaId) -> str:
    return f"{replica.service.namespace}.{replica.service.name}.{replica.revision}.{replica.index}"
