"""What the model store hands out is, byte for byte, what was put into it."""

import asyncio
import hashlib
import json
import os
import stat
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from celadon.domain.facts import SourceState
from celadon.domain.names import Digest
from celadon.domain.problem import ProblemsError, TransientFault
from celadon.store.models import ModelStore
from celadon.store.tree import digest_of, read_manifest, tree_of


async def stream(data, size=7):
    for start in range(0, len(data), size):
        yield data[start : start + size]


async def once(data):
    yield data


@asynccontextmanager
async def store_in(home, **limits):
    limits.setdefault("reserve_bytes", 0)
    ended = asyncio.Event()
    store = ModelStore(home, ended.set, **limits)
    await store.start()

    async def fetched(tree):
        ended.clear()
        store.fetch(tree)
        assert store.observe([tree])[tree].state is SourceState.FETCHING
        store.fetch(tree)
        async with asyncio.timeout(20):
            await ended.wait()
        return store.observe([tree])[tree]

    store.fetched = fetched
    try:
        yield store
    finally:
        await store.close()


async def send(store, tree):
    await store.put(tree.digest, once(tree.manifest))
    for digest, path in tree.files:
        await store.put(digest, once(path.read_bytes()))


def folder_in(tmp_path):
    folder = tmp_path / "ranker"
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "serve.py").write_text("print('hello')\n")
    (folder / "serve.py").chmod(0o755)
    (folder / "deep" / "er" / "data with spaces ü").write_bytes(b"\x00\xff" * 3000)
    (folder / "empty").write_bytes(b"")
    for ignored in ("__pycache__", ".git", "deep/.venv"):
        (folder / ignored).mkdir()
        (folder / ignored / "x").write_text("x")
    return folder


def test_a_blob_comes_back_as_it_was_put(tmp_path):
    async def story():
        async with store_in(tmp_path) as store:
            data = os.urandom(3_000_000)
            digest = digest_of(data)
            assert not store.has(digest)
            await store.put(digest, stream(data, 100_000), size=len(data))
            assert store.has(digest)
            assert store.blob(digest).read_bytes() == data
            assert store.blob(digest) == tmp_path / "store" / "sha256" / digest[7:9] / digest[7:]
            assert stat.S_IMODE(store.blob(digest).stat().st_mode) == 0o400
            await store.put(digest, stream(b"never read"))
            assert not list((tmp_path / "drafts").iterdir())

    asyncio.run(story())


def test_bytes_of_another_digest_are_refused_and_leave_nothing(tmp_path):
    async def story():
        async with store_in(tmp_path) as store:
            wanted = digest_of(b"what was promised")
            with pytest.raises(ProblemsError, match="damaged on the way"):
                await store.put(wanted, stream(b"what came"))
            assert not store.has(wanted)
            assert not list((tmp_path / "drafts").iterdir())

    asyncio.run(story())


def test_a_blob_that_is_too_large_is_refused_before_and_while_it_comes(tmp_path):
    async def story():
        async with store_in(tmp_path, blob_bytes_max=10) as store:
            for size in (None, 11):
                with pytest.raises(ProblemsError, match="larger than 10 bytes"):
                    await store.put(digest_of(b"x" * 11), stream(b"x" * 11), size=size)

    asyncio.run(story())


def test_a_disk_without_space_is_a_fault_before_and_while_a_blob_comes(tmp_path):
    async def story():
        async with store_in(tmp_path, reserve_bytes=2**60) as store:
            for size in (None, 1):
                with pytest.raises(TransientFault, match=r"(?s)do not fit.*free some space"):
                    await store.put(digest_of(b"x"), stream(b"x"), size=size)
            assert not list((tmp_path / "drafts").iterdir())

    asyncio.run(story())


@pytest.mark.parametrize("digest", ["", "sha256:ab", "sha256:" + "../" * 21 + "a", "md5:" + "a" * 64])
def test_only_digests_name_blobs(tmp_path, digest):
    with pytest.raises(ProblemsError, match="is not a digest"):
        ModelStore(tmp_path, lambda: None).blob(Digest(digest))


def test_a_fetched_tree_is_laid_out_byte_for_byte_and_read_only(tmp_path):
    async def story():
        async with store_in(tmp_path / "home") as store:
            folder = folder_in(tmp_path)
            tree = tree_of(folder)
            await send(store, tree)
            fact = await store.fetched(tree.digest)
            assert (fact.state, fact.why) == (SourceState.VERIFIED, "")
            copy = store.working_copy(tree.digest)
            assert fact.path == str(copy)
            assert tree_of(copy).digest == tree.digest
            assert sorted(p.name for p in copy.iterdir()) == ["deep", "empty", "serve.py"]
            modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in copy.iterdir()}
            assert modes == {"deep": 0o500, "empty": 0o400, "serve.py": 0o500}
            assert copy.joinpath("serve.py").stat().st_nlink == 1, (
                "a replica can not reach the store through it"
            )
            again = await store.fetched(tree.digest)
            assert replace(again, at=fact.at) == fact
            assert again.at > fact.at

    asyncio.run(story())


