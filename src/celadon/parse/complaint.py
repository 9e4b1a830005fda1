"""The validation library's complaints in our words: where, what was found, and what would make it succeed."""

import difflib
import json
from collections.abc import Mapping
from typing import Any, get_args

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from celadon.parse.shape import API_VERSION, KIND, Document

Path = tuple[str | int, ...]

Complaint = tuple[Path, str, str]
"""Path inside the document, what was found, hint."""

WANTED = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "string_type": "text",
    "list_type": "a list",
    "dict_type": "a mapping of names to values",
    "model_type": "a mapping of options",
    "model_attributes_type": "a mapping of options",
}

BOUNDS = {
    "greater_than_equal": ("ge", "at least"),
    "greater_than": ("gt", "more than"),
    "less_than_equal": ("le", "at most"),
    "less_than": ("lt", "less than"),
}

PATTERNS = {
    "name": "lower-case letters, digits and dashes, at most 40, a letter first and no dash last",
    "zones": "a zone is named like a service: lower-case letters, digits and dashes, at most 40, a letter first",
    "namespace": "lower-case letters, digits and dashes, at most 40, a letter first and no dash last",
    "prefix": "a prefix begins with / and has no blank, ? or #",
    "ready": "a path begins with / and has no blank",
    "path": "a path begins with / and has no blank",
    "memory": 'a number and its unit without a blank between them, such as "512Mi" or "2Gi"',
    "hostnames": 'a host name in lower case without port, "*" for any, or "*.example.com"',
    "file": "an absolute path, such as /etc/ranker/db",
    "env": "a name is letters, digits and underscores, no digit first",
    "secrets": "a name is letters, digits and underscores, no digit first",
    "command": "an argument must not hold a NUL character",
    "header": "a name of a header, without blanks and without its value: x-user",
    "cookie": "a name of a cookie, without blanks and without its value",
    "values": "values must not be empty or hold a line break",
    "positive": "a label must not be empty or hold a line break",
}

KEYS = {
    "headers": ("a header", "letters, digits and dashes, without a blank or a colon"),
    "cookies": ("a cookie", "letters, digits and dashes, without a blank or ="),
    "query": ("a query parameter", "it must not be empty or hold a blank, &, = or #"),
}
"""Mappings whose keys are names of something else than variables."""

GROUPS = {
    "strategy": "a strategy has options of its own: `strategy: {canary: {}}`",
    "sticky": "say by what: `sticky: {header: x-user}` or `sticky: {cookie: celadon}`",
}

MISSING = {
    "apiVersion": f"apiVersion: {API_VERSION}",
    "kind": f"kind: {KIND}",
    "metadata": "metadata: {name: fraud}",
    "name": "metadata: {name: fraud}",
    "spec": "say what to run and where it is reached",
    "route": "route: {port: 8080}",
    "port": "port: 8080",
    "seconds": "how long is for you to say: `seconds: 3600`",
    "percent": "part of the requests: `percent: 5`",
    "header": "header: x-plan",
    "values": "values: [free, paid]",
    "badAnswers": "badAnswers: 50",
    "requestsPerSecond": "requests per second at the busiest time: `requestsPerSecond: 200`",
}


def complaint(error: ErrorDetails, shape: type[BaseModel] = Document) -> Complaint:
    """One error of the library about a `shape` as a complaint. Values of secrets are never shown."""
    loc = tuple(part for part in error["loc"] if part != "[key]")
    name = next((part for part in reversed(loc) if isinstance(part, str)), "")
    if error["loc"][-1:] == ("[key]",):
        return loc, *_of_key(error, name, str(loc[-2]) if len(loc) > 1 else "")
    found, hint = _of_structure(error, loc, shape) or _of_value(error, name)
    return loc, found, hint or _unit_hint(name, error["input"], error["type"])


def _of_key(error: ErrorDetails, name: str, mapping: str) -> tuple[str, str]:
    what, hint = KEYS.get(mapping, ("a variable", PATTERNS["env"]))
    if error["type"] == "value_error":
        return f'"{name}" can not be used', str(error.get("ctx", {}).get("error", ""))
    return f'"{name}" is not a name for {what}', hint


