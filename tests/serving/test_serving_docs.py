"""Every command that docs/serving.md shows does what the page shows."""

import pickle
import re
import shlex
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import serving_models
from serving_process import client_of, serving

from celadon.serving.__main__ import _parser

PAGE = Path(__file__).parents[2] / "docs" / "serving.md"


def shown_commands():
    for block in re.findall(r"```console\n(.*?)```", PAGE.read_text(), re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            yield shlex.split(command), output


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("docs")
    serving_models.doubles(folder / "double.onnx")
    with serving(folder / "double.onnx", name="double") as started:
        yield started.ready()


@pytest.mark.parametrize(
    ("command", "output"),
    [(command, output) for command, output in shown_commands() if command[0] == "curl"],
    ids=lambda value: value[2] if isinstance(value, list) else "",
)
def test_every_request_shown_gets_the_answer_shown(server, command, output):
    url, body = urlsplit(command[2]), command[4] if "-d" in command else None
    with client_of(server) as client:
        assert client.request("POST" if body else "GET", url.path, content=body).text == output.strip()


def test_every_start_shown_says_what_is_shown(server):
    command, output = next(shown_commands())
    assert _parser().parse_args(command[3:]).name == "double"
    said = [re.sub(r":\d+$|\d\.\d\d s$", "", line) for line in server.lines]
    assert said == [re.sub(r":\d+$|\d\.\d\d s$", "", line) for line in output.splitlines()]


def test_every_inspection_shown_says_what_is_shown(tmp_path):
    (tmp_path / "model.pkl").write_bytes(pickle.dumps([1]))
    for command, output in shown_commands():
        if "inspect" in command:
            done = subprocess.run(
                [sys.executable, *command[1:]],
                cwd=tmp_path,
                capture_output=True,
                text=True,
                check=False,
                timeout=60,
            )
            assert done.stdout == output


def test_the_page_names_every_flag_and_its_default():
    text = PAGE.read_text()
    serve = _parser()._subparsers._group_actions[0].choices["serve"]
    for action in serve._actions:
        if action.dest == "help":
            continue
        row = re.search(rf"\| `{action.option_strings[0]}` \|.*\| (.*?) ?\|\n", text)
        assert row, action.option_strings
        if action.default not in (None, ""):
            default = f"{action.default:g}" if isinstance(action.default, float) else str(action.default)
            assert row[1].strip("`") == default
