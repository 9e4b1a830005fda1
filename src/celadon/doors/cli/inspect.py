"""Looking into a model through the model server's own eyes, in a process of its own: nothing of it is imported here."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from celadon.domain.problem import LastingFault, Problem, ProblemsError

Json = dict[str, Any]

REFUSED = 2
"""Exit code of `inspect` for a model that is wrong; the reasons are its answer."""

INSPECT_S = 300.0


def inspect(model: Path, path: str, *, name: str, version: int = 1, record: bool = False) -> Json:
    """What a model takes and gives. path: where the model was named, for problems.

    Raises ProblemsError for a model that can not be served, and for a missing extra; LastingFault for the rest.
    """
    options = ["--name", name, "--version", str(version), *(["--record"] if record else [])]
    asked = [sys.executable, "-m", "celadon.serving", "inspect", str(model), *options]
    try:
        done = subprocess.run(
            asked, capture_output=True, check=False, timeout=INSPECT_S, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired as error:
        raise LastingFault(f"looking into {model} took longer than {INSPECT_S:.0f} s") from error
    if done.returncode == 0:
        return _object(done.stdout)
    if done.returncode == REFUSED:
        found = _object(done.stdout)["problems"]
        raise ProblemsError(
            Problem(path=_joined(path, p["path"]), found=p["found"], hint=p["hint"]) for p in found
        )
    words = done.stderr.decode("utf-8", "replace").strip().splitlines() or ["it said nothing"]
    if "celadon[serving]" in words[-1] or "No module named" in words[-1]:
        hint = "pip install 'celadon[serving]'"
        raise ProblemsError([Problem(path=path, found="models need the extra `serving`", hint=hint)])
    raise LastingFault(f"looking into {model} failed: {words[-1]}")


def _object(raw: bytes) -> Json:
    value = json.loads(raw)
    assert isinstance(value, dict)
    return value


def _joined(path: str, inner: str) -> str:
    return f"{path}: {inner}" if inner and inner != Path(path).name else path


def fields(described: Json, of: str) -> list[str]:
    """Inputs or outputs as text: name, type and shape."""
    return [f"{field['name']}: {field['dtype']} {_shape(field['shape'])}" for field in described[of]]


def _shape(sizes: list[int | None]) -> str:
    return f"[{', '.join('any' if size is None or size == -1 else str(size) for size in sizes)}]"
