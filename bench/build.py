"""The two Go programs of the benchmarks, built when their source is newer."""

import os
import shutil
import subprocess
from pathlib import Path

SOURCE = Path(__file__).parent / "load"
BUILT = Path(__file__).parent / ".build"


class MissingToolError(Exception):
    """A tool that the benchmark needs is not on this machine."""


def tool(name: str, *places: str) -> str:
    """The tool's path; Debian puts servers into places that a user's PATH may lack."""
    found = shutil.which(name) or next((p for p in places if os.access(p, os.X_OK)), None)
    if found is None:
        raise MissingToolError(f"{name} is not installed; bench/setup.sh installs what the benchmarks need")
    return found


def built(name: str) -> Path:
    """The path of `load` or `server`; Go's own cache makes building again cheap."""
    BUILT.mkdir(exist_ok=True)
    environment = {**os.environ, "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=mod", "CGO_ENABLED": "0"}
    go = tool("go", "/usr/local/go/bin/go", "/usr/lib/go/bin/go")
    subprocess.run([go, "build", "-o", f"{BUILT}/", "./..."], cwd=SOURCE, env=environment, check=True)
    return BUILT / name
