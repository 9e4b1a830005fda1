"""celadon's own command line, run as a person runs it: a process, its lines, its exit code."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from celadon.domain.problem import LastingFault
from celadon.doors.demo.premises import Premises

Json = dict[str, Any]

COMMAND_S = 240.0
"""How long one command may take; the longest is a release that freezes before it ends."""

LINE_BYTES_MAX = 1024 * 1024
LOOK = "`celadon demo --keep` leaves everything there, so that its logs can be read"


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandLine:
    """Types commands into the workshop's folder. say: gets every line that a command writes on standard error."""

    place: Premises
    say: Callable[[str], None]

    async def ask(self, *arguments: str, code: int | None = None) -> Json:
        """The JSON object of a command. code: the exit code it must end with; None for any end with an object.

        Raises LastingFault when it ends otherwise, or not at all.
        """
        words: list[str] = []
        ended, raw = await self._run([*arguments, "--output", "json"], words)
        try:
            value = json.loads(raw)
        except ValueError:
            value = None
        if not isinstance(value, dict) or (code is not None and ended != code):
            said = "\n".join(f"  {line}" for line in words[-20:])
            raise LastingFault(f"`celadon {' '.join(arguments)}` ended with {ended}\n{said}".rstrip(), LOOK)
        return value

    async def _run(self, arguments: list[str], words: list[str]) -> tuple[int, bytes]:
        """Exit code and standard output. The process has a session of its own, so that Ctrl-C is ours to handle."""
        process = await asyncio.create_subprocess_exec(
            *self.place.command(*arguments),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=self.place.workshop,
            env=self.place.environment(),
            start_new_session=True,
            limit=LINE_BYTES_MAX,
        )
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            async with asyncio.timeout(COMMAND_S):
                raw, _, code = await asyncio.gather(
                    process.stdout.read(), self._listen(process.stderr, words), process.wait()
                )
        except TimeoutError as error:
            raise LastingFault(
                f"`celadon {' '.join(arguments)}` took longer than {COMMAND_S:.0f} s"
            ) from error
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        return code, raw

    async def _listen(self, stream: asyncio.StreamReader, words: list[str]) -> None:
        while line := await stream.readline():
            words.append(line.decode("utf-8", "replace").rstrip())
            self.say(words[-1])
