"""What takes more than one field to judge: specs whose shape may be right and which still could not work.

Every check reads the plain document, so that it speaks also where the shape has other problems.
"""

from collections.abc import Callable, Iterator
from typing import Any

from celadon.parse import defaults, release_meaning
from celadon.parse.complaint import Complaint
from celadon.parse.plain import get, number


def complaints(document: Any) -> Iterator[Complaint]:
    """Everything that can not work together."""
    spec = get(document, dict, "spec")
    if spec is None:
        return
    for check in CHECKS:
        for path, found, hint in check(spec):
            yield ("spec", *path), found, hint


def _runtime(spec: dict[str, Any]) -> Iterator[Complaint]:
    if "model" not in spec and "command" not in spec:
        yield (), "says nothing to run", "exactly one of model and command: `model: ./fraud.onnx`"
    if "model" in spec and "command" in spec:
        yield (), "has both model and command", "keep exactly one of the two"
    elif "model" in spec:
        if "files" in spec:
            yield ("files",), "belongs to command; a model is one file or folder", "remove it"
        if "ready" in spec:
            ready = defaults.READY_OF_MODEL
            yield ("ready",), f"belongs to command; celadon's own server is asked at {ready}", "remove it"
    elif "command" in spec:
        if "serving" in spec:
            yield ("serving",), "belongs to model; a command has its own settings", "remove it"
        if "ready" not in spec:
            hint = "the path that answers 2xx when the server can serve: `ready: /healthz`"
            yield ("ready",), "is missing, and a command has no path that could be guessed safely", hint


def _command(spec: dict[str, Any]) -> Iterator[Complaint]:
    command = get(spec, list, "command")
    if not command:
        return
    if any(item == {"port": None} for item in command):
        return  # the item itself is complained about
    if command[0] == "":
        yield ("command", 0), "is empty, and it is the program", ""
    if not any(isinstance(item, str) and "{port}" in item for item in command):
        hint = 'add it where the server takes its port: [..., --port, "{port}"]'
        yield ("command",), "names no {port}, so the server can not know where to listen", hint


def _ports(spec: dict[str, Any]) -> Iterator[Complaint]:
    port, preview = get(spec, int, "route", "port"), get(spec, int, "route", "previewPort")
    if port is not None and port == preview:
        yield (
            ("route", "previewPort"),
            f"{preview} is the service's own port",
            "choose another, or leave it out",
        )


def _environment(spec: dict[str, Any]) -> Iterator[Complaint]:
    env, secrets = get(spec, dict, "env") or {}, get(spec, dict, "secrets") or {}
    for name in env:
        if name in secrets:
            yield ("secrets", name), "is also in env", "keep one of the two"
    for name, place in secrets.items():
        if isinstance(place, dict) and len({"file", "env"} & set(place)) != 1:
            hint = "{file: /etc/ranker/db} or {env: DB_URL}"
            yield ("secrets", name), "needs exactly one of file and env", hint
        if isinstance(place, str):
            yield (
                ("secrets", name),
                "holds a value, and values of secrets do not belong here",
                "{file: /etc/ranker/db}",
            )


def _watch(spec: dict[str, Any]) -> Iterator[Complaint]:
    watch_s = number(spec, "release", "watch", "seconds")
    deadline_s = number(spec, "release", "watch", "deadlineSeconds")
    if watch_s is None and deadline_s is None:
        return
    longest = defaults.DEADLINE_S if deadline_s is None else deadline_s
    shortest = defaults.WATCH_S if watch_s is None else watch_s
    if shortest > longest:
        path = ("release", "watch", "seconds" if deadline_s is None else "deadlineSeconds")
        found = f"the watch of {shortest:g} s could never end before its deadline of {longest:g} s"
        yield path, found, "deadlineSeconds must be at least seconds, with room for times without traffic"


def _retry(spec: dict[str, Any]) -> Iterator[Complaint]:
    if (
        get(spec, str, "route", "retry", "when") == "never"
        and number(spec, "route", "retry", "attempts") is not None
    ):
        yield (
            ("route", "retry", "attempts"),
            "says how often, and `when: never` says not at all",
            "remove one of them",
        )


def _per_try(spec: dict[str, Any]) -> Iterator[Complaint]:
    path = ("route", "retry", "perTrySeconds")
    try_s, whole_s = number(spec, *path), number(spec, "route", "timeoutSeconds")
    if try_s is None:
        return
    usual = "reset" if "model" in spec else "beforeSent"
    when = get(spec, str, "route", "retry", "when") or usual
    if when in {"never", "beforeSent"}:
        found = f"gives a request up that a replica has, and `when: {when}` does not let it be sent again"
        yield path, found, "`when: reset` where requests may be repeated; else remove it"
    elif whole_s is not None and try_s >= whole_s:
        found = f"{try_s:g} s for one try are no less than timeoutSeconds, the {whole_s:g} s for all of them"
        yield path, found, "make it so short that another try fits, or remove it"


def _redundancy(spec: dict[str, Any]) -> Iterator[Complaint]:
    given = get(spec, dict, "redundancy")
    if given is None:
        return
    replicas = get(spec, int, "replicas") or (defaults.REPLICAS if "replicas" not in spec else None)
    zones, survives = len(get(given, list, "zones") or ()), get(given, str, "survives")
    if survives == "zone" and zones < 2:
        found = "needs two zones or more, so that another one carries on"
        yield ("redundancy", "survives"), found, "zones: [a, b]"
    if survives in {"replica", "zone"} and replicas is not None and replicas < 2:
        found = "needs two replicas or more, so that another one carries on"
        yield ("redundancy", "survives"), found, "replicas: 2"
    if replicas is not None and zones > replicas:
        found = f"are {zones}, and of {replicas} replicas the last of them would get none"
        yield ("redundancy", "zones"), found, f"replicas: {zones}, or fewer zones"


CHECKS: tuple[Callable[[dict[str, Any]], Iterator[Complaint]], ...] = (
    _runtime,
    _command,
    _ports,
    _environment,
    _watch,
    _retry,
    _per_try,
    _redundancy,
    release_meaning.complaints,
)


def empty(document: Any) -> tuple[Any, list[Complaint]]:
    """The document without the options that have no value, and a complaint about each."""
    found: list[Complaint] = []
    return _without_empty(document, (), found), found


def _without_empty(value: Any, path: tuple[str | int, ...], found: list[Complaint]) -> Any:
    if value == {"port": None} and path[-2:-1] == ("command",):
        found.append((path, "{port} without quotes is a mapping in YAML", 'write "{port}"'))
        return "{port}"
    if isinstance(value, dict):
        kept = {}
        for key, item in value.items():
            if item is None:
                found.append(((*path, key), "has no value", "give it one, or leave it out for the default"))
            else:
                kept[key] = _without_empty(item, (*path, key), found)
        return kept
    if isinstance(value, list):
        return [_without_empty(item, (*path, index), found) for index, item in enumerate(value)]
    return value
