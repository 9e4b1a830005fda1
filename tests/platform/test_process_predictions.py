"""Every replica has a file of its own for what it predicts, and files of replicas long gone go."""

import os
import time

from platform_given import SERVER, SERVICE, launch, until_state

from celadon.domain.facts import ReplicaState
from celadon.domain.names import ReplicaId, RevisionId, ServiceKey
from celadon.platform.process.predictions import KEPT_S, predictions_path, prune_predictions

APPENDS = (
    SERVER
    + "open(os.environ['CELADON_PREDICTIONS'], 'a').write('{}\\n')\n"
    + "http.server.HTTPServer(('127.0.0.1', int(sys.argv[1])), Answer).serve_forever()\n"
)


def of(name, index=0):
    return ReplicaId(service=ServiceKey(name=name), revision=RevisionId("a" * 12), index=index)


def test_a_replica_is_told_a_file_that_only_its_owner_can_reach(workshop):
    async def story(shop):
        platform = await shop.platform()
        platform.start(launch(APPENDS))
        fact = await until_state(platform, ReplicaState.READY)
        (path,) = (shop.home / "predictions").iterdir()
        assert path == predictions_path(shop.home, fact.id)
        assert path.name == f"default.ranker.{fact.id.revision}.0.jsonl"
        assert path.parent.stat().st_mode & 0o077 == 0
        assert path.read_text() == "{}\n"

    workshop.run(story)


def test_files_of_replicas_long_gone_are_removed_and_no_others(tmp_path):
    for name, age_s in (("runs", KEPT_S + 9), ("fresh", 9), ("old", KEPT_S + 9)):
        for suffix in ("", ".1"):
            path = predictions_path(tmp_path, of(name)).with_suffix(f".jsonl{suffix}")
            path.write_text("")
            os.utime(path, (time.time() - age_s,) * 2)
    prune_predictions(tmp_path, {of("runs")})
    left = {path.name.split(".")[1] for path in (tmp_path / "predictions").iterdir()}
    assert left == {"runs", "fresh"}


def test_a_service_that_is_taken_down_leaves_no_predictions(workshop):
    async def story(shop):
        platform = await shop.platform()
        other = predictions_path(shop.home, of("ranker-2"))
        mine = predictions_path(shop.home, of(SERVICE.name, 7))
        for path in (other, mine):
            path.write_text("{}\n")
        platform.remove(SERVICE)
        assert (other.exists(), mine.exists()) == (True, False)

    workshop.run(story)
