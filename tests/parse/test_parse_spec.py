"""What people write becomes a spec, or all of its problems at once."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spec_examples import RIGHT, WRONG_BY_MEANING, WRONG_BY_SHAPE, command, model, named, routed

from celadon.domain.names import ServiceKey
from celadon.domain.problem import Problem, ProblemsError
from celadon.domain.spec import (
    CommandSource,
    Exactly,
    ModelSource,
    ReleasePolicy,
    RetryWhen,
    RouteSpec,
    SecretEnv,
    SecretFile,
    Serves,
    ServiceSpec,
    Serving,
    Watch,
)
from celadon.parse.explain import explain
from celadon.parse.spec import load_text, read_documents, read_text

ISSUE = """\
apiVersion: celadon.dev/v1alpha1
kind: ModelService
metadata: {name: fraud}
spec:
  model: ./fraud.onnx
  golden: ./golden.jsonl
  replicas: 2
  route: {port: 8080}
---
apiVersion: celadon.dev/v1alpha1
kind: ModelService
metadata: {name: ranker}
spec:
  command: [/opt/venv/bin/uvicorn, "app:api", --port, "{port}"]
  files: ./ranker                                  # hashed, copied, the working directory
  env: {LEVEL: info}
  secrets: {DB_URL: {file: /etc/ranker/db}}
  ready: /healthz
  golden: ./golden.jsonl                           # method, path, body, expectation
  route: {port: 8081}
