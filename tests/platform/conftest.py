import pytest
from platform_given import Workshop


@pytest.fixture
def workshop(tmp_path):
    return Workshop(tmp_path / "home")
