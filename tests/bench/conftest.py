import sys
from pathlib import Path

# The benchmarks are run from the root of the repository and are not installed.
ROOT = str(Path(__file__).parents[2])
if ROOT not in sys.path:
    sys.path.insert(0, ROOT)
