"""The optimisers' CUDA kernels, on an emulated GPU, against the reference on NumPy."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import ml_dtypes  # noqa: F401 - makes the name bfloat16 known to NumPy
import numpy as np
import pytest

import tinygrad_bn as tg
from tinygrad_bn import nn, optim
from tinygrad_bn.backend import Recording, capturing, get_device
from tinygrad_bn.kernels import AdamSettings, SgdSettings, Skip
from tinygrad_bn.kernels.cuda.updates import UpdateOverrides
from tinygrad_bn.kernels.reference import Kernels

REFERENCE = Kernels(get_device("cpu"))
SHAPES = [(3, 2), (), (5000,), (1,), (4, 3, 33, 31), (0, 3), (4096,), (8200,)]
TOLERANCE = {"float16": 1e-2, "bfloat16": 8e-2, "float32": 1e-6, "float64": 1e-14}


@pytest.fixture
def kernels(emulated_gpu: Any) -> UpdateOverrides:
    return UpdateOverrides(get_device("cuda"))


def draw(seed: int, dtype: str, shapes: Any = SHAPES) -> list[Any]:
    rng = np.random.default_rng(seed)
    return [np.asarray(rng.standard_normal(shape)).astype(dtype) for shape in shapes]


def on_gpu(kernels: UpdateOverrides, arrays: list[Any]) -> list[Any]:
    return [kernels.device.from_host(a) for a in arrays]


def assert_same(kernels: UpdateOverrides, found: list[Any], expected: list[Any]) -> None:
    for a, b in zip(found, expected, strict=True):
        tolerance = TOLERANCE[b.dtype.name]
        assert a.dtype == b.dtype
        found_wide, wide = kernels.device.to_host(a).astype("float64"), b.astype("float64")
        np.testing.assert_allclose(found_wide, wide, rtol=tolerance, atol=tolerance)


def launches(kernels: UpdateOverrides, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list to which each kernel that is launched from now on adds its name."""
    names: list[str] = []
    kernel = kernels.program.kernel

    def noting(name: str, *rest: Any) -> Any:
        found = kernel(name, *rest)

        def launch(*arguments: Any) -> None:
            names.append(name)
            found(*arguments)

        return launch

    monkeypatch.setattr(kernels.program, "kernel", noting)
    return names


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("settings", [(0.0, 0.0), (0.9, 0.0), (0.9, 0.3)], ids=repr)
@pytest.mark.parametrize(("weight_decay", "nesterov"), [*itertools.product([0.0, 0.01], [False, True])])
def test_sgd(
    kernels: UpdateOverrides, dtype: str, settings: tuple[float, float], weight_decay: float, nesterov: bool
) -> None:
    expected = draw(0, dtype)
    found = on_gpu(kernels, expected)
    velocities = [np.full_like(p, np.nan) for p in expected] if settings[0] else None
    ours = None if velocities is None else on_gpu(kernels, velocities)
    for step in range(3):
        gradients, now = draw(1 + step, dtype), SgdSettings(0.1, *settings, weight_decay, nesterov, step == 0)
        kernels.sgd_all(found, on_gpu(kernels, gradients), ours, lambda now=now: now)
        REFERENCE.sgd_all(expected, gradients, velocities, lambda now=now: now)
    assert_same(kernels, found + (ours or []), expected + (velocities or []))


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(("weight_decay", "decoupled"), [*itertools.product([0.0, 0.1], [False, True])])
def test_adam(kernels: UpdateOverrides, dtype: str, weight_decay: float, decoupled: bool) -> None:
    expected = [draw(0, dtype), *([np.zeros_like(p) for p in draw(0, dtype)] for _ in range(2))]
    found = [on_gpu(kernels, column) for column in expected]
    for step in range(1, 4):
        gradients, now = draw(step, dtype), AdamSettings(step, 0.1, (0.8, 0.95), 0.1, weight_decay, decoupled)
        kernels.adam_all(found[0], on_gpu(kernels, gradients), *found[1:], lambda now=now: now)
        REFERENCE.adam_all(expected[0], gradients, *expected[1:], lambda now=now: now)
    for ours, theirs in zip(found, expected, strict=True):
        assert_same(kernels, ours, theirs)


