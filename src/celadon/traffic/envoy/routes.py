"""Routes in Envoy's words: who answers which request, and what may be repeated."""

from celadon.domain.spec import RetryWhen
from celadon.traffic.envoy.draws import UNIT, Way, cookie, salt, ways
from celadon.traffic.envoy.matches import UNIT_IN_COOKIE, found_in, match
from celadon.traffic.envoy.snapshot import Rule, Table, Target
from celadon.traffic.envoy.told import MIRRORED_HEADER, UNIT_BYTES, UNIT_HEADER, told
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
        "request_headers_to_remove": [REVISION_HEADER],
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
    return [_route(rule, way) for *_, rule in sorted(ranked, key=lambda r: r[:3]) for way in ways(rule)]


def _closeness(rule: Rule, hostname: str) -> int | None:
    """0 for the very hostname, more for wider patterns, None when the rule is not for it at all."""
    covering = [h for h in map(str.lower, rule.hostnames) if _covers(h, hostname)]
    return min((0 if h == hostname else 1000 - len(h) for h in covering), default=None)


def _covers(pattern: str, hostname: str) -> bool:
    return pattern in {hostname, "*"} or (pattern.startswith("*") and hostname.endswith(pattern[1:]))


def _route(rule: Rule, way: Way) -> Json:
    action: Json = {
        **_among(rule, way),
        "timeout": seconds(rule.timeout_s or 0),
        "idle_timeout": "0s",
    }
    if rule.mirrors:
        action["request_mirror_policies"] = [_mirror(target) for target in rule.mirrors]
    if rule.retry.when is not RetryWhen.NEVER and rule.retry.attempts > 0:
        action["retry_policy"] = _retry(rule)
    route: Json = {"match": match(rule, way), "route": action, **told(rule, _unit(way))}
    if way.cookie is not None:
        route["typed_per_filter_config"] = found_in(way.cookie)
    if rule.retry.when is RetryWhen.RESET:
        route["request_body_buffer_limit"] = BUFFER_BYTES
    return route


def _unit(way: Way) -> str:
    if way.cookie is not None:
        return UNIT_IN_COOKIE
    if way.header is not None:
        return f"%REQ({way.header}):{UNIT_BYTES}%"
    return UNIT if way.fresh else ""


def _among(rule: Rule, way: Way) -> Json:
    drawn: Json = {"clusters": [_weighted(rule, way, target) for target in way.split]}
    if rule.draw is None or (way.header is None and way.kept_by is None):
        return {"weighted_clusters": drawn}
    if way.kept_by is not None:
        hashed: Json = {"cookie": {"name": way.kept_by}}
        return {"weighted_clusters": {**drawn, "use_hash_policy": True}, "hash_policy": [hashed]}
    salted = {"pattern": {"regex": "^"}, "substitution": f"{salt(rule.draw)}:"}
    return {
        "weighted_clusters": {**drawn, "use_hash_policy": True},
        "hash_policy": [{"header": {"header_name": way.header, "regex_rewrite": salted}}],
    }


def _weighted(rule: Rule, way: Way, target: Target) -> Json:
    added = [_added(REVISION_HEADER, target.revision, "OVERWRITE_IF_EXISTS_OR_ADD")]
    # A new unit's key is made up once, when it is told; from there the cookie takes it.
    given = cookie(rule, way, target, f"%REQ({UNIT_HEADER})%")
    if given is not None:
        added.append(_added("set-cookie", given, "APPEND_IF_EXISTS_OR_ADD"))
    return {"name": target.cluster, "weight": target.share, "response_headers_to_add": added}


def _added(key: str, value: str, action: str) -> Json:
    return {"header": {"key": key, "value": value}, "append_action": action}


def _mirror(target: Target) -> Json:
    share = {"numerator": target.share, "denominator": "TEN_THOUSAND"}
    return {
        "cluster": target.cluster,
        "runtime_fraction": {"default_value": share},
        "disable_shadow_host_suffix_append": True,
        "request_headers_mutations": [{"append": _added(MIRRORED_HEADER, "1", "OVERWRITE_IF_EXISTS_OR_ADD")}],
    }


def _retry(rule: Rule) -> Json:
    nothing_sent = "connect-failure,refused-stream,reset-before-request"
    policy: Json = {
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
        "host_selection_retry_max_attempts": 10,
    }
    if rule.retry.per_try_s is not None:
        policy["per_try_timeout"] = seconds(rule.retry.per_try_s)
    if rule.standby:
        policy["retry_priority"] = _standby_next()
    return policy


def _standby_next() -> Json:
    """Each try goes to the other set than the one before, so that either may be lost, or a part of both.

    Envoy weighs anew who is healthy only where it changes sets: between two tries of one set the last of it may be found
    unhealthy, and then Envoy gives up at once.
    """
    return {
        "name": "envoy.retry_priorities.previous_priorities",
        "typed_config": {
            "@type": f"{API}.extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig",
            "update_frequency": 1,
        },
    }
