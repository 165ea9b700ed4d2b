"""Where tensors live that are made without naming a device."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from stand_in import stand_in_device

import tinygrad_bn as tg
from tinygrad_bn import nn
from tinygrad_bn.backend import Device, device, get_device, register_device
from tinygrad_bn.data import DataLoader
from tinygrad_bn.errors import DeviceError


@pytest.fixture
def chosen() -> Iterator[Device]:
    """A device that is the default one."""
    made, before = stand_in_device("chosen"), tg.get_default_device()
    register_device(made)
    tg.set_default_device("chosen")
    yield made
    tg.set_default_device(before)
    del device._devices["chosen"]


@pytest.mark.cpu_only("asks for the default that nobody has changed")
def test_it_is_the_cpu_at_first() -> None:
    assert tg.get_default_device() is get_device() is get_device("cpu")


def test_what_is_made_without_a_device_lives_there(chosen: Device) -> None:
    assert tg.get_default_device() is get_device() is chosen
    labels = np.array([0, 1, 0])
    made = {
        "tensor": tg.tensor([1.0, 2.0]),
        "from an array": tg.tensor(np.ones(2)),
        "zeros": tg.zeros(2),
        "arange": tg.arange(3),
        "eye": tg.eye(2),
        "randn": tg.randn(2),
        "parameter": nn.Parameter([1.0]),
        "operand": tg.ones(3) * np.ones(3),
        "batch": next(iter(DataLoader((np.zeros((3, 1, 2, 2)), labels), 2)))[0],
        "weights": nn.Linear(2, 3).weight,
        "buffer": nn.BatchNorm1d(2).running_mean,
    }
    assert {name: str(tensor.device) for name, tensor in made.items()} == dict.fromkeys(made, "chosen")


def test_what_lives_somewhere_or_names_a_device_does_not_move(chosen: Device) -> None:
    array = np.ones(2)
    on_cpu = tg.from_numpy(array)
    assert np.shares_memory(on_cpu.data, array)
    for tensor in (on_cpu, tg.tensor(on_cpu), tg.zeros_like(on_cpu), tg.ones(2, device="cpu"), on_cpu * 2.0):
        assert str(tensor.device) == "cpu"
    assert tg.tensor(tg.ones(2).data).device is chosen


def test_a_device_that_cannot_be_used_changes_nothing() -> None:
    before = tg.get_default_device()
    with pytest.raises(DeviceError, match="gpu"):
        tg.set_default_device("gpu")
    assert tg.get_default_device() is before
