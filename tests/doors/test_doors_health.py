"""Whether the daemon is there is asked every few seconds for as long as it lives."""

import asyncio
import gc
import importlib.metadata
import json
from types import SimpleNamespace

from celadon.doors.api.routes import _health


def test_asking_for_health_again_and_again_leaves_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    router = SimpleNamespace(proxies=1, running=lambda: 1)
    session = SimpleNamespace(daemon=SimpleNamespace(home=tmp_path, router=router), started_at=0.0)

    def kept():
        return sum(isinstance(one, importlib.metadata.Lookup) for one in gc.get_objects())

    before = kept()
    for number in range(5):
        (tmp_path / str(number)).mkdir()
        answer = asyncio.run(_health(session, None))
    assert kept() == before
    assert json.loads(answer.body)["version"] == importlib.metadata.version("celadon")
