"""Captured methods, and copies of what holds captured steps."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref
from typing import Any

import pytest

import tinygrad_bn as tg
from tinygrad_bn import nn, optim
from tinygrad_bn.errors import CaptureError

pytestmark = pytest.mark.usefixtures("gpu")


class Average(nn.Module):
    """Counts how often its code runs."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.register_buffer("value", tg.zeros(1))
        self.rate = rate
        self.runs = 0

    @tg.capture(warmup=1)
    def step(self, x: tg.Tensor) -> tg.Tensor:
        """Take a value in."""
        self.runs += 1
        self.value.assign_(self.value + (x - self.value) * self.rate)
        return self.value


class Doubled(Average):
    """Goes the whole way in two halves."""

    @tg.capture
    def step(self, x: tg.Tensor) -> tg.Tensor:
        super().step(x * 2.0)
        return super().step(x * 2.0)


class Trainer:
    """Captures a method of its own."""

    def __init__(self) -> None:
        self.weight = tg.tensor([3.0], device="cuda", requires_grad=True)
        self.rule = optim.SGD([self.weight], lr=0.5)
        self.step = tg.capture(self._step, warmup=1)

    def _step(self, x: tg.Tensor) -> tg.Tensor:
        self.rule.zero_grad()
        loss = (self.weight * x).sum()
        loss.backward()
        self.rule.step()
        return loss


@tg.capture(warmup=1)
def doubled(x: tg.Tensor) -> tg.Tensor:
    return x * 2.0


def one() -> tg.Tensor:
    return tg.ones(1, device="cuda")


def values(average: Average, calls: int) -> list[float]:
    return [average.step(one()).item() for _ in range(calls)]


def test_a_decorator_with_arguments() -> None:
    doubled.reset()
    for _ in range(4):
        assert doubled(one()).item() == 2.0
    assert [info.replays for info in doubled.graphs] == [2]
    assert doubled.__name__ == "doubled"


def test_each_object_has_recordings_of_its_own() -> None:
    half, quarter = Average(0.5).cuda(), Average(0.25).cuda()
    assert half.step is half.step
    assert half.step.__doc__ == "Take a value in."
    for _ in range(2):
        half.value.assign_(0.0)
        quarter.value.assign_(0.0)
        assert values(half, 4) == [0.5, 0.75, 0.875, 0.9375]
        assert values(quarter, 3) == [0.25, 0.4375, 0.578125]
    assert (half.runs, quarter.runs) == (2, 2)
    assert [info.replays for info in half.step.graphs] == [6]
    assert not Average.step.graphs
    assert list(half.state_dict()) == ["value"]


def test_a_method_that_calls_the_one_it_replaces() -> None:
    average = Doubled(0.5).cuda()
    assert values(average, 6) == [1.5, 1.875, 1.96875, 1.9921875, 1.998046875, 1.99951171875]
    assert len(average.step.graphs) == 1
    assert Average.step.__get__(average) is not average.step


def test_objects_with_recordings_can_go() -> None:
    average = Average(0.5).cuda()
    values(average, 3)
    gone = weakref.ref(average)
    del average
    gc.collect()
    assert gone() is None


def test_objects_without_attributes_cannot_keep_recordings() -> None:
    class Slotted:
        __slots__ = ()

        @tg.capture
        def step(self, x: tg.Tensor) -> tg.Tensor:
            return x

    with pytest.raises(CaptureError, match=r"Slotted\.step: .*got one of Slotted, .*; capture a function instead"):
        Slotted().step(one())


def test_what_a_class_holds_and_is_no_method_stays_what_it_is() -> None:
    class Holder:
        step = tg.capture(Trainer().step)
        static = staticmethod(doubled)

    assert Holder().step is Holder.step
    assert Holder().static is doubled


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda made: pickle.loads(pickle.dumps(made))])
def test_copies_of_objects_have_steps_of_their_own(copied: Any) -> None:
    average = Average(0.5).cuda()
    values(average, 3)
    other = copied(average)
    assert not other.step.graphs
    assert len(average.step.graphs) == 1
    assert values(other, 3) == [0.9375, 0.96875, 0.984375]
    assert average.value.item() == 0.875
    assert len(other.step.graphs) == 1
    assert (average.runs, other.runs) == (2, 4)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda made: pickle.loads(pickle.dumps(made))])
def test_copies_of_what_captures_its_own_method(copied: Any) -> None:
    trainer = Trainer()
    for _ in range(3):
        trainer.step(one())
    other = copied(trainer)
    assert [other.step(one()).item() for _ in range(3)] == [1.5, 1.0, 0.5]
    assert other.weight.item() == 0.0
    assert trainer.weight.item() == 1.5
    assert [info.replays for info in other.step.graphs] == [1]
    assert trainer.step(one()).item() == 1.5


def test_copies_of_captured_functions() -> None:
    for _ in range(3):
        doubled(one())
    other = copy.deepcopy(doubled)
    assert not other.graphs
    assert other(one()).item() == 2.0
    assert pickle.loads(pickle.dumps(doubled)) is doubled
    with pytest.raises((pickle.PicklingError, AttributeError), match="lambda"):
        pickle.dumps(tg.capture(lambda x: x))
