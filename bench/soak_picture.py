"""The curves of a soak as a picture."""

from collections.abc import Sequence
from pathlib import Path

from bench.celadon_home import Json


def draw(samples: Sequence[Json], file: Path) -> None:
    raise NotImplementedError
