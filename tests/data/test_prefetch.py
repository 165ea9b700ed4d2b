"""Batches for a GPU: prepared by a thread, copied beside the computation, and still the same ones.

On an emulated GPU whose copies are late: what is copied in a stream other than the default one arrives only when
somebody waits for it, so whoever does not wait in time reads or sends the wrong numbers.
"""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import stand_in

import tinygrad_bn as tg
from tinygrad_bn.data import Compose, DataLoader, Dataset, RandomCrop, RandomHorizontalFlip

PIXELS = np.random.default_rng(0).integers(0, 256, (50, 3, 6, 6)).astype(np.uint8)
DATASET = Dataset(PIXELS, np.arange(50) % 7)
AUGMENT = Compose([RandomCrop(1), RandomHorizontalFlip()])


def _loader(device: str = "cuda", **options: Any) -> DataLoader:
    return DataLoader(DATASET, 8, shuffle=True, seed=3, **{"transform": AUGMENT, **options}, device=device)


def _threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "prefetch"]


@pytest.fixture
def late_copies(emulated_gpu: ModuleType, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Let copies in streams of their own happen when an event after them is waited for; the value is what was asked."""
    pending: dict[int, list[Callable[[], None]]] = {}
    asked: list[tuple[str, str]] = []
    stream_class, event_class = emulated_gpu.cuda.Stream, emulated_gpu.cuda.Event
    array_class = emulated_gpu.ndarray
    at_once = array_class.set

    def late(array: Any, values: np.ndarray, stream: Any = None) -> None:
        assert stream is not None
        assert stand_in.gpu_memory.is_pinned(values), "copied from memory that is not page-locked"
        asked.append(("copy", "own"))
        pending.setdefault(stream.ptr, []).append(lambda: at_once(array, values))

    def record(event: Any, stream: Any = None) -> None:
        event.owes = pending.get(stream.ptr, []) if stream is not None else []
        event.number = len(event.owes)
        asked.append(("record", "default" if stream is None or stream.ptr == 0 else "own"))

    settling = threading.Lock()  # the thread may wait for the same event as who takes the batches

    def settle(event: Any) -> None:
        with settling:
            for number in range(event.number):
                event.owes[number]()
                event.owes[number] = lambda: None

    def synchronize(event: Any) -> None:
        asked.append(("wait", "host"))
        settle(event)

    def wait_event(stream: Any, event: Any) -> None:
        asked.append(("wait", "default" if stream.ptr == 0 else "own"))
        settle(event)

    monkeypatch.setattr(array_class, "set", late)
    monkeypatch.setattr(event_class, "record", record)
    monkeypatch.setattr(event_class, "synchronize", synchronize)
    monkeypatch.setattr(stream_class, "wait_event", wait_event)
    return asked


@pytest.mark.parametrize("slow", ["the thread", "who takes them", "nobody"])
def test_the_same_batches_bit_for_bit(slow: str, late_copies: list[tuple[str, str]]) -> None:
    def transform(images: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        if slow == "the thread":
            time.sleep(0.005)
        return AUGMENT(images, generator)

    here, there = _loader("cpu", transform=transform), _loader(transform=transform)
    for _ in range(2):
        taken = []
        for images, labels in there:
            assert str(images.device) == str(labels.device) == "cuda:0"
            if slow == "who takes them":
                time.sleep(0.005)
            taken.append((images.numpy(), labels.numpy()))
        expected = list(here)
        assert len(taken) == len(expected) == 7  # the last one is smaller
        for (images, labels), (ours, our_labels) in zip(taken, expected, strict=True):
            np.testing.assert_array_equal(images, ours.numpy())
            np.testing.assert_array_equal(labels, our_labels.numpy())
            assert (images.dtype, labels.dtype) == (np.float32, np.int64)
        assert not _threads()


def test_batches_that_are_kept_stay_as_they_are(late_copies: list[tuple[str, str]]) -> None:
    for (images, _), (expected, _) in zip(list(_loader()), list(_loader("cpu")), strict=True):
        np.testing.assert_array_equal(images.numpy(), expected.numpy())


def test_what_is_waited_for(late_copies: list[tuple[str, str]]) -> None:
    """The copy waits until its memory on the GPU is free, and the computation until it is there."""
    for _ in _loader():
        pass
    steps = [step for step in late_copies if step not in (("wait", "default"), ("wait", "host"))]
    one = [("record", "default"), ("wait", "own"), ("copy", "own"), ("copy", "own"), ("record", "own")]
    assert steps == one * 7
    assert late_copies.count(("wait", "default")) == 7


def test_the_next_batch_is_copied_before_this_one_is_used(late_copies: list[tuple[str, str]]) -> None:
    batches = iter(_loader())
    next(batches)
    deadline = time.monotonic() + 10
    while late_copies.count(("record", "own")) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)  # meanwhile the thread prepares more
        next(batches)
    assert late_copies.count(("record", "own")) == late_copies.count(("wait", "default")) + 1


@pytest.mark.parametrize("number", [0, 1, 4, 6])
def test_an_error_comes_in_the_place_of_its_batch(number: int, emulated_gpu: ModuleType) -> None:
    done: list[int] = []

    def transform(images: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        done.append(len(done))
        if done[-1] == number:
            raise ZeroDivisionError(f"batch {number}")
        return images

    batches = iter(_loader(transform=transform))
    for _ in range(number):
        next(batches)
        time.sleep(0.005)
    with pytest.raises(ZeroDivisionError, match=f"batch {number}") as caught:
        next(batches)
    assert not _threads()
    assert any(entry.name == "transform" for entry in caught.traceback)


@pytest.mark.parametrize("taken", [1, 3])
def test_stopping_early_ends_the_thread(taken: int, late_copies: list[tuple[str, str]]) -> None:
    batches = iter(_loader())
    images = [next(batches)[0] for _ in range(taken)][-1]
    del batches
    assert not _threads()
    last_copy = max(number for number, step in enumerate(late_copies) if step == ("record", "own"))
    assert ("wait", "host") in late_copies[last_copy:]  # the page-locked memory is somebody else's from now on
    expected = list(_loader("cpu"))[taken - 1][0]
    np.testing.assert_array_equal(images.numpy(), expected.numpy())


def test_what_nobody_takes_starts_no_thread_and_what_is_forgotten_ends(emulated_gpu: ModuleType) -> None:
    batches = iter(_loader())
    assert not _threads()
    next(batches)
    assert len(_threads()) == 1
    knot: list[Any] = [batches]
    knot.append(knot)  # only the garbage collector can end it
    del batches, knot
    gc.collect()
    assert not _threads()


def test_a_batch_is_gone_when_nobody_has_it(emulated_gpu: ModuleType) -> None:
    batches = iter(_loader())
    images, _ = next(batches)
    memory = weakref.ref(images.data.data.mem)
    del images, _
    assert memory() is None


def test_two_epochs_at_once_do_not_mix(late_copies: list[tuple[str, str]]) -> None:
    loader, expected = _loader(), _loader("cpu")
    pairs = zip(iter(loader), iter(loader), strict=True)
    ours = zip(iter(expected), iter(expected), strict=True)
    for (a, b), (c, d) in zip(pairs, ours, strict=True):
        np.testing.assert_array_equal(a[0].numpy(), c[0].numpy())
        np.testing.assert_array_equal(b[0].numpy(), d[0].numpy())


def test_the_second_gpu() -> None:
    with stand_in.emulated_gpu(count=2) as cupy:
        cupy.cuda.Device(0).use()
        for (images, labels), (expected, _) in zip(_loader("cuda:1"), _loader("cpu"), strict=True):
            assert images.data.device.id == labels.data.device.id == 1
            np.testing.assert_array_equal(images.numpy(), expected.numpy())
            tg.ones(1, device="cuda:0")


def test_batches_while_the_device_is_busy(device: str) -> None:
    """Many batches, of which nothing is read before the end: on a GPU copies and computation race, unseen."""
    here, there = _loader("cpu"), _loader(device)
    columns, mixing = tg.ones(108, 300, device=device), tg.full((300, 300), 1.0 / 300, device=device)
    found, expected = [], []
    for _ in range(20):
        for images, labels in there:
            sums = images.flatten(1) @ columns
            for _ in range(5):
                sums = sums @ mixing
            found.append(sums.mean(axis=1).sum() + 1000.0 * labels.sum())
        expected += [images.sum() + 1000.0 * labels.sum() for images, labels in here]
    assert len(found) == len(expected) == 140
    np.testing.assert_allclose([s.item() for s in found], [s.item() for s in expected], rtol=1e-5)


def test_the_cpu_needs_no_thread() -> None:
    batches = iter(_loader("cpu"))
    next(batches)
    assert not _threads()


@pytest.fixture
def script(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "left_open.py"
    path.write_text(
        "import numpy as np, stand_in\n"
        "from tinygrad_bn.data import DataLoader\n"
        "gpu = stand_in.emulated_gpu()\n"
        "gpu.__enter__()\n"
        "batches = iter(DataLoader((np.zeros((50, 1, 2, 2)), [0, 1] * 25), 2, device='cuda'))\n"
        "print(next(batches)[0].shape)\n",
        encoding="utf-8",
    )
    return path


def test_the_interpreter_ends_with_an_epoch_left_open(script: Path) -> None:
    """Threads stand still for good as it ends: waiting for one would never end."""
    tests = Path(stand_in.__file__).parent.parent
    done = subprocess.run(
        [sys.executable, str(script)],
        env={"PYTHONPATH": f"{tests}:{tests.parent}", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "(2, 1, 2, 2)\n", "")
