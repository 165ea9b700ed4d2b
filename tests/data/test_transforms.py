from __future__ import annotations

import numpy as np
import pytest

from tinygrad_bn.data import Compose, Normalize, RandomCrop, RandomHorizontalFlip
from tinygrad_bn.errors import ArgumentError, DTypeError, ShapeError

IMAGES = np.random.default_rng(0).random((9, 3, 5, 7), dtype=np.float32)


def generator() -> np.random.Generator:
    return np.random.default_rng(3)


@pytest.mark.parametrize("padding", [0, 1, 4])
@pytest.mark.parametrize("fill", [0.0, -1.0])
def test_crop_against_a_loop(padding: int, fill: float) -> None:
    result = RandomCrop(padding, fill)(IMAGES, generator())
    tops, lefts = generator().integers(0, 2 * padding + 1, size=(2, len(IMAGES)))
    expected = np.full_like(IMAGES, fill)
    count, channels, height, width = IMAGES.shape
    for n in range(count):
        for c in range(channels):
            for y in range(height):
                for x in range(width):
                    source_y, source_x = y + tops[n] - padding, x + lefts[n] - padding
                    if 0 <= source_y < height and 0 <= source_x < width:
                        expected[n, c, y, x] = IMAGES[n, c, source_y, source_x]
    np.testing.assert_array_equal(result, expected)
    assert result.dtype == np.float32


def test_crop_reaches_every_shift() -> None:
    dots = np.zeros((4000, 1, 5, 5), np.float32)
    dots[:, :, 2, 2] = 1
    shifted = RandomCrop(2)(dots, generator())
    counts = shifted.sum(axis=(0, 1))
    assert counts.sum() == 4000
    assert counts.min() > 4000 / 25 * 0.6


def test_flip_against_a_loop() -> None:
    result = RandomHorizontalFlip(0.4)(IMAGES, generator())
    draws = generator().random(len(IMAGES))
    for image, original, draw in zip(result, IMAGES, draws, strict=True):
        np.testing.assert_array_equal(image, np.flip(original, axis=2) if draw < 0.4 else original)
    assert 0 < sum(draws < 0.4) < len(draws)


def test_flip_never_and_always() -> None:
    np.testing.assert_array_equal(RandomHorizontalFlip(0)(IMAGES, generator()), IMAGES)
    np.testing.assert_array_equal(RandomHorizontalFlip(1)(IMAGES, generator()), IMAGES[..., ::-1])


def test_normalize() -> None:
    mean, std = IMAGES.mean(axis=(0, 2, 3)), IMAGES.std(axis=(0, 2, 3))
    result = Normalize(mean, std)(IMAGES, generator())
    assert result.dtype == np.float32
    np.testing.assert_allclose(result.mean(axis=(0, 2, 3)), 0, atol=1e-6)
    np.testing.assert_allclose(result.std(axis=(0, 2, 3)), 1, rtol=1e-5)
    vectors = Normalize((1, 2), (2, 4))(np.array([[3, 6]], np.float32), generator())
    assert vectors.tolist() == [[1, 1]]


def test_compose_keeps_the_order() -> None:
    crop, flip, normalize = RandomCrop(2), RandomHorizontalFlip(), Normalize((0.5,) * 3, (2.0,) * 3)
    shared = generator()
    expected = normalize(flip(crop(IMAGES, shared), shared), shared)
    np.testing.assert_array_equal(Compose([crop, flip, normalize])(IMAGES, generator()), expected)
    assert repr(Compose([crop, flip])) == ("Compose([RandomCrop(padding=2, fill=0.0), RandomHorizontalFlip(p=0.5)])")


def test_the_originals_are_not_changed() -> None:
    before = IMAGES.copy()
    Compose([RandomCrop(2), RandomHorizontalFlip(1), Normalize((0.5,) * 3, (2.0,) * 3)])(IMAGES, generator())
    np.testing.assert_array_equal(IMAGES, before)


def test_bad_arguments() -> None:
    with pytest.raises(ArgumentError, match="padding >= 0"):
        RandomCrop(-1)
    with pytest.raises(DTypeError, match="padding"):
        RandomCrop(1.5)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="RandomHorizontalFlip"):
        RandomHorizontalFlip(1.5)
    with pytest.raises(ShapeError, match="Normalize"):
        Normalize((0.5,), (0.5, 0.5))
    for std in (0.0, -1.0, float("nan")):
        with pytest.raises(ArgumentError, match="std > 0"):
            Normalize((0.5,), (std,))
    with pytest.raises(DTypeError, match="Compose"):
        Compose([RandomCrop(1), "flip"])  # type: ignore[list-item]


def test_bad_batches() -> None:
    for transform in (RandomCrop(1), RandomHorizontalFlip()):
        with pytest.raises(ShapeError, match=r"\(N, C, H, W\)"):
            transform(IMAGES[0], generator())
    with pytest.raises(ShapeError, match="1 channels"):
        Normalize((0.5,), (0.5,))(IMAGES, generator())
