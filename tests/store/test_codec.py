"""Every word of the domain survives being written as JSON and read again."""

import dataclasses
import importlib
import json
import pkgutil
from collections.abc import Mapping
from pathlib import Path
from typing import get_args

import pytest
import rfc8785
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import celadon.domain
from celadon.domain import command, facts, goal, golden, plan, record, samples
from celadon.domain.facts import Known, RouteFacts, Unknown
from celadon.domain.memory import Memory
from celadon.domain.names import RevisionId, ServiceKey
from celadon.domain.revision import Revision
from celadon.domain.spec import Exactly, Serving
from celadon.store.codec import TAG, DecodeError, decode, encode

SAFE = st.integers(min_value=-(2**53) + 1, max_value=2**53 - 1)
NUMBER = st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | SAFE | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=4,
)


def domain_classes():
    found = []
    for module in pkgutil.iter_modules(celadon.domain.__path__):
        loaded = importlib.import_module(f"celadon.domain.{module.name}")
        found += [
            value
            for value in vars(loaded).values()
            if isinstance(value, type)
            and dataclasses.is_dataclass(value)
            and value.__module__ == loaded.__name__
        ]
    return found


def lawful_routes():
    def route(cut, match, mirrors, draw):
        parts = (
            goal.Part(revision=RevisionId("a"), share=cut),
            goal.Part(revision=RevisionId("b"), share=plan.FULL - cut),
        )
        return goal.Route(match=match, split=parts, mirrors=mirrors, draw=draw)

    return st.builds(
        route,
        st.integers(0, plan.FULL),
        st.from_type(goal.Match),
        st.just(()) | st.tuples(st.from_type(goal.Mirror)),
        st.none() | st.from_type(goal.Draw),
    )


def lawful_counts():
    def counts(requests, errors, latency):
        return samples.Counts(
            revision=RevisionId("r"), requests=requests + errors, errors=errors, latency=tuple(latency)
        )

    pairs = st.lists(st.tuples(st.integers(1, 99), st.integers(0, 99)), max_size=3)
    rising = pairs.map(
        lambda steps: [
            (sum(s[0] for s in steps[: i + 1]) / 2, sum(s[1] for s in steps[: i + 1]))
            for i in range(len(steps))
        ]
    )
    return st.builds(counts, st.integers(0, 99), st.integers(0, 99), rising)


st.register_type_strategy(int, SAFE)
st.register_type_strategy(float, NUMBER)
st.register_type_strategy(plan.Stage, st.builds(plan.Stage, share=st.integers(0, plan.FULL)))
st.register_type_strategy(
    plan.Plan,
    st.builds(
        plan.Plan,
        stages=st.lists(st.from_type(plan.Stage), min_size=1, max_size=2).map(
            lambda stages: tuple(sorted(stages, key=lambda stage: stage.share))
        ),
    ),
)
st.register_type_strategy(goal.Route, lawful_routes())
st.register_type_strategy(samples.Counts, lawful_counts())


st.register_type_strategy(
    Known,
    lambda of: (
        st.builds(Known, value=st.from_type(get_args(of)[0]), taken_at=NUMBER)
        if get_args(of)
        else st.nothing()
    ),
)
st.register_type_strategy(Path, st.sampled_from([Path("a"), Path("/b/c")]))


def built(cls):
    hints = {f.name: f for f in dataclasses.fields(cls)}
    free = {
        name: JSON
        for name in hints
        if hints[name].type in ("Any", object) or str(hints[name].type) == "typing.Any"
    }
    if cls is golden.GoldenRequest:
        free["expect"] = st.just(()) | st.tuples(built(golden.Expectation))
    if cls is record.Record:
        free["body"] = st.dictionaries(st.text(max_size=5), JSON, max_size=2)
    if free:
        return st.builds(cls, **free)
    return st.from_type(Known[str] if cls is Known else cls)


@pytest.mark.parametrize("cls", domain_classes(), ids=lambda cls: cls.__name__)
def test_every_domain_value_survives_json(cls):
    wanted = Known[str] if cls is Known else cls

    @settings(
        max_examples=6,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=[
            HealthCheck.too_slow,
            HealthCheck.data_too_large,
            HealthCheck.large_base_example,
        ],
    )
    @given(built(cls))
    def survives(value):
        assert decode(wanted, json.loads(rfc8785.dumps(encode(value, wanted)))) == value

    survives()


@pytest.mark.parametrize("ask", command.Command.__args__, ids=lambda cls: cls.__name__)
def test_a_command_says_which_it_is(ask):
    @settings(max_examples=5, deadline=None, database=None, derandomize=True)
    @given(st.from_type(ask))
    def says(value):
        data = encode(value, command.Command)
        assert data[TAG] == ask.__name__
        assert decode(command.Command, data) == value

    says()


def test_a_known_fact_is_told_from_an_unknown_one():
    of = facts.Known[facts.RouteFacts] | facts.Unknown
    for value in (Known(value=RouteFacts(notes=("a",)), taken_at=2.5), Unknown(why="no answer yet")):
        assert decode(of, encode(value, of)) == value


def test_no_member_of_a_union_has_a_field_that_hides_its_tag():
    assert not [cls for cls in domain_classes() if TAG in {f.name for f in dataclasses.fields(cls)}]


def test_a_field_that_an_old_record_lacks_takes_its_default():
    old = {"service": {"name": "fraud"}}
    assert decode(Memory, old) == Memory(service=ServiceKey(name="fraud"))


def test_a_field_that_this_celadon_does_not_know_is_refused():
    with pytest.raises(DecodeError, match="colour"):
        decode(Memory, {"service": {"name": "fraud"}, "colour": "green"})


@pytest.mark.parametrize(
    ("of", "data"),
    [
        (Serving, {"version": "1"}),
        (Serving, {"version": True}),
        (Serving, {"version": None}),
        (Serving, {"version": 1.5}),
        (Exactly, {}),
        (Exactly, []),
        (Exactly, None),
        (ServiceKey, {"name": 5}),
        (command.Command, {"type": "Explode"}),
        (command.Command, {}),
        (command.Command, 3),
        (facts.ReplicaState, "asleep"),
        (Mapping[RevisionId, Revision], {"a": {}}),
        (plan.Stage, {"share": 20_000, "dwell_s": 1.0}),
        (plan.Stage, {"share": 1, "dwell_s": "1.0"}),
    ],
)
def test_json_of_another_type_is_refused_and_never_converted(of, data):
    with pytest.raises(DecodeError):
        decode(of, data)


def test_sets_are_written_in_order():
    assert encode(frozenset({3, 1, 2}), frozenset[int]) == [1, 2, 3]
