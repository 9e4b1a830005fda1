"""Every replica has a file of its own for what it predicts, and files of replicas long gone go."""

import os
import time

from platform_given import SERVER, SERVICE, launch, until_state

from celadon.domain.facts import ReplicaState
from celadon.domain.names import ReplicaId, RevisionId, ServiceKey
from celadon.platform.process.predictions import KEPT_MAX, KEPT_S, READ_S, predictions_path, prune_predictions

APPENDS = (
    SERVER
    + "open(os.environ['CELADON_PREDICTIONS'], 'a').write('{}\\n')\n"
    + "http.server.HTTPServer(('127.0.0.1', int(sys.argv[1])), Answer).serve_forever()\n"
)


def of(name, index=0, revision="a" * 12):
    return ReplicaId(service=ServiceKey(name=name), revision=RevisionId(revision), index=index)


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


def test_releases_one_after_the_other_do_not_fill_the_disk_within_a_day(tmp_path):
    releases = 3 * KEPT_MAX
    now = time.time() - READ_S
    for number in range(releases):
        for name in ("busy", "calm") if number == 0 else ("busy",):
            for suffix in ("", ".1"):
                path = predictions_path(tmp_path, of(name, revision=f"{number:012x}"))
                path.with_suffix(f".jsonl{suffix}").write_text("{}\n")
                os.utime(path.with_suffix(f".jsonl{suffix}"), (now - releases + number,) * 2)
    oldest = of("busy", revision=f"{0:012x}")
    prune_predictions(tmp_path, {oldest})
    left = sorted(path.name for path in (tmp_path / "predictions").iterdir())
    wanted = [oldest, of("calm", revision=f"{0:012x}")]
    wanted += [of("busy", revision=f"{number:012x}") for number in range(releases - KEPT_MAX, releases)]
    names = [predictions_path(tmp_path, replica).name for replica in wanted]
    assert left == sorted([*names, *(f"{name}.1" for name in names)])


def test_what_may_not_have_been_read_yet_stays_however_many_there_are(tmp_path):
    for number in range(2 * KEPT_MAX):
        predictions_path(tmp_path, of("busy", revision=f"{number:012x}")).write_text("{}\n")
    prune_predictions(tmp_path, set())
    assert len(list((tmp_path / "predictions").iterdir())) == 2 * KEPT_MAX


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
