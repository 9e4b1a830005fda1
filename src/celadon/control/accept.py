"""From a spec and its resolved sources to a journalled command, or to everything that forbids it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from celadon.control.engine import Engine
from celadon.control.needs import beyond
from celadon.domain.command import Abort, Asked, Command, Deploy, Pause, Promote, Remove, Resume, Rollback
from celadon.domain.memory import Memory
from celadon.domain.names import Digest, RevisionId, ServiceKey
from celadon.domain.problem import Problem, ProblemsError
from celadon.domain.release import Phase
from celadon.domain.revision import Revision
from celadon.domain.spec import ServiceSpec, Settings
from celadon.judge.exposure import impossible
from celadon.parse.claims import clashes
from celadon.parse.explain import explain
from celadon.parse.identity import revision_of, settings_of, spec_of

Word = Literal["promote", "abort", "pause", "resume", "rollback", "remove"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """What a deploy led to. release None: the revision is live already and needs no release.

    changed: false when nothing at all is different from what is there.
    """

    release: str | None
    revision: RevisionId
    changed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One thing that a deploy would change. before None: it is new; after None: it goes."""

    path: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What a deploy would do. releases: whether it needs a release, or only changes settings, or nothing."""

    service: ServiceKey
    live: RevisionId | None
    revision: RevisionId
    releases: bool
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A spec whose sources are resolved: what somebody wants to be live."""

    revision: Revision
    settings: Settings


def accept(
    engine: Engine,
    spec: ServiceSpec,
    trees: Mapping[str, Digest],
    golden: Digest | None,
    *,
    labels: Sequence[tuple[str, str]] = (),
    expect_blue: str | None = None,
) -> Accepted:
    """Journal a deploy. Raises ProblemsError for what the spec gets wrong or what a policy forbids."""
    order = resolve(engine, spec, trees, golden)
    memory = engine.memory(spec.service)
    refusals = [*_refusals(engine, spec, memory, expect_blue)]
    if refusals:
        raise ProblemsError(refusals, refused=True)
    return place_order(engine, spec.service, order, labels)


def place_order(
    engine: Engine, service: ServiceKey, order: Order, labels: Sequence[tuple[str, str]] = ()
) -> Accepted:
    """Journal what nothing forbids: a release, new settings for one, or nothing where nothing is new."""
    memory = engine.memory(service)
    revision, there = order.revision, _heading(memory, order.revision.id)
    if there is not None and there.settings == order.settings:
        return Accepted(release=there.release, revision=revision.id, changed=False)
    named = next_release(memory)
    release = there.release if there is not None and there.joins else named
    engine.ask(
        service,
        Deploy(release=release or named, revision=revision, settings=order.settings, labels=tuple(labels)),
    )
    return Accepted(release=release, revision=revision.id, changed=True)


def preview(
    engine: Engine, spec: ServiceSpec, trees: Mapping[str, Digest], golden: Digest | None
) -> Difference:
    """What `accept` would change, without changing it."""
    order = resolve(engine, spec, trees, golden)
    memory = engine.memory(spec.service)
    refusals = [*_refusals(engine, spec, memory, None)]
    if refusals:
        raise ProblemsError(refusals, refused=True)
    live = memory.revisions.get(memory.live) if memory.live else None
    before = _told(spec.service, live, memory.settings) if live and memory.settings else {}
    after = _told(spec.service, order.revision, order.settings)
    return Difference(
        service=spec.service,
        live=memory.live,
        revision=order.revision.id,
        releases=memory.live != order.revision.id,
        changes=tuple(_changes(before, after)),
    )


def resolve(engine: Engine, spec: ServiceSpec, trees: Mapping[str, Digest], golden: Digest | None) -> Order:
    """Sources are resolved once, here: to digests of what was uploaded, and to keyed digests of secrets.

    Raises ProblemsError for a budget that no plan can keep.
    """
    problem = impossible(spec.release)
    if problem is not None:
        raise ProblemsError([problem])
    digests = engine.secret_digests(dict(spec.secrets))
    revision = revision_of(spec, trees, digests)
    return Order(revision=revision, settings=settings_of(spec, golden))


def command(engine: Engine, service: ServiceKey, word: Word, revision: str | None = None) -> Asked:
    """Journal what a person asks of a service. Raises ProblemsError(refused) when it can not be."""
    engine.view(service)
    memory = engine.memory(service)
    if word == "remove":
        return engine.ask(service, Remove())
    if _leaves(memory):
        raise _refused("service", f"{service} is being removed", "deploy it again once it is gone")
    if word == "rollback" and (revision is not None or memory.release is None):
        return engine.ask(service, _rollback(memory, revision))
    return engine.ask(service, _steer(memory, word))


def next_release(memory: Memory) -> str:
    """The id of the release that is asked for next."""
    return f"{memory.service}-{memory.releases_asked + 1}"


