"""The pages about the doors: their commands are run, and every field they send is named."""

import re
import shlex
from pathlib import Path

import click
import onnx
import pytest
from doors_given import ask, free_ports
from onnx import TensorProto, helper

from celadon.doors.cli import top
from celadon.doors.cli.exits import ExitCode

DOCS = Path(__file__).parents[2] / "docs"
CLI = (DOCS / "cli.md").read_text()
API = (DOCS / "api.md").read_text()


def walk():
    block = re.search(r"```sh\n(.*?)```", CLI, re.DOTALL)
    return [shlex.split(line)[1:] for line in block[1].splitlines()]


@pytest.mark.e2e
def test_the_commands_of_the_page_run_in_their_order(home):
    graph = helper.make_graph(
        [helper.make_node("Sigmoid", ["amounts"], ["risk"])],
        "fraud",
        [helper.make_tensor_value_info("amounts", TensorProto.FLOAT, [None, 3])],
        [helper.make_tensor_value_info("risk", TensorProto.FLOAT, [None, 3])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, home.work / "fraud.onnx")
    for arguments in walk():
        home.done(*arguments)
        spec = home.work / "fraud.yaml"
        if arguments[0] == "init":  # Other tests run beside this one, so it can not have the page's port.
            port, preview = free_ports(2)
            text = spec.read_text().replace("{port: 8080}", f"{{port: {port}, previewPort: {preview}}}")
            spec.write_text(text)
    assert (home.work / "way-out" / "envoy.yaml").exists()
    assert not home.socket.exists()


def test_every_command_and_option_is_on_the_page():
    table = CLI[CLI.index("## Commands") : CLI.index("## Following")]
    for name in top.COMMANDS:
        assert re.search(rf"`{name}\b", table), name
    for name in top.COMMANDS:
        if name == "demo":
            continue
        command = top.cli.get_command(click.Context(top.cli), name)
        for option in (o for o in command.params if isinstance(o, click.Option)):
            assert any(known in table for known in option.opts), (name, option.opts)


def test_every_exit_code_is_on_the_page():
    codes = [int(code) for code in re.findall(r"^\| (\d) \|", CLI, re.MULTILINE)]
    assert codes == [int(code) for code in ExitCode]


def keys(value):
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            if key not in {"labels", "fields", "files", "hostnames"}:
                yield from keys(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from keys(inner)


@pytest.mark.e2e
def test_every_field_that_is_sent_is_on_the_page(up):
    up.done("deploy", "-f", up.service())
    up.done("deploy", "-f", up.service(gate=True, score=2), "--detach")
    sent = [
        ask(up.socket, "GET", f"/v1/{path}")[1] for path in ("health", "services", "services/score/releases")
    ]
    sent += [ask(up.socket, "GET", f"/v1/releases/score-{number}")[1] for number in (1, 2)]
    sent.append(ask(up.socket, "GET", "/v1/nothing")[1])
    assert {key for key in keys(sent) if f"`{key}`" not in API and f'"{key}"' not in API} == set()
