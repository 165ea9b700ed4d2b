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
from tinygrad_bn.kernels.cpu.launch import launch, launch_seated, number_of_parts, number_of_seats


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


# -- seats ---------------------------------------------------------------------------------------------------------

_SEATS = 8  # room for more seats than any test asks for


@compiled
def sit(seat: int, first: int, last: int, calls: Any, held: Any, conflicts: Any, visits: Any, looks: int) -> None:
    """Hold a seat for a while, and note who else does."""
    if not 0 <= seat < held.size:
        atomic_add(conflicts.ctypes.data, 1)
        return
    place = held.ctypes.data + seat * 8
    if atomic_add(place, 1) != 0:
        atomic_add(conflicts.ctypes.data, 1)
    for i in range(first, last):
        calls[i] += 1
    for _ in range(looks):
        if atomic_load(place) != 1:
            atomic_add(conflicts.ctypes.data, 1)
            break
        pause()
    visits[seat] += 1
    atomic_add(place, -1)


def sit_down(count: int, parts: int, seats: int, looks: int = 300) -> np.ndarray:
    """Return how many parts were done on each seat."""
    calls, held, visits = (np.zeros(size, dtype=np.int64) for size in (count, _SEATS, _SEATS))
    conflicts = np.zeros(1, dtype=np.int64)
    launch_seated(sit, count, parts, seats, calls, held, conflicts, visits, looks)
    assert conflicts[0] == 0, "two threads had the same seat at the same time"
    assert (calls == 1).all()
    assert not held.any()
    assert visits.sum() == parts
    assert not visits[seats:].any(), "a seat that nobody had asked for"
    return visits


def test_who_works_has_a_seat_to_himself(number_of_threads: int) -> None:
    seats = number_of_seats(12)
    assert seats == number_of_threads
    used = [np.count_nonzero(sit_down(30, 12, seats, looks=3000)) for _ in range(50)]
    assert max(used) >= min(2, seats), "in no round did two threads work"


def test_there_are_no_more_seats_than_parts(number_of_threads: int) -> None:
    assert number_of_seats(1) == 1
    assert number_of_seats(2) == min(2, number_of_threads)
    for _ in range(50):
        assert sit_down(5, 1, 1)[0] == 1
        sit_down(5, 2, number_of_seats(2))


def test_the_team_may_be_larger_than_the_number_of_seats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "_number", 5)
    for seats in (5, 2, 3, 2):
        monkeypatch.setattr(threads, "_number", seats)
        assert number_of_seats(100) == seats
        for _ in range(20):
            sit_down(40, 20, seats, looks=3000)
    monkeypatch.setattr(threads, "_number", 1)
    assert sit_down(40, 20, number_of_seats(20))[0] == 20


def test_several_callers_with_seats_at_the_same_time() -> None:
    failures: list[BaseException] = []

    def call(count: int) -> None:
        try:
            for _ in range(200):
                sit_down(count, 4, number_of_seats(4), looks=30)
        except BaseException as error:  # noqa: BLE001 - shown by the thread that asserts
            failures.append(error)

    callers = [threading.Thread(target=call, args=(count,)) for count in (5, 50, 500)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(120)
    assert not failures


def test_an_ordinary_launch_after_a_seated_one_numbers_its_parts(number_of_threads: int) -> None:
    sit_down(8, 8, number_of_threads)
    arrived, met = np.zeros(1, dtype=np.int64), np.zeros(8, dtype=np.int64)
    launch(meet, 8, 8, arrived, 1, met)
    assert met.all(), "each part has a number of its own"
