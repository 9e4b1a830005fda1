"""What one Envoy should serve for all services together: a pure fold of the wish of each."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from celadon.domain.draw import Draw, Match
from celadon.domain.goal import ALONE, Arm, Cover, Endpoint, Part, Route, Wanted
from celadon.domain.names import Address, RevisionId, ServiceKey
from celadon.domain.plan import FULL
from celadon.domain.spec import Retry, RetryWhen

LOOPBACK = "127.0.0.1"
"""Where previews listen, whatever the route's own host is."""


class Use(StrEnum):
    """What the replicas of a revision are reached for."""

    MAIN = "main"
    CONTROL = "control"
    MIRROR = "mirror"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """The replicas of one revision as one target. ready None: nobody asks after their health (a preview).

    Copies have a cluster of their own, so that a slow green can hold only so many of them. cover: how the replicas
    outlive losses.
    """

    service: ServiceKey
    revision: RevisionId
    ready: str | None
    endpoints: tuple[Endpoint, ...] = ()
    use: Use = Use.MAIN
    cover: Cover = ALONE

    @property
    def preview(self) -> bool:
        return self.ready is None

    @property
    def name(self) -> str:
        plain = cluster_name(self.service, self.revision, self.use)
        return f"preview/{plain}" if self.preview else plain


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One cluster's share of a rule's requests, out of 10,000."""

    cluster: str
    revision: RevisionId
    share: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Requests for `hostnames` under `prefix` that satisfy `match` are drawn among `split`.

    draw None: nothing is compared, so nothing is told of the draw. standby: whether a second set stands behind any.
    """

    hostnames: tuple[str, ...]
    prefix: str
    match: Match
    split: tuple[Target, ...]
    mirrors: tuple[Target, ...]
    timeout_s: float | None
    retry: Retry
    draw: Draw | None = None
    standby: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Everything behind one listener. preview: answers stay out of the samples and of the drain."""

    name: str
    address: Address
    preview: bool
    rules: tuple[Rule, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Tables by name and clusters by name, each name once."""

    tables: tuple[Table, ...] = ()
    clusters: tuple[Cluster, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One service's part: what its routes are, and every cluster that has to be there (more than routes name)."""

    wanted: Wanted | None
    clusters: tuple[Cluster, ...]


def cluster_name(service: ServiceKey, revision: RevisionId, use: Use = Use.MAIN) -> str:
    """Readable, and for ever the same. Neither slashes nor dots in the parts: it is unique and a file name."""
    suffix = "" if use is Use.MAIN else f"-{use}"
    return f"{service.namespace}/{service.name}/{revision}{suffix}"


def listener_name(wanted: Wanted) -> str:
    return str(Address(host=wanted.route.host, port=wanted.route.port))


def preview_name(service: ServiceKey) -> str:
    return f"preview/{service.namespace}/{service.name}"


def clusters_of(wanted: Wanted) -> tuple[Cluster, ...]:
    """The clusters that a wish names itself: those that requests reach, those for copies, and the preview."""
    reached = [
        _cluster(wanted, revision, points, use)
        for use, there in ((Use.MAIN, wanted.endpoints), (Use.CONTROL, wanted.controls))
        for revision, points in there
    ]
    main = [c for c in reached if c.use is Use.MAIN]
    copied = _copied(wanted)
    copies = [_for_copies(c) for c in main if c.revision in copied]
    shown = [replace(c, ready=None) for c in main if c.revision == wanted.preview]
    return tuple(reached + copies + shown)


def _cluster(wanted: Wanted, revision: RevisionId, points: tuple[Endpoint, ...], use: Use) -> Cluster:
    cover = dict(wanted.covers).get(revision, ALONE)
    return Cluster(
        service=wanted.service,
        revision=revision,
        ready=dict(wanted.ready).get(revision, "/"),
        endpoints=tuple(sorted(points)),
        use=use,
        cover=cover if use is Use.MAIN else replace(cover, standby=0),
    )


def _for_copies(value: Cluster) -> Cluster:
    """Copies keep away from the standby, which is there for what callers wait for."""
    points = tuple(point for point in value.endpoints if not point.standby)
    return replace(value, use=Use.MIRROR, endpoints=points, cover=replace(value.cover, standby=0))


def _copied(wanted: Wanted) -> frozenset[RevisionId]:
    """Revisions that get copies, or may soon: while something is drawn, copying begins and ends with the routes."""
    now = {mirror.revision for route in wanted.routes for mirror in route.mirrors}
    drawn = [route for route in wanted.routes if route.draw is not None]
    soon = {part.revision for route in drawn for part in route.split}
    return frozenset(now | soon | {route.draw.green for route in drawn if route.draw is not None})


def fold(claims: Iterable[Claim]) -> Snapshot:
    """All services in one. Order of the claims does not matter."""
    claims = list(claims)
    wishes = sorted((c.wanted for c in claims if c.wanted is not None), key=lambda w: w.service)
    by_listener: dict[str, list[Wanted]] = defaultdict(list)
    for wanted in wishes:
        by_listener[listener_name(wanted)].append(wanted)
    tables = [_table(name, wishes) for name, wishes in by_listener.items()]
    tables += [_preview(wanted) for wanted in wishes]
    clusters = {cluster.name: cluster for claim in claims for cluster in claim.clusters}
    return Snapshot(
        tables=tuple(sorted(tables, key=lambda t: t.name)),
        clusters=tuple(clusters[name] for name in sorted(clusters)),
    )


def clash(wanted: Wanted, others: Iterable[Wanted]) -> str | None:
    """Why a wish can not stand beside the others, or None: no request may belong to two services."""
    mine = {(listener_name(wanted), host.lower(), wanted.route.prefix) for host in wanted.route.hostnames}
    for other in others:
        if other.service == wanted.service:
            continue
        for listener, host, prefix in mine:
            if listener != listener_name(other) or prefix != other.route.prefix:
                continue
            if host in {h.lower() for h in other.route.hostnames}:
                return f"{listener}{prefix} for hostname {host} already belongs to service {other.service}"
        ports = {wanted.route.preview_port, wanted.route.port} & {other.route.preview_port}
        if ports or wanted.route.preview_port == other.route.port:
            port = ports.pop() if ports else wanted.route.preview_port
            return f"port {port} already belongs to service {other.service}"
    return None


def _table(name: str, wishes: list[Wanted]) -> Table:
    route = wishes[0].route
    return Table(
        name=name,
        address=Address(host=route.host, port=route.port),
        preview=False,
        rules=tuple(_rule(wanted, route) for wanted in wishes for route in wanted.routes),
    )


def _rule(wanted: Wanted, route: Route) -> Rule:
    return Rule(
        hostnames=wanted.route.hostnames,
        prefix=wanted.route.prefix,
        match=route.match,
        split=split(wanted, route),
        mirrors=mirrors(wanted, route),
        timeout_s=wanted.route.timeout_s,
        retry=wanted.route.retry,
        draw=route.draw,
        standby=any(cover.standby for _, cover in wanted.covers),
    )


def split(wanted: Wanted, route: Route) -> tuple[Target, ...]:
    """Who is drawn among. A control arm without a replica has its share served by the main one."""
    shares: dict[tuple[RevisionId, Use], int] = defaultdict(int)
    for part in route.split:
        shares[part.revision, _use(wanted, part)] += part.share
    return tuple(
        _target(wanted, revision, use, share) for (revision, use), share in shares.items() if share > 0
    )


def mirrors(wanted: Wanted, route: Route) -> tuple[Target, ...]:
    """Who gets copies."""
    return tuple(_target(wanted, m.revision, Use.MIRROR, m.share) for m in route.mirrors if m.share > 0)


def _use(wanted: Wanted, part: Part) -> Use:
    there = dict(wanted.controls).get(part.revision, ())
    return Use.CONTROL if part.arm is Arm.CONTROL and any(not e.draining for e in there) else Use.MAIN


def _target(wanted: Wanted, revision: RevisionId, use: Use, share: int) -> Target:
    return Target(cluster=cluster_name(wanted.service, revision, use), revision=revision, share=share)


def _preview(wanted: Wanted) -> Table:
    green = wanted.preview
    name = f"preview/{cluster_name(wanted.service, green)}" if green is not None else ""
    rule = Rule(
        hostnames=("*",),
        prefix="/",
        match=Match(),
        split=(Target(cluster=name, revision=green, share=FULL),) if green is not None else (),
        mirrors=(),
        timeout_s=None,
        retry=Retry(when=RetryWhen.NEVER),
    )
    return Table(
        name=preview_name(wanted.service),
        address=Address(host=LOOPBACK, port=wanted.route.preview_port),
        preview=True,
        rules=(rule,) if green is not None else (),
    )
