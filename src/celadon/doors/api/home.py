"""The folder of one daemon."""

import os
from pathlib import Path

from celadon.domain.names import SOCKET
from celadon.domain.problem import LastingFault

SOCKET_PATH_BYTES_MAX = 107
"""What `sockaddr_un` can hold on Linux, without its closing zero byte."""


def make_home(home: Path) -> None:
    """The folder that holds everything of one daemon, closed to everybody else."""
    if len(os.fsencode(home / f"{SOCKET}.new")) > SOCKET_PATH_BYTES_MAX:
        raise LastingFault(f"{home / SOCKET} is too long for a socket", "choose a shorter folder with --home")
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = home.stat()
    except OSError as error:
        raise LastingFault(
            f"{home} can not be used: {error.strerror}", "choose another with --home"
        ) from error
    if found.st_uid != os.geteuid():
        raise LastingFault(f"{home} belongs to user {found.st_uid}", "start the daemon as its owner")
    home.chmod(0o700)
