"""What is run, with every source resolved to a digest: the content whose hash is a revision's name."""

from dataclasses import dataclass

from celadon.domain.names import Digest, RevisionId
from celadon.domain.spec import Resources, SecretEnv, SecretFile, Serving


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRuntime:
    """celadon's own server on a model. model: digest of a tree that holds `model.onnx`."""

    model: Digest
    serving: Serving


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandRuntime:
    """A server of the owner's. files: digest of the tree that is its working directory."""

    command: tuple[str, ...]
    files: Digest | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """A secret by where it is read from; its value is never kept. keyed_digest: HMAC-SHA256, hexadecimal."""

    name: str
    source: SecretFile | SecretEnv
    keyed_digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """One immutable thing to run. digest: SHA-256 of the canonical content; id: its first 12 digits."""

    id: RevisionId
    digest: str
    runtime: ModelRuntime | CommandRuntime
    env: tuple[tuple[str, str], ...]
    secrets: tuple[Secret, ...]
    ready: str
    resources: Resources

    @property
    def trees(self) -> tuple[Digest, ...]:
        """The trees that must be present and verified before a replica may start."""
        match self.runtime:
            case ModelRuntime(model=model):
                return (model,)
            case CommandRuntime(files=None):
                return ()
            case CommandRuntime(files=files):
                assert files is not None
                return (files,)
