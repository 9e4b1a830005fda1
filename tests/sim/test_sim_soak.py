"""The soak of the simulated world keeps releasing, tells growth where it is planted, and knows a flat curve."""

import gc
import json
import re
from pathlib import Path

from celadon.sim import soak as one
from celadon.sim.flat import Curve, growth

PAGE = (Path(__file__).parents[2] / "docs" / "soak.md").read_text()


def test_half_an_hour_of_releases_of_every_strategy_breaks_no_law(tmp_path):
    made = one.soak(0.4, 1, tmp_path / "home")
    made.journals[-1].close()
    assert made.world.laws.book.broken == {}
    assert made.deployed > len(one.POLICIES)
    assert made.kills > 5
    assert made.world.daemon.deaths > 0
    assert {len(values) for values in made.curves.values()} == {len(made.at_s)}


def test_what_the_daemon_holds_on_to_is_counted(tmp_path):
    made = one.soak(0.05, 2, tmp_path / "home")
    before = one.kept(made.world)
    view = made.world.daemon.loop.views[made.world.service]
    made.world.daemon.loop.views["leak"] = [(view, number) for number in range(1000, 2000)]
    gc.collect()
    assert one.kept(made.world) >= before + 1000
    made.journals[-1].close()


def test_what_is_tidied_up_now_and_then_is_flat_by_its_peaks():
    at_s = [60.0 * place for place in range(360)]
    name = "journal_records"
    teeth = Curve(name=name, at_s=at_s, values=[place % 60 + 1000.0 for place in range(360)], sawtooth=True)
    rising = Curve(name=name, at_s=at_s, values=[5.0 * place for place in range(360)], sawtooth=True)
    assert growth(teeth).within(one.LIMITS[name])
    assert not growth(rising).within(one.LIMITS[name])


def test_the_command_of_the_page_ends_with_what_it_found_and_a_young_journal_only_grows(capsys):
    (command,) = re.findall(r"```sh\npython -m celadon.sim.soak (.*?)\n```", PAGE)
    assert command.split()[0] == "--hours"
    assert one.main(["--hours", "0.1", "--json"]) == 1
    *lines, last = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("journal_records")
    assert lines[0].endswith("GROWS")
    told = json.loads(last)
    assert told["figures"]["broken_laws"] == 0
    assert told["figures"]["releases"] > 0
