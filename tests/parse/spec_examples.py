"""Specs that several tests of this room speak of."""

from typing import Any

HEAD = {"apiVersion": "celadon.dev/v1alpha1", "kind": "ModelService"}


def model(**spec: Any) -> dict[str, Any]:
    return {
        **HEAD,
        "metadata": {"name": "fraud"},
        "spec": {"model": "./fraud.onnx", "route": {"port": 8080}, **spec},
    }


def command(**spec: Any) -> dict[str, Any]:
    runs = {"command": ["serve", "--port", "{port}"], "ready": "/healthz", "route": {"port": 8081}}
    return {**HEAD, "metadata": {"name": "ranker"}, "spec": {**runs, **spec}}


def routed(**route: Any) -> dict[str, Any]:
    return model(route={"port": 8080, **route})


def watched(**watch: Any) -> dict[str, Any]:
    return model(release={"watch": watch})


def named(**metadata: Any) -> dict[str, Any]:
    return {**model(), "metadata": metadata}


SECRET = {"file": "/etc/ranker/db"}

RIGHT: dict[str, dict[str, Any]] = {
    "the smallest model": model(),
    "the smallest command": command(),
    "a folder": model(model="models/fraud"),
    "all of serving": model(serving={"version": 3, "threads": 2, "maxBodyBytes": 1024}),
    "files": command(files="./ranker"),
    "env": model(env={"LEVEL": "info", "_x": ""}),
    "secrets": command(secrets={"DB_URL": SECRET, "TOKEN": {"env": "TOKEN"}}),
    "limits": model(resources={"cpus": 0.5, "memory": "1.5Gi"}),
    "a route": routed(
        host="0.0.0.0", hostnames=["a.example.com", "*.example.org"], prefix="/v1/models/fraud:predict"
    ),
    "an IPv6 address": routed(host="::1"),
    "a preview port": routed(previewPort=1),
    "a timeout": routed(timeoutSeconds=0.5, retry={"when": "never"}),
    "a watch": watched(seconds=5, minRequests=1, maxErrorPercent=0, maxLatencyMsP95=20, deadlineSeconds=5),
    "a gate": model(
        release={"gate": True, "startSeconds": 1, "proveSeconds": 1, "holdSeconds": 0}, drainSeconds=0
    ),
    "a namespace": named(name="a", namespace="team-1"),
}

