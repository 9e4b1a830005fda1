"""A revision is named by what is run, for ever, and by nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spec_examples import command, model

from celadon.domain.names import Digest
from celadon.domain.spec import Settings
from celadon.parse import identity
from celadon.parse.identity import revision_of, settings_of
from celadon.parse.spec import read_documents

TREE = Digest("sha256:" + "a" * 64)
OTHER = Digest("sha256:" + "b" * 64)
KEYED = "c" * 64


def spec_of(document):
    (spec,) = read_documents([document], "f.yaml")
    return spec


def revision(document, tree=TREE, keyed=KEYED):
    spec = spec_of(document)
    return revision_of(spec, {"model": tree, "files": tree}, {name: keyed for name, _ in spec.secrets})


def test_the_id_is_the_beginning_of_the_digest():
    made = revision(model())
    assert made.digest.startswith(made.id)
    assert (len(made.id), len(made.digest)) == (12, 64)


PINNED = {
    "the smallest model": (model(), "860ebac14611"),
    "the smallest command": (command(), "e2a7663c7f16"),
    "all of a model": (
        model(
            serving={"version": 7, "threads": 2, "maxBodyBytes": 4096},
            env={"LEVEL": "info", "A": "ü"},
            secrets={"DB_URL": {"file": "/etc/fraud/db"}},
            resources={"cpus": 1.5, "memory": "512Mi"},
        ),
        "1be2e2ab048a",
    ),
    "all of a command": (
        command(files="./ranker", env={"B": "1"}, secrets={"T": {"env": "T"}}, resources={"cpus": 2}),
        "df50a5e5d4ed",
    ),
}


@pytest.mark.parametrize("name", PINNED)
def test_names_of_revisions_stay_what_they_are_for_ever(name):
    document, pinned = PINNED[name]
    assert revision(document).id == pinned


SAME = {
    "name": {**model(), "metadata": {"name": "other", "namespace": "x"}},
    "replicas": model(replicas=3),
    "redundancy": model(replicas=2, redundancy={"zones": ["a", "b"], "standby": 1, "hangSeconds": 1}),
    "route": model(route={"port": 9000, "prefix": "/x", "timeoutSeconds": 3, "retry": {"when": "never"}}),
    "release policy": model(release={"gate": True, "holdSeconds": 1}, drainSeconds=1),
    "golden requests": model(golden="./g.jsonl"),
    "where the model lies": model(model="/elsewhere/fraud.onnx"),
    "defaults written out": model(
        serving={"version": 1, "threads": 1, "maxBodyBytes": 16777216}, env={}, resources={}
    ),
}


@pytest.mark.parametrize("name", SAME)
def test_is_no_part_of_a_revision(name):
    assert revision(SAME[name]).id == revision(model()).id


def test_the_place_of_a_secret_is_no_part_of_a_revision_and_its_value_is():
    here, there = command(secrets={"A": {"file": "/a"}}), command(secrets={"A": {"env": "B"}})
    assert revision(here).id == revision(there).id
    assert revision(here).id != revision(here, keyed="d" * 64).id
    assert revision(here).id != revision(command(secrets={"B": {"file": "/a"}})).id


def test_a_whole_number_of_cores_is_the_same_however_it_is_written():
    assert revision(model(resources={"cpus": 2})).id == revision(model(resources={"cpus": 2.0})).id


def test_everything_else_makes_another_revision():
    documents = [
        model(),
        command(),
        command(command=["serve", "-p", "{port}"]),
        command(files="."),
        command(ready="/ready"),
        command(ready="/healthz/ready"),
        model(serving={"version": 2}),
        model(serving={"threads": 2}),
        model(serving={"maxBodyBytes": 2048}),
        model(env={"A": "1"}),
        model(secrets={"A": {"env": "A"}}),
        model(resources={"cpus": 1}),
        model(resources={"memory": "1Gi"}),
    ]
    names = [revision(document).id for document in documents] + [revision(model(), tree=OTHER).id]
    assert len(set(names)) == len(names)


def test_no_secret_value_is_asked_for_and_none_is_kept():
    made = revision(command(secrets={"A": {"file": "/a"}}))
    assert [(secret.name, secret.keyed_digest) for secret in made.secrets] == [("A", KEYED)]


def test_trees_are_what_has_to_be_fetched():
    assert revision(model()).trees == (TREE,)
    assert revision(command()).trees == ()
    assert revision(command(files=".")).trees == (TREE,)


def test_settings_hold_what_may_change_without_a_release():
    spec = spec_of(model(replicas=3))
    assert settings_of(spec, OTHER) == Settings(
        replicas=spec.replicas,
        route=spec.route,
        drain_s=spec.drain_s,
        release=spec.release,
        golden=OTHER,
        redundancy=spec.redundancy,
    )


@given(
    env=st.dictionaries(st.from_regex(r"[A-Z]{1,4}", fullmatch=True), st.text("ab", max_size=3), max_size=4)
)
def test_the_order_of_env_says_nothing(env):
    turned = dict(reversed(env.items()))
    assert revision(model(env=env)) == revision(model(env=turned))


@pytest.mark.parametrize("name", PINNED)
def test_a_revision_and_its_settings_tell_the_spec_they_came_from(name):
    spec = spec_of(PINNED[name][0])
    digests = {secret: KEYED for secret, _ in spec.secrets}
    made, settings = revision_of(spec, {"model": TREE, "files": TREE}, digests), settings_of(spec, None)
    told = identity.spec_of(spec.service, made, settings)
    assert revision_of(told, {"model": TREE, "files": TREE}, digests) == made
    assert settings_of(told, None) == settings
