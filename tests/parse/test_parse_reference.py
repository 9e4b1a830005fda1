"""The published reference is complete and true, and the published schema is the one that is used."""

import json
import re
from pathlib import Path

import jsonschema
import pytest
import yaml
from pydantic import BaseModel
from spec_examples import RIGHT, WRONG_BY_SHAPE, command, model

from celadon.domain.golden import Answer, predict_path
from celadon.domain.names import ServiceKey
from celadon.judge.golden import check
from celadon.parse import release_shape
from celadon.parse.complaint import options_at
from celadon.parse.explain import explain
from celadon.parse.golden import read_golden
from celadon.parse.shape import Document, json_schema
from celadon.parse.spec import read_documents, read_text

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"
TEXT = (REFERENCE / "service.yaml").read_text()
SCHEMA = json.loads((REFERENCE / "service.schema.json").read_text())

STAGES = "spec/release/strategy/canary/stages"
MEMBERS = {
    "spec/secrets/file": None,
    "spec/secrets/env": None,
    f"{STAGES}/seconds": "watch.seconds",
    f"{STAGES}/mirrorPercent": 0,
    f"{STAGES}/gate": False,
}
"""Options inside of lists and of mappings with names of people's own, and their defaults."""

RELEASES = [
    {},
    {"strategy": {"canary": {}}, "sticky": {"cookie": "celadon"}},
    {
        "strategy": {"canary": {"control": True}},
        "judge": {
            "latency": {},
            "labels": {},
            "scores": {},
            "groups": {"header": "x-plan", "values": ["free"]},
        },
    },
    {"strategy": {"abTest": {"seconds": 600}}, "sticky": {"header": "x-user"}},
    {"strategy": {"shadow": {"seconds": 60}}},
    {"exposure": {"badAnswers": 50, "requestsPerSecond": 100}},
]
DOCUMENTS = [command(), *(model(release=release) for release in RELEASES)]


def options(loc=()):
    """Every option there is, as a path."""
    for name in options_at(loc):
        yield "/".join((*loc, name))
        yield from options((*loc, name))


def written():
    """Every option of the reference file with all that is said about it, names of people's own left out."""
    lines = TEXT.split("\n")
    said = {}
    for document in yaml.compose_all(TEXT, Loader=yaml.SafeLoader):
        for path, comment in _written(document, (), lines):
            said[path] = f"{said.get(path, '')} {comment}".strip()
    return said


FREE = {"env", "headers", "cookies", "query"}
"""Mappings whose keys are names of people's own."""


def _written(node, path, lines):
    for key, value in node.value:
        here = (*path, key.value)
        yield "/".join(here), _comment(lines, key.start_mark.line)
        if key.value == "secrets":
            for _, place in value.value:
                yield from _written(place, here, lines)
        elif isinstance(value, yaml.MappingNode) and key.value not in FREE:
            yield from _written(value, here, lines)
        elif key.value == "stages":
            for stage in value.value:
                yield from _written(stage, here, lines)


def _comment(lines, line):
    above = []
    while lines[line - 1].lstrip().startswith("#"):
        line -= 1
        above.insert(0, lines[line].strip("# "))
    return " ".join(above)


def test_the_reference_is_read_without_a_problem():
    found = [spec.service.name for spec in read_text(TEXT, "service.yaml")]
    assert found == ["fraud", "ranker", "vision", "speech", "pricing"]


def test_the_reference_names_every_option():
    assert set(written()) == set(options())


def test_the_reference_says_something_about_every_option():
    assert [path for path, comment in written().items() if len(comment) < 9] == []


def test_every_default_that_the_reference_states_is_the_true_one():
    true = dict(MEMBERS)
    for document in DOCUMENTS:
        (spec,) = read_documents([document], "x")
        true |= {path: value for path, value, is_default in explain(spec) if is_default}
    stated = {}
    for path, comment in written().items():
        for found in re.findall(r"Default: (\S+)", comment):
            assert path not in stated, f"two defaults for {path}"
            value = yaml.safe_load(found)
            stated[path] = None if value == "none" else value
    assert stated == true


