import asyncio

import pytest
from labels_given import Home


@pytest.fixture
def home(tmp_path):
    made = Home(tmp_path)
    yield made.open()
    asyncio.run(made.close())
