import tempfile
from pathlib import Path

import pytest
from doors_given import Home


@pytest.fixture
def home():
    made = Home(Path(tempfile.mkdtemp(prefix="cel-")))
    yield made
    made.end()


@pytest.fixture
def up(home):
    home.done("up")
    return home