def test_a_tree_that_is_not_there_fails_for_good_and_says_how_to_send_it(tmp_path):
    async def story():
        async with store_in(tmp_path / "home") as store:
            tree = tree_of(folder_in(tmp_path))
            fact = await store.fetched(tree.digest)
            assert (fact.state, fact.lasting) == (SourceState.FAILED, True)
            assert "deploy it again" in fact.why
            await store.put(tree.digest, once(tree.manifest))
            fact = await store.fetched(tree.digest)
            assert "not in the model store" in fact.why
            assert not store.working_copy(tree.digest).exists()
            assert not list((tmp_path / "home" / "drafts").iterdir())

    asyncio.run(story())


def test_a_damaged_blob_is_found_removed_and_can_be_sent_again(tmp_path):
    async def story():
        async with store_in(tmp_path / "home") as store:
            tree = tree_of(folder_in(tmp_path))
            await send(store, tree)
            digest, _ = max(tree.files, key=lambda file: file[1].stat().st_size)
            path = store.blob(digest)
            path.chmod(0o600)
            path.write_bytes(b"\x01" + path.read_bytes()[1:])
            fact = await store.fetched(tree.digest)
            assert (fact.state, fact.lasting) == (SourceState.FAILED, True)
            assert digest in fact.why
            assert not store.has(digest)
            await send(store, tree)
            assert store.has(tree.digest)
            assert store.observe([tree.digest]) == {}, (
                "an earlier failure does not speak against the next release"
            )
            assert (await store.fetched(tree.digest)).state is SourceState.VERIFIED

    asyncio.run(story())


def change(copy):
    file = copy / "serve.py"
    file.chmod(0o700)
    file.write_text("print('HELLO')\n")


def add(copy):
    copy.chmod(0o700)
    (copy / "json.py").write_text("")


def remove(copy):
    copy.chmod(0o700)
    (copy / "empty").unlink()


def link(copy):
    copy.chmod(0o700)
    (copy / "other").symlink_to("/tmp")


@pytest.mark.parametrize(
    ("tamper", "why"),
    [
        (change, "serve.py was changed"),
        (add, "json.py was added"),
        (remove, "empty is missing"),
        (link, "other was added"),
    ],
)
def test_a_working_copy_that_was_tampered_with_is_found(tmp_path, tamper, why):
    async def story():
        async with store_in(tmp_path / "home") as store:
            tree = tree_of(folder_in(tmp_path))
            await send(store, tree)
            await store.fetched(tree.digest)
            tamper(store.working_copy(tree.digest))
            fact = await store.fetched(tree.digest)
            assert (fact.state, fact.lasting) == (SourceState.FAILED, True)
            assert why in fact.why
            assert store.blob(tree.files[0][0]).exists()

    asyncio.run(story())


def test_caches_that_python_writes_into_a_working_copy_are_no_damage(tmp_path):
    async def story():
        async with store_in(tmp_path / "home") as store:
            tree = tree_of(folder_in(tmp_path))
            await send(store, tree)
            await store.fetched(tree.digest)
            copy = store.working_copy(tree.digest)
            copy.chmod(0o700)
            (copy / "__pycache__").mkdir()
            (copy / "__pycache__" / "serve.pyc").write_text("")
            assert (await store.fetched(tree.digest)).state is SourceState.VERIFIED

    asyncio.run(story())


def test_a_model_file_is_a_tree_whatever_it_is_called(tmp_path):
    (tmp_path / "fraud.onnx").write_bytes(b"model")
    (tmp_path / "other.onnx").write_bytes(b"model")
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "w0.bin").write_bytes(b"weights")
    tree = tree_of(tmp_path / "fraud.onnx")
    assert tree.digest == tree_of(tmp_path / "other.onnx").digest
    assert [entry.path for entry in read_manifest(tree.manifest)] == ["model.onnx"]
    wide = tree_of(tmp_path / "fraud.onnx", external=["weights/w0.bin"])
    assert [entry.path for entry in read_manifest(wide.manifest)] == ["model.onnx", "weights/w0.bin"]
    assert tree.manifest == (
        b'{"files":[{"executable":false,"path":"model.onnx","sha256":"'
        + hashlib.sha256(b"model").hexdigest().encode()
        + b'","size":5}],"format":1}'
    )


