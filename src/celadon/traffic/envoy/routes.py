"""Routes in Envoy's words: who answers which request, and what may be repeated."""

from celadon.domain.spec import RetryWhen
from celadon.traffic.envoy.snapshot import Rule, Table, Target
from celadon.traffic.envoy.told import told
from celadon.traffic.envoy.words import API, Json, seconds

REVISION_HEADER = "x-celadon-revision"

BUFFER_BYTES = 20 * 1024 * 1024
"""Bodies up to this can be repeated; the model server takes 16 MiB by default."""


def route_table(table: Table) -> Json:
    """Virtual hosts of one listener. A request that matches no service gets 404, a preview of nothing 503."""
    hostnames = sorted({h.lower() for rule in table.rules for h in rule.hostnames}) or ["*"]
    return {
        "name": table.name,
        "validate_clusters": True,
        "ignore_port_in_host_matching": True,
        "virtual_hosts": [
            {"name": hostname, "domains": [hostname], "routes": _routes(table, hostname)}
            for hostname in hostnames
        ],
    }


def _routes(table: Table, hostname: str) -> list[Json]:
    """The more specific hostname first, then the longer prefix, then the order that the service gave."""
    if table.preview and not table.rules:
        nothing = {"status": 503, "body": {"inline_string": "no revision is being previewed\n"}}
        return [{"match": {"prefix": "/"}, "direct_response": nothing}]
    ranked = [
        (rank, -len(rule.prefix), order, rule)
        for order, rule in enumerate(table.rules)
        if (rank := _closeness(rule, hostname)) is not None
    ]
    return [_route(rule) for *_, rule in sorted(ranked, key=lambda r: r[:3])]


def _closeness(rule: Rule, hostname: str) -> int | None:
    """0 for the very hostname, more for wider patterns, None when the rule is not for it at all."""
    covering = [h for h in map(str.lower, rule.hostnames) if _covers(h, hostname)]
    return min((0 if h == hostname else 1000 - len(h) for h in covering), default=None)


def _covers(pattern: str, hostname: str) -> bool:
    return pattern in {hostname, "*"} or (pattern.startswith("*") and hostname.endswith(pattern[1:]))


def _route(rule: Rule) -> Json:
    action: Json = {
        "weighted_clusters": {"clusters": [_weighted(target) for target in rule.split]},
        "timeout": seconds(rule.timeout_s or 0),
        "idle_timeout": "0s",
    }
    if rule.mirrors:
        action["request_mirror_policies"] = [_mirror(target) for target in rule.mirrors]
    if rule.retry.when is not RetryWhen.NEVER and rule.retry.attempts > 0:
        action["retry_policy"] = _retry(rule)
    route: Json = {"match": _match(rule), "route": action, **told(rule)}
    if rule.retry.when is RetryWhen.RESET:
        route["request_body_buffer_limit"] = BUFFER_BYTES
    return route


def _match(rule: Rule) -> Json:
    prefix = rule.prefix.rstrip("/")
    match: Json = {"path_separated_prefix": prefix} if prefix else {"prefix": "/"}
    headers = [{"name": name, "string_match": {"exact": value}} for name, value in rule.match.headers]
    return {**match, "headers": headers} if headers else match


def _weighted(target: Target) -> Json:
    return {
        "name": target.cluster,
        "weight": target.share,
        "response_headers_to_add": [
            {
                "header": {"key": REVISION_HEADER, "value": target.revision},
                "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
            }
        ],
    }


def _mirror(target: Target) -> Json:
    share = {"numerator": target.share, "denominator": "TEN_THOUSAND"}
    return {
        "cluster": target.cluster,
        "runtime_fraction": {"default_value": share},
        "disable_shadow_host_suffix_append": True,
    }


def _retry(rule: Rule) -> Json:
    nothing_sent = "connect-failure,refused-stream,reset-before-request"
    return {
        "retry_on": f"{nothing_sent},reset" if rule.retry.when is RetryWhen.RESET else nothing_sent,
        "num_retries": rule.retry.attempts,
        "retry_back_off": {"base_interval": "0.005s", "max_interval": "0.1s"},
        "retry_host_predicate": [
            {
                "name": "envoy.retry_host_predicates.previous_hosts",
                "typed_config": {
                    "@type": f"{API}.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
                },
            }
        ],
        "host_selection_retry_max_attempts": 5,
    }
