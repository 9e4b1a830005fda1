import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "release"))

from control_world import Character, World
from release_given import BLUE, GREEN, SERVICE, THIRD


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(folder=tmp_path, service=SERVICE)
    for revision in (BLUE, GREEN, THIRD):
        made.characters[revision.id] = Character()
    yield made
    made.journal.close()
