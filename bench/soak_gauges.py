"""What the soak measures every few seconds: processes by the kernel's own figures, and the home by kind of file."""

import contextlib
import os
from collections import Counter
from pathlib import Path

MIB = 2**20

KINDS = {
    "journal.db": "journal",
    "labels.db": "labels",
    "predictions": "answers",
    "routed": "answers",
    "envoy": "envoy",
    "run": "replicas",
    "logs": "replicas",
    "store": "models",
    "trees": "models",
    "drafts": "models",
}
"""What belongs together, by the beginning of its name in the home; all else is called other. Envoy's log of requests
is counted by itself.
"""

REQUESTS = "access.log"


def of_process(pid: int, name: str) -> dict[str, float]:
    """Memory, descriptors and threads of one process; nothing of one that has just ended."""
    with contextlib.suppress(OSError):
        place = Path(f"/proc/{pid}")
        said = dict(line.split(":", 1) for line in (place / "status").read_text().splitlines() if ":" in line)
        return {
            f"{name}_pid": pid,
            f"{name}_rss_mb": round(int(said["VmRSS"].split()[0]) / 1024, 2),
            f"{name}_fds": len(list((place / "fd").iterdir())),
            f"{name}_threads": int(said["Threads"]),
        }
    return {}


def of_home(home: Path) -> dict[str, float]:
    """Megabytes by kind, and how many files and folders there are in all."""
    sizes: Counter[str] = Counter()
    files = 0
    for folder, folders, names in os.walk(home):
        first = Path(folder).relative_to(home).parts[:1]
        for name in names:
            kind = "requests" if name.startswith(REQUESTS) else _kind(first[0] if first else name)
            with contextlib.suppress(OSError):
                sizes[kind] += (Path(folder) / name).lstat().st_size
        files += len(names) + len(folders)
    kinds = sorted({*KINDS.values(), "requests", "other"})
    return {f"home_{kind}_mb": round(sizes[kind] / MIB, 3) for kind in kinds} | {"home_files": files}


def _kind(first: str) -> str:
    return next((kind for name, kind in KINDS.items() if first.startswith(name)), "other")
