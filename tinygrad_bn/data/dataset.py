"""`Dataset`: labelled images in memory, as one record that nobody can change by accident."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from ..checks import as_index
from ..errors import ArgumentError, DTypeError, ShapeError, explain
from .order import SPLITTING, random_order


class Dataset:
    """Labelled images (or feature vectors), read-only.

    Args:
        images: (N, C, H, W) images, or (N, F) feature vectors; uint8 or floating. Bytes are kept as bytes,
            which takes a quarter of the memory, and come out divided by `full_scale`; floats are kept as
            float32.
        labels: (N,) integers in 0 .. number of classes - 1.
        classes: a name for each label; by default "0", "1", ... up to the largest label.
        name: what messages and reports call the set.
        full_scale: the byte that stands for 1.0 (255 for photographs, 16 for `digits`).
        normalization: (mean, std) per channel, where they are known; by default they are computed from these
            images. A test set is given the constants of its training set.

    Raises:
        ShapeError, DTypeError, ArgumentError: the arrays do not fit each other.

    The arrays are not copied. Subsets keep the normalisation constants of the whole set.

    >>> images = np.array([0, 51, 102, 255], dtype=np.uint8).reshape(4, 1, 1, 1)
    >>> dataset = Dataset(images, [0, 1, 0, 1], classes=("dark", "bright"), name="grey")
    >>> dataset
    Dataset('grey': 4 images of 1x1x1, 2 classes)
    >>> image, label = dataset[3]
    >>> image.item(), label, dataset.mean
    (1.0, 1, (0.4,))
    """

    def __init__(
        self,
        images: Any,
        labels: Any,
        classes: Sequence[str] | None = None,
        name: str = "dataset",
        *,
        full_scale: int = 255,
        normalization: tuple[Sequence[float], Sequence[float]] | None = None,
    ) -> None:
        self._pixels = _check_images(images)
        self._labels = _check_labels(labels, len(self._pixels))
        self._classes = _check_classes(classes, self._labels)
        self._name = str(name)
        self._full_scale = as_index("Dataset", "full_scale", full_scale, minimum=1)
        if normalization is not None:
            self._normalization = _check_normalization(normalization, self._pixels.shape[1])

    @property
    def labels(self) -> np.ndarray:
        """Labels, int64, shape (N,)."""
        return self._labels

    @property
    def classes(self) -> tuple[str, ...]:
        """The name of each label."""
        return self._classes

    @property
    def name(self) -> str:
        """What messages and reports call the set."""
        return self._name

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Shape of one image, (C, H, W); of one feature vector, (F,)."""
        return tuple(self._pixels.shape[1:])

    @cached_property
    def images(self) -> np.ndarray:
        """All images, float32, NCHW; bytes come out in [0, 1]. Converted on first use, then kept."""
        return _read_only(self._as_float(self._pixels))

    @property
    def mean(self) -> tuple[float, ...]:
        """Mean of each channel over the training set."""
        return self._normalization[0]

    @property
    def std(self) -> tuple[float, ...]:
        """Standard deviation (biased) of each channel over the training set."""
        return self._normalization[1]

    @cached_property
    def _normalization(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        axes = tuple(axis for axis in range(self._pixels.ndim) if axis != 1)
        scale = self._full_scale if self._pixels.dtype == np.uint8 else 1
        mean = self._pixels.mean(axis=axes, dtype=np.float64) / scale
        std = self._pixels.std(axis=axes, dtype=np.float64) / scale
        return tuple(mean.tolist()), tuple(std.tolist())

    def batch(self, indices: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return fresh copies of the chosen (float32 images, int64 labels); indices as in NumPy."""
        chosen = np.asarray(indices)
        return self._as_float(self._pixels[chosen]), self._labels[chosen]

    def subset(self, indices: Any, name: str | None = None) -> Dataset:
        """Return the set of the chosen images: a list or array of integers, or a mask of N bools.

        Raises:
            ShapeError: nothing is chosen, or an index lies outside the set.
        """
        where = "Dataset.subset"
        chosen = np.asarray(indices)
        if chosen.dtype == np.bool_ and chosen.shape == (len(self),):
            chosen = np.flatnonzero(chosen)
        if chosen.ndim != 1 or not len(chosen):
            raise ShapeError(explain(where, "a non-empty list of indices", f"shape {chosen.shape}"))
        if not np.issubdtype(chosen.dtype, np.integer):
            raise DTypeError(explain(where, "integers, or a mask of N bools", f"dtype {chosen.dtype}"))
        if chosen.min() < -len(self) or chosen.max() >= len(self):
            outside = chosen.max() if chosen.max() >= len(self) else chosen.min()
            raise ShapeError(explain(where, f"indices below {len(self)}", str(outside)))
        return Dataset(
            self._pixels[chosen],
            self._labels[chosen],
            self._classes,
            self._name if name is None else name,
            full_scale=self._full_scale,
            normalization=self._normalization,
        )

    def split(self, size: int | float, seed: int = 0) -> tuple[Dataset, Dataset]:
        """Divide the set into two, each with the same share of every class.

        Args:
            size: how many images the first part gets, as a number or as a fraction between 0 and 1.
            seed: which images; the same seed gives the same parts.

        Returns:
            (first, second); both keep the order of the images.

        >>> first, second = Dataset(np.zeros((10, 1, 2, 2)), [0, 1] * 5).split(0.6, seed=1)
        >>> np.bincount(first.labels).tolist(), np.bincount(second.labels).tolist()
        ([3, 3], [2, 2])
        """
        where = "Dataset.split"
        total = len(self)
        if not isinstance(size, float):
            count = as_index(where, "size", size)
        else:
            count = round(size * total) if 0 < size < 1 else 0
        if not 0 < count < total:
            raise ArgumentError(
                explain(where, f"1 to {total - 1} images, or a fraction that gives as many", f"size={size!r}")
            )
        first = balanced_choice(self._labels, count, as_index(where, "seed", seed, minimum=0))
        return self.subset(first), self.subset(~first)

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        """Return one (float32 image, label)."""
        number = as_index("Dataset[...]", "the index", index)
        if not -len(self) <= number < len(self):
            # IndexError, not one of ours: Python's iteration over a sequence ends on it.
            raise IndexError(explain("Dataset[...]", f"an index below {len(self)}", str(number)))
        return self._as_float(self._pixels[number]), int(self._labels[number])

    def __repr__(self) -> str:
        shape = "x".join(map(str, self.image_shape))
        return f"Dataset({self._name!r}: {len(self)} images of {shape}, {len(self._classes)} classes)"

    def _as_float(self, pixels: np.ndarray) -> np.ndarray:
        values = pixels.astype(np.float32)
        if pixels.dtype == np.uint8:
            values /= self._full_scale
        return values


def balanced_choice(labels: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Return a mask that chooses `count` of the images at random, each class with its share.

    >>> balanced_choice(np.array([0, 0, 1, 1]), 2, seed=0)
    array([ True, False,  True, False])
    """
    classes, counts = np.unique(labels, return_counts=True)
    chosen = np.zeros(len(labels), dtype=np.bool_)
    for label, share in zip(classes.tolist(), class_shares(counts.tolist(), count), strict=True):
        members = np.flatnonzero(labels == label)
        chosen[members[random_order(len(members), SPLITTING, seed, label)[:share]]] = True
    return chosen


def class_shares(counts: Sequence[int], total: int) -> list[int]:
    """Divide `total` over classes in proportion to `counts`, by largest remainder; of equals the first gains.

    >>> class_shares([5, 5, 2], 6)
    [3, 2, 1]
    """
    everything = sum(counts)
    shares = [count * total // everything for count in counts]
    by_remainder = sorted(range(len(counts)), key=lambda i: -(counts[i] * total % everything))
    for i in by_remainder[: total - sum(shares)]:
        shares[i] += 1
    return shares


def _read_only(array: np.ndarray) -> np.ndarray:
    view = array.view()
    view.flags.writeable = False
    return view


def _check_images(images: Any) -> np.ndarray:
    array = np.asarray(images)
    if array.ndim not in (2, 4) or 0 in array.shape:
        remedy = "add the channel axis: images[:, None]" if array.ndim == 3 else None
        expected = "at least one image, as (N, C, H, W), or feature vectors (N, F)"
        raise ShapeError(explain("Dataset", expected, f"images of shape {array.shape}", remedy))
    if array.dtype == np.uint8:
        return _read_only(array)
    if not np.issubdtype(array.dtype, np.floating):
        raise DTypeError(explain("Dataset", "images of uint8 or a floating dtype", str(array.dtype)))
    # Values beyond float32's range become infinite here; the check below then names them.
    with np.errstate(over="ignore"):
        array = array.astype(np.float32, copy=False)
    if not np.isfinite(array).all():
        raise ArgumentError(explain("Dataset", "finite images", "NaN or infinite values"))
    return _read_only(array)


def _check_labels(labels: Any, count: int) -> np.ndarray:
    array = np.asarray(labels)
    if array.shape != (count,):
        raise ShapeError(explain("Dataset", f"one label for each of {count} images", f"shape {array.shape}"))
    if not np.issubdtype(array.dtype, np.integer):
        raise DTypeError(explain("Dataset", "integer labels", str(array.dtype)))
    if array.min() < 0 or array.max() > np.iinfo(np.int64).max:
        raise ArgumentError(explain("Dataset", "labels >= 0", str(array.min())))
    return _read_only(array.astype(np.int64, copy=False))


def _check_classes(classes: Sequence[str] | None, labels: np.ndarray) -> tuple[str, ...]:
    largest = int(labels.max())
    if classes is None:
        return tuple(str(label) for label in range(largest + 1))
    if isinstance(classes, str) or largest >= len(classes):
        raise ArgumentError(explain("Dataset", f"at least {largest + 1} class names", repr(classes)))
    return tuple(str(word) for word in classes)


def _check_normalization(
    normalization: tuple[Sequence[float], Sequence[float]], channels: int
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    mean, std = (tuple(float(value) for value in values) for values in normalization)
    if not len(mean) == len(std) == channels:
        raise ShapeError(
            explain("Dataset", f"mean and std of {channels} channels", f"{len(mean)} and {len(std)} values")
        )
    return mean, std
