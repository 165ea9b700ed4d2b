"""`DataLoader`: a dataset as a sequence of batches, the same one for the same seed and epoch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..backend import Device, get_device
from ..backend.capturing import refuse_inside
from ..checks import as_bool, as_index
from ..creation import from_numpy
from ..dtypes import is_number
from ..errors import ArgumentError, DTypeError, ShapeError, StateError, explain
from ..tensor import Tensor
from .dataset import Dataset
from .order import AUGMENTATION, SHUFFLING, random_order
from .prefetch import prefetched
from .transforms import Transform


class DataLoader:
    """Yield (images, labels) batches of a dataset as tensors: float32 (N, C, H, W) and int64 (N,).

    Each `iter()`, so each `for` loop, is one epoch, and the next one follows it. The order depends on the
    seed and the epoch alone, the random changes of a batch on the seed, the epoch and the batch's number: not
    on other random numbers drawn meanwhile, nor on the epochs gone through before.

    Args:
        dataset: a Dataset, or a pair of arrays (images, labels).
        batch_size: images per batch.
        shuffle: draw a new order in every epoch; otherwise the dataset's own order.
        seed: the source of order and random changes.
        drop_last: leave out the last batch when it is smaller than the others.
        transform: called with each batch as a float32 NumPy array and a generator, and what it returns
            becomes float32; see `RandomCrop`, `RandomHorizontalFlip`, `Normalize` and `Compose`.
        device: where the tensors are put; by default the default device. For a GPU a thread prepares the next batches,
            and they are copied while the GPU computes.

    >>> loader = DataLoader((np.zeros((5, 1, 2, 2)), [0, 1, 0, 1, 0]), batch_size=2)
    >>> [images.shape for images, labels in loader]
    [(2, 1, 2, 2), (2, 1, 2, 2), (1, 1, 2, 2)]
    """

    def __init__(
        self,
        dataset: Dataset | tuple[Any, Any],
        batch_size: int,
        shuffle: bool = False,
        seed: int = 0,
        drop_last: bool = False,
        transform: Transform | None = None,
        device: str | Device | None = None,
    ) -> None:
        where = "DataLoader"
        self.dataset = _as_dataset(dataset)
        self.batch_size = as_index(where, "batch_size", batch_size, minimum=1)
        self.shuffle = as_bool("DataLoader", "shuffle", shuffle)
        self.seed = as_index(where, "seed", seed, minimum=0)
        self.drop_last = as_bool("DataLoader", "drop_last", drop_last)
        if transform is not None and not callable(transform):
            raise DTypeError(explain(where, "a transform that can be called", repr(transform)))
        self.transform = transform
        self.device = get_device(device)
        if not len(self):
            raise ArgumentError(
                explain(
                    where,
                    f"at least one whole batch of {self.batch_size}",
                    f"{len(self.dataset)} images and drop_last=True",
                    "take a smaller batch_size or drop_last=False",
                )
            )
        self._epoch = 0

    @property
    def epoch(self) -> int:
        """The epoch that the next `iter()` starts, counted from 0."""
        return self._epoch

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that the next `iter()` starts."""
        self._epoch = as_index("DataLoader.set_epoch", "epoch", epoch, minimum=0)

    def state_dict(self) -> dict[str, int]:
        """Return what a later run needs to go on with the epoch after the one begun last."""
        return {"seed": self.seed, "epoch": self._epoch}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on from a state that `state_dict` returned.

        Raises:
            StateError: the state is not one of a loader; nothing is changed then.
        """
        where = "DataLoader.load_state_dict"
        if not isinstance(state, dict) or set(state) != {"seed", "epoch"}:
            raise StateError(explain(where, "a dict of 'seed' and 'epoch'", repr(state)[:80]))
        try:
            seed, epoch = (as_index(where, key, state[key], minimum=0) for key in ("seed", "epoch"))
        except (ArgumentError, DTypeError) as error:
            raise StateError(str(error)) from error
        self.seed, self._epoch = seed, epoch

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        whole, rest = divmod(len(self.dataset), self.batch_size)
        return whole + (1 if rest and not self.drop_last else 0)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        epoch = self._epoch
        self._epoch += 1
        count = len(self.dataset)
        order = random_order(count, SHUFFLING, self.seed, epoch) if self.shuffle else np.arange(count)
        batches = self._batches(epoch, order)
        if self.device.name.startswith("cuda:"):
            return _OutsideOfSteps(prefetched(batches, self.device))
        # A batch is nobody else's, so the tensors may share its memory.
        return _OutsideOfSteps(
            (from_numpy(images).to(self.device), from_numpy(labels).to(self.device)) for images, labels in batches
        )

    def __repr__(self) -> str:
        return (
            f"DataLoader({self.dataset!r}, batch_size={self.batch_size}, shuffle={self.shuffle}, "
            f"seed={self.seed}, drop_last={self.drop_last}, transform={self.transform!r}, "
            f"device={self.device.name!r})"
        )

    def _batches(self, epoch: int, order: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for number in range(len(self)):
            chosen = order[number * self.batch_size : (number + 1) * self.batch_size]
            images, labels = self.dataset.batch(chosen)
            if self.transform is not None:
                images = self._transformed(images, _generator(AUGMENTATION, self.seed, epoch, number))
            yield images, labels

    def _transformed(self, images: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        assert self.transform is not None
        result = self.transform(images, generator)
        if not isinstance(result, np.ndarray) or len(result) != len(images):
            got = f"shape {result.shape}" if isinstance(result, np.ndarray) else type(result).__name__
            raise ShapeError(explain("DataLoader", f"the transform to return an array of {len(images)} images", got))
        if not is_number(result.dtype):
            raise DTypeError(explain("DataLoader", "the transform to return an array of numbers", f"{result.dtype}"))
        return np.array(result, dtype="float32", order="C")  # a copy: the transform may keep what it returned


class _OutsideOfSteps:
    """Batches, but not for the code of a captured step, which would be repeated with the one that it took.

    It keeps no batch, so that the memory of one is free when nobody else has it.
    """

    def __init__(self, batches: Iterator[tuple[Tensor, Tensor]]) -> None:
        self._batches = batches

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return self

    def __next__(self) -> tuple[Tensor, Tensor]:
        refuse_inside("a batch as tensors among the arguments", "one from a loader", "give it to the step")
        return next(self._batches)


def _generator(*key: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(key)))


def _as_dataset(dataset: Dataset | tuple[Any, Any]) -> Dataset:
    if isinstance(dataset, Dataset):
        return dataset
    if isinstance(dataset, tuple | list) and len(dataset) == 2:
        return Dataset(*dataset)
    raise DTypeError(explain("DataLoader", "a Dataset or a pair (images, labels)", type(dataset).__name__))
