"""The habits of the house, held by a test so that nobody has to remember them."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "celadon"
LINES_OF_FUNCTION = 70
LINES_OF_FILE = 600
PURE = ("domain", "parse", "judge", "capacity", "release", "resilience")

LEFT_OUT = {".git", ".venv", "build", "dist", "__pycache__", ".hypothesis", "node_modules"}
MADE = {"requirements.lock", "LICENSE"}

BANNED = {
    "app", "application", "instance", "worker", "pod", "variant", "canary", "stable", "primary", "baseline",
    "rollout", "deployment", "weight", "region", "helper", "helpers", "util", "utils", "manager", "handler",
    "handlers",
}  # fmt: skip
FOREIGN = {
    "doors/api": {"app", "application"},
    "doors/demo": {"weight"},
    "serving": {"app", "application"},
    "store": {"application"},
    "traffic/envoy": {"weight", "region", "manager"},
    "platform/kubernetes": {"pod", "deployment"},
    "traffic/istio": {"weight"},
    "traffic/gateway_api": {"weight"},
}
"""Words of the systems we speak to, allowed in their own folders."""

MARK = re.compile(r"\b(" + "|".join(["TO" + "DO", "FIX" + "ME", "X" + "XX", "HA" + "CK"]) + r")\b")


def kept():
    """Every file of the repository, made and ignored ones left out."""
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [
            name for name in folders if name not in LEFT_OUT and not name.endswith(("_cache", ".egg-info"))
        ]
        folders[:] = [name for name in folders if not (Path(folder).name == "bench" and name == ".build")]
        yield from (Path(folder) / name for name in names if name not in MADE)


def name_of(path):
    return str(path.relative_to(ROOT))


PYTHON = sorted(path for path in kept() if path.suffix == ".py")
OURS = [path for path in PYTHON if path.is_relative_to(SOURCE)]
TREES = {path: ast.parse(path.read_text()) for path in OURS}


def functions(tree):
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def test_no_function_is_longer_than_a_screen():
    long = [
        f"{name_of(path)}:{node.lineno} {node.name} has {node.end_lineno - node.lineno + 1} lines"
        for path, tree in TREES.items()
        for node in functions(tree)
        if node.end_lineno - node.lineno + 1 > LINES_OF_FUNCTION
    ]
    assert long == []


def test_no_file_is_longer_than_its_subject():
    lines = {name_of(path): len(path.read_text().splitlines()) for path in PYTHON}
    assert {name: count for name, count in lines.items() if count > LINES_OF_FILE} == {}


def test_no_work_is_left_unfinished():
    marked = []
    for path in kept():
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        marked += [f"{name_of(path)}: {found[0]}" for found in MARK.finditer(text)]
    assert marked == []


def words(name):
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)}


def names(tree):
    """Every name that a file gives to something of its own."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield node.name, node.lineno
            case ast.arg(arg=name):
                yield name, node.lineno
            case ast.Name(id=name, ctx=ast.Store()):
                yield name, node.lineno


def test_one_word_per_idea():
    broken = []
    for path, tree in TREES.items():
        room = path.parent.relative_to(SOURCE).as_posix()
        banned = BANNED - FOREIGN.get(room, set())
        given = [(path.stem, 0), *names(tree)]
        broken += [f"{name_of(path)}:{line} {name}" for name, line in given if words(name) & banned]
    assert broken == []


def public(tree):
    """What a file of a pure room offers: public functions and classes, and public methods of public classes."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from (inner for inner in functions(node) if not inner.name.startswith("_"))


def test_what_a_pure_room_offers_says_what_it_means():
    silent = [
        f"{name_of(path)}:{node.lineno} {node.name}"
        for path, tree in TREES.items()
        if path.relative_to(SOURCE).parts[0] in PURE
        for node in public(tree)
        if ast.get_docstring(node) is None
    ]
    assert silent == []


def test_every_room_says_what_it_is():
    silent = [
        name_of(path) for path in OURS if path.name == "__init__.py" and not ast.get_docstring(TREES[path])
    ]
    assert silent == []


def private_marks():
    """What would tell on which machine and from which package index this checkout is worked on."""
    if len(ROOT.parts) > 2:
        yield re.escape(str(ROOT)) + r"\b"
    configured = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout
    given = [configured, *(value for name, value in os.environ.items() if name.endswith("INDEX_URL"))]
    for url in re.findall(r"https?://[^\s'\"]+", " ".join(given)):
        host = urlsplit(url).hostname
        if host and host not in {"pypi.org", "localhost", "127.0.0.1"}:
            yield re.escape(host)
    yield r"/home/[a-z]\w+/"
    yield r"/Users/[A-Z]?[a-z]\w+/"


def test_no_file_tells_where_it_was_written():
    marks = re.compile("|".join(private_marks()))
    told = []
    for path in kept():
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        told += [f"{name_of(path)}: {found[0]}" for found in marks.finditer(text)]
    lock = (ROOT / "requirements.lock").read_text()
    assert told == []
    assert "://" not in lock.replace("https://pypi.org", "")


@pytest.mark.parametrize("script", [".ci/run"])
def test_scripts_can_be_run(script):
    assert os.access(ROOT / script, os.X_OK)


def test_ci_runs_the_test_command_of_the_readme():
    ci = (ROOT / ".ci" / "run").read_text()
    assert re.search(r"\bmake test$", ci, flags=re.MULTILINE)
    assert "make test" in (ROOT / "README.md").read_text()


def test_every_dependency_has_its_reason():
    reasons = (ROOT / "docs" / "decisions" / "0003-dependencies.md").read_text()
    project = (ROOT / "pyproject.toml").read_text()
    wanted = re.findall(r'^  "([A-Za-z0-9-]+)(?:\[\w+\])?[>=<]', project, flags=re.MULTILINE)
    assert [name for name in wanted if f"| {name} |" not in reasons] == []
