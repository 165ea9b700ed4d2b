"""What the host does again before each replay, and what a device does only once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tinygrad_bn.backend import Generator, Recording, each_time, fed, get_device, once, recording
from tinygrad_bn.backend.capturing import captured_step, literal, modes, recorded, refuse_reading
from tinygrad_bn.errors import CaptureError


def test_outside_a_recording_everything_happens_at_once() -> None:
    done: list[int] = []
    each_time(lambda: done.append(1))
    assert fed(get_device("cpu"), lambda: np.arange(3.0)).tolist() == [0.0, 1.0, 2.0]
    values = np.ones(2)
    assert literal(lambda array: array, values) is values
    with once():
        assert recording() is None
    assert done == [1]


def test_what_is_noted_is_done_again_in_the_same_order() -> None:
    notes, count, order = Recording(), iter(range(10)), []
    with recorded(notes):
        each_time(lambda: order.append("first"))
        array = fed(get_device("cpu"), lambda: np.full(2, float(next(count))))
        each_time(lambda: order.append(array[0]))
        assert recording() is notes
    assert recording() is None
    for _ in range(2):
        for action in notes.before_replay:
            action()
    assert order == ["first", 0.0, "first", 1.0, "first", 2.0]
    assert array.tolist() == [2.0, 2.0]


def test_what_is_aside_is_not_recorded() -> None:
    inside: list[Any] = []

    class Aside:
        def __enter__(self) -> None:
            inside.append("aside")

        def __exit__(self, *_: object) -> None:
            inside.append("back")

    notes = Recording(aside=Aside)
    with recorded(notes):
        with once():
            inside.append(recording())
        copy = literal(lambda array: array + 0.0, np.ones(2))
        fed(get_device("cpu"), lambda: np.ones(2))
    assert inside == ["aside", None, "back"] + ["aside", "back"] * 2
    assert copy is not notes.kept[0]
    np.testing.assert_array_equal(copy, notes.kept[0])


def test_recordings_leave_threads_and_each_other_alone() -> None:
    outer, inner = Recording(), Recording()
    with recorded(outer):
        with pytest.raises(ValueError, match="mine"), recorded(inner):
            raise ValueError("mine")
        assert recording() is outer


def test_random_numbers_are_drawn_where_they_are_drawn_again() -> None:
    generator, drawn = Generator(0), []
    with captured_step():
        for draw in (
            lambda: generator.normal(()),
            lambda: generator.uniform(()),
            lambda: generator.integers(0, 2, ()),
            lambda: generator.permutation(3),
        ):
            with pytest.raises(CaptureError, match=r"test_capturing\.py, line \d+ \(.*a generator's own method"):
                draw()
            each_time(lambda draw=draw: drawn.append(draw()))
        assert fed(get_device("cpu"), lambda: generator.normal((2,))).shape == (2,)
        with pytest.raises(CaptureError, match="values to stay on the device"):
            refuse_reading()
    refuse_reading()
    assert len(drawn) == 4


def test_modes_are_those_that_results_depend_on() -> None:
    from tinygrad_bn import nn, no_grad, set_float32_matmul_precision

    before = modes()
    found = {before}
    with no_grad():
        found.add(modes())
    with nn.fusion(False):
        found.add(modes())
    set_float32_matmul_precision("high")
    found.add(modes())
    set_float32_matmul_precision("highest")
    assert len(found) == 4
    assert modes() == before
