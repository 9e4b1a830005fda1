"""A home has one daemon at a time."""

import os
import subprocess
import sys

import pytest

from celadon.domain.problem import LastingFault
from celadon.store.lock import hold

HOLDER = """
import sys
from pathlib import Path
from celadon.store.lock import hold

with hold(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_daemon_is_told_who_holds_the_home(tmp_path):
    path = tmp_path / "daemon.lock"
    command = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(LastingFault, match=f"another daemon \\(pid {holder.pid}\\) runs on"), hold(path):
            pass
        holder.kill()
        holder.wait()
    with hold(path):
        assert path.read_text() == f"{os.getpid()}\n"


def test_a_child_process_does_not_keep_the_home_locked(tmp_path):
    path = tmp_path / "daemon.lock"
    command = [sys.executable, "-c", "print('runs', flush=True); input()"]
    with hold(path):
        child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, close_fds=False)
        # The kernel lets the parent go on shortly before it closes what the new program does not keep.
        assert child.stdout.readline() == b"runs\n"
    with child, hold(path):
        child.kill()


def test_the_lock_is_for_its_owner_alone(tmp_path):
    path = tmp_path / "new" / "daemon.lock"
    with hold(path):
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.parent.stat().st_mode & 0o777 == 0o700


def test_a_home_that_can_not_be_made_is_a_clear_fault(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(LastingFault, match="can not be used"),
        hold(tmp_path / "file" / "home" / "daemon.lock"),
    ):
        pass