WRONG_BY_SHAPE: dict[str, tuple[dict[str, Any], str]] = {
    "another version": ({**model(), "apiVersion": "v2"}, "apiVersion"),
    "another kind": ({**model(), "kind": "Deployment"}, "kind"),
    "no route": ({**HEAD, "metadata": {"name": "a"}, "spec": {"model": "m"}}, "spec/route"),
    "no name": (named(), "metadata/name"),
    "upper case": (named(name="Fraud"), "metadata/name"),
    "41 letters": (named(name="a" * 41), "metadata/name"),
    "an unknown key": (model(drainSecond=3), "spec/drainSecond"),
    "snake case": (model(drain_seconds=3), "spec/drain_seconds"),
    "both runtimes": ({**command(model="m")}, "spec"),
    "no runtime": ({**HEAD, "metadata": {"name": "a"}, "spec": {"route": {"port": 1}}}, "spec"),
    "files with a model": (model(files="."), "spec/files"),
    "ready with a model": (model(ready="/"), "spec/ready"),
    "a command without ready": ({**model(command=["a", "{port}"])}, "spec"),
    "serving with a command": (command(serving={"threads": 2}), "spec/serving"),
    "no threads": (model(serving={"threads": 0}), "spec/serving/threads"),
    "an empty command": (command(command=[]), "spec/command"),
    "a command for a shell": (command(command="serve {port}"), "spec/command"),
    "a number in a command": (command(command=["{port}", 2]), "spec/command/1"),
    "a number in env": (model(env={"A": 1}), "spec/env/A"),
    "a name that no shell takes": (model(env={"A-B": "x"}), "spec/env/A-B"),
    "a secret from nowhere": (command(secrets={"A": {}}), "spec/secrets/A"),
    "a secret from two places": (command(secrets={"A": {**SECRET, "env": "B"}}), "spec/secrets/A"),
    "a secret in the file": (command(secrets={"A": "hunter2"}), "spec/secrets/A"),
    "a secret at a relative path": (command(secrets={"A": {"file": "db"}}), "spec/secrets/A/file"),
    "half a core of Kubernetes": (model(resources={"cpus": "500m"}), "spec/resources/cpus"),
    "no core": (model(resources={"cpus": 0}), "spec/resources/cpus"),
    "memory without a unit": (model(resources={"memory": 512}), "spec/resources/memory"),
    "milli-bytes": (model(resources={"memory": "512m"}), "spec/resources/memory"),
    "no replica": (model(replicas=0), "spec/replicas"),
    "a range of replicas": (model(replicas={"min": 1, "max": 3}), "spec/replicas"),
    "half a replica": (model(replicas=1.5), "spec/replicas"),
    "true replicas": (model(replicas=True), "spec/replicas"),
    "port 0": (routed(port=0), "spec/route/port"),
    "port 65536": (routed(port=65_536), "spec/route/port"),
    "a port in quotes": (routed(port="8080"), "spec/route/port"),
    "no host name": (routed(hostnames=[]), "spec/route/hostnames"),
    "a host name with a port": (routed(hostnames=["a.com:80"]), "spec/route/hostnames/0"),
    "a prefix without a slash": (routed(prefix="v1"), "spec/route/prefix"),
    "a prefix with a query": (routed(prefix="/a?b"), "spec/route/prefix"),
    "seconds with a unit": (routed(timeoutSeconds="30s"), "spec/route/timeoutSeconds"),
    "no time at all": (routed(timeoutSeconds=0), "spec/route/timeoutSeconds"),
    "an unknown retry": (routed(retry={"when": "sometimes"}), "spec/route/retry/when"),
    "no attempt": (routed(retry={"attempts": 0}), "spec/route/retry/attempts"),
    "negative seconds": (model(drainSeconds=-1), "spec/drainSeconds"),
    "a gate in quotes": (model(release={"gate": "yes"}), "spec/release/gate"),
    "101 percent": (watched(maxErrorPercent=101), "spec/release/watch/maxErrorPercent"),
    "an unknown end": (watched(onDeadline="promote"), "spec/release/watch/onDeadline"),
}
"""What the published schema refuses as well, and the path of the problem."""

WRONG_BY_MEANING: dict[str, tuple[dict[str, Any], str]] = {
    "a name of a line": (named(name="fraud\n"), "metadata/name"),
    "NaN": (model(drainSeconds=float("nan")), "spec/drainSeconds"),
    "infinity": (watched(seconds=float("inf")), "spec/release/watch/seconds"),
    "a URI": (model(model="s3://bucket/fraud.onnx"), "spec/model"),
    "a host that is no address": (routed(host="localhost"), "spec/route/host"),
    "a command without its port": (command(command=["serve"]), "spec/command"),
    "a command without a program": (command(command=["", "{port}"]), "spec/command/0"),
    "the preview on the service's port": (routed(previewPort=8080), "spec/route/previewPort"),
    "a watch beyond its deadline": (
        watched(seconds=20, deadlineSeconds=10),
        "spec/release/watch/deadlineSeconds",
    ),
    "a watch beyond the usual deadline": (watched(seconds=901), "spec/release/watch/seconds"),
    "a name twice": (command(env={"A": "x"}, secrets={"A": SECRET}), "spec/secrets/A"),
    "a name of celadon's": (model(env={"CELADON_PORT": "1"}), "spec/env"),
    "less memory than any server": (model(resources={"memory": "10Ki"}), "spec/resources/memory"),
    "attempts of never": (routed(retry={"when": "never", "attempts": 2}), "spec/route/retry/attempts"),
    "an option without a value": (model(golden=None), "spec/golden"),
}
"""What takes more than one field, or more than a schema can say."""
