"""Sharing work among threads: every part once, at the same time, also when several callers come."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

pytest.importorskip("numba")

from tinygrad_bn.backend import threads
from tinygrad_bn.kernels.cpu.atomics import atomic_add, atomic_load, pause
from tinygrad_bn.kernels.cpu.compiler import compiled
from tinygrad_bn.kernels.cpu.launch import launch, number_of_parts


@pytest.fixture(autouse=True, params=[1, 2, 3])
def number_of_threads(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(threads, "_number", request.param)
    number: int = request.param
    return number


@compiled
def count(part: int, first: int, last: int, calls: Any, scale: float, pair: Any) -> None:
    for i in range(first, last):
        calls[i] += int(scale) * pair[1]


@compiled
def meet(part: int, first: int, last: int, arrived: Any, wanted: int, met: Any) -> None:
    """Wait, though not for ever, until so many parts are under way."""
    place = arrived.ctypes.data
    atomic_add(place, 1)
    for _ in range(5_000_000):
        if atomic_load(place) >= wanted:
            met[part] = 1
            return
        pause()


@pytest.mark.parametrize(("total", "parts"), [(1, 1), (7, 2), (7, 7), (100, 8), (1000, 3)])
def test_every_piece_is_handled_once(total: int, parts: int) -> None:
    calls = np.zeros(total, dtype=np.int64)
    for round_ in range(1, 200):
        launch(count, total, parts, calls, 1.0, (0, 1))
        assert (calls == round_).all()


def test_parts_run_at_the_same_time(number_of_threads: int) -> None:
    for _ in range(20):  # a thread may be on its way to sleep when the work comes up
        arrived, met = np.zeros(1, dtype=np.int64), np.zeros(number_of_threads, dtype=np.int64)
        launch(meet, number_of_threads, number_of_threads, arrived, number_of_threads, met)
        if met.all():
            return
    raise AssertionError(f"in no round did {number_of_threads} parts run at the same time")


def test_several_callers_at_the_same_time() -> None:
    wrong: list[int] = []

    def call(total: int) -> None:
        calls = np.zeros(total, dtype=np.int64)
        for round_ in range(1, 1000):
            launch(count, total, 4, calls, 1.0, (0, 1))
            wrong.extend(np.flatnonzero(calls != round_).tolist())

    callers = [threading.Thread(target=call, args=(total,)) for total in (5, 50, 500)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(120)
    assert not wrong


def test_the_number_of_parts(number_of_threads: int) -> None:
    assert number_of_parts(100, 10.0) == 1, "too little work to share"
    assert number_of_parts(0, 0.0) == 1
    assert number_of_parts(1, 1e9) == 1
    many = number_of_parts(100, 1e9)
    assert many == 1 if number_of_threads == 1 else many >= number_of_threads
    assert number_of_parts(100, 1e9, most=2) == min(2, number_of_threads)
