"""What the proxy tells of a drawn request, in headers that replicas see and that its request log prints."""

from celadon.traffic.envoy.snapshot import Rule, Use
from celadon.traffic.envoy.words import Json

SHARE_HEADER = "x-celadon-share"
"""Green's share in force, in parts of 10,000."""

UNIT_HEADER = "x-celadon-unit"
"""Who is kept on one side, by the key that the release is sticky by. Absent when there is no key."""

GROUP_HEADER = "x-celadon-group"
"""Value of the header that tells groups apart. Absent when nobody asked for groups."""

MIRRORED_HEADER = "x-celadon-mirrored"
"""Says `1` to a replica that gets a copy: nobody sees what it answers."""

TOLD, MIRROR, CONTROL = "celadon", "mirror", "control"
"""Where the log alone is told what part of a route's requests green gets as copies, and what blue's control answers."""

UNIT_BYTES = 1024
GROUP_BYTES = 128
"""Of longer values only the beginning is told."""


def told(rule: Rule, unit: str = "") -> Json:
    """Headers of every request under a rule. What a client says under these names is always removed.

    unit: where Envoy finds the unit's key; empty where it has none.
    """
    added: dict[str, str] = {}
    if rule.draw is not None:
        added[SHARE_HEADER] = str(share_in_force(rule))
        if unit:
            added[UNIT_HEADER] = unit
        if rule.draw.group:
            added[GROUP_HEADER] = f"%REQ({rule.draw.group}):{GROUP_BYTES}%"
    found: Json = {"request_headers_to_remove": [SHARE_HEADER, UNIT_HEADER, GROUP_HEADER, MIRRORED_HEADER]}
    if added:
        found["request_headers_to_add"] = [
            {"header": {"key": key, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
            for key, value in added.items()
        ]
    if rule.draw is not None:
        parts = {MIRROR: mirror_in_force(rule), CONTROL: control_in_force(rule)}
        found["metadata"] = {"filter_metadata": {TOLD: parts}}
    return found


def share_in_force(rule: Rule) -> int:
    """Green's part of a drawn rule's split; nothing while it is frozen."""
    if rule.draw is None or rule.draw.frozen:
        return 0
    return sum(target.share for target in rule.split if target.revision == rule.draw.green)


def mirror_in_force(rule: Rule) -> int:
    """What part of 10,000 of a drawn rule's requests green gets as copies."""
    green = rule.draw.green if rule.draw is not None else None
    return sum(target.share for target in rule.mirrors if target.revision == green)


def control_in_force(rule: Rule) -> int:
    """What part of 10,000 of a drawn rule's requests blue's control answers."""
    return sum(target.share for target in rule.split if target.cluster.endswith(f"-{Use.CONTROL}"))
