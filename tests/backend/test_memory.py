"""The buffer pool: memory is used again, and never while anybody still refers to it."""

from __future__ import annotations

import gc
import random
import threading
from typing import Any

import numpy as np
import pytest

import tinygrad_bn as tg
from tinygrad_bn import functional as F
from tinygrad_bn.backend import BufferPool
from tinygrad_bn.backend.memory import ALIGNMENT
from tinygrad_bn.kernels import unusable_reason

SHAPE = (100, 1000)


def address(array: np.ndarray) -> int:
    return int(array.__array_interface__["data"][0])


def test_what_is_given_back_is_lent_again() -> None:
    pool = BufferPool()
    first = address(pool.empty(SHAPE, "float32"))
    assert address(pool.empty(SHAPE, "float32")) == first
    assert address(pool.empty((1000, 99), "float32")) == first, "a size nearly as large shares the block"
    assert pool.fresh == 1


@pytest.mark.parametrize(
    "view",
    [
        lambda a: a,
        lambda a: a[3:5, ::7],
        lambda a: a.T.reshape(50, 2000, order="F"),
        lambda a: a.ravel()[5:].view("int32"),
        lambda a: memoryview(a)[2:4],
        lambda a: np.asarray(memoryview(a[1:]))[0],
        lambda a: np.lib.stride_tricks.as_strided(a, (3,), (8,)),
        lambda a: [a[0, :3]],
        lambda a: a.reshape(-1).__array_interface__ and a.flat,
        lambda a: np.from_dlpack(a)[7],
    ],
)
def test_no_block_is_lent_while_anything_shows_it(view: Any) -> None:
    pool = BufferPool()
    array = pool.empty(SHAPE, "float32")
    first = address(array)
    kept = view(array)
    del array
    gc.collect()
    assert address(pool.empty(SHAPE, "float32")) != first
    del kept
    gc.collect()
    assert address(pool.empty(SHAPE, "float32")) == first


def test_what_pytorch_shows_is_not_lent() -> None:
    torch = pytest.importorskip("torch")
    pool = BufferPool()
    array = pool.empty(SHAPE, "float32")
    first, tensor = address(array), torch.from_numpy(array)[3:]
    del array
    assert address(pool.empty(SHAPE, "float32")) != first
    del tensor
    assert address(pool.empty(SHAPE, "float32")) == first


def test_arrays_are_aligned_contiguous_and_apart() -> None:
    pool, rng = BufferPool(), random.Random(0)
    lent: list[tuple[int, np.ndarray]] = []
    for step in range(400):
        if lent and rng.random() < 0.5:
            number, array = lent.pop(rng.randrange(len(lent)))
            assert (array == number).all(), "somebody else wrote into it"
        array = pool.empty((rng.randrange(1, 60), rng.randrange(1, 600)), rng.choice(["float32", "float64"]))
        array.fill(step)
        assert array.flags.c_contiguous
        if array.nbytes >= 1 << 15:
            assert address(array) % ALIGNMENT == 0
        lent.append((step, array))
    assert all((array == number).all() for number, array in lent)


def test_several_threads_get_different_memory() -> None:
    pool, wrong = BufferPool(), []

    def work(number: int) -> None:
        for _ in range(500):
            array = pool.empty((64, 256), "float32")
            array.fill(number)
            wrong.extend([number] * int((array != number).any()))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_free_memory_can_be_released_and_does_not_pile_up() -> None:
    pool = BufferPool()
    kept = pool.empty(SHAPE, "float64")
    pool.empty((3, *SHAPE), "float64")
    lent, free = pool.sizes()
    assert lent >= kept.nbytes
    assert free >= 3 * kept.nbytes
    pool.release()
    assert pool.sizes() == (lent, 0)
    for length in range(60, 20, -1):  # ever different sizes
        pool.empty((length, 1 << 20), "float32")
    assert pool.sizes()[1] <= 600 << 20


def test_zeros() -> None:
    pool = BufferPool()
    pool.empty(SHAPE, "float32").fill(7)
    assert not pool.zeros(SHAPE, "float32").any()


# -- a training step ------------------------------------------------------------------------------------------

needs_fast_kernels = pytest.mark.skipif(
    unusable_reason("cpu", tg.get_device("cpu")) is not None, reason="needs the extra fast"
)


def _step(model: tg.nn.Module, optimizer: Any, images: tg.Tensor, target: tg.Tensor) -> tg.Tensor:
    optimizer.zero_grad()
    loss = F.cross_entropy(model(images), target)
    loss.backward()
    optimizer.step()
    return loss


@needs_fast_kernels
@pytest.mark.parametrize("order", ["convention", "swap"])
def test_after_the_second_step_no_fresh_memory_is_taken(order: str) -> None:
    tg.manual_seed(0)
    model = tg.nn.models.SmallCNN(width=8, order=order, activation="tanh")
    optimizer = tg.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    images, target = tg.randn(32, 1, 28, 28), tg.tensor(np.arange(32) % 10)
    memory = tg.get_device("cpu").memory
    for _ in range(2):
        _step(model, optimizer, images, target)
    before = memory.fresh
    for _ in range(3):
        _step(model, optimizer, images, target)
    assert memory.fresh == before


@needs_fast_kernels
def test_what_the_user_keeps_is_not_overwritten() -> None:
    tg.manual_seed(0)
    block = tg.nn.Sequential(tg.nn.ConvBlock(1, 8, 3, padding=1), tg.nn.ConvBlock(8, 8, 3, padding=1, order="swap"))
    images = tg.randn(32, 1, 28, 28)
    images.requires_grad_()
    kept: list[tuple[np.ndarray, np.ndarray]] = []
    for _ in range(4):
        output = block(images)
        (output * output).sum().backward()
        assert images.grad is not None
        shown = (output.data, output.numpy()[3], images.grad.data, output.detach().data[:, 1])
        kept.extend((array, array.copy()) for array in shown)
        images.grad = None
    for array, copy in kept:
        np.testing.assert_array_equal(array, copy)
