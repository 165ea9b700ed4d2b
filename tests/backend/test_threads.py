"""The thread pool, and the one setting for it and for BLAS."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import tinygrad_bn as tg
from tinygrad_bn.backend.threads import ThreadPool, available_cores
from tinygrad_bn.errors import ArgumentError


def test_every_number_is_called_once() -> None:
    pool, seen = ThreadPool(3), []
    for total in (0, 1, 2, 7, 100):
        seen.clear()
        pool.run(seen.append, total)
        assert sorted(seen) == list(range(total))


def test_several_threads_work_at_the_same_time() -> None:
    met = threading.Barrier(3, timeout=20)
    ThreadPool(3).run(lambda number: met.wait() and None, 3)  # would raise if two calls ran one after the other


def test_one_thread_is_the_callers() -> None:
    threads: list[threading.Thread] = []
    ThreadPool(1).run(lambda number: threads.append(threading.current_thread()), 5)
    assert threads == [threading.current_thread()] * 5


def test_an_error_arrives_where_the_work_was_asked_for() -> None:
    pool, calls = ThreadPool(2), []

    def fail(number: int) -> None:
        calls.append(number)
        time.sleep(0.001)
        raise ZeroDivisionError(str(number))

    with pytest.raises(ZeroDivisionError):
        pool.run(fail, 50)
    assert len(calls) <= 2, "after an error no further call begins"
    pool.run(calls.append, 3)  # and the pool still works
    assert len(calls) >= 4


def test_two_callers_at_the_same_time() -> None:
    pool = ThreadPool(2)
    results: dict[int, list[int]] = {0: [], 1: [], 2: []}

    def call(caller: int) -> None:
        for _ in range(200):
            pool.run(results[caller].append, 4)

    callers = [threading.Thread(target=call, args=(caller,)) for caller in results]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(60)
    assert all(sorted(seen) == sorted([0, 1, 2, 3] * 200) for seen in results.values())


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


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_forked_and_spawned_processes_compute_the_same(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tg.backend.thread_pool(), "size", 2)
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


def test_two_python_threads_run_forward_and_backward_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tg.backend.thread_pool(), "size", 2)
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

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    for number, arrays in enumerate(expected):
        for a, b in zip(found[number], arrays, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("number", [0, -1, 1.5, True, "two"])
def test_the_number_of_threads_is_checked(number: object) -> None:
    with pytest.raises((ArgumentError, tg.errors.DTypeError), match="in set_num_threads"):
        tg.set_num_threads(number)  # type: ignore[arg-type]


def test_the_setting_reaches_blas() -> None:
    threadpoolctl = pytest.importorskip("threadpoolctl")
    before = tg.get_num_threads()
    with threadpoolctl.threadpool_limits():  # puts back what BLAS had
        for number in (2, 1):
            tg.set_num_threads(number)
            assert tg.get_num_threads() == number
            blas = [pool["num_threads"] for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"]
            assert blas
            assert set(blas) == {min(number, available_cores())}
    tg.backend.thread_pool().size = before


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
