"""No free disk: a clear message, and the old state serves."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.e2e

STORY = Path(__file__).with_name("full_disk_story.py")


def test_a_full_disk_stops_releases_with_a_clear_message_and_never_the_service():
    """The small disk is mounted in a namespace of its own, so that nothing is left of it, whatever happens."""
    own = ["--mount"] if os.geteuid() == 0 else ["--map-root-user", "--mount"]
    if (
        shutil.which("unshare") is None
        or subprocess.run(["unshare", *own, "true"], check=False).returncode != 0
    ):
        pytest.skip("this machine lets its user mount nothing, so it has no small disk to fill")
    told = subprocess.run(
        ["unshare", *own, sys.executable, STORY], capture_output=True, text=True, timeout=110, check=False
    )
    assert (told.returncode, told.stdout, told.stderr) == (0, "", "")
