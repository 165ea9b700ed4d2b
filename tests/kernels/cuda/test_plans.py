"""Which of cuDNN's plans computes a convolution, and how often plans are made; with a stand-in for cuDNN."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from stand_in import cudnn

import tinygrad_bn as tg
from tinygrad_bn.backend import Recording, get_device
from tinygrad_bn.backend.recording import current
from tinygrad_bn.kernels.cuda import CudaKernels
from tinygrad_bn.kernels.cuda.cudnn_graphs import padding_after
from tinygrad_bn.kernels.shapes import output_length

ONE_STEP = ((1, 1), ((1, 1), (1, 1)), (1, 1), 1)
FAVOURITE, SECOND = "eng4_k3=0", "eng5"  # of those that repeat their bits and multiply in float32

pytestmark = pytest.mark.emulated_only("asks the stand-in for cuDNN what it was asked")


@pytest.fixture
def kernels(emulated_gpu: Any) -> Iterator[CudaKernels]:
    yield CudaKernels(get_device("cuda"))
    tg.set_cudnn_benchmark(False)


def convolve(kernels: CudaKernels, batch: int = 2) -> list[str]:
    """Return who was asked to compute a convolution; the last computed the result, which is checked."""
    xp = kernels.xp
    x, weight = xp.ones((batch, 2, 4, 4), "float32"), xp.ones((3, 2, 3, 3), "float32")
    cudnn.state.executed.clear()
    found = kernels.conv2d(x, weight, None, *ONE_STEP)
    np.testing.assert_array_equal(kernels.device.to_host(found)[:, :, 1, 1], 18.0)
    return [engine for _, engine, _ in cudnn.state.executed]


def test_cudnns_favourite_computes_and_is_made_once_for_each_shape(kernels: CudaKernels) -> None:
    assert tg.get_cudnn_benchmark() is False
    for _ in range(3):
        assert convolve(kernels) == [FAVOURITE]
    assert cudnn.state.built == [FAVOURITE]
    assert convolve(kernels, batch=3) == [FAVOURITE]
    assert cudnn.state.built == [FAVOURITE] * 2


def test_the_fastest_computes_where_plans_are_timed(kernels: CudaKernels) -> None:
    cudnn.state.slow[FAVOURITE] = lambda: time.sleep(2e-3)
    tg.set_cudnn_benchmark(True)
    asked = convolve(kernels)
    assert set(asked) == {FAVOURITE, SECOND}  # the third needs too large a workspace to be tried
    assert asked[-1] == SECOND
    assert cudnn.state.built == [FAVOURITE, SECOND, "eng6"]
    assert convolve(kernels) == [SECOND]
    tg.set_cudnn_benchmark(False)
    assert convolve(kernels) == [FAVOURITE]
    tg.set_cudnn_benchmark(True)
    assert convolve(kernels) == [SECOND]


def test_a_plan_that_fails_when_it_is_timed_is_not_taken(kernels: CudaKernels) -> None:
    def fail() -> None:
        raise RuntimeError("CUDNN_STATUS_EXECUTION_FAILED")

    cudnn.state.slow[FAVOURITE] = fail
    tg.set_cudnn_benchmark(True)
    assert convolve(kernels)[-1] == SECOND
    tg.set_cudnn_benchmark(False)
    with pytest.raises(RuntimeError, match="EXECUTION_FAILED"):  # with nothing to choose from it is an error
        convolve(kernels)


def test_nothing_is_timed_while_a_step_is_recorded(kernels: CudaKernels) -> None:
    cudnn.state.slow[FAVOURITE] = lambda: time.sleep(2e-3)
    tg.set_cudnn_benchmark(True)
    token = current.set(Recording())
    try:
        assert convolve(kernels) == [FAVOURITE]
    finally:
        current.reset(token)
    assert convolve(kernels)[-1] == SECOND


def test_one_handle_follows_the_current_stream(kernels: CudaKernels) -> None:
    cuda = kernels.xp.cuda
    streams = [cuda.Stream(non_blocking=True), cuda.Stream(non_blocking=True), cuda.Stream.null]
    for stream in (*streams, *streams):
        with stream:
            assert convolve(kernels) == [FAVOURITE]  # the stand-in checks the stream
    assert cudnn.state.built == [FAVOURITE]


def test_no_plan_is_left_where_none_is_precise_enough(kernels: CudaKernels, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cudnn, "ENGINES", cudnn.ENGINES[:4])
    assert convolve(kernels) == []
    (reason,) = kernels.missing.values()
    assert "no plan for it is as precise as is asked" in reason
    tg.set_float32_matmul_precision("high")
    try:
        assert convolve(kernels) == ["eng2"]
    finally:
        tg.set_float32_matmul_precision("highest")


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize("padding", [(0, 0), (1, 1), (0, 2), (2, 0), (1, 0), (0, -1), (2, 1), (1, -1)])
def test_padding_after_gives_as_many_positions(padding: tuple[int, int], dilation: int, stride: int) -> None:
    for length in range(5, 12):
        positions = output_length(length, 3, stride, padding, dilation)
        after = padding_after(length, 3, stride, padding, dilation, positions)
        as_before = output_length(length, 3, stride, (padding[0], padding[0]), dilation) == positions
        if as_before:
            assert after == padding[0]
        elif after is None:
            assert padding[1] < 0
        else:
            assert after >= 0
            assert output_length(length, 3, stride, (padding[0], after), dilation) == positions
