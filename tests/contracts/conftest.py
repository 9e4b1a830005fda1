"""The parts of other tests that stand for the real side of a contract."""

import sys
from pathlib import Path

TESTS = Path(__file__).parents[1]
for folder in ("contracts", "platform", "traffic", "store", "observe"):
    if str(TESTS / folder) not in sys.path:
        sys.path.append(str(TESTS / folder))
