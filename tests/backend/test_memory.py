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

pytestmark = pytest.mark.cpu_only("about the pool of host memory")

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
        take = rng.choice([pool.empty, pool.workspace])
        array = take((rng.randrange(1, 60), rng.randrange(1, 600)), rng.choice(["float32", "float64"]))
        array.fill(step)
        assert array.flags.c_contiguous
        if array.nbytes >= 1 << 15:
            assert address(array) % ALIGNMENT == 0
        lent.append((step, array))
    assert all((array == number).all() for number, array in lent)


def test_several_threads_get_different_memory() -> None:
    pool, wrong = BufferPool(), []

    def work(number: int) -> None:
        for step in range(500):
            take = pool.workspace if step % 3 else pool.empty
            array = take((64, 256 + step % 5 * 64), "float32")
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


# -- memory to work in ---------------------------------------------------------------------------------------


def test_a_workspace_may_be_the_beginning_of_a_larger_block() -> None:
    pool = BufferPool()
    sizes = [(4, *SHAPE), (2, *SHAPE), (3, *SHAPE)]
    places = [address(array) for array in [pool.empty(size, "float32") for size in sizes]]
    workspace = pool.workspace(SHAPE, "float32")
    assert address(workspace) == places[1], "the smallest block that is large enough"
    assert workspace.shape == SHAPE
    assert workspace.flags.c_contiguous
    assert address(workspace) % ALIGNMENT == 0
    more = pool.workspace((5, 2), "float64"), pool.workspace((2, *SHAPE), "float64")
    assert address(more[1]) == places[0]
    assert pool.fresh == 3
    del workspace
    assert address(pool.workspace(SHAPE, "float32")) == places[1]


def test_a_workspace_is_never_in_a_block_that_is_lent() -> None:
    pool = BufferPool()
    lent = [pool.empty((2, *SHAPE), "float32"), pool.workspace(SHAPE, "float32")[3:, ::2], pool.empty(SHAPE, "float32")]
    assert pool.fresh == 3
    workspaces = [pool.workspace(SHAPE, "float32") for _ in range(3)]
    assert pool.fresh == 6
    everything = [*lent, *workspaces]
    for number, array in enumerate(everything):
        assert not any(np.shares_memory(array, other) for other in everything[:number])
    taken = {address(array) for array in everything}
    assert address(pool.empty(SHAPE, "float32")) not in taken
    assert pool.fresh == 7
    given_back = {address(array) for array in workspaces}
    del workspaces, everything
    again = [pool.workspace(SHAPE, "float32") for _ in range(3)]
    assert {address(array) for array in again} & given_back
    assert pool.fresh == 7


def test_a_workspace_for_which_no_block_is_large_enough_is_new() -> None:
    pool = BufferPool()
    pool.empty(SHAPE, "float32")
    pool.workspace((3, *SHAPE), "float32")
    assert pool.fresh == 2
    assert pool.workspace((3, *SHAPE), "float32").nbytes == 12 * SHAPE[0] * SHAPE[1]
    assert pool.fresh == 2


def test_a_workspace_fills_its_block_to_the_last_byte() -> None:
    pool = BufferPool()
    length = 1_000_000
    pool.empty((length,), "uint8")
    block = pool.sizes()[1]
    assert length < block < length * 33 // 32 + 1
    for wanted, fresh in ((block, 1), (block + 1, 2)):
        array = pool.workspace((wanted,), "uint8")
        array.fill(1)
        assert pool.fresh == fresh


def test_small_workspaces_are_left_to_numpy() -> None:
    pool = BufferPool(smallest=1000)
    place = address(pool.empty((5000,), "uint8"))
    small, large = pool.workspace((999,), "uint8"), pool.workspace((1000,), "uint8")
    assert small.base is None
    assert address(large) == place
    assert pool.workspace((0, 5), "float32").shape == (0, 5)
    assert pool.fresh == 1


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


@pytest.fixture
def own_pool(monkeypatch: pytest.MonkeyPatch) -> BufferPool:
    """Memory of which nothing has been used before, and two threads."""
    pool = BufferPool()
    monkeypatch.setattr(tg.get_device("cpu"), "memory", pool)
    monkeypatch.setattr("tinygrad_bn.backend.threads._number", 2)
    return pool


@needs_fast_kernels
@pytest.mark.parametrize("order", ["convention", "swap"])
@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_after_the_second_step_no_fresh_memory_is_taken(order: str, activation: str, own_pool: BufferPool) -> None:
    tg.manual_seed(0)
    model = tg.nn.models.SmallCNN(order=order, activation=activation)
    optimizer = tg.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    images, target = tg.randn(32, 1, 28, 28), tg.tensor(np.arange(32) % 10)
    for _ in range(2):
        _step(model, optimizer, images, target)
    before = own_pool.fresh
    assert before > 10
    assert max(p.grad.data.nbytes for p in model.parameters()) > 1 << 18, "large enough for the pool"
    for _ in range(3):
        _step(model, optimizer, images, target)
        assert own_pool.fresh == before


@needs_fast_kernels
@pytest.mark.parametrize("order", ["convention", "swap"])
def test_the_memory_of_a_training_step_does_not_grow(order: str, own_pool: BufferPool) -> None:
    """Blocks stay in the pool, so that their sum is the most that was ever lent at the same time, rounded up."""
    tg.manual_seed(0)
    model = tg.nn.models.VGG(11, order=order)
    optimizer = tg.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    images, target = tg.randn(8, 3, 32, 32), tg.tensor(np.arange(8))
    for _ in range(2):
        _step(model, optimizer, images, target)
    total = sum(own_pool.sizes())
    gradients = sum(p.grad.data.nbytes for p in model.parameters())
    assert gradients > 36e6
    assert total < 1.1 * 97.1e6, "97.1 MB when this was written, the velocities among them"


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


def test_a_block_that_is_new_after_free_ones_were_dropped_is_lent_again() -> None:
    pool = BufferPool()
    shape = (60, 1 << 20)
    for _ in range(2):  # 240 MiB are free then, and the next block makes the pool drop them
        pool.empty((*shape,), "float32")
        pool.empty((shape[0] + 20, shape[1]), "float32")
    before = pool.fresh
    pool.empty((40, 1 << 20), "float32")
    pool.empty((40, 1 << 20), "float32")
    assert pool.fresh == before + 1
