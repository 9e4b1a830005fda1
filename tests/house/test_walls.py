"""Imports point down only, and pure rooms touch nothing: `.importlinter` says how, this test holds it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINT = Path(sys.executable).parent / "lint-imports"


def lint(folder):
    """The exit status and the report, in one line, of import-linter over the package under `folder`."""
    done = subprocess.run(
        [LINT, "--no-cache", "--config", ROOT / ".importlinter"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, " ".join((done.stdout + done.stderr).split())


def test_the_walls_of_the_house_stand():
    status, report = lint(ROOT / "src")
    assert status == 0, report


@pytest.mark.parametrize(
    ("file", "line", "broken"),
    [
        ("domain/names.py", "import time", "Pure rooms"),
        ("parse/spec.py", "from pathlib import Path", "Pure rooms"),
        ("judge/golden.py", "import pydantic", "The judge needs nothing"),
        ("release/decide.py", "import celadon.store", "Imports point down only"),
        ("domain/names.py", "import celadon.parse", "Imports point down only"),
        ("serving/model.py", "import celadon.store", "The model server knows"),
        ("control/tick.py", "import celadon.serving", "Nobody imports the model server"),
        ("control/tick.py", "import celadon.traffic.envoy", "only the assembly chooses"),
        ("attic/__init__.py", "", "Imports point down only"),
    ],
)
def test_a_hole_in_a_wall_is_seen(tmp_path, file, line, broken):
    package = tmp_path / "celadon"
    shutil.copytree(ROOT / "src" / "celadon", package, ignore=shutil.ignore_patterns("__pycache__"))
    holed = package / file
    holed.parent.mkdir(exist_ok=True)
    holed.write_text((holed.read_text() if holed.exists() else "") + f"\n{line}\n")
    status, report = lint(tmp_path)
    assert status != 0
    assert broken in report
