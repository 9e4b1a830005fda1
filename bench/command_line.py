"""The command line that every benchmark has, and what its exit codes mean."""

import argparse
import signal
import sys
from typing import Protocol

from bench.build import MissingToolError
from bench.machine import TooFewCoresError
from bench.processes import PartyError
from bench.report import Report, json_line, table
from bench.rounds import VOID_EXIT_CODE, VoidError
from bench.switches import UnfinishedSwitchError


class Run(Protocol):
    def __call__(self, seed: int, *, quick: bool) -> Report: ...


def report_of(name: str, description: str | None, run: Run) -> int:
    """0 measured, 1 a party could not run or did not switch, 75 void."""
    options = argparse.ArgumentParser(prog=f"python -m bench.{name}", description=description)
    options.add_argument("--json", action="store_true", help="end with one JSON object on a line")
    options.add_argument("--quick", action="store_true", help="a smoke test, never a source of figures")
    options.add_argument("--seed", type=int, default=1, help="seed of everything that is drawn")
    chosen = options.parse_args()
    # A bench that is told to stop still ends everything it started.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        report = run(chosen.seed, quick=chosen.quick)
    except VoidError as error:
        print(f"void: {error}")
        return VOID_EXIT_CODE
    except (PartyError, MissingToolError, TooFewCoresError, UnfinishedSwitchError) as error:
        print(f"failed: {error}", file=sys.stderr)
        return 1
    print(table(report))
    if chosen.json:
        print(json_line(report))
    return 0
