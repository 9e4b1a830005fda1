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


def released(**release: Any) -> dict[str, Any]:
    return model(release=release)


def staged(*stages: dict[str, Any], **more: Any) -> dict[str, Any]:
    return released(strategy={"canary": {"stages": list(stages), **more}})


def judged(strategy: dict[str, Any], **judge: Any) -> dict[str, Any]:
    return released(strategy=strategy, judge=judge)


ALL = {"percent": 100}
RAMP: dict[str, Any] = {"canary": {}}
SHADOW: dict[str, Any] = {"shadow": {"seconds": 60}}
BUDGET = {"badAnswers": 50, "requestsPerSecond": 200}
STAGES = "spec/release/strategy/canary/stages"
TEST = "spec/release/strategy/abTest"
JUDGE = "spec/release/judge"

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
    "a try": routed(timeoutSeconds=5, retry={"perTrySeconds": 0.5}),
    "a try of a command": command(
        route={"port": 8081, "retry": {"when": "reset", "perTrySeconds": 0.5}},
    ),
    "two zones and a standby": model(
        replicas=4, redundancy={"zones": ["a", "b"], "survives": "zone", "standby": 1, "hangSeconds": 0.5}
    ),
    "zones of which none may be lost": model(
        replicas=2, redundancy={"zones": ["a", "b"], "survives": "nothing"}
    ),
    "one zone": model(redundancy={"zones": ["a"]}),
    "a timeout": routed(timeoutSeconds=0.5, retry={"when": "never"}),
    "a watch": watched(seconds=5, minRequests=1, maxErrorPercent=0, maxLatencyMsP95=20, deadlineSeconds=5),
    "a gate": model(
        release={"gate": True, "startSeconds": 1, "proveSeconds": 1, "holdSeconds": 0}, drainSeconds=0
    ),
    "a namespace": named(name="a", namespace="team-1"),
    "all at once": released(strategy={"blueGreen": {}}, judge={}),
    "a ramp": released(strategy=RAMP, sticky={"header": "x-user"}),
    "a ramp by evidence beside a control": staged(
        {"percent": 0, "mirrorPercent": 100},
        {"percent": 0.5, "seconds": 10},
        {"percent": 50, "gate": True},
        ALL,
        advance="evidence",
        control=True,
    ),
    "a test of a group": released(
        strategy={
            "abTest": {
                "match": {"headers": {"X-Country": ["at"]}, "cookies": {"beta": []}, "query": {"a": ["b c"]}},
                "percent": 100,
                "seconds": 600,
            }
        },
    ),
    "a test that promotes": released(
        strategy={"abTest": {"seconds": 600, "then": "promote"}}, sticky={"cookie": "side"}
    ),
    "a shadow": released(strategy=SHADOW),
    "a shadow of a command": command(release={"strategy": {"shadow": {"seconds": 60, "percent": 10}}}),
    "a budget": released(exposure=BUDGET, sticky={"cookie": "side", "lastsSeconds": 3600}),
    "every metric": judged(
        {"canary": {"stages": [{"percent": 0, "mirrorPercent": 10}, {"percent": 50}, ALL]}},
        errors={"maxRatio": 1, "extraPercent": 1},
        latency={"required": True},
        labels={"positive": "fraud", "maxRatio": 1.1},
        scores={"maxLower": 0.1},
        answers={"tolerance": 0, "required": True},
        groups={"header": "X-Plan", "values": ["free", "paid"]},
        falseRollbackPercent=0.1,
        freezeMirrorPercent=30,
    ),
    "a probation": released(
        strategy=RAMP,
        judge={"labels": {"required": False, "matureSeconds": 7200}},
        probationSeconds=86_400,
        watch={"holdServes": "green"},
    ),
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
    "a try without time": (routed(retry={"perTrySeconds": 0}), "spec/route/retry/perTrySeconds"),
    "a zone in upper case": (model(replicas=2, redundancy={"zones": ["A"]}), "spec/redundancy/zones/0"),
    "a zone twice": (model(replicas=2, redundancy={"zones": ["a", "a"]}), "spec/redundancy/zones"),
    "an unknown loss": (model(redundancy={"survives": "site"}), "spec/redundancy/survives"),
    "fewer standbys than none": (model(redundancy={"standby": -1}), "spec/redundancy/standby"),
    "a thousand standbys and one": (model(redundancy={"standby": 1001}), "spec/redundancy/standby"),
    "a hang of no time": (model(redundancy={"hangSeconds": 0}), "spec/redundancy/hangSeconds"),
    "negative seconds": (model(drainSeconds=-1), "spec/drainSeconds"),
    "a gate in quotes": (model(release={"gate": "yes"}), "spec/release/gate"),
    "101 percent": (watched(maxErrorPercent=101), "spec/release/watch/maxErrorPercent"),
    "an unknown end": (watched(onDeadline="promote"), "spec/release/watch/onDeadline"),
    "no strategy of several": (released(strategy={}), "spec/release/strategy"),
    "two strategies": (released(strategy={**RAMP, "blueGreen": {}}), "spec/release/strategy"),
    "a strategy of text": (released(strategy="canary"), "spec/release/strategy"),
    "an option of all at once": (
        released(strategy={"blueGreen": {"percent": 5}}),
        "spec/release/strategy/blueGreen/percent",
    ),
    "no stage": (staged(), STAGES),
    "a stage without a share": (staged({"seconds": 5}, ALL), f"{STAGES}/0/percent"),
    "more than all": (staged({"percent": 101}), f"{STAGES}/0/percent"),
    "a stage without time": (staged({"percent": 5, "seconds": 0}, ALL), f"{STAGES}/0/seconds"),
    "an unknown advance": (
        staged({"percent": 5}, ALL, advance="luck"),
        "spec/release/strategy/canary/advance",
    ),
    "a test without an end": (released(strategy={"abTest": {}}), f"{TEST}/seconds"),
    "a test of nobody": (released(strategy={"abTest": {"seconds": 9, "percent": 0}}), f"{TEST}/percent"),
    "a shadow with a share": (
        released(strategy={"shadow": {"seconds": 9, "share": 5}}),
        "spec/release/strategy/shadow/share",
    ),
    "sticky by nothing": (released(strategy=RAMP, sticky={}), "spec/release/sticky"),
    "sticky by two": (
        released(strategy=RAMP, sticky={"header": "x-user", "cookie": "a"}),
        "spec/release/sticky",
    ),
    "a header with a blank": (
        released(strategy=RAMP, sticky={"header": "x user"}),
        "spec/release/sticky/header",
    ),
    "a cookie with a value": (
        released(strategy=RAMP, sticky={"cookie": "a=b"}),
        "spec/release/sticky/cookie",
    ),
    "less errors than blue": (judged(RAMP, errors={"maxRatio": 0.5}), f"{JUDGE}/errors/maxRatio"),
    "no lower at all": (judged(RAMP, scores={"maxLower": 0}), f"{JUDGE}/scores/maxLower"),
    "groups without values": (judged(RAMP, groups={"header": "x-plan"}), f"{JUDGE}/groups/values"),
    "groups of nothing": (judged(RAMP, groups={"header": "x-plan", "values": []}), f"{JUDGE}/groups/values"),
    "never wrong": (judged(RAMP, falseRollbackPercent=0), f"{JUDGE}/falseRollbackPercent"),
    "a budget of nothing": (
        released(exposure={**BUDGET, "badAnswers": 0}),
        "spec/release/exposure/badAnswers",
    ),
    "a budget without a rate": (
        released(exposure={"badAnswers": 5}),
        "spec/release/exposure/requestsPerSecond",
    ),
    "a certain budget": (
        released(exposure={**BUDGET, "confidence": 1.0}),
        "spec/release/exposure/confidence",
    ),
    "nobody serves": (watched(holdServes="nobody"), "spec/release/watch/holdServes"),
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
    "a try of what is sent once": (
        command(route={"port": 8081, "retry": {"perTrySeconds": 1}}),
        "spec/route/retry/perTrySeconds",
    ),
    "a try as long as all of them": (
        routed(timeoutSeconds=1, retry={"perTrySeconds": 1}),
        "spec/route/retry/perTrySeconds",
    ),
    "a zone to lose and no other": (
        model(replicas=2, redundancy={"zones": ["a"], "survives": "zone"}),
        "spec/redundancy/survives",
    ),
    "a replica to lose and no other": (model(redundancy={"survives": "replica"}), "spec/redundancy/survives"),
    "a zone without a replica": (
        model(replicas=2, redundancy={"zones": ["a", "b", "c"]}),
        "spec/redundancy/zones",
    ),
    "an option without a value": (model(golden=None), "spec/golden"),
    "a share that falls": (staged({"percent": 10}, {"percent": 5}, ALL), f"{STAGES}/1/percent"),
    "the same stage twice": (staged({"percent": 5}, {"percent": 5}, ALL), f"{STAGES}/1"),
    "a stage of nothing": (staged({"percent": 0}, {"percent": 5}, ALL), f"{STAGES}/0"),
    "an end before all": (staged({"percent": 5}, {"percent": 50}), f"{STAGES}/1/percent"),
    "a ramp without a split": (staged({"percent": 0, "mirrorPercent": 9}, ALL), STAGES),
    "copies for those who have all": (
        staged({"percent": 5}, {"percent": 100, "mirrorPercent": 5}),
        f"{STAGES}/1/mirrorPercent",
    ),
    "a thousandth of a percent": (staged({"percent": 0.001}, ALL), f"{STAGES}/0/percent"),
    "a control without room": (staged({"percent": 60}, ALL, control=True), f"{STAGES}/0/percent"),
    "a budget beside a ramp": (released(strategy=RAMP, exposure=BUDGET), "spec/release/strategy"),
    "a match of nothing": (released(strategy={"abTest": {"seconds": 9, "match": {}}}), f"{TEST}/match"),
    "a header in two cases": (
        released(strategy={"abTest": {"seconds": 9, "match": {"headers": {"X-A": ["1"], "x-a": ["2"]}}}}),
        f"{TEST}/match/headers",
    ),
    "a header of the proxy's": (
        released(strategy={"abTest": {"seconds": 9, "match": {"headers": {"X-Celadon-Unit": []}}}}),
        f"{TEST}/match/headers/X-Celadon-Unit",
    ),
    "proof without blue": (
        released(strategy={"abTest": {"seconds": 9, "percent": 100, "then": "promote"}}),
        f"{TEST}/percent",
    ),
    "a command that is copied unasked": (
        command(release={"strategy": SHADOW}),
        "spec/release/strategy/shadow",
    ),
    "sticky without a split": (released(sticky={"header": "x-user"}), "spec/release/sticky"),
    "sticky copies": (released(strategy=SHADOW, sticky={"header": "x-user"}), "spec/release/sticky"),
    "the life of no cookie": (
        released(strategy=RAMP, sticky={"header": "x-user", "lastsSeconds": 9}),
        "spec/release/sticky/lastsSeconds",
    ),
    "no margin": (judged(RAMP, errors={"maxRatio": 1, "extraPercent": 0}), f"{JUDGE}/errors"),
    "labels without a split": (released(judge={"labels": {}}), f"{JUDGE}/labels"),
    "scores of copies": (judged(SHADOW, scores={}), f"{JUDGE}/scores"),
    "latency under unequal load": (
        judged({"canary": {"stages": [{"percent": 10}, ALL]}}, latency={}),
        f"{JUDGE}/latency",
    ),
    "answers without copies": (judged(RAMP, answers={}), f"{JUDGE}/answers"),
    "proof from copies of a freeze": (
        judged(RAMP, answers={"required": True}, freezeMirrorPercent=30),
        f"{JUDGE}/answers/required",
    ),
    "a group twice": (
        judged(RAMP, groups={"header": "x-plan", "values": ["a", "a"]}),
        f"{JUDGE}/groups/values/1",
    ),
    "labels that come too late": (judged(RAMP, labels={"matureSeconds": 7200}), f"{JUDGE}/labels"),
    "a probation of nothing": (released(strategy=RAMP, probationSeconds=60), "spec/release/probationSeconds"),
    "a probation that promotes nothing": (
        released(strategy=SHADOW, probationSeconds=60),
        "spec/release/probationSeconds",
    ),
    "a probation that ends too soon": (
        released(strategy=RAMP, judge={"labels": {}}, probationSeconds=60),
        "spec/release/probationSeconds",
    ),
}
"""What takes more than one field, or more than a schema can say."""
