from __future__ import annotations

import numpy as np
import pytest

import tinygrad_bn as tg
from tinygrad_bn.backend import manual_seed
from tinygrad_bn.data import Compose, DataLoader, Dataset, Normalize, RandomCrop, RandomHorizontalFlip
from tinygrad_bn.errors import ArgumentError, DeviceError, DTypeError, ShapeError, StateError
from tinygrad_bn.tensor import Tensor

COUNT = 10
PIXELS = np.random.default_rng(0).integers(0, 256, (COUNT, 1, 6, 6)).astype(np.uint8)
# The first pixel tells which image it is.
PIXELS[:, 0, 0, 0] = np.arange(COUNT)
DATASET = Dataset(PIXELS, np.arange(COUNT) % 4)


def order(loader: DataLoader) -> list[int]:
    """The images of one epoch, told by their first pixel."""
    return [round(float(v) * 255) for images, _ in loader for v in images.numpy()[:, 0, 0, 0]]


def pixels(loader: DataLoader) -> np.ndarray:
    return np.concatenate([images.numpy() for images, _ in loader])


def test_batches_are_tensors_of_the_promised_kind(device: str) -> None:
    batches = list(DataLoader(DATASET, batch_size=4, device=device))
    assert [images.shape for images, _ in batches] == [(4, 1, 6, 6), (4, 1, 6, 6), (2, 1, 6, 6)]
    for images, labels in batches:
        assert isinstance(images, Tensor)
        assert isinstance(labels, Tensor)
        assert (images.dtype, labels.dtype) == (np.float32, np.int64)
        assert not images.requires_grad
        assert str(images.device).startswith(device)
    np.testing.assert_array_equal(np.concatenate([images.numpy() for images, _ in batches]), DATASET.images)
    assert np.concatenate([labels.numpy() for _, labels in batches]).tolist() == DATASET.labels.tolist()


def test_labels_stay_with_their_images() -> None:
    for images, labels in DataLoader(DATASET, batch_size=3, shuffle=True, seed=5):
        numbers = np.rint(images.numpy()[:, 0, 0, 0] * 255).astype(int)
        assert labels.numpy().tolist() == (numbers % 4).tolist()


@pytest.mark.parametrize(
    ("batch_size", "drop_last", "sizes"),
    [(4, False, [4, 4, 2]), (4, True, [4, 4]), (5, True, [5, 5]), (10, False, [10]), (99, False, [10])],
)
def test_length(batch_size: int, drop_last: bool, sizes: list[int]) -> None:
    loader = DataLoader(DATASET, batch_size, drop_last=drop_last)
    assert [len(labels.numpy()) for _, labels in loader] == sizes
    assert len(loader) == len(sizes)


def test_without_shuffling_the_order_is_the_datasets() -> None:
    loader = DataLoader(DATASET, 3)
    assert order(loader) == order(loader) == list(range(COUNT))