def test_everything_wrong_with_a_folder_is_said_at_once(tmp_path):
    (tmp_path / "link").symlink_to("/etc/passwd")
    (tmp_path / "folder").symlink_to("/etc")
    (tmp_path / "bad\nname").write_text("")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ProblemsError) as caught:
        tree_of(tmp_path)
    found = "\n".join(str(problem) for problem in caught.value.problems)
    assert len(caught.value.problems) == 4
    assert found.count("symbolic link") == 2
    assert "not a regular file" in found
    assert "bad\\nname" in found


def test_external_data_that_leaves_its_folder_is_refused(tmp_path):
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "m.onnx").write_bytes(b"model")
    (tmp_path / "secret").write_text("x")
    (folder / "up").symlink_to(tmp_path)
    for external in ("../secret", str(tmp_path / "secret"), "up/secret", "", "not/there"):
        with pytest.raises(ProblemsError):
            tree_of(folder / "m.onnx", external=[external])


def test_an_empty_folder_is_no_tree_and_what_was_left_out_is_said(tmp_path):
    (tmp_path / "__pycache__").mkdir()
    with pytest.raises(ProblemsError, match="holds no file"):
        tree_of(tmp_path)
    assert tree_of(folder_in(tmp_path)).ignored == (".git", "__pycache__", "deep/.venv")


ENTRY = {"path": "a", "size": 1, "sha256": "a" * 64, "executable": False}


@pytest.mark.parametrize(
    "manifest",
    [
        b"",
        b"[]",
        b"{}",
        b'{"format":2,"files":[]}',
        json.dumps({"format": 1, "files": []}).encode(),
        json.dumps({"format": 1, "files": [{**ENTRY, "path": "../a"}]}).encode(),
        json.dumps({"format": 1, "files": [{**ENTRY, "path": "/a"}]}).encode(),
        json.dumps({"format": 1, "files": [{**ENTRY, "path": "a//b"}]}).encode(),
        json.dumps({"format": 1, "files": [ENTRY, ENTRY]}).encode(),
        json.dumps({"format": 1, "files": [ENTRY, {**ENTRY, "path": "a/b"}]}).encode(),
        json.dumps({"format": 1, "files": [{**ENTRY, "path": "b"}, ENTRY]}).encode(),
        json.dumps({"format": 1, "files": [{**ENTRY, "sha256": "../../x"}]}).encode(),
        json.dumps({"format": 1, "files": [{**ENTRY, "size": -1}]}).encode(),
        json.dumps({"format": 1, "files": [{**ENTRY, "size": 2**50}]}).encode(),
        json.dumps({"format": 1, "files": [{**ENTRY, "owner": "me"}]}).encode(),
    ],
)
def test_a_manifest_that_is_none_or_leaves_its_folder_is_refused(manifest):
    with pytest.raises(ProblemsError):
        read_manifest(manifest)


def test_gc_removes_what_nothing_names_and_nothing_else(tmp_path):
    async def story():
        async with store_in(tmp_path / "home") as store:
            kept = tree_of(folder_in(tmp_path))
            (tmp_path / "m.onnx").write_bytes(b"model")
            dropped = tree_of(tmp_path / "m.onnx")
            golden, young = b"{}\n", b"was just sent"
            for tree in (kept, dropped):
                await send(store, tree)
                await store.fetched(tree.digest)
            for data in (golden, young):
                await store.put(digest_of(data), once(data))
            for file in (tmp_path / "home" / "store").rglob("*"):
                if file.is_file() and file.name != digest_of(young)[7:]:
                    os.utime(file, (1, 1))
            gone = store.gc({kept.digest, digest_of(golden)})
            assert set(gone) == {dropped.digest, dropped.files[0][0]}
            assert not store.working_copy(dropped.digest).exists()
            assert store.observe([dropped.digest]) == {}
            assert store.has(digest_of(golden))
            assert store.has(digest_of(young))
            assert (await store.fetched(kept.digest)).state is SourceState.VERIFIED
            assert store.gc({kept.digest, digest_of(golden)}) == ()

    asyncio.run(story())


def test_what_could_not_be_fetched_is_forgotten_with_the_last_who_names_it(tmp_path):
    async def story():
        async with store_in(tmp_path / "home") as store:
            never_sent = tree_of(folder_in(tmp_path)).digest
            assert (await store.fetched(never_sent)).state is SourceState.FAILED
            store.gc({never_sent})
            assert store.observe([never_sent])[never_sent].state is SourceState.FAILED
            store.gc(())
            assert store.observe([never_sent]) == {}

    asyncio.run(story())


def test_drafts_that_a_crash_left_are_removed_at_the_start(tmp_path):
    async def story():
        left = tmp_path / "drafts" / "t" / "tree"
        left.mkdir(parents=True)
        (left / "f").write_text("half")
        left.chmod(0o500)
        (tmp_path / "drafts" / "blob").write_text("half")
        async with store_in(tmp_path):
            assert not list((tmp_path / "drafts").iterdir())

    asyncio.run(story())