def _of_structure(error: ErrorDetails, loc: Path, shape: type[BaseModel]) -> tuple[str, str] | None:
    name = loc[-1] if loc else ""
    match error["type"]:
        case "missing":
            return "is missing", MISSING.get(str(name), "")
        case "extra_forbidden":
            return "is not an option here", _options_hint(loc, shape)
        case "too_short":
            return "is an empty list", "leave the option out, or name one"
        case "list_type" if name == "command":
            return "is not a list, and no shell reads it", 'write [program, argument, "{port}"]'
        case "model_type" | "model_attributes_type" if name in GROUPS and isinstance(error["input"], str):
            return f"{show(error['input'])} is not a mapping of options", GROUPS[str(name)]
        case "int_type" if name == "replicas" and isinstance(error["input"], Mapping):
            return (
                "a range of replicas needs the autoscaler, which is not there yet",
                "write one number, such as 2",
            )
        case _:
            return None


def _of_value(error: ErrorDetails, name: str) -> tuple[str, str]:
    kind, context = error["type"], error.get("ctx", {})
    given = "the value" if "secrets" in error["loc"] else show(error["input"])
    if kind in BOUNDS:
        bound, words = BOUNDS[kind]
        return f"{given} is out of range", f"{words} {context[bound]:g}"
    match kind:
        case "finite_number":
            return f"{given} is not a number that can be counted with", ""
        case "literal_error":
            return f"{given} is not known here", f"write {context['expected']}"
        case "too_long" | "string_too_long":
            return f"is longer than the limit of {context['max_length']}", ""
        case "string_pattern_mismatch":
            return f"{given} can not be used", PATTERNS.get(name, "it is empty, or holds a line break or NUL")
        case "value_error":
            message = str(context["error"])
            return (f"{given} {message}" if message.startswith("is ") else message), ""
        case _:
            return f"{given} is not {WANTED.get(kind, 'what is expected here: ' + error['msg'])}", ""


def show(value: Any) -> str:
    """A value as short text; long ones are cut, so that no message carries a whole document."""
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, str):
        return f'"{value}"' if len(value) <= 60 else f'"{value[:60]}..."'
    return str(value)[:60]


def options_at(loc: Path, root: type[BaseModel] = Document) -> list[str]:
    """The option names that may stand in the mapping at `loc`, items of lists passed over."""
    shape: type[BaseModel] | None = root
    for part in loc:
        if isinstance(part, str):
            shape = _inner(shape, part) if shape else None
    return _names(shape) if shape else []


def _names(shape: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in shape.model_fields.items()]


def _inner(shape: type[BaseModel], part: str | int) -> type[BaseModel] | None:
    for name, field in shape.model_fields.items():
        if (field.alias or name) == part:
            return next((kind for kind in _kinds(field.annotation) if issubclass(kind, BaseModel)), None)
    return None


def _kinds(annotation: Any) -> list[type]:
    if isinstance(annotation, type) and not get_args(annotation):
        return [annotation]
    return [kind for argument in get_args(annotation) for kind in _kinds(argument)]


def _options_hint(loc: Path, shape: type[BaseModel]) -> str:
    name = _folded(str(loc[-1]))
    names = options_at(loc[:-1], shape)
    if "secrets" in loc[:-1]:
        names = ["file", "env"]  # the entries of `secrets` have names of people's own
    if not names:
        return "nothing is written here: {}"
    folded = {_folded(known): known for known in names}
    close = difflib.get_close_matches(name, folded, n=1, cutoff=0.6)
    close = close or [known for known in folded if known.startswith(name) or name.startswith(known)]
    return f"did you mean `{folded[close[0]]}`?" if close else f"options here: {', '.join(names)}"


def _folded(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")


def _unit_hint(name: str, value: Any, kind: str) -> str:
    if name == "cpus" and kind == "float_type":
        return "cores as a plain number: write 0.5 and not 500m"
    if name == "memory" and kind == "string_type":
        return PATTERNS["memory"]
    if kind == "string_type" and not isinstance(value, (list, Mapping)):
        return "YAML reads this as another kind of value: put it in quotes"
    if kind == "bool_type":
        return "write true or false without quotes"
    if not isinstance(value, str) or kind not in {"float_type", "int_type"}:
        return ""
    if name.endswith(("seconds", "Seconds")):
        return "seconds as a plain number without a unit: write 90 and not 90s or 1m30s"
    if name.endswith("P95"):
        return "milliseconds as a plain number without a unit"
    if name.endswith("Percent"):
        return "percent as a plain number: write 2 for 2 %"
    return "write the number without quotes or unit"
