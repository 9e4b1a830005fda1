"""What the documented rules of other tools would have cost on the same traffic.

They decide minutes after celadon has already taken green back, so their traffic is drawn, second by second, from the
seconds of the measured releases in which green had its share.
"""

import math
from collections.abc import Sequence
from statistics import median

import numpy as np
from bench.exposure_runs import Run
from bench.judge_peers import PEERS
from bench.judge_streams import Seconds

FAR_S = 3600
DRAWS = 200


def seconds_of(runs: Sequence[Run]) -> np.ndarray:
    """Rows of (green answers, bad ones, blue answers, bad ones), one per whole second before the first freeze, one at least."""
    rows: list[list[int]] = []
    for run in runs:
        ends = [at for at in (run.freeze_s, run.end_s) if at is not None]
        whole = max(1, int(min(ends, default=max(answer.at_s for answer in run.answers))))
        mine = [[0, 0, 0, 0] for _ in range(whole)]
        for answer in run.answers:
            if answer.at_s < whole:
                row = mine[max(0, int(answer.at_s))]
                place = 0 if answer.green else 2
                row[place] += 1
                row[place + 1] += answer.bad
        rows += mine
    return np.array(rows, dtype=np.int64).reshape(-1, 4)


def peer_figures(hard: Sequence[Run], soft: Sequence[Run], seed: int) -> dict[str, float | int]:
    """For each rule the median of callers' bad answers by green under the hard fault and of seconds under the soft one."""
    found: dict[str, float | int] = {}
    for name in PEERS:
        times, bad = _taken_back(name, seconds_of(hard), [seed, 1])
        found[f"{name}_hard_bad_answers"], found[f"{name}_hard_s"] = median(bad), median(times)
        times, _ = _taken_back(name, seconds_of(soft), [seed, 2])
        found[f"{name}_soft_s"] = median(times)
        found[f"{name}_soft_detected_share"] = sum(at < FAR_S for at in times) / len(times)
    best = {
        "best_peer_hard_bad_answers": min(found[f"{name}_hard_bad_answers"] for name in PEERS),
        "best_peer_soft_s": min(found[f"{name}_soft_s"] for name in PEERS),
    }
    return best | found


def _taken_back(name: str, rows: np.ndarray, seed: Sequence[int]) -> tuple[list[float], list[float]]:
    """Seconds until one rule takes green back, and the bad answers until then, on many drawn hours."""
    draws = np.random.default_rng(seed)
    times, bad = [], []
    for _ in range(DRAWS):
        drawn = rows[draws.integers(0, len(rows), FAR_S)]
        green, green_events, blue, blue_events = drawn.T
        at = PEERS[name](
            Seconds(green=green, green_events=green_events, blue=blue, blue_events=blue_events), draws
        )
        last = FAR_S if math.isinf(at) else int(at)
        times.append(float(last))
        bad.append(float(green_events[:last].sum()))
    return times, bad
