"""Devices by name, and why one cannot be used."""

from __future__ import annotations

import numpy as np
import pytest
from stand_in import stand_in_device

import tinygrad_bn as tg
from tinygrad_bn import functional as F
from tinygrad_bn.backend import available_devices, device, device_of, get_device, register_device, unavailable_reason
from tinygrad_bn.errors import ArgumentError, DeviceError
from tinygrad_bn.kernels import Kernels, kernels_of


@pytest.mark.cpu_only("asks for the default that nobody has changed")
def test_the_cpu_is_always_there() -> None:
    cpu = get_device("cpu")
    assert get_device() is get_device(None) is get_device(cpu) is cpu
    assert cpu.xp is np
    assert available_devices()[0] == "cpu"
    assert unavailable_reason("cpu") is None
    assert str(cpu) == "cpu"
    assert repr(cpu) == "Device('cpu')"


@pytest.mark.parametrize("name", ["gpu", "CUDA", "cuda:", "cuda:-1", "cuda:a", "", 0, 1.5, ["cpu"]])
def test_unknown_names(name: object) -> None:
    with pytest.raises(DeviceError, match=r"^in device: expected .+, got "):
        get_device(name)


def test_a_device_of_one_s_own() -> None:
    made = stand_in_device("mine")
    register_device(made)
    try:
        assert get_device("mine") is made
        assert "mine" in available_devices()
        assert device_of(made.from_host(np.ones(2))) is made
        assert tg.ones(2, device="mine").device is tg.ones(2).to(made).device is made
    finally:
        del device._devices["mine"]


def test_device_of_arrays() -> None:
    assert device_of(np.ones(2)) is get_device("cpu")
    for value in (1.0, [1.0], None, np.float64(1.0), "text"):
        assert device_of(value) is None


def test_kernels_of_a_device_are_made_once() -> None:
    made = stand_in_device()
    kernels = kernels_of(made)
    assert isinstance(kernels, Kernels)
    assert kernels is kernels_of(made)
    assert kernels.xp is made.xp


def test_an_unknown_provider_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINYGRAD_BN_KERNELS", "referense")
    with pytest.raises(ArgumentError, match=r"TINYGRAD_BN_KERNELS.*did you mean 'reference'"):
        kernels_of(stand_in_device())


def test_training_on_every_device_there_is(device: str) -> None:
    """A forward and a backward pass on each device, against the CPU."""
    results = {}
    for where in ("cpu", device):
        tg.manual_seed(0)
        x = tg.randn(4, 3, 8, 8).to(where)
        weight, gamma = (tg.randn(5, 3, 3, 3).to(where), tg.ones(5).to(where))
        for w in (weight, gamma):
            w.requires_grad_()
        y = F.max_pool2d(F.tanh(F.batch_norm(F.conv2d(x, weight), None, None, gamma, training=True)), 2)
        loss = F.cross_entropy(y.mean(axis=(2, 3)), tg.tensor([0, 1, 2, 3], dtype="int64").to(where))
        loss.backward()
        results[where] = [t.numpy() for t in (y, loss, weight.grad, gamma.grad)]
    for a, b in zip(results[device], results["cpu"], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)


def test_a_copy_has_the_same_order_in_memory_and_nothing_in_common() -> None:
    rng = np.random.default_rng(0)
    images = rng.normal(size=(2, 30, 40, 50)).transpose(0, 3, 1, 2)
    for array in (images, images[:, ::2], images[0, 0, 0], np.float32(3) * np.ones(()), images.T):
        copy = get_device("cpu").copy(array)
        np.testing.assert_array_equal(copy, array)
        assert not np.shares_memory(copy, array)
    assert get_device("cpu").copy(images).strides == images.strides