"""


def problems(*documents):
    with pytest.raises(ProblemsError) as caught:
        read_documents(documents, "f.yaml")
    return caught.value.problems


def text_problems(text):
    with pytest.raises(ProblemsError) as caught:
        read_text(text, "f.yaml")
    return caught.value.problems


def paths(found):
    return [problem.path for problem in found]


def test_the_smallest_file_is_short_and_has_two_runtimes():
    fraud, ranker = read_text(ISSUE, "f.yaml")
    assert fraud.source == ModelSource(model="./fraud.onnx")
    assert fraud.replicas == Exactly(replicas=2)
    assert fraud.route.retry.when is RetryWhen.RESET
    assert ranker.source == CommandSource(
        command=("/opt/venv/bin/uvicorn", "app:api", "--port", "{port}"), files="./ranker"
    )
    assert ranker.secrets == (("DB_URL", SecretFile(file="/etc/ranker/db")),)
    assert ranker.ready == "/healthz"
    assert ranker.route.retry.when is RetryWhen.BEFORE_SENT
    assert ranker.route.preview_port == 18081


def test_defaults_of_the_words_are_those_of_the_file():
    (spec,) = read_documents([model()], "f.yaml")
    words = ServiceSpec(
        service=ServiceKey(name="fraud"),
        source=ModelSource(model="./fraud.onnx"),
        route=RouteSpec(port=8080, preview_port=18080, retry=spec.route.retry),
        release=ReleasePolicy(watch=Watch(hold_serves=Serves.BLUE)),
    )
    assert spec == words
    assert spec.serving == Serving()


def test_a_file_and_its_loaded_documents_mean_the_same():
    assert read_documents(load_text(ISSUE, "f.yaml"), "f.yaml") == read_text(ISSUE, "f.yaml")


@pytest.mark.parametrize("name", RIGHT)
def test_is_accepted(name):
    (spec,) = read_documents([RIGHT[name]], "f.yaml")
    assert spec.service.name == RIGHT[name]["metadata"]["name"]


@pytest.mark.parametrize("name", [*WRONG_BY_SHAPE, *WRONG_BY_MEANING])
def test_is_refused_where_it_is_wrong(name):
    document, path = (WRONG_BY_SHAPE | WRONG_BY_MEANING)[name]
    assert f"f.yaml#1/{path}" in paths(problems(document))


def test_all_problems_of_all_documents_come_at_once():
    found = problems(model(replicas=0, drainSecond=1), command(command=["x"]), 3)
    assert paths(found) == [
        "f.yaml#1/spec/replicas",
        "f.yaml#1/spec/drainSecond",
        "f.yaml#2/spec/command",
        "f.yaml#3",
    ]


def test_meaning_is_judged_also_where_the_shape_is_wrong():
    found = problems(command(command=["x"], replicas="two", env={"A": "1"}, secrets={"A": {"env": "B"}}))
    assert set(paths(found)) == {f"f.yaml#1/spec/{at}" for at in ("command", "replicas", "secrets/A")}


@pytest.mark.parametrize(
    ("document", "hint"),
    [
        (model(drainSecond=3), "did you mean `drainSeconds`?"),
        (model(drain_seconds=3), "did you mean `drainSeconds`?"),
        (model(release={"watch": {"second": 1}}), "did you mean `seconds`?"),
        (command(secrets={"A": {"evn": "X"}}), "did you mean `env`?"),
        (named(name="a", labels={}), "options here: name, namespace"),
        (model(drainSeconds="30s"), "write 90 and not 90s"),
        (model(resources={"cpus": "500m"}), "write 0.5 and not 500m"),
        (model(resources={"memory": 512}), '"512Mi"'),
        (model(env={"A": True}), "put it in quotes"),
        (command(command="serve {port}"), 'write [program, argument, "{port}"]'),
        (command(command=["a", {"port": None}]), 'write "{port}"'),
        (model(replicas={"min": 1, "max": 2}), "write one number"),
        ({"apiVersion": "v1", "kind": "ModelService"}, "celadon.dev/v1alpha1"),
        (routed(retry={"when": "x"}), "'never', 'beforeSent' or 'reset'"),
    ],
)
def test_a_hint_says_what_would_succeed(document, hint):
    assert any(hint in problem.hint for problem in problems(document))


def test_a_value_written_as_a_secret_is_never_shown():
    found = problems(command(secrets={"A": "hunter2", "B": {"file": "hunter2"}, "C": ["hunter2"]}))
    assert "hunter2" not in str(found)


def test_lines_are_named_where_the_text_is_known():
    found = text_problems(ISSUE.replace("replicas: 2", "replicas: 0"))
    assert found == (
        Problem(path="f.yaml#1/spec/replicas", found="0 is out of range (line 7)", hint="at least 1"),
    )


def test_a_missing_option_is_named_with_the_line_of_what_it_misses_in():
    (problem,) = text_problems(ISSUE.replace("{port: 8081}", "{host: 127.0.0.1}"))
    assert (problem.path, problem.found) == ("f.yaml#2/spec/route/port", "is missing (line 20)")


def test_a_key_that_is_there_twice_is_refused_with_both_lines():
    (problem,) = text_problems(ISSUE.replace("  replicas: 2", "  golden: ./other.jsonl"))
    assert (problem.path, problem.found) == ("f.yaml#1/spec/golden", "written twice, on lines 6 and 7")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a: &x [1]\nb: *x", "the alias *x is not read"),
        ("a: !!python/object:os.system {}", "the tag tag:yaml.org,2002:python/object:os.system is not read"),
        ("a: !!binary aGk=", "is not read"),
        ("a: [1", "line"),
        ("a: \x07", "a character that YAML forbids (line 1)"),
        ("", "the file holds no document"),
        ("---\n---\n", "the file holds no document"),
        ("[" * 3000, "nested too deep"),
        ("a: {" * 100, "nested too deep"),
        ("- a\n" * 60_000, "too long"),
        ("x" * (1024 * 1024 + 1), "larger than"),
        ("a: " + "9" * 5000, "can not be read as a value"),
        ("a: 2020-13-45", "can not be read as a value"),
        ("{[1]: 2}", "a key that is not text"),
        ("a: b: c", "line 1"),
        ("&a [*a]", "is not read"),
    ],
)
def test_text_that_is_not_read_is_refused_and_never_crashes(text, found):
    assert any(found in problem.found for problem in text_problems(text))


def test_what_comes_before_a_broken_document_is_judged_too():
    found = text_problems(ISSUE.replace("replicas: 2", "replicas: 0") + "---\na: [")
    assert paths(found) == ["f.yaml", "f.yaml#1/spec/replicas"]


def test_a_bomb_of_aliases_is_refused_at_its_first_alias():
    bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 10)
    )
    (problem, *_) = text_problems(bomb)
    assert "*a0" in problem.found
    assert "line 2" in problem.found


def test_two_services_that_claim_one_route_are_refused():
    (problem,) = problems(model(), {**command(route={"port": 8080})})
    assert problem.path == "f.yaml#2/spec/route"
    assert "both claim */ on 127.0.0.1 port 8080" in problem.found


def test_two_services_of_one_name_are_refused():
    (problem,) = problems(model(), model(route={"port": 9}))
    assert problem.path == "f.yaml#2/metadata/name"


def test_documents_nested_beyond_reason_are_refused():
    deep = {}
    for _ in range(5000):
        deep = {"env": [deep]}
    (problem,) = problems(model(env=deep))
    assert problem == Problem(path="f.yaml#1", found="is nested too deep for a service")


def test_what_is_explained_reads_as_a_person_would_write_it():
    given = model(resources={"memory": "1.5Gi"}, release={"watch": {"maxErrorPercent": 7}}, replicas=2)
    (spec,) = read_documents([given], "f.yaml")
    shown = {path: (value, is_default) for path, value, is_default in explain(spec)}
    assert shown["spec/resources/memory"] == ("1536Mi", False)
    assert shown["spec/release/watch/maxErrorPercent"] == (7, False)
    assert shown["spec/replicas"] == (2, False)
    assert shown["spec/route/previewPort"] == (18080, True)
    assert shown["spec/route/retry/when"] == ("reset", True)


def test_secrets_and_env_have_one_order_however_they_are_written():
    one = command(env={"B": "1", "A": "2"}, secrets={"Z": {"env": "X"}, "Y": {"file": "/y"}})
    (spec,) = read_documents([one], "f.yaml")
    assert spec.env == (("A", "2"), ("B", "1"))
    assert spec.secrets == (("Y", SecretFile(file="/y")), ("Z", SecretEnv(env="X")))


@pytest.mark.parametrize(
    ("text", "size"),
    [("512Mi", 512 * 2**20), ("1.5Gi", 3 * 2**29), ("2G", 2 * 10**9), ("1024Ki", 2**20), ("1Ti", 2**40)],
)
def test_memory_is_read_with_its_unit(text, size):
    (spec,) = read_documents([model(resources={"memory": text})], "f.yaml")
    assert spec.resources.memory_bytes == size


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["8080", "30s"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
OPTIONS = [
    "model",
    "command",
    "files",
    "serving",
    "golden",
    "env",
    "secrets",
    "ready",
    "resources",
    "replicas",
    "route",
    "drainSeconds",
    "release",
]


@given(spec=st.dictionaries(st.sampled_from(OPTIONS) | st.text(max_size=6), VALUES, max_size=6), outer=VALUES)
def test_whatever_is_written_is_a_spec_or_problems(spec, outer):
    for document in ({**model(), "spec": spec}, model(**spec), command(**spec), outer):
        with suppress(ProblemsError):
            read_documents([document], "f.yaml")


@given(text=st.text(alphabet="ab:{}[]-&*!|>'\"#\n\t ,0.é\x00", max_size=60))
def test_whatever_text_there_is_is_read_or_refused(text):
    with pytest.raises(ProblemsError):
        read_text(text, "f.yaml")
