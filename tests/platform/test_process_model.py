"""celadon's own model server as a replica: the same mechanism, and its refusals reach the person."""

import json
import urllib.request

import onnx
from onnx import TensorProto, helper
from platform_given import SERVICE, facts, until, until_none, until_state

from celadon.domain.facts import ReplicaState
from celadon.domain.launch import Launch
from celadon.domain.names import Digest, ReplicaId, RevisionId
from celadon.domain.revision import ModelRuntime, Revision
from celadon.domain.spec import Resources, Serving

READY, EXITED = ReplicaState.READY, ReplicaState.EXITED


def serve(tree):
    revision = Revision(
        id=RevisionId("0123456789ab"),
        digest="0" * 64,
        runtime=ModelRuntime(model=Digest("sha256:" + "1" * 64), serving=Serving()),
        env=(),
        secrets=(),
        ready="/healthz/ready",
        resources=Resources(),
    )
    replica = ReplicaId(service=SERVICE, revision=revision.id, index=0)
    return Launch(replica=replica, revision=revision, tree=tree, warmup=None, drain_s=5.0)


def save_double(path):
    rows = ["N", 2]
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "x"], ["y"])],
        "double",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, rows)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, rows)],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)


def predict(port):
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/v1/models/ranker:predict",
        data=json.dumps({"instances": [[1.0, 2.0]]}).encode(),
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def test_a_model_is_served_by_a_replica(workshop, tmp_path):
    tree = tmp_path / "tree"
    tree.mkdir()
    save_double(tree / "model.onnx")

    async def story(shop):
        platform = await shop.platform()
        platform.start(serve(tree))
        fact = await until_state(platform, READY)
        assert predict(fact.address.port) == {"predictions": [[2.0, 4.0]]}
        platform.stop(fact.id, 5.0)
        await until_none(platform)

    workshop.run(story)


def test_a_model_that_does_not_load_ends_its_replica_with_the_reason(workshop, tmp_path):
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "model.onnx").write_bytes(b"no model at all")

    async def story(shop):
        platform = await shop.platform()
        platform.start(serve(tree))
        fact = await until(lambda: facts(platform)[0].state is EXITED and facts(platform)[0])
        assert fact.last_exit.code == 2
        assert any("model.onnx" in line for line in fact.last_exit.stderr)

    workshop.run(story)
