"""What happens when the disk of the home is full. Runs in a mount namespace of its own, where root is the caller:

    unshare --map-root-user --mount python full_disk_story.py

The disk is a tmpfs that ends with the namespace. Prints nothing when all promises were kept.
"""

import shutil
import subprocess
import sys
from pathlib import Path

from e2e_load import Load
from e2e_world import World, until

DISK = "300m"
"""Uploads leave 256 MiB free, so the disk is a little larger than that."""


def fill(place):
    """Take every byte that is left."""
    with place.open("ab", buffering=0) as file:
        for size in (1024 * 1024, 4096, 1):
            try:
                while file.write(b"x" * size) == size:
                    pass
            except OSError:
                continue
    assert shutil.disk_usage(place.parent).free == 0


def told_and_serving(world, load):
    """Deploying says what would help, and what serves goes on."""
    told = world.done("deploy", "-f", world.service(answer={"score": 2}), code=4)
    assert "do not fit on the disk of " in told, told
    assert "hint: free some space there" in told, told
    assert load.failed() == []


def holds_until_there_is_space(world, filler, load):
    """A release that can not be journalled any more stands still, says why, and goes on when it can."""
    slow = {"release": {"watch": {"seconds": 2}}}
    world.done("deploy", "-f", world.service(answer={"score": 3}, **slow), "--detach")
    until(lambda: world.phase() == "watching")
    fill(filler)
    until(lambda: world.view()["fault"])
    told = world.done("status", "score")
    assert "the loop of this service stands still: no space is left for the journal" in told, told
    assert "hint: free some space on that disk" in told, told
    filler.unlink()
    until(lambda: world.view()["release"] is None)
    assert world.history()[-1]["outcome"] == "promoted"
    assert world.view()["fault"] is None
    assert load.failed() == []


def main():
    world = World()
    world.home.mkdir(mode=0o700)
    options = f"size={DISK},mode=700"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", world.home], check=True)
    try:
        world.up()
        world.done("deploy", "-f", world.service())
        filler = world.home / "filler"
        with Load(port=world.port(), rate=30) as load:
            fill(filler)
            told_and_serving(world, load)
            filler.unlink()
            holds_until_there_is_space(world, filler, load)
        assert load.failed() == []
        assert world.leave() == []
    finally:
        filler = world.home / "filler"
        Path(filler).unlink(missing_ok=True)
        world.stop_everything()
        subprocess.run(["umount", world.home], check=True)
        shutil.rmtree(world.folder)


if __name__ == "__main__":
    sys.exit(main())
