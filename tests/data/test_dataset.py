from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_bn.data import Dataset
from tinygrad_bn.data.dataset import class_shares
from tinygrad_bn.errors import ArgumentError, DTypeError, ShapeError

PIXELS = np.random.default_rng(0).integers(0, 256, (12, 3, 4, 5)).astype(np.uint8)
LABELS = np.arange(12) % 3


@pytest.fixture
def dataset() -> Dataset:
    return Dataset(PIXELS, LABELS, ("a", "b", "c"), "small")


def test_bytes_come_out_as_floats_between_0_and_1(dataset: Dataset) -> None:
    expected = PIXELS.astype(np.float32) / np.float32(255)
    np.testing.assert_array_equal(dataset.images, expected)
    image, label = dataset[-1]
    np.testing.assert_array_equal(image, expected[-1])
    assert (image.dtype, label) == (np.float32, 2)
    images, labels = dataset.batch([3, 1])
    np.testing.assert_array_equal(images, expected[[3, 1]])
    assert (images.dtype, labels.dtype, labels.tolist()) == (np.float32, np.int64, [0, 1])


def test_full_scale() -> None:
    assert Dataset(np.array([[8], [16]], np.uint8), [0, 0], full_scale=16).images.ravel().tolist() == [
        0.5,
        1.0,
    ]


def test_floats_are_kept_as_they_are() -> None:
    values = np.array([[-2.5, 7.0]])
    features = Dataset(values, [0])
    assert features.images.dtype == np.float32
    assert features.images.tolist() == values.tolist()
    assert features.image_shape == (2,)


def test_nothing_can_be_changed(dataset: Dataset) -> None:
    for array in (dataset.images, dataset.labels):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0
    with pytest.raises(AttributeError):
        dataset.labels = LABELS  # type: ignore[misc]
    images, labels = dataset.batch([0])
    images[:], labels[:] = 7, 7
    assert dataset[0][1] == 0
    assert dataset.images.max() <= 1
    assert PIXELS.flags.writeable


def test_constants_are_those_of_the_pixels(dataset: Dataset) -> None:
    pixels = PIXELS.astype(np.float64) / 255
    np.testing.assert_allclose(dataset.mean, pixels.mean(axis=(0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(dataset.std, pixels.std(axis=(0, 2, 3)), rtol=1e-12)


def test_subset_keeps_names_and_constants(dataset: Dataset) -> None:
    part = dataset.subset([5, -12, 2])
    assert part.labels.tolist() == [2, 0, 2]
    np.testing.assert_array_equal(part.images, dataset.images[[5, 0, 2]])
    assert (part.classes, part.name) == (dataset.classes, "small")
    assert (part.mean, part.std) == (dataset.mean, dataset.std)
    assert dataset.subset(LABELS == 1, name="ones").labels.tolist() == [1] * 4


@pytest.mark.parametrize(
    ("indices", "error"),
    [
        ([], ShapeError),
        ([12], ShapeError),
        ([-13], ShapeError),
        ([[0, 1]], ShapeError),
        (3, ShapeError),
        ([0.5], DTypeError),
        ([True, False], DTypeError),
        (["0"], DTypeError),
    ],
)
def test_bad_subsets(dataset: Dataset, indices: object, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"Dataset\.subset"):
        dataset.subset(indices)


def test_iteration_ends(dataset: Dataset) -> None:
    assert [label for _, label in dataset] == LABELS.tolist()
    with pytest.raises(IndexError):
        dataset[12]
    with pytest.raises(DTypeError):
        dataset["0"]  # type: ignore[index]


def test_split_is_balanced_seeded_and_complete() -> None:
    labels = np.repeat([0, 1, 2], [50, 30, 20])
    whole = Dataset(np.arange(100, dtype=np.float64)[:, None], labels)
    first, second = whole.split(0.3, seed=4)
    assert np.bincount(first.labels).tolist() == [15, 9, 6]
    assert np.bincount(second.labels).tolist() == [35, 21, 14]
    numbers = np.concatenate([first.images, second.images]).ravel()
    assert sorted(numbers) == list(range(100))
    assert first.images.ravel().tolist() == sorted(first.images.ravel())
    np.testing.assert_array_equal(first.images, whole.split(30, seed=4)[0].images)
    assert first.images.tolist() != whole.split(30, seed=5)[0].images.tolist()


@pytest.mark.parametrize("size", [0, 12, -1, 0.0, 1.0, 0.01, float("nan"), float("inf")])
def test_bad_split_sizes(dataset: Dataset, size: float) -> None:
    with pytest.raises(ArgumentError, match=r"Dataset\.split"):
        dataset.split(size)


@pytest.mark.parametrize("arguments", [("6",), (True,), (6, 1.5), (6, "0")])
def test_bad_split_types(dataset: Dataset, arguments: tuple[object, ...]) -> None:
    with pytest.raises(DTypeError):
        dataset.split(*arguments)  # type: ignore[arg-type]


@given(st.lists(st.integers(0, 50), min_size=1, max_size=8).filter(any), st.data())
def test_shares_add_up_and_are_proportional(counts: list[int], data: st.DataObject) -> None:
    total = data.draw(st.integers(0, sum(counts)))
    shares = class_shares(counts, total)
    assert sum(shares) == total
    for count, share in zip(counts, shares, strict=True):
        assert share <= count
        assert abs(share - count * total / sum(counts)) < 1


BAD = {
    "three dimensions": ((np.zeros((2, 4, 4)), [0, 1]), ShapeError, r"images\[:, None\]"),
    "no images": ((np.zeros((0, 1, 4, 4)), []), ShapeError, "at least one image"),
    "a label missing": ((np.zeros((2, 1, 4, 4)), [0]), ShapeError, "2 images"),
    "labels in two dimensions": ((np.zeros((2, 1, 4, 4)), [[0], [1]]), ShapeError, "2 images"),
    "integer images": ((np.zeros((2, 1, 4, 4), int), [0, 1]), DTypeError, "int64"),
    "text images": ((np.full((2, 1, 1, 1), "x"), [0, 1]), DTypeError, "uint8"),
    "float labels": ((np.zeros((2, 1, 4, 4)), [0.0, 1.0]), DTypeError, "integer labels"),
    "negative labels": ((np.zeros((2, 1, 4, 4)), [0, -1]), ArgumentError, "labels >= 0"),
    "nan": ((np.full((2, 1, 4, 4), np.nan), [0, 1]), ArgumentError, "finite"),
    "beyond float32": ((np.full((2, 1, 4, 4), 1e300), [0, 1]), ArgumentError, "finite"),
    "too few classes": ((np.zeros((2, 1, 4, 4)), [0, 1], ["a"]), ArgumentError, "at least 2 class names"),
    "classes as one text": ((np.zeros((2, 1, 4, 4)), [0, 1], "ab"), ArgumentError, "class names"),
}


@pytest.mark.parametrize(("arguments", "error", "message"), BAD.values(), ids=BAD)
def test_bad_arrays(arguments: tuple, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Dataset(*arguments)


def test_constants_must_fit_the_channels() -> None:
    with pytest.raises(ShapeError, match="3 channels"):
        Dataset(PIXELS, LABELS, normalization=((0.5,), (0.5,)))
