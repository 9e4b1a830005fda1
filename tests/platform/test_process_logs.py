"""What replicas print is kept, within bounds, and can be read in order of time."""

import re
import time
from concurrent.futures import ThreadPoolExecutor

from platform_given import SERVER, SERVICE, launch, until, until_none, until_state

from celadon.domain.facts import ReplicaState
from celadon.platform.process.logs import KEPT_MAX, prune_logs

READY = ReplicaState.READY
STAMPED = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (out|err) .*")


def server(before):
    return (
        SERVER
        + before
        + ("\nhttp.server.HTTPServer(('127.0.0.1', int(sys.argv[1])), Answer).serve_forever()\n")
    )


async def read(platform, since=None):
    return [(replica.index, line) async for replica, line in platform.logs(SERVICE, since)]


def test_output_is_stamped_and_merged_and_outlives_the_replica(workshop):
    async def story(shop):
        platform = await shop.platform()
        for index in (0, 1):
            script = server(f"print('to out', {index})\nprint('to err', {index}, file=sys.stderr)")
            platform.start(launch(script, index=index))
            fact = await until_state(platform, READY, index)
            platform.stop(fact.id, 5.0)
        await until_none(platform)
        lines = await read(platform)
        assert all(STAMPED.fullmatch(line) for _, line in lines)
        assert [line[:24] for _, line in lines] == sorted(line[:24] for _, line in lines)
        assert {(index, line.split(" ", 1)[1]) for index, line in lines if "to " in line} == {
            (index, f"{mark} to {mark} {index}") for index in (0, 1) for mark in ("out", "err")
        }
        assert await read(platform, since=time.time() + 60) == []
        platform.remove(SERVICE)
        assert await read(platform) == []

    workshop.run(story)


def test_logs_rotate_and_stay_within_their_bound(workshop):
    async def story(shop):
        platform = await shop.platform(log_bytes_max=4096, log_files=2)
        platform.start(launch(server("for n in range(1000): print('line', n)")))
        await until_state(platform, READY)
        files = sorted((shop.home / "logs").rglob("*.log*"))
        assert len(files) == 3
        assert all(file.stat().st_size <= 4096 for file in files)
        numbers = [int(line.split()[-1]) for _, line in await read(platform) if " line " in line]
        assert numbers == list(range(numbers[0], 1000))
        assert len(numbers) > 100

    workshop.run(story)


def test_following_goes_on_across_a_rotation(workshop):
    async def story(shop):
        platform = await shop.platform(log_bytes_max=2048, log_files=3)
        platform.start(launch(server("print('line 0')"), ready="/"))
        fact = await until_state(platform, READY)
        seen = []
        async for replica, line in platform.logs(SERVICE, follow=True):
            assert replica == fact.id
            seen.append(line)
            if len(seen) == 2:
                platform.stop(fact.id, 5.0)
                await until_none(platform)
                platform.start(launch(server("for n in range(1, 40): print('line', n)")))
            if line.endswith("line 39"):
                break
        numbers = [int(line.split()[-1]) for line in seen if " line " in line]
        assert numbers == list(range(40))

    workshop.run(story)


def test_a_replica_goes_on_when_its_output_is_endless_binary_noise(workshop):
    async def story(shop):
        platform = await shop.platform()
        platform.start(launch(server("sys.stdout.buffer.write(bytes(range(11, 256)) * 1000)")))
        await until_state(platform, READY)
        await until(lambda: any((shop.home / "logs").rglob("*.log")))
        assert all(len(line) < 20_000 for _, line in await read(platform))

    workshop.run(story)


def test_a_full_disk_costs_lines_and_never_the_replica(workshop):
    async def story(shop):
        platform = await shop.platform()
        what = launch(server("for n in range(100): print('line', n)"))
        log = shop.home / "logs" / "default" / "ranker" / f"{what.replica.revision}-0.log"
        log.parent.mkdir(parents=True)
        log.symlink_to("/dev/full")
        platform.start(what)
        fact = await until_state(platform, READY)
        platform.stop(fact.id, 5.0)
        await until_none(platform)

    workshop.run(story)


def test_only_the_latest_logs_of_ended_replicas_are_kept(tmp_path):
    for number in range(KEPT_MAX + 5):
        (tmp_path / f"{number:012x}-0.log").write_text("x")
        (tmp_path / f"{number:012x}-0.log.1").write_text("x")
    prune_logs(tmp_path, SERVICE, set())
    assert len(list(tmp_path.iterdir())) == 2 * KEPT_MAX


def test_replicas_that_start_at_once_tidy_the_same_logs_away(tmp_path):
    for _ in range(20):
        for index in range(KEPT_MAX + 20):
            (tmp_path / f"abc-{index}.log").write_text("")
        with ThreadPoolExecutor(4) as threads:
            each = [threads.submit(prune_logs, tmp_path, SERVICE, set()) for _ in range(4)]
        assert [one.exception() for one in each] == [None] * 4
        assert len(list(tmp_path.iterdir())) <= KEPT_MAX
