"""Readers of handwritten digits, trained on images that scikit-learn brings along.

An image is 64 numbers between 0 (paper) and 1 (ink). Callers are played by images that no reader has learned from.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]

PIXELS = 64
CLASSES = 10
BRIGHTEST = 16.0
FEW = 60
HELD_OUT = 540
SEED = 7

BOLD_SHARE = 0.1
"""About this part of the images has so much ink that the bad revisions go wrong over it."""

HEAVY_SHARE = 0.25
"""The same for the revision whose answers are wrong: more of them, and bold ones among them."""

GOLDEN = 5
PLAIN = 0.6
"""A digit that even the first reader gives this probability is plain: it is asked for by name after any retraining."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """A trained reader. learned: from how many images; right: part of the held-out images it reads rightly."""

    trained: LogisticRegression
    learned: int
    right: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """One image and the digit it shows."""

    pixels: tuple[float, ...]
    digit: int

    @property
    def ink(self) -> float:
        """How much of the paper is covered."""
        return sum(self.pixels)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """Everything that comes of training.

    ink_limit: images with this much ink (sum of pixels) or more are bold; heavy_limit: the same for heavy ones, of which
    there are more. callers: what traffic asks, in its order.
    plain: images that any reader worth releasing reads rightly, none of them heavy.
    """

    first: Reader
    better: Reader
    ink_limit: int
    heavy_limit: int
    callers: tuple[Image, ...]
    plain: tuple[Image, ...]


def learn() -> Lesson:
    """Train both readers. Deterministic."""
    data: Any = load_digits()
    images: Floats = data.data / BRIGHTEST
    train, held_out, digits, truth = train_test_split(
        images, data.target, test_size=HELD_OUT, random_state=SEED, stratify=data.target
    )
    first = _trained(train[:FEW], digits[:FEW], held_out, truth)
    better = _trained(train, digits, held_out, truth)
    limit, heavy = (int(np.quantile(held_out.sum(axis=1), 1 - share)) for share in (BOLD_SHARE, HEAVY_SHARE))
    return Lesson(
        first=first,
        better=better,
        ink_limit=limit,
        heavy_limit=heavy,
        callers=_images(held_out, truth),
        plain=_plain(held_out, truth, heavy, (first, better)),
    )


def _trained(images: Floats, digits: Labels, held_out: Floats, truth: Labels) -> Reader:
    reader = LogisticRegression(max_iter=2000).fit(images, digits)
    return Reader(trained=reader, learned=len(images), right=float(reader.score(held_out, truth)))


def _plain(images: Floats, truth: Labels, limit: float, readers: tuple[Reader, ...]) -> tuple[Image, ...]:
    """A few thin images of different digits that every reader is sure about, and rightly so."""
    thin = images.sum(axis=1) < limit - 1
    sure = np.all(
        [reader.trained.predict_proba(images)[np.arange(len(truth)), truth] > PLAIN for reader in readers],
        axis=0,
    )
    chosen: dict[int, Image] = {}
    for image in _images(images[thin & sure], truth[thin & sure]):
        chosen.setdefault(image.digit, image)
    assert len(chosen) >= GOLDEN, "training is deterministic, so this held when it was written"
    return tuple(chosen[digit] for digit in sorted(chosen)[:GOLDEN])


def _images(pixels: Floats, digits: Labels) -> tuple[Image, ...]:
    return tuple(
        Image(pixels=tuple(row), digit=int(digit)) for row, digit in zip(pixels.tolist(), digits, strict=True)
    )