def test_hundreds_of_parameters_of_mixed_sizes(kernels: UpdateOverrides, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    shapes = [(int(n),) for n in rng.choice([0, 1, 3, 4, 17, 64, 4095, 4097], 300)]
    names = launches(kernels, monkeypatch)
    columns = [draw(seed, "float32", shapes) for seed in range(4)]
    columns[3] = [np.abs(square) for square in columns[3]]
    ours = [on_gpu(kernels, column) for column in columns]
    for run, arrays in ((kernels, ours), (REFERENCE, columns)):
        run.sgd_all(*arrays[:3], lambda: SgdSettings(0.1, 0.9, 0.0, 0.01, True, False))
        run.adam_all(arrays[0], *arrays[1:3], arrays[3], lambda: AdamSettings(2, 0.1, (0.9, 0.9), 1.0, 0.0, False))
    for found, expected in zip(ours, columns, strict=True):
        assert_same(kernels, found, expected)
    assert names == ["sgd"] * 3 + ["adam"] * 4


def test_a_networks_parameters_take_one_launch(kernels: UpdateOverrides, monkeypatch: pytest.MonkeyPatch) -> None:
    names = launches(kernels, monkeypatch)
    columns = [on_gpu(kernels, draw(seed, "float32", [(5,)] * 110)) for seed in range(3)]
    kernels.sgd_all(*columns, lambda: SgdSettings(0.1, 0.9, 0.0, 0.01, True, False))
    assert names == ["sgd"]


def test_memory_that_is_not_aligned(kernels: UpdateOverrides) -> None:
    rng = np.random.default_rng(0)
    columns = [[rng.standard_normal(5001).astype("float32")] for _ in range(3)]
    ours = [[kernels.device.from_host(column[0])[1:]] for column in columns]
    theirs = [[column[0][1:].copy()] for column in columns]
    for run, arrays in ((kernels, ours), (REFERENCE, theirs)):
        run.sgd_all(*arrays, lambda: SgdSettings(0.1, 0.9, 0.0, 0.01, True, False))
    for found, expected in zip(ours, theirs, strict=True):
        assert_same(kernels, found, expected)
    assert float(kernels.device.to_host(ours[1][0])[0]) == theirs[1][0][0]


def channels_last(array: Any) -> Any:
    return array.transpose(0, 2, 3, 1).copy().transpose(0, 3, 1, 2)


@pytest.mark.parametrize("which", [*itertools.product([False, True], repeat=3)], ids=repr)
def test_every_order_in_memory(
    kernels: UpdateOverrides, which: tuple[bool, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    names = launches(kernels, monkeypatch)
    columns = [draw(seed, "float32", [(4, 3, 2, 5), (6, 5, 1, 1)]) for seed in range(3)]
    ours = [
        [channels_last(a) if last else a for a in on_gpu(kernels, column)]
        for last, column in zip(which, columns, strict=True)
    ]
    for run, arrays in ((kernels, ours), (REFERENCE, columns)):
        run.sgd_all(*arrays, lambda: SgdSettings(0.1, 0.9, 0.0, 0.01, True, False))
    for found, expected in zip(ours, columns, strict=True):
        assert_same(kernels, found, expected)
    assert names == (["sgd"] if which[0] == which[2] else [])


def test_a_convolutions_weight_and_all_that_goes_with_it_lie_channels_last(emulated_gpu: Any) -> None:
    layer = nn.Conv2d(3, 4, 3).to("cuda")
    optimizers = [optim.SGD(layer.parameters(), momentum=0.9), optim.Adam(layer.parameters())]
    layer.weight.grad = tg.ones(4, 3, 3, 3, device="cuda")
    for optimizer in optimizers:
        optimizer.step()
        optimizer.load_state_dict(optimizer.state_dict())
        state = optimizer.state[layer.weight]
        for tensor in (layer.weight, *(state[name] for name in optimizer.buffers)):
            assert tensor.shape == (4, 3, 3, 3)
            assert tensor.data.transpose(0, 2, 3, 1).flags.c_contiguous
    made_there = nn.Parameter(tg.ones(4, 3, 3, 3), device="cuda")
    assert made_there.data.transpose(0, 2, 3, 1).flags.c_contiguous
    assert layer.bias.data.flags.c_contiguous


def test_what_is_not_covered_goes_to_the_reference(kernels: UpdateOverrides, monkeypatch: pytest.MonkeyPatch) -> None:
    names = launches(kernels, monkeypatch)
    wide, gradient = on_gpu(kernels, [np.ones((3, 8)), np.ones((3, 4))])
    now = SgdSettings(0.5, 0.0, 0.0, 0.0, False, False)
    kernels.sgd_all([wide[:, ::2]], [gradient], None, lambda: now)
    expected = np.ones((3, 8))
    expected[:, ::2] = 0.5
    np.testing.assert_array_equal(kernels.device.to_host(wide), expected)
    mixed = on_gpu(kernels, [np.ones(3, "float32"), np.ones(3, "float64")])
    kernels.sgd_all(mixed, mixed, None, lambda: now)
    for array in mixed:
        np.testing.assert_array_equal(kernels.device.to_host(array), 0.5)
    assert names == []


def test_nan_and_infinity_are_values_like_any_other(kernels: UpdateOverrides) -> None:
    start, gradient = np.array([np.inf, 1.0, 2.0, 3.0]), np.array([1.0, np.inf, np.nan, 1.0])
    for weight_decay, nesterov in itertools.product([0.0, 0.1], [False, True]):
        columns = [[start.copy()], [gradient], [np.array([1.0, -np.inf, 1.0, np.inf])]]
        ours = [on_gpu(kernels, column) for column in columns]
        with np.errstate(invalid="ignore"):
            for run, arrays in ((kernels, ours), (REFERENCE, columns)):
                run.sgd_all(*arrays, lambda: SgdSettings(0.1, 0.9, 0.0, weight_decay, nesterov, False))  # noqa: B023
        for found, expected in zip(ours, columns, strict=True):
            assert_same(kernels, found, expected)


@pytest.mark.parametrize("skipped", [False, True])
def test_steps_that_may_be_skipped(kernels: UpdateOverrides, skipped: bool) -> None:
    columns = [draw(seed, "float64") for seed in range(4)]
    columns[3] = [np.asarray(np.abs(square)) for square in columns[3]]
    ours = [on_gpu(kernels, column) for column in columns]
    flags = [np.array(skipped), np.array(0)]
    for run, arrays, skip in ((kernels, ours, Skip(*on_gpu(kernels, flags))), (REFERENCE, columns, Skip(*flags))):
        with np.errstate(all="ignore"):
            for _ in range(4):
                run.count_step(skip)
                run.sgd_all(*arrays[:3], lambda: SgdSettings(0.1, 0.9, 0.3, 0.0, False, True), skip)
                run.adam_all(*arrays, lambda: AdamSettings(99, 0.1, (0.8, 0.95), 1e-6, 0.1, True), skip)
        assert int(run.device.to_host(skip.taken)) == (0 if skipped else 4)
    for found, expected in zip(ours, columns, strict=True):
        assert_same(kernels, found, expected)
    if skipped:
        for array, before in zip(ours[0], draw(0, "float64"), strict=True):
            np.testing.assert_array_equal(kernels.device.to_host(array), before)


@pytest.fixture
def recording() -> Iterator[Recording]:
    recording = Recording()
    with capturing.recorded(recording):
        yield recording


def test_a_replay_has_new_numbers(kernels: UpdateOverrides, recording: Recording, emulated_gpu: Any) -> None:
    """What is launched is the same each time; what it reads from the device's memory is not."""
    launched = []
    kernel = kernels.program.kernel
    kernels.program.kernel = lambda *key: lambda *arguments: launched.append((kernel(*key), arguments))  # type: ignore[method-assign]
    columns = [draw(seed, "float32") for seed in range(2)]
    ours = [on_gpu(kernels, column) for column in columns]
    rates = iter([0.5, 0.25, 0.125])
    kernels.sgd_all(*ours, None, lambda: SgdSettings(next(rates), 0.0, 0.0, 0.0, False, False))
    ((function, arguments),) = launched
    for step in range(3):
        for action in recording.before_replay if step else ():
            action()
        function(*arguments)
    parameters, gradients = columns
    expected = [np.asarray(p - np.float32(0.875) * g) for p, g in zip(parameters, gradients, strict=True)]
    assert_same(kernels, ours[0], expected)


def test_runs_repeat_bit_for_bit(kernels: UpdateOverrides) -> None:
    results = []
    for _ in range(2):
        columns = [on_gpu(kernels, draw(seed, "float32")) for seed in range(4)]
        kernels.adam_all(*columns, lambda: AdamSettings(3, 0.1, (0.8, 0.95), 1e-6, 0.1, True))
        results.append([kernels.device.to_host(a).tobytes() for column in columns for a in column])
    assert results[0] == results[1]


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("value", [1.0, np.inf, -np.inf, np.nan])
def test_unscaling(kernels: UpdateOverrides, dtype: str, value: float, monkeypatch: pytest.MonkeyPatch) -> None:
    gradients = draw(0, dtype)
    gradients[4][3, 2, 32, 30] = value
    found, scale = on_gpu(kernels, gradients), np.array(6.0, np.float32)
    names = launches(kernels, monkeypatch)
    with np.errstate(all="ignore"):
        overflowed = kernels.unscale_all(found, kernels.device.from_host(scale))
        assert kernels.device.to_host(overflowed) == REFERENCE.unscale_all(gradients, scale) == (value != 1.0)
    assert names == ["unscale"]
    assert_same(kernels, found, gradients)


def test_unscaling_of_more_than_a_table_holds_and_of_what_has_gaps(
    kernels: UpdateOverrides, monkeypatch: pytest.MonkeyPatch
) -> None:
    gradients = draw(0, "float32", [(3,)] * 300)
    gradients[299][1] = np.inf
    found, scale = on_gpu(kernels, gradients), kernels.device.from_host(np.array(4.0, np.float32))
    names = launches(kernels, monkeypatch)
    assert kernels.device.to_host(kernels.unscale_all(found, scale))
    assert names == ["unscale"] * 2
    assert_same(kernels, found, [g / np.float32(4.0) for g in gradients])
    with_gaps = kernels.device.from_host(np.ones((4, 6), np.float32))[:, ::2]
    mixed = kernels.device.from_host(np.ones(3))
    assert not kernels.device.to_host(kernels.unscale_all([with_gaps, mixed], scale))
    assert len(names) == 2
    assert_same(kernels, [with_gaps, mixed], [np.full((4, 3), 0.25, np.float32), np.full(3, 0.25)])


@pytest.mark.parametrize("overflowed", [False, True])
@pytest.mark.parametrize(("scale", "streak"), [(8.0, 0), (8.0, 3), (8.0, 4), (3e38, 4), (1e-45, 2)])
def test_the_scale_after_a_step(kernels: UpdateOverrides, overflowed: bool, scale: float, streak: int) -> None:
    expected = [np.array(scale, np.float32), np.array(streak, np.int32)]
    found, flag = on_gpu(kernels, expected), np.array(overflowed)
    with np.errstate(all="ignore"):
        REFERENCE.adapt_scale(*expected, flag, 2.0, 0.5, 5)
    kernels.adapt_scale(*found, kernels.device.from_host(flag), 2.0, 0.5, 5)
    assert_same_exactly(kernels, found, expected)


def assert_same_exactly(kernels: UpdateOverrides, found: list[Any], expected: list[Any]) -> None:
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(kernels.device.to_host(a), b)
