"""YAML text into plain documents that know their lines: no tags, no aliases, no duplicate keys, bounded size."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from celadon.domain.problem import Problem

TEXT_BYTES_MAX = 1024 * 1024
DEPTH_MAX = 20
NODES_MAX = 50_000

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One document: its plain value, the line of every key and item in it, and what was wrong with its text."""

    value: Any
    lines: dict[Path, int] = field(default_factory=dict)
    problems: tuple[tuple[Path, str, str], ...] = ()


class RefusedError(yaml.MarkedYAMLError):
    """Valid YAML that is not read here."""

    def __init__(self, problem: str, mark: Any) -> None:
        super().__init__(problem=problem, problem_mark=mark)


class _Composer(yaml.SafeLoader):
    """Refuses, while composing, what could surprise a person or exhaust the machine."""

    depth = 0
    nodes = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent):
            raise RefusedError(
                f"the alias *{event.anchor} is not read: write the value out", event.start_mark
            )
        if getattr(event, "tag", None) is not None:
            raise RefusedError(f"the tag {event.tag} is not read: write the plain value", event.start_mark)
        self.depth += 1
        self.nodes += 1
        if self.depth > DEPTH_MAX or self.nodes > NODES_MAX:
            raise RefusedError("nested too deep or too long for a service", event.start_mark)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


def too_deep(value: Any, most: int) -> bool:
    """Whether lists and mappings are nested more than `most` deep; asks without going that deep itself."""
    level = [value]
    for _ in range(most + 1):
        inside = [
            item.values() if isinstance(item, dict) else item
            for item in level
            if isinstance(item, dict | list)
        ]
        level = [inner for items in inside for inner in items]
        if not level:
            return False
    return True


def load(text: str, where: str) -> tuple[list[Document], list[Problem]]:
    """All documents that can be read, and the problem that stopped reading, if one did."""
    if len(text.encode("utf-8", "surrogatepass")) > TEXT_BYTES_MAX:
        found = f"the file is larger than {TEXT_BYTES_MAX} bytes, which no service needs"
        return [], [Problem(path=where, found=found)]
    documents: list[Document] = []
    try:
        documents.extend(_documents(text))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        at = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
        return documents, [
            Problem(path=where, found=f"{error.problem or error.context}{at}", hint=_hint(error))
        ]
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        return documents, [Problem(path=where, found=f"a character that YAML forbids (line {line})")]
    if not documents:
        return [], [
            Problem(path=where, found="the file holds no document", hint="`celadon init MODEL` writes one")
        ]
    return documents, []


def _hint(error: yaml.MarkedYAMLError) -> str:
    if isinstance(error, RefusedError):
        return ""
    if "\\t" in str(error.problem):
        return "indent with spaces"
    return (
        "the text is not YAML from here on; a missing space after a colon or an open quote are common reasons"
    )


def _documents(text: str) -> Iterator[Document]:
    loader = _Composer(text)
    try:
        while loader.check_node():
            loader.nodes = 0
            node = loader.get_node()
            if node is not None and not _empty(node):
                yield _Reader(loader).document(node)
    finally:
        loader.dispose()


def _empty(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null"


class _Reader:
    """Turns the nodes of one document into plain values."""

    def __init__(self, loader: yaml.SafeLoader) -> None:
        self._loader = loader
        self._lines: dict[Path, int] = {}
        self._problems: list[tuple[Path, str, str]] = []

    def document(self, node: yaml.Node) -> Document:
        """The document under `node`."""
        value = self._value(node, ())
        return Document(value=value, lines=self._lines, problems=tuple(self._problems))

    def _value(self, node: yaml.Node, path: Path) -> Any:
        self._lines.setdefault(path, node.start_mark.line + 1)
        match node:
            case yaml.MappingNode():
                return self._mapping(node, path)
            case yaml.SequenceNode():
                return [self._value(item, (*path, index)) for index, item in enumerate(node.value)]
            case _:
                return self._scalar(node, path)

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else None
            line = key_node.start_mark.line + 1
            if key is None:
                self._problems.append((path, f"a key that is not text (line {line})", ""))
                continue
            here = (*path, key)
            if key in made:
                first = self._lines[here]
                self._problems.append(
                    (here, f"written twice, on lines {first} and {line}", "keep one of the two")
                )
                continue
            self._lines[here] = line
            made[key] = self._value(value_node, here)
        return made

    def _scalar(self, node: yaml.Node, path: Path) -> Any:
        try:
            return self._loader.construct_object(node)
        except (ValueError, yaml.YAMLError):
            self._problems.append(
                (path, f"{str(node.value)[:40]!r} can not be read as a value", "put it in quotes")
            )
            return str(node.value)
