"""Writes what confseq 0.0.11 says of one stream: `python tests/judge/outside_confseq.py > tests/judge/confseq.json`.

confseq (Howard, Waudby-Smith, Ramdas; MIT) is compiled from source against Boost's headers and a newer pybind11 than it
asks for, which is too much to ask of everybody who runs the tests. So it was run once, on the same events by the same
bets, and the tests compare what our own code says with its numbers. To build it: a compiler, libboost-dev and cmake;
then `pip install "pybind11>=2.11" "setuptools<70" scikit-build wheel "numpy<2" scipy pandas matplotlib multiprocess` and
`pip install --no-deps --no-build-isolation confseq==0.0.11`. It needs neither celadon nor anything of it.
"""

import json
import sys

import numpy as np
from confseq.betting import cs_from_martingale, diversified_betting_mart

SHARE = 0.25
RATIOS = (1.4, 1.9, 2.8, 5.0, 12.0)
TRUE_RATIO = 1.6
LOOKS = (50, 200, 800, 2000)
BREAKS = 4000
ALPHA = 0.05


def green(ratio):
    """The chance that an event is green's when green has `ratio` times blue's share of events."""
    return SHARE * ratio / (SHARE * ratio + 1 - SHARE)


def stake(alternative, way):
    """The bet of confseq that is a bet on one alternative: `alternative` times the ratio that the mean m stands for."""

    def stakes(x, m):
        if not 0 < m < 1:
            refuted = m == (0 if way > 0 else 1)
            return np.repeat(np.inf if refuted else 0.0, len(x))
        supposed = green(m * (1 - SHARE) / (SHARE * (1 - m)) * alternative)
        return np.repeat(way * (supposed - m) / (m * (1 - m)), len(x))

    return stakes


def money(x, m, theta=0.5):
    return diversified_betting_mart(
        x,
        m,
        lambdas_fns_positive=[stake(ratio, 1) for ratio in RATIOS],
        lambdas_fns_negative=[stake(1 / ratio, -1) for ratio in RATIOS],
        theta=theta,
        trunc_scale=1,
    )


events = (np.random.default_rng(4).random(LOOKS[-1]) < green(TRUE_RATIO)).astype(float)
low, high = cs_from_martingale(events, money, breaks=BREAKS, alpha=ALPHA)
worse, better = money(events, SHARE, theta=1), money(events, SHARE, theta=0)
sys.stdout.write(
    json.dumps(
        {
            "share": SHARE,
            "ratios": RATIOS,
            "events": "".join(str(int(event)) for event in events),
            "looks": [
                {
                    "events": look,
                    "low": low[look - 1],
                    "high": high[look - 1],
                    "worse": worse[look - 1],
                    "better": better[look - 1],
                }
                for look in LOOKS
            ],
        }
    )
)