def _steer(memory: Memory, word: Word) -> Command:
    release = memory.release
    if release is None:
        hint = (
            f"`celadon history {memory.service}` shows how the last one ended"
            if memory.last
            else "nothing was deployed yet"
        )
        raise _refused("release", f"no release of {memory.service} is moving", hint)
    if release.phase is Phase.ROLLING_BACK:
        raise _refused("release", f"{release.id} is going back already", "wait for it to end")
    if word in {"abort", "rollback"} and release.moved and release.blue is None:
        hint = f"take the service down with `celadon remove {memory.service}`, or deploy another revision"
        raise _refused(
            "release", f"{release.id} is the first of its service: there is no blue to go back to", hint
        )
    asks: dict[str, Command] = {
        "promote": Promote(release=release.id),
        "abort": Abort(release=release.id),
        "rollback": Abort(release=release.id),
        "pause": Pause(release=release.id),
        "resume": Resume(release=release.id),
    }
    return asks[word]


def _rollback(memory: Memory, wanted: str | None) -> Rollback:
    if memory.settings is None:
        raise _refused("revision", f"nothing of {memory.service} was ever live", "deploy what shall be live")
    if wanted is None:
        if memory.predecessor is None:
            hint = "name one of: " + (", ".join(_others(memory)) or "none was live before")
            raise _refused("revision", f"{memory.service} has no predecessor that is held ready", hint)
        return Rollback(release=next_release(memory), revision=memory.predecessor.revision)
    found = [key for key in memory.revisions if key.startswith(wanted)]
    if len(found) != 1:
        what = "no revision" if not found else "more than one revision"
        hint = "known are: " + (", ".join(memory.revisions) or "none")
        raise _refused("revision", f"{what} of {memory.service} is called {wanted}", hint)
    if found[0] == memory.live and memory.release is None:
        raise _refused("revision", f"{found[0]} is live already", "there is nothing to go back to")
    return Rollback(release=next_release(memory), revision=found[0])


def _leaves(memory: Memory) -> bool:
    """Whether the service is being removed, or is about to be."""
    asked = any(isinstance(asked.command, Remove) for asked in memory.commands)
    return asked or (memory.removing and not memory.removed)


def _others(memory: Memory) -> list[str]:
    return [key for key in memory.revisions if key != memory.live]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Heading:
    """A revision that the service is on its way to, or has. joins: whether new settings need no new release."""

    release: str | None
    settings: Settings | None
    joins: bool


def _heading(memory: Memory, wanted: RevisionId) -> _Heading | None:
    """How the service gets to the wanted revision by itself: by what waits, by what moves, or it is there."""
    moving = memory.release if memory.release and memory.release.phase is not Phase.ROLLING_BACK else None
    for asked in reversed(memory.commands):
        match asked.command:
            case Deploy(release=release, revision=revision, settings=settings):
                joins = moving is not None and moving.id == release
                found = _Heading(release=release, settings=settings, joins=joins)
                return found if revision.id == wanted else None
            case Rollback(release=release, revision=back):
                found = _Heading(release=release, settings=memory.settings, joins=False)
                return found if back == wanted else None
            case Abort():
                return None
            case _:
                continue
    if moving is not None and moving.green == wanted:
        return _Heading(release=moving.id, settings=moving.settings, joins=True)
    if memory.release is None and memory.live == wanted:
        return _Heading(release=None, settings=memory.settings, joins=True)
    return None


def _refusals(
    engine: Engine, spec: ServiceSpec, memory: Memory, expect_blue: str | None
) -> Iterator[Problem]:
    yield from beyond(spec.release, engine.effects.can)
    if _leaves(memory):
        yield Problem(
            path="metadata/name",
            found=f"{spec.service} is being removed",
            hint="deploy again once it is gone",
        )
    live = memory.live or "none"
    if expect_blue is not None and not (expect_blue and live.startswith(expect_blue)):
        found = f"blue is {live} and not {expect_blue}"
        yield Problem(
            path="--expect-blue", found=found, hint="somebody released in between: look, then decide"
        )
    for other in engine.services():
        claimed = engine.routes(other) if other != spec.service else ()
        clash = next((why for route in claimed if (why := clashes(spec.route, route)) is not None), None)
        if clash is not None:
            yield Problem(
                path="spec/route",
                found=f"service {other} has this route already: {clash}",
                hint="choose another",
            )


def _refused(path: str, found: str, hint: str) -> ProblemsError:
    return ProblemsError([Problem(path=path, found=found, hint=hint)], refused=True)


def _told(service: ServiceKey, revision: Revision, settings: Settings) -> dict[str, Any]:
    """Every option by its path in a spec. Secrets by the keyed digest of their value, which is never shown."""
    told = {path: value for path, value, _ in explain(spec_of(service, revision, settings))}
    return told | {f"spec/secrets/{secret.name}": secret.keyed_digest for secret in revision.secrets}


def _changes(before: dict[str, Any], after: dict[str, Any]) -> Iterator[Change]:
    for path in dict.fromkeys((*before, *after)):
        old, new = before.get(path), after.get(path)
        if old == new:
            continue
        if path.startswith("spec/secrets/"):
            old, new = (None if digest is None else "(a secret value)" for digest in (old, new))
        yield Change(path=path, before=old, after=new)
