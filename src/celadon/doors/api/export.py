"""The way out: a static Envoy file and a script that run a service as it runs now, without celadon."""

import shlex
from pathlib import Path

from celadon.control.view import View
from celadon.domain.facts import SourceState
from celadon.domain.names import RevisionId
from celadon.domain.problem import LastingFault
from celadon.domain.revision import CommandRuntime, Revision
from celadon.domain.spec import SecretFile
from celadon.doors.api.session import Session
from celadon.platform.process import RunningCommand
from celadon.traffic.envoy.proxy import find_envoy

README = """\
This is {service} as celadon ran it: revision {revision}, {replicas} replicas, one static Envoy.

  ./run.sh      starts the replicas and Envoy in the foreground; Ctrl-C ends all of them
  envoy.yaml    the same routes, for any Envoy of version 1.40 or newer

Run it after `celadon remove {service}` or `celadon down`, because it uses the same ports. Models and files are
read from {home}, so keep that folder or copy it and change the paths. Secrets are read from where they were read
before, when the script starts; none is written here.
"""


def files(session: Session, view: View) -> dict[str, str]:
    """Name and content of each exported file. Raises LastingFault when nothing is live."""
    memory = view.memory
    live = memory.live
    commands = [c for c in session.daemon.platform.commands(memory.service) if c.replica.revision == live]
    if live is None or not commands:
        raise LastingFault(
            f"{memory.service} has nothing live that runs", "deploy it first; `celadon status` shows it"
        )
    return {
        "envoy.yaml": session.daemon.router.export([memory.service]),
        "run.sh": _script(view, live, commands),
        "README.txt": README.format(
            service=memory.service, revision=live, replicas=len(commands), home=session.daemon.home
        ),
    }


def _script(view: View, live: RevisionId, commands: list[RunningCommand]) -> str:
    revision = view.memory.revisions[live]
    lines = [
        "#!/bin/sh",
        f"# {view.memory.service}, revision {live}: its replicas and one Envoy, without celadon.",
        "set -eu",
        'here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)',
        "pids=",
        "trap 'trap - INT TERM EXIT; kill $pids 2>/dev/null; wait' INT TERM EXIT",
        *[f"export {name}={shlex.quote(value)}" for name, value in revision.env],
        *_secrets(revision),
    ]
    for command in commands:
        lines += _replica(view, revision, command)
    envoy = shlex.quote(str(find_envoy()))
    lines += [f'{envoy} --config-path "$here/envoy.yaml" --use-dynamic-base-id &', 'pids="$pids $!"', "wait"]
    return "\n".join(lines) + "\n"


def _secrets(revision: Revision) -> list[str]:
    """Where each secret is read from, never its value."""
    lines = []
    for secret in revision.secrets:
        if isinstance(secret.source, SecretFile):
            lines.append(f'{secret.name}="$(cat {shlex.quote(secret.source.file)})"; export {secret.name}')
        else:
            value = f'"${{{secret.source.env}:?set it before}}"'
            lines.append(f"{secret.name}={value}; export {secret.name}")
    return lines


def _replica(view: View, revision: Revision, command: RunningCommand) -> list[str]:
    """One replica in the background, on the port that the Envoy file names, in a working directory of its own."""
    port = str(command.port or 0)
    argv = shlex.join(argument.replace("{port}", port) for argument in command.argv)
    work = f'"$here/work/{command.replica.index}"'
    copy = [f"mkdir -p {work}"]
    tree = _tree(view, revision)
    if isinstance(revision.runtime, CommandRuntime) and tree is not None:
        copy.append(f"cp -R {shlex.quote(str(tree))}/. {work}/ && chmod -R u+w {work}")
    return [*copy, f"(cd {work} && PORT={port} exec {argv}) &", 'pids="$pids $!"']


def _tree(view: View, revision: Revision) -> Path | None:
    sources = view.facts.sources if view.facts else {}
    for digest in revision.trees:
        fact = sources.get(digest)
        if fact is not None and fact.state is SourceState.VERIFIED and fact.path:
            return Path(fact.path)
    return None
