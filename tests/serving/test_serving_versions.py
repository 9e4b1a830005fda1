"""The version is asked for again and again by whoever looks after a server."""

import gc
import importlib.metadata

from celadon.serving.oip import _server


def test_telling_the_version_again_and_again_leaves_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)

    def kept():
        return sum(isinstance(one, importlib.metadata.Lookup) for one in gc.get_objects())

    before = kept()
    for number in range(5):
        (tmp_path / str(number)).mkdir()
        _server()
    assert kept() == before
