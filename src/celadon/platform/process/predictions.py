"""Where replicas append what they predicted: home/predictions/NAMESPACE.NAME.REVISION.INDEX.jsonl, and `.1` of each.

Whoever joins predictions with labels reads them there. A replica that is restarted goes on in the same file.
"""

import time
from collections import defaultdict
from collections.abc import Collection, Iterator
from pathlib import Path

from celadon.domain.names import ReplicaId, ServiceKey

KEPT_S = 86_400.0
"""Files of replicas that no longer run are kept for so long after their last line."""

KEPT_MAX = 16
"""And of so many such replicas per service: each may have 32 MiB, and there may be a hundred releases a day."""

READ_S = 300.0
"""What was written since may not have been read yet, so it stays in any case."""


def predictions_path(home: Path, replica: ReplicaId) -> Path:
    """The file of one replica; its folder is there then, open to its owner alone."""
    folder = home / "predictions"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder / f"{_stem(replica)}.jsonl"


def prune_predictions(home: Path, running: Collection[ReplicaId]) -> None:
    """Remove files of replicas that have been gone for long, and of each service all but those that ended last."""
    stems = {_stem(replica) for replica in running}
    ended: defaultdict[str, dict[str, list[Path]]] = defaultdict(lambda: defaultdict(list))
    for path in _files(home):
        stem = path.name.partition(".jsonl")[0]
        if stem not in stems:
            # A service's own name has neither dots nor a namespace with any.
            ended[".".join(stem.split(".")[:2])][stem].append(path)
    now = time.time()
    for of_service in ended.values():
        last = {stem: max(_written_at(path) for path in paths) for stem, paths in of_service.items()}
        for number, stem in enumerate(sorted(last, key=last.__getitem__, reverse=True)):
            if last[stem] < now - (KEPT_S if number < KEPT_MAX else READ_S):
                for path in of_service[stem]:
                    path.unlink(missing_ok=True)


def _written_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0  # Whoever rotates it has just renamed it.


def remove_predictions(home: Path, service: ServiceKey) -> None:
    """Remove the files of a service that was taken down."""
    for path in _files(home):
        if path.name.startswith(f"{service.namespace}.{service.name}."):
            path.unlink(missing_ok=True)


def _files(home: Path) -> Iterator[Path]:
    yield from sorted((home / "predictions").glob("*.jsonl*"))


def _stem(replica: ReplicaId) -> str:
    return f"{replica.service.namespace}.{replica.service.name}.{replica.revision}.{replica.index}"
