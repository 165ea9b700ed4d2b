"""The one setting for our threads and for BLAS, and processes and threads that compute at the same time."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import threading

import numpy as np
import pytest

import tinygrad_bn as tg
from tinygrad_bn.backend import threads
from tinygrad_bn.backend.threads import available_cores
from tinygrad_bn.errors import ArgumentError


def _train_a_little(queue: multiprocessing.Queue[float] | None = None) -> float:
    tg.manual_seed(0)
    model = tg.nn.ConvBlock(4, 16, 3, padding=1)
    model(tg.randn(16, 4, 20, 20)).sum().backward()
    gradient = model.conv.weight.grad
    assert gradient is not None
    total = float(np.abs(gradient.numpy()).sum())
    if queue is not None:
        queue.put(total)
    return total


@pytest.mark.cpu_only("a forked process cannot use its parent's GPU")
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_forked_and_spawned_processes_compute_the_same(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "_number", 2)
    monkeypatch.setenv("TINYGRAD_BN_THREADS", "2")
    expected = _train_a_little()
    context = multiprocessing.get_context(method)
    queue = context.Queue()
    process = context.Process(target=_train_a_little, args=(queue,))
    process.start()
    try:
        assert queue.get(timeout=120) == pytest.approx(expected, rel=1e-6)
    finally:
        process.join(30)
    assert process.exitcode == 0


LOCKED = """
import os, sys
import tinygrad_bn as tg
from tinygrad_bn.autograd import apply, engine
from tinygrad_bn.backend import default_generator

memory = tg.get_device("cpu").memory
drawing = default_generator._numpy.bit_generator.lock
sys.modules["tinygrad_bn.autograd.apply"]._making_leaves.acquire()
with drawing, memory._lock, engine._accumulating:  # as another thread might at this moment
    child = os.fork()
    if child == 0:
        x = tg.randn(300, 300, requires_grad=True)
        (x + x).sum().backward()
        os._exit(0 if (x.grad.numpy() == 2).all() else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="only POSIX systems fork")
def test_locks_that_were_held_are_free_in_a_forked_child() -> None:
    subprocess.run([sys.executable, "-W", "ignore", "-c", LOCKED], timeout=60, check=True)


def test_two_python_threads_run_forward_and_backward_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "_number", 2)
    tg.manual_seed(0)
    models = [tg.nn.ConvBlock(4, 16, 3, padding=1, activation="tanh") for _ in range(3)]
    images = tg.randn(16, 4, 20, 20)

    def gradients(model: tg.nn.Module) -> list[np.ndarray]:
        for _ in range(10):
            model.zero_grad()
            (model(images) ** 2).sum().backward()
        return [np.array(p.grad.numpy()) for p in model.parameters() if p.grad is not None]

    expected = [gradients(model) for model in models]
    found: dict[int, list[np.ndarray]] = {}

    def work(number: int) -> None:
        found[number] = gradients(models[number])

    workers = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in workers:
        thread.start()
    for thread in workers:
        thread.join(120)
    for number, arrays in enumerate(expected):
        for a, b in zip(found[number], arrays, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("number", [0, -1, 1.5, True, "two"])
def test_the_number_of_threads_is_checked(number: object) -> None:
    with pytest.raises((ArgumentError, tg.errors.DTypeError), match="in set_num_threads"):
        tg.set_num_threads(number)  # type: ignore[arg-type]


def test_the_setting_reaches_blas(monkeypatch: pytest.MonkeyPatch) -> None:
    threadpoolctl = pytest.importorskip("threadpoolctl")
    before = tg.get_num_threads()
    with threadpoolctl.threadpool_limits():  # puts back what BLAS had
        for number in (2, 1):
            tg.set_num_threads(number)
            assert tg.get_num_threads() == number
            blas = [pool["num_threads"] for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"]
            assert blas
            assert set(blas) == {min(number, available_cores())}
    monkeypatch.setattr(threads, "_number", before)


@pytest.mark.parametrize(("value", "expected"), [("3", "3"), ("", str(available_cores())), ("none", "ArgumentError")])
def test_the_environment_sets_the_number(value: str, expected: str) -> None:
    code = """
import tinygrad_bn as tg
try:
    print(tg.get_num_threads())
except tg.errors.ArgumentError as error:
    print("ArgumentError", error)
"""
    environment = {**os.environ, "TINYGRAD_BN_THREADS": value}
    shown = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert shown.stdout.startswith(expected)