def test_each_epoch_has_every_image_once_in_a_new_order() -> None:
    loader = DataLoader(DATASET, 3, shuffle=True, seed=1)
    epochs = [order(loader) for _ in range(5)]
    assert all(sorted(epoch) == list(range(COUNT)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 5


def test_order_depends_on_seed_and_epoch_alone() -> None:
    loader = DataLoader(DATASET, 3, shuffle=True, seed=1)
    epochs = [order(loader) for _ in range(3)]
    manual_seed(99)
    again = DataLoader(DATASET, 7, shuffle=True, seed=1, transform=lambda images, generator: images)
    again.set_epoch(2)
    assert order(again) == epochs[2]
    again.set_epoch(0)
    assert order(again) == epochs[0]
    assert order(DataLoader(DATASET, 3, shuffle=True, seed=2)) != epochs[0]


def test_augmentation_depends_on_seed_epoch_and_batch_alone() -> None:
    transform = Compose([RandomCrop(2), RandomHorizontalFlip(), Normalize(DATASET.mean, DATASET.std)])

    def make(seed: int = 1) -> DataLoader:
        return DataLoader(DATASET, 4, shuffle=True, seed=seed, transform=transform)

    first = make()
    epochs = [pixels(first) for _ in range(2)]
    assert not np.array_equal(*epochs)
    second = make()
    second.set_epoch(1)
    iterator = iter(second)
    next(iterator)
    # Another iteration begun meanwhile must not disturb this one.
    np.random.default_rng(0).random(3)
    list(second)
    np.testing.assert_array_equal(next(iterator)[0].numpy(), epochs[1][4:8])
    assert not np.array_equal(pixels(make(seed=2)), epochs[0])


def test_the_epoch_advances_when_an_iteration_begins() -> None:
    loader = DataLoader(DATASET, 3, shuffle=True)
    assert loader.epoch == 0
    for _ in loader:
        break
    assert loader.epoch == 1
    iter(loader)
    assert loader.epoch == 2


def test_resuming() -> None:
    loader = DataLoader(DATASET, 3, shuffle=True, seed=6)
    order(loader)
    state = loader.state_dict()
    rest = [order(loader), order(loader)]
    resumed = DataLoader(DATASET, 3, shuffle=True, seed=0)
    resumed.load_state_dict(state)
    assert [order(resumed), order(resumed)] == rest
    assert state == {"seed": 6, "epoch": 1}


@pytest.mark.parametrize(
    "state",
    [
        None,
        {},
        {"seed": 1},
        {"seed": 1, "epoch": 1, "x": 1},
        {"seed": -1, "epoch": 0},
        {"seed": 0, "epoch": 1.5},
    ],
)
def test_bad_states_change_nothing(state: object) -> None:
    loader = DataLoader(DATASET, 3, seed=4)
    with pytest.raises(StateError, match="load_state_dict"):
        loader.load_state_dict(state)  # type: ignore[arg-type]
    assert loader.state_dict() == {"seed": 4, "epoch": 0}


def test_batches_do_not_share_memory_with_the_dataset() -> None:
    values = np.zeros((4, 1, 2, 2), np.float32)
    for images, labels in DataLoader((values, np.zeros(4, np.int64)), 4):
        images.data[:] = 1
        labels.data[:] = 1
    assert values.max() == 0


def test_a_pair_of_arrays() -> None:
    images, labels = next(iter(DataLoader((np.eye(3), [0, 1, 2]), 2)))
    assert images.numpy().tolist() == [[1, 0, 0], [0, 1, 0]]
    assert images.dtype == np.float32
    assert labels.numpy().tolist() == [0, 1]


BAD = {
    "no dataset": (lambda: DataLoader(np.zeros((3, 1, 2, 2)), 2), DTypeError, "a Dataset or a pair"),
    "images of other count": (lambda: DataLoader((np.zeros((3, 1, 2, 2)), [0]), 2), ShapeError, "3 images"),
    "batch size 0": (lambda: DataLoader(DATASET, 0), ArgumentError, "batch_size >= 1"),
    "batch size 2.0": (lambda: DataLoader(DATASET, 2.0), DTypeError, "batch_size"),
    "batch size True": (lambda: DataLoader(DATASET, True), DTypeError, "batch_size"),
    "shuffle text": (lambda: DataLoader(DATASET, 2, shuffle="yes"), DTypeError, "shuffle"),
    "shuffle is the seed": (lambda: DataLoader(DATASET, 2, 7), DTypeError, "shuffle"),
    "negative seed": (lambda: DataLoader(DATASET, 2, seed=-1), ArgumentError, "seed >= 0"),
    "no seed": (lambda: DataLoader(DATASET, 2, seed=None), DTypeError, "seed"),
    "drop_last number": (lambda: DataLoader(DATASET, 2, drop_last=1), DTypeError, "drop_last"),
    "everything dropped": (lambda: DataLoader(DATASET, 11, drop_last=True), ArgumentError, "drop_last=False"),
    "transform text": (lambda: DataLoader(DATASET, 2, transform="flip"), DTypeError, "transform"),
    "unknown device": (lambda: DataLoader(DATASET, 2, device="tpu"), DeviceError, "tpu"),
    "negative epoch": (lambda: DataLoader(DATASET, 2).set_epoch(-1), ArgumentError, "epoch >= 0"),
}


@pytest.mark.parametrize(("make", "error", "message"), BAD.values(), ids=BAD)
def test_bad_arguments_are_refused_at_once(make, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize("result", [lambda images: None, lambda images: images[1:], lambda images: images.tolist()])
def test_a_transform_that_returns_something_else(result) -> None:
    loader = DataLoader(DATASET, 2, transform=lambda images, generator: result(images))
    with pytest.raises(ShapeError, match="the transform to return an array of 2 images"):
        next(iter(loader))


def test_repr_tells_the_settings() -> None:
    loader = DataLoader(DATASET, 2, shuffle=True, seed=3, transform=RandomCrop(1))
    text = repr(loader)
    for part in ("10 images", "batch_size=2", "shuffle=True", "seed=3", "RandomCrop(padding=1", f"'{loader.device}'"):
        assert part in text


def test_what_a_transform_returns_becomes_float32() -> None:
    kept = np.arange(4.0).reshape(2, 1, 1, 2)  # float64, and the same array in every batch
    loader = DataLoader((np.zeros((4, 1, 1, 2)), [0, 1, 0, 1]), batch_size=2, transform=lambda images, _: kept)
    batches = [images for images, _ in loader]
    assert [images.dtype for images in batches] == [np.float32] * 2
    with tg.no_grad():
        batches[0].assign_(7.0)
    np.testing.assert_array_equal(batches[1].numpy(), kept)
    assert kept.max() == 3.0


def test_a_transform_that_returns_no_numbers() -> None:
    loader = DataLoader((np.zeros((1, 1, 1, 1)), [0]), batch_size=1, transform=lambda images, _: images.astype("S1"))
    with pytest.raises(DTypeError, match=r"array of numbers, got \|S1"):
        next(iter(loader))


def test_writing_into_a_batch_leaves_the_dataset_alone() -> None:
    loader = DataLoader((np.ones((2, 1, 1, 2)), [0, 1]), batch_size=2)
    with tg.no_grad():
        for images, labels in loader:
            images.assign_(7.0)
            labels.assign_(0)
    images, labels = next(iter(loader))
    assert images.numpy().max() == 1.0
    assert labels.tolist() == [0, 1]
