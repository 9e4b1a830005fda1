"""Secrets: read at each start, handed over in memory, known to the journal by a keyed digest only."""

import contextlib
import hmac
import os
import tempfile
from pathlib import Path

from celadon.domain.problem import LastingFault
from celadon.domain.revision import Secret
from celadon.domain.spec import SecretEnv, SecretFile

SECRET_BYTES_MAX = 120 * 1024
"""The kernel takes no environment variable over 128 KiB."""


def secret_digest(home: Path, source: SecretFile | SecretEnv) -> str:
    """HMAC-SHA256 of a secret's present value under this home's key, hexadecimal.

    Raises LastingFault, which never shows the value, when the secret can not be read.
    """
    return _digest(home, read_secret(source))


def resolve(home: Path, secrets: tuple[Secret, ...]) -> tuple[dict[str, str], tuple[str, ...]]:
    """The present values by name, and a note for every one that changed since its revision was accepted."""
    values = {secret.name: read_secret(secret.source) for secret in secrets}
    notes = tuple(
        f"secret {secret.name} changed since the revision was accepted; its current value is used"
        for secret in secrets
        if not hmac.compare_digest(_digest(home, values[secret.name]), secret.keyed_digest)
    )
    return values, notes


def read_secret(source: SecretFile | SecretEnv) -> str:
    """A secret's present value; one line feed at the end of a file is not part of it."""
    match source:
        case SecretFile(file=file):
            where = f"the secret file {file}"
            try:
                value = os.fsdecode(Path(file).read_bytes().removesuffix(b"\n"))
            except OSError as error:
                raise LastingFault(
                    f"{where} can not be read: {error.strerror}", "the daemon's user must be able to read it"
                ) from None
        case SecretEnv(env=env):
            where = f"the secret in the environment variable {env}"
            if env not in os.environ:
                raise LastingFault(
                    f"{where} is not set in the daemon's environment", f"set {env} and start the daemon again"
                )
            value = os.environ[env]
    if "\0" in value or len(os.fsencode(value)) > SECRET_BYTES_MAX:
        raise LastingFault(
            f"{where} does not fit into an environment variable",
            f"it must be at most {SECRET_BYTES_MAX // 1024} KiB long and hold no NUL byte",
        )
    return value


def _digest(home: Path, value: str) -> str:
    return hmac.digest(_key(home), os.fsencode(value), "sha256").hex()


def _key(home: Path) -> bytes:
    """The key of this home, made at first use. Linked into place whole, so that two makers agree on one."""
    path = home / "secret.key"
    if not path.exists():
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.NamedTemporaryFile(dir=home) as file:  # mode 0600
            file.write(os.urandom(32))
            file.flush()
            os.fsync(file.fileno())
            with contextlib.suppress(FileExistsError):  # Another maker was faster; its key counts.
                os.link(file.name, path)
    return path.read_bytes()
