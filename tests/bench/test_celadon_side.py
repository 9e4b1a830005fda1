import tempfile
from pathlib import Path

import pytest
from bench.celadon_home import CeladonHome
from bench.celadon_side import Celadon
from bench.machine import cores
from bench.processes import PartyError
from bench.side import Party

from bench import switch


@pytest.fixture
def folder():
    # pytest's own folders are too deep for the path of a Unix socket.
    with tempfile.TemporaryDirectory(prefix="bench-") as found:
        yield Path(found)


def test_a_real_celadon_switches_retires_and_starts_anew_without_losing_a_request():
    settings = switch.configuration(1, quick=True)
    party = Party(name="celadon", version="", make=Celadon)
    found = switch.measure(party, settings, cores(), 0)
    assert (found.lost, found.cut_streams, found.faults) == (0, 0, {})
    assert (len(found.switches), found.retired, len(found.shell_ms)) == (5, 1, 1)


def test_a_refused_command_ends_the_bench_instead_of_being_measured(folder):
    home = CeladonHome(folder)
    try:
        home.start()
        with pytest.raises(PartyError, match="there is no service bench"):
            home.order("bench", "rollback")
    finally:
        home.stop()
    assert home.processes() == []
