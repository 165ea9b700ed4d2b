from __future__ import annotations

import numpy as np
import pytest

from tinygrad_bn.data import Dataset, bars, gaussian_blobs, synthetic
from tinygrad_bn.errors import ArgumentError, DTypeError


def accuracy_of_least_squares(train: Dataset, test: Dataset) -> float:
    """Fit one linear map to the one-hot labels and count how often it is right on unseen images."""
    flat = [np.column_stack([d.images.reshape(len(d), -1), np.ones(len(d))]) for d in (train, test)]
    weight, *_ = np.linalg.lstsq(flat[0], np.eye(len(train.classes))[train.labels], rcond=None)
    return float(((flat[1] @ weight).argmax(axis=1) == test.labels).mean())


@pytest.mark.parametrize("make", [bars, gaussian_blobs])
@pytest.mark.parametrize(("classes", "size", "channels"), [(2, 4, 1), (4, 8, 3), (3, 7, 2)])
def test_learnable_and_of_the_promised_shape(make, classes: int, size: int, channels: int) -> None:
    train, test = (make(200, classes=classes, size=size, channels=channels, seed=seed) for seed in (0, 1))
    assert train.images.shape == (200, channels, size, size)
    assert train.images.dtype == np.float32
    assert np.ptp(np.bincount(train.labels)) <= 1
    assert accuracy_of_least_squares(train, test) > 0.95


@pytest.mark.parametrize("make", [bars, gaussian_blobs])
def test_seeded(make) -> None:
    np.testing.assert_array_equal(make(8, seed=3).images, make(8, seed=3).images)
    assert not np.array_equal(make(8, seed=3).images, make(8, seed=4).images)


def test_bars_without_noise() -> None:
    images = bars(4, size=4, noise=0.0).images[:, 0]
    middle = [0, 1, 1, 0]
    np.testing.assert_array_equal(images[0], np.outer(middle, np.ones(4)))
    np.testing.assert_array_equal(images[1], np.outer(np.ones(4), middle))
    np.testing.assert_array_equal(images[2], np.eye(4))
    np.testing.assert_array_equal(images[3], np.eye(4)[::-1])


def test_many_blobs_stay_apart() -> None:
    images = gaussian_blobs(8, classes=8, size=16, noise=0.0).images
    peaks = {np.unravel_index(image.argmax(), image.shape) for image in images}
    assert len(peaks) == 8


def test_the_named_set() -> None:
    train, test = synthetic("train"), synthetic("test")
    assert (len(train), len(test)) == (800, 200)
    assert (test.mean, test.std) == (train.mean, train.std)
    assert train.images.mean(dtype=np.float64) == pytest.approx(train.mean[0], rel=1e-6)
    assert accuracy_of_least_squares(train, test) > 0.95
    with pytest.raises(ArgumentError, match="split"):
        synthetic("validation")


@pytest.mark.parametrize("make", [bars, gaussian_blobs])
@pytest.mark.parametrize(
    "arguments",
    [
        {"count": 3},
        {"classes": 1},
        {"size": 3},
        {"channels": 0},
        {"noise": -1.0},
        {"noise": float("nan")},
        {"seed": -1},
    ],
)
def test_bad_arguments(make, arguments: dict[str, float]) -> None:
    with pytest.raises(ArgumentError):
        make(**{"count": 8, **arguments})


def test_bad_counts() -> None:
    with pytest.raises(ArgumentError, match="2 to 4 classes"):
        bars(8, classes=5)
    with pytest.raises(DTypeError):
        bars(8.0)  # type: ignore[arg-type]
