"""Small made-up sets that a small network can learn in seconds; for tests and first steps."""

from __future__ import annotations

import numpy as np

from ..checks import as_index
from ..errors import ArgumentError, explain
from .dataset import Dataset
from .full_sets import check_split

_BAR_NAMES = ("horizontal", "vertical", "falling", "rising")


def gaussian_blobs(
    count: int, *, classes: int = 4, size: int = 8, channels: int = 1, noise: float = 0.1, seed: int = 0
) -> Dataset:
    """Return images of one bright spot each, whose place on a circle is the class.

    Args:
        count: number of images; the classes take turns.
        classes: number of places on the circle.
        size: height and width in pixels.
        channels: number of channels, each with the same spot and its own noise.
        noise: standard deviation of the normal noise on each pixel, where the spot's peak is 1.
        seed: the same seed gives the same images.
    """
    where = "gaussian_blobs"
    _check(where, count, classes, size, channels, noise)
    angle = 2 * np.pi * np.arange(classes) / classes
    middle = (size - 1) / 2
    rows = np.arange(size)[:, None]
    columns = np.arange(size)[None, :]
    patterns = np.stack(
        [
            np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / (2 * (size / 8) ** 2))
            for row, column in zip(middle + size / 4 * np.sin(angle), middle + size / 4 * np.cos(angle), strict=True)
        ]
    )
    return _noisy(patterns, count, channels, noise, seed, tuple(map(str, range(classes))), "gaussian_blobs")


def bars(
    count: int, *, classes: int = 4, size: int = 8, channels: int = 1, noise: float = 0.1, seed: int = 0
) -> Dataset:
    """Return images of one bright bar each, whose direction is the class.

    Args:
        count: number of images; the classes take turns.
        classes: how many of the directions horizontal, vertical, falling, rising: 2 to 4.
        size: height and width in pixels.
        channels: number of channels, each with the same bar and its own noise.
        noise: standard deviation of the normal noise on each pixel, where the bar's pixels are 1.
        seed: the same seed gives the same images.
    """
    where = "bars"
    _check(where, count, classes, size, channels, noise)
    if not 2 <= classes <= len(_BAR_NAMES):
        raise ArgumentError(explain(where, f"2 to {len(_BAR_NAMES)} classes", str(classes)))
    middle = slice((size - 1) // 2, size // 2 + 1)
    patterns = np.zeros((len(_BAR_NAMES), size, size))
    patterns[0, middle, :] = 1
    patterns[1, :, middle] = 1
    patterns[2] = np.eye(size)
    patterns[3] = np.eye(size)[::-1]
    return _noisy(patterns[:classes], count, channels, noise, seed, _BAR_NAMES[:classes], "bars")


def synthetic(split: str = "train") -> Dataset:
    """Return 800 training or 200 test images of `bars`, (1, 8, 8), of four classes.

    >>> synthetic("test")
    Dataset('synthetic/test': 200 images of 1x8x8, 4 classes)
    """
    check_split("synthetic", split)
    train = bars(800, seed=0)
    chosen = train if split == "train" else bars(200, seed=1)
    return Dataset(
        chosen.images,
        chosen.labels,
        chosen.classes,
        f"synthetic/{split}",
        normalization=(train.mean, train.std),
    )


def _noisy(
    patterns: np.ndarray,
    count: int,
    channels: int,
    noise: float,
    seed: int,
    classes: tuple[str, ...],
    name: str,
) -> Dataset:
    generator = np.random.Generator(np.random.Philox(np.random.SeedSequence(as_index(name, "seed", seed, minimum=0))))
    labels = np.arange(count) % len(patterns)
    shape = (count, channels, *patterns.shape[1:])
    images = patterns[labels][:, None] + noise * generator.standard_normal(shape)
    return Dataset(images.astype(np.float32), labels, classes, name)


def _check(where: str, count: int, classes: int, size: int, channels: int, noise: float) -> None:
    as_index(where, "classes", classes, minimum=2)
    as_index(where, "count", count, minimum=classes)
    as_index(where, "size", size, minimum=4)
    as_index(where, "channels", channels, minimum=1)
    if not 0 <= noise < np.inf:
        raise ArgumentError(explain(where, "noise >= 0", repr(noise)))
