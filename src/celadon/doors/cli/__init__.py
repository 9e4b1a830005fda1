"""The command line: one client of the API, for people and for pipelines.

This module imports next to nothing, and so does every command until it is called: `celadon --help` is run often.
"""

from celadon.doors.cli.top import main

__all__ = ["main"]
