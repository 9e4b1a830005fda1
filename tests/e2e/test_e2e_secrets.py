"""A secret appears nowhere but in the process that it is for: not on the disk, not in any answer, not in any error."""

from pathlib import Path

import pytest
from e2e_load import ask
from e2e_world import until, world

pytestmark = pytest.mark.e2e

FILED = "filed-7c1d59b02e"
GIVEN = "given-e83a4bb617"
SECRETS = {"DB_URL": {"file": ""}, "TOKEN": {"env": "MODEL_TOKEN"}}


@pytest.fixture(scope="module")
def made():
    with world() as made:
        made.done("stop")
        made.up(MODEL_TOKEN=GIVEN)
        (made.folder / "db").write_text(FILED + "\n")
        yield made


def service(made, *, file="db", **answer):
    secrets = {**SECRETS, "DB_URL": {"file": str(made.folder / file)}}
    told = {"says": ["DB_URL", "TOKEN"], **answer}
    return made.service(answer=told, secrets=secrets, release={"watch": {"seconds": 0.5}})


def everything_said(made):
    """All that a person or a program can ask for, and every byte below the home, the journal and Envoy's files too."""
    commands = [["status"], ["status", "score"], ["history", "score"], ["logs", "score"], ["export", "score"]]
    commands += [["why", release["release"]] for release in made.history()]
    commands += [["plan", "-f", service(made)]]
    commands += [
        [*command, "--output", "json"] for command in commands if command[0] not in {"logs", "export"}
    ]
    said = "".join(made.done(*command) for command in commands)
    files = [path for path in made.home.rglob("*") if path.is_file()]
    assert {"journal.db", "journal.db-wal", "daemon.log"} <= {path.name for path in files}
    kept = {path.relative_to(made.home).as_posix(): path.read_bytes() for path in files}
    for path in made.work.glob("score*/**/*"):
        if path.is_file():
            kept[path.name] = path.read_bytes()
    commandlines = b"".join(Path(f"/proc/{pid}/cmdline").read_bytes() for pid in made.processes())
    return {**kept, "what was said": said.encode(), "command lines": commandlines}


def test_secrets_reach_the_replica_and_nobody_else(made):
    told = [made.done("deploy", "-f", service(made))]
    told.append(made.done("deploy", "-f", service(made, dies="no: $DB_URL and $TOKEN"), code=2))
    assert "no: [secret] and [secret]" in told[1]
    until(lambda: len(made.view()["revisions"]) == 1)
    (replica,) = made.replicas()
    environment = Path(f"/proc/{replica['pid']}/environ").read_bytes()
    assert f"DB_URL={FILED}\0".encode() in environment
    assert f"TOKEN={GIVEN}\0".encode() in environment
    knows = [pid for pid in made.processes() if FILED.encode() in Path(f"/proc/{pid}/environ").read_bytes()]
    assert knows == [replica["pid"]]
    assert "DB_URL is [secret]" in made.done("logs", "score")
    found = {**everything_said(made), "deploys": "".join(told).encode()}
    leaks = [
        (name, secret) for name, text in found.items() for secret in (FILED, GIVEN) if secret.encode() in text
    ]
    assert leaks == []
    assert ask(made.port()).status == 200


def test_a_changed_secret_is_another_revision(made):
    before = made.live()
    (made.folder / "db2").write_text("filed-again-61f5\n")
    (made.folder / "db2").replace(made.folder / "db")
    told = made.done("plan", "-f", service(made))
    assert f"over {before}" in told
    assert "filed-again" not in told


def test_a_secret_that_can_not_be_read_is_named_by_its_place_alone(made):
    told = made.done("deploy", "-f", service(made, file="gone"), code=4)
    assert f"the secret file {made.folder / 'gone'} can not be read" in told
    assert made.view()["release"] is None
