"""What the journal tells of releases: how each ended, and every decision with its reason and evidence.

Records are read as the plain values they are stored as, because a long journal is read whole for one answer; only
what is shown is turned into words of the domain.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from celadon.domain.names import ServiceKey
from celadon.domain.problem import Problem
from celadon.domain.reason import Code, Reason, because
from celadon.domain.record import Kind, Record
from celadon.domain.release import Release, Taken
from celadon.domain.samples import Evidence
from celadon.doors.api import explain, shape
from celadon.doors.api.errors import UnknownServiceError
from celadon.doors.api.session import Session, named
from celadon.store.codec import decode

Json = dict[str, Any]


@dataclass(slots=True, kw_only=True)
class Teller:
    """Reads records in order and tells each as a decision. Holds what of the past the next one needs."""

    release: Json | None = None
    last: Json | None = None
    evidence: Json | None = None
    ended: dict[str, Json] = field(default_factory=dict)
    asked: dict[int, str] = field(default_factory=dict)

    def take(self, record: Record) -> list[Json]:
        """One record as the decisions it holds: a tick may take several steps, and only the last one rests."""
        body = record.body
        changed = body.get("set", body.get("memory", {}))
        for name in ("release", "last", "evidence"):
            if name in changed:
                setattr(self, name, changed[name])
        for known in (self.release, self.last):
            if known is not None:
                self.ended[known["id"]] = known
        about, reason = self._about(record)
        stands = self.ended.get(about) if about is not None else None
        whole = {
            "of": str(record.service),
            "service": record.service.name,
            "namespace": record.service.namespace,
            "seq": record.seq,
            "at": record.at,
            "kind": record.kind,
            "release": about,
            "phase": stands["phase"] if stands else None,
            "stage": stands["stage"] if stands else None,
            "paused": stands["paused"] if stands else False,
            "outcome": stands["outcome"] if stands else None,
            "reason": reason,
            "evidence": self._evidence() if changed.get("evidence") else None,
            "handled": list(body.get("handled", ())),
            "drill": _drill(body.get("set", {})),
        }
        return [*({**whole, "evidence": None, **_step(raw)} for raw in body.get("steps", ())), whole]

    def _about(self, record: Record) -> tuple[str | None, Json]:
        moving = self.release["id"] if self.release else None
        match record.kind:
            case Kind.COMMAND:
                command = record.body["command"]
                about = command.get("release")
                if about is not None:
                    self.asked[record.seq] = about
                return about, {"code": "asked", "fields": {}, "text": f"asked: {_words(command['type'])}"}
            case Kind.LEADER:
                return moving, explain.reason(because(Code.LEADER_TOOK_OVER, epoch=record.epoch))
            case Kind.TICK:
                return record.body.get("release"), explain.reason(decode(Reason, record.body["reason"]))
            case _:
                return moving, {"code": record.kind, "fields": {}, "text": record.kind}

    def _evidence(self) -> list[Json]:
        known = decode(Evidence, self.evidence)
        assert isinstance(known, Evidence)
        return [{"revision": one.revision, **shape.counts(one)} for one in known.counts]


def _words(name: str) -> str:
    """`RunDrill` as `run drill`."""
    return re.sub(r"(?<!^)(?=[A-Z])", " ", name).lower()


def _drill(changed: Json) -> int | None:
    """The drill that a record was about, if it was about one."""
    if changed.get("drill"):
        return int(changed["drill"]["number"])
    return int(changed["drills"][-1]["number"]) if changed.get("drills") else None


def _step(raw: Json) -> Json:
    taken = decode(Taken, raw)
    assert isinstance(taken, Taken)
    return {"phase": taken.phase, "outcome": None, "reason": explain.reason(taken.because)}


def history(records: Iterable[Record]) -> list[Json]:
    """Every release that began, oldest first, as it stands or stood at its end."""
    teller = Teller()
    for record in records:
        teller.take(record)
    return [told(raw) for raw in teller.ended.values()]


def told(raw: Mapping[str, Any]) -> Json:
    """A journalled release as the API says it."""
    release = decode(Release, raw)
    assert isinstance(release, Release)
    return shape.release(release)


def why(session: Session, release: str) -> Json:
    """A release and all that was decided on it. release is null in the answer when it never had to begin."""
    key = _service_of(release)
    try:
        view = session.view(key)
    except UnknownServiceError:
        if key.name != "drill":
            raise
        hint = "`celadon drill history SERVICE` tells how drills went"
        problem = Problem(path=release, found="is the name of a drill, and of no release", hint=hint)
        raise UnknownServiceError([problem]) from None
    teller = Teller()
    decisions = list(_of(release, session.records(key), teller))
    if not decisions:
        found = "there is no release of this name"
        raise UnknownServiceError(
            [Problem(path=release, found=found, hint=f"celadon history {key} lists them")]
        )
    raw = teller.ended.get(release)
    moving = view.memory.release is not None and view.memory.release.id == release
    return {
        "release": told(raw) if raw else None,
        "decisions": decisions,
        "judged": shape.judged_now(view) if moving else None,
    }


def _of(release: str, records: Sequence[Record], teller: Teller) -> Iterator[Json]:
    for record in records:
        for decision in teller.take(record):
            answers = any(teller.asked.get(seq) == release for seq in decision["handled"])
            if decision["release"] == release or answers:
                yield decision


def _service_of(release: str) -> ServiceKey:
    """The service whose release this is: ids are the service and a number."""
    service, dash, number = release.rpartition("-")
    if not dash or not number.isdecimal():
        hint = "a release is called SERVICE-NUMBER, as fraud-3"
        raise UnknownServiceError([Problem(path=release, found="is not the name of a release", hint=hint)])
    return named(service)
