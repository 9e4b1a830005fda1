"""What a drill's probe wrote down, read while it goes on."""

import json

from celadon.domain.names import ServiceKey
from celadon.observe.probe import DrillProbes

FRAUD = ServiceKey(name="fraud")


def tell(folder, asked, now):
    told = {"asked": asked, "confirmed": [], "now": now, "oldest": None}
    with (folder / "told.jsonl").open("a") as file:
        file.write(json.dumps(told) + "\n")


def test_it_is_weighed_again_only_when_what_it_says_may_have_changed(tmp_path):
    folder = tmp_path / "drills" / "default" / "fraud" / "probe-1"
    folder.mkdir(parents=True)
    (folder / "order.json").write_text("{}")
    probes = DrillProbes(tmp_path, tmp_path / "socket")
    tell(folder, [[n / 500, n / 500 + 0.01, True] for n in range(5000)], 10.0)
    assert probes.look(FRAUD)
    first = probes.observe(FRAUD, None)
    assert (first.before, first.clear_to) == (4996, 10.0)
    tell(folder, [[10.0, 10.01, True]], 10.1)
    assert probes.look(FRAUD)
    assert probes.observe(FRAUD, None).measured is first.measured
    assert probes.observe(FRAUD, 9.0).measured.requests > 0
    tell(folder, [[10.2, 10.21, True]], 10.5)
    assert probes.look(FRAUD)
    assert probes.observe(FRAUD, 9.0).clear_to == 10.5