def test_every_option_has_a_default_or_is_required_or_holds_options():
    said = written()
    groups = {path.rpartition("/")[0] for path in said}
    assert [
        path for path in said if path not in groups and not re.search("Default: |[Rr]equired", said[path])
    ] == []


def test_explained_are_exactly_the_options_of_the_runtime():
    shown = set()
    for document in DOCUMENTS:
        (spec,) = read_documents([document], "x")
        shown |= {path for path, _, _ in explain(spec)}
    groups = {path.rpartition("/")[0] for path in options()} - {"spec/secrets", STAGES}
    inside = {path for path in options() if path.startswith((f"{STAGES}/", "spec/secrets/"))}
    assert shown - groups == set(options()) - groups - inside - {"apiVersion", "kind"}


def test_the_published_schema_is_up_to_date():
    assert json_schema() == SCHEMA, "make -B docs/reference/service.schema.json"


def test_the_published_schema_is_a_schema_that_offers_no_null():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert "null" not in json.dumps(SCHEMA)


@pytest.mark.parametrize("name", RIGHT)
def test_the_schema_accepts_what_is_accepted(name):
    jsonschema.validate(RIGHT[name], SCHEMA)


@pytest.mark.parametrize("document", list(yaml.safe_load_all(TEXT)))
def test_the_schema_accepts_the_reference(document):
    jsonschema.validate(document, SCHEMA)


@pytest.mark.parametrize("name", WRONG_BY_SHAPE)
def test_the_schema_refuses_what_has_a_wrong_shape(name):
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(WRONG_BY_SHAPE[name][0], SCHEMA)


def test_the_schema_describes_every_option():
    definitions = [SCHEMA, *SCHEMA["$defs"].values()]
    bare = [
        name
        for shape in definitions
        for name, option in shape["properties"].items()
        if not {"description", "$ref"} & set(option)
    ]
    assert bare == []


def test_every_class_of_the_shape_is_reached():
    def below(shape):
        return {shape}.union(*(below(inner) for inner in shape.__subclasses__()))

    modules = {Document.__module__, release_shape.__name__}
    ours = {kind.__name__ for kind in below(BaseModel) if kind.__module__ in modules}
    assert ours - {"Document"} == set(SCHEMA["$defs"])


def golden_examples():
    text = (REFERENCE / "golden.md").read_text()
    (block,) = re.findall(r"```jsonl\n(.*?)```", text, flags=re.DOTALL)
    return {
        request.name: request
        for request in read_golden(block, "golden.md", predict_path(ServiceKey(name="fraud")))
    }


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("two rows", {"predictions": [[0.1, 0.2, 0.7], [1, 0, 0]]}, {"predictions": [[0.1, 0.9]]}),
        ("plainly fraud", {"predictions": [[0.1, 0.2, 0.7]]}, {"predictions": [[0.4, 0.2, 0.4]]}),
        ("score", {"predictions": [[0.1, 0.3, 0.6]]}, {"predictions": [[0.3, 0.2, 0.5]]}),
        (
            "what it is",
            {"model_version_status": [{"state": "AVAILABLE"}]},
            {"model_version_status": [{"state": "END"}]},
        ),
    ],
)
def test_the_golden_examples_tell_good_from_bad(name, good, bad):
    request = golden_examples()[name]
    assert check(request, Answer(status=200, body=json.dumps(good).encode())) is None
    assert check(request, Answer(status=200, body=json.dumps(bad).encode())) is not None
    assert check(request, Answer(status=500, body=json.dumps(good).encode())) is not None


def test_the_golden_example_of_an_error_expects_it():
    request = golden_examples()["not a number"]
    assert check(request, Answer(status=400, body=b'{"error": "no"}')) is None
    assert check(request, Answer(status=200, body=b"{}")) is not None


def test_the_golden_page_names_every_key():
    page = (REFERENCE / "golden.md").read_text()
    from celadon.parse import golden

    for shape in (golden._Line, golden._Expect):
        assert [name for name in shape.model_fields if f"`{name}`" not in page] == []
