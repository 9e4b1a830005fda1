"""Which requests a route is for, in Envoy's words."""

from collections.abc import Iterable

from celadon.domain.draw import Condition, Where
from celadon.traffic.envoy.draws import Way
from celadon.traffic.envoy.snapshot import Rule
from celadon.traffic.envoy.words import API, Json

METADATA = "celadon"
UNIT_KEY = "unit"

UNIT_IN_COOKIE = f"%DYNAMIC_METADATA({METADATA}:{UNIT_KEY})%"
"""Where Envoy finds what `found_in` took out of a cookie."""

COOKIE_READER = "envoy.filters.http.header_to_metadata"
"""The filter that takes units out of cookies. It stands in every listener and does what a route asks of it."""

_READER_TYPE = f"{API}.extensions.filters.http.header_to_metadata.v3.Config"


def cookie_reader() -> Json:
    """Does nothing by itself."""
    return {"name": COOKIE_READER, "typed_config": {"@type": _READER_TYPE}}


def found_in(cookie: str) -> Json:
    """The only group of a pattern, which the route's own match has found in the `Cookie` header before."""
    taken = {"pattern": {"regex": f"^{cookie}$"}, "substitution": r"\1"}
    target = {"metadata_namespace": METADATA, "key": UNIT_KEY, "regex_value_rewrite": taken}
    rules = [{"header": "cookie", "on_header_present": target}]
    return {COOKIE_READER: {"@type": _READER_TYPE, "request_rules": rules}}


def match(rule: Rule, way: Way) -> Json:
    """All of it has to fit: the path, what the rule asks, and what its way to draw asks."""
    prefix = rule.prefix.rstrip("/")
    found: Json = {"path_separated_prefix": prefix} if prefix else {"prefix": "/"}
    headers = [{"name": name, "string_match": {"exact": value}} for name, value in rule.match.headers]
    headers += [_header(c) for c in _of(rule, Where.HEADER)]
    if way.cookie is not None:
        headers.append({"name": "cookie", "string_match": _pattern(way.cookie)})
    if way.header is not None:
        headers.append({"name": way.header.lower(), "string_match": _pattern(".+")})
    lists: dict[str, list[Json]] = {
        "headers": headers,
        "cookies": [_cookie(c) for c in _of(rule, Where.COOKIE)],
        "query_parameters": [_query(c) for c in _of(rule, Where.QUERY)],
    }
    return {**found, **{key: value for key, value in lists.items() if value}}


def _of(rule: Rule, where: Where) -> Iterable[Condition]:
    return (condition for condition in rule.match.conditions if condition.where is where)


def _header(condition: Condition) -> Json:
    name = condition.name.lower()
    if not condition.values:
        return {"name": name, "present_match": True}
    return {"name": name, "string_match": _one_of(map(_literal, condition.values))}


def _cookie(condition: Condition) -> Json:
    values = map(_literal, condition.values)
    return {
        "name": condition.name,
        "string_match": _one_of(values) if condition.values else _pattern(".*"),
    }


def _query(condition: Condition) -> Json:
    if not condition.values:
        return {"name": condition.name, "present_match": True}
    return {"name": condition.name, "string_match": _one_of(map(_encoded, condition.values))}


def _one_of(patterns: Iterable[str]) -> Json:
    return _pattern("|".join(f"(?:{pattern})" for pattern in patterns))


def _pattern(regex: str) -> Json:
    """It has to match the whole value."""
    return {"safe_regex": {"regex": regex}}


def _literal(value: str) -> str:
    """The very characters, whatever they mean in a pattern."""
    return "".join(_character(character) for character in value)


def _character(character: str) -> str:
    plain = not character.isascii() or character.isalnum()
    return character if plain else rf"\x{{{ord(character):x}}}"


def _encoded(value: str) -> str:
    """The value in any of the ways in which a query may say it: Envoy compares before decoding."""
    return "".join(_in_query(character) for character in value)


def _in_query(character: str) -> str:
    escaped = "".join(f"%(?i:{byte:02x})" for byte in character.encode())
    plus = r"|\+" if character == " " else ""
    return f"(?:{escaped}|{_character(character)}{plus})"
