"""Compiled convolutions by every algorithm against the reference in float64, on random shapes and memory layouts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from guarded import guarded
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("numba")

from tinygrad_bn.backend import BufferPool, get_device, threads
from tinygrad_bn.kernels.cpu import CpuKernels, direct, launch, winograd, winograd_kernels
from tinygrad_bn.kernels.cpu.algorithm import ALGORITHMS, winograd_tile
from tinygrad_bn.kernels.reference import Kernels
from tinygrad_bn.kernels.shapes import output_length

CPU = get_device("cpu")
REFERENCE = Kernels(CPU)
WINOGRAD = [name for name, tile in ALGORITHMS.items() if tile]
# Norm of the error over norm of the result. The bar for products of matrices in float32 is 1e-6; Winograd's transforms
# may lose one digit.
TOLERANCE = {
    (name, dtype): bar * (10 if name in WINOGRAD else 1)
    for name in ALGORITHMS
    for dtype, bar in (("float32", 1e-6), ("float64", 1e-14))
}
ONE_STEP = ((1, 1), ((1, 1), (1, 1)), (1, 1))


def kernels_with(algorithm: str | None) -> CpuKernels:
    kernels = CpuKernels(CPU)
    kernels.algorithm = algorithm
    return kernels


FAST = kernels_with(None)


@pytest.fixture(params=[1, 2])
def number_of_threads(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(threads, "_number", request.param)
    number: int = request.param
    return number


def assert_near(found: Any, expected: Any, tolerance: float, usual_norm: float = 0.0) -> None:
    """Compare norms; `usual_norm` is what the result's norm would be without chance cancellation."""
    assert found.shape == expected.shape
    error = np.linalg.norm((found - expected).ravel())
    error /= max(float(np.linalg.norm(expected.ravel())), usual_norm, 1e-30)
    assert error <= tolerance, f"relative error {error:.1e}"


def draw_array(rng: np.random.Generator, shape: tuple[int, ...], dtype: str, layout: str) -> Any:
    """Random numbers in one of several memory layouts; wherever there is memory between or around them, it is NaN."""
    values = rng.standard_normal(shape).astype(dtype)
    if layout == "channels-last":
        with_margins = np.full(values.size + 2 * 64, np.nan, dtype)
        inside = with_margins[64:-64].reshape(shape[0], *shape[2:], shape[1]).transpose(0, 3, 1, 2)
        inside[...] = values
        return inside
    if layout == "strided":
        wide = np.full((*shape[:-1], 2 * shape[-1] + 1), np.nan, dtype)
        wide[..., 1::2] = values
        return wide[..., 1::2]
    if layout == "reversed":
        return np.ascontiguousarray(values[::-1, :, ::-1])[::-1, :, ::-1]
    if layout == "not aligned":
        unaligned = np.zeros(values.nbytes + 1, "uint8")[1:].view(dtype).reshape(shape)
        unaligned[...] = values
        return unaligned
    values.flags.writeable = layout != "read-only"
    return values


LAYOUTS = st.sampled_from(["plain", "channels-last", "strided", "reversed", "not aligned", "read-only"])
PADDING = st.tuples(*[st.tuples(st.integers(0, 3), st.integers(0, 3))] * 2)
SMALL_PIECES = {
    # Where the work is cut up for large arrays: (module, name, a value for small ones).
    "direct": [(direct, "_SLAB_PIXELS", 24), (direct, "_SLAB_VALUES", 16), (direct, "_PARTIAL_BYTES", 1000)],
    "winograd panels": [(winograd, "_WEIGHTS_BYTES", 0), (winograd, "_SUMS_BYTES", 0)],
    "winograd small panels": [
        (winograd, "_WEIGHTS_BYTES", 0),
        (winograd, "_SUMS_BYTES", 0),
        (winograd, "_PANEL_TILES", 5),
        (winograd, "_PANEL_CHANNELS", 24),
    ],
    "winograd blocks": [(winograd, "_BLOCK_BYTES", 50_000), (winograd, "_GRAD_BLOCK_BYTES", 50_000)],
}


@st.composite
def direct_cases(draw: st.DrawFn) -> dict[str, Any]:
    kernel = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    dilation = draw(st.sampled_from([(1, 1), (1, 2), (2, 1)]))
    padding = draw(PADDING)
    least = [max(1, dilation[d] * (kernel[d] - 1) + 1 - sum(padding[d])) for d in (0, 1)]
    return {
        "size": tuple(n + draw(st.integers(0, 16)) for n in least),
        "channels": draw(st.sampled_from([1, 2, 3, 8, 10, 33, 70])),
        "out_channels": draw(st.sampled_from([1, 3, 8, 32, 33, 70])),
        "kernel": kernel,
        "geometry": (draw(st.sampled_from([(1, 1), (1, 1), (2, 2), (1, 3)])), padding, dilation),
        "pieces": draw(st.sampled_from([None, "direct"])),
    }


@st.composite
def winograd_cases(draw: st.DrawFn) -> dict[str, Any]:
    padding = draw(PADDING)
    channels = st.sampled_from([1, 2, 8, 15, 16, 17, 32, 33]) | st.integers(1, 150)
    return {
        "size": tuple(draw(st.integers(max(1, 3 - sum(padding[d])), 20)) for d in (0, 1)),
        "channels": draw(channels),
        "out_channels": draw(channels),
        "kernel": (3, 3),
        "geometry": ((1, 1), padding, (1, 1)),
        "pieces": draw(st.sampled_from([None, *(name for name in SMALL_PIECES if name.startswith("winograd"))])),
    }


def check(
    algorithm: str,
    size: tuple[int, int],
    channels: int,
    out_channels: int,
    kernel: tuple[int, int],
    geometry: Any,
    batch: int = 3,
    dtype: str = "float32",
    layouts: tuple[str, str, str] = ("channels-last", "plain", "channels-last"),
    seed: int = 0,
    pieces: str | None = None,
    number_of_threads: int = 2,
) -> None:
    """Compare the three convolutions with the reference; none of them may read or write beside its arrays."""
    rng = np.random.default_rng(seed)
    x = draw_array(rng, (batch, channels, *size), dtype, layouts[0])
    weight = draw_array(rng, (out_channels, channels, *kernel), dtype, layouts[1])
    bias = rng.standard_normal(out_channels).astype(dtype)
    kernels, tolerance = kernels_with(algorithm), TOLERANCE[algorithm, dtype]
    products = REFERENCE.conv2d(np.ones((1, 1, *size)), np.ones((1, 1, *kernel)), None, *geometry, 1).sum()
    usual_norm = float(np.sqrt(products * batch * channels * out_channels)) if algorithm in WINOGRAD else 0.0
    with pytest.MonkeyPatch.context() as patch, guarded(CPU):
        for module, name, value in SMALL_PIECES[pieces] if pieces else []:
            patch.setattr(module, name, value)
        patch.setattr(threads, "_number", number_of_threads)
        patch.setattr(launch, "_WORTH_SHARING", 1.0)
        without_bias = REFERENCE.conv2d(_wide(x), _wide(weight), None, *geometry, 1)
        grad = draw_array(rng, without_bias.shape, dtype, layouts[2])
        arrays = [(array, array.copy()) for array in (x, weight, bias, grad)]
        assert_near(kernels.conv2d(x, weight, None, *geometry, 1), without_bias, tolerance, usual_norm)
        expected = without_bias + _wide(bias)[:, None, None]
        assert_near(kernels.conv2d(x, weight, bias, *geometry, 1), expected, tolerance, usual_norm)
        expected = REFERENCE.conv2d_input_grad(_wide(grad), _wide(weight), size, *geometry, 1)
        found = kernels.conv2d_input_grad(grad, weight, size, *geometry, 1)
        assert_near(found, expected, tolerance, usual_norm)
        expected = REFERENCE.conv2d_weight_grad(_wide(x), _wide(grad), kernel, *geometry, 1)
        found = kernels.conv2d_weight_grad(x, grad, kernel, *geometry, 1)
        assert_near(found, expected, tolerance, usual_norm)
    for array, before in arrays:
        np.testing.assert_array_equal(array, before, err_msg="an input was changed")


def _wide(a: Any) -> Any:
    return a.astype("float64")


COMMON = {
    "batch": st.integers(1, 5),
    "dtype": st.sampled_from(["float32", "float64"]),
    "layouts": st.tuples(LAYOUTS, LAYOUTS, LAYOUTS),
    "seed": st.integers(0, 1000),
    "number_of_threads": st.sampled_from([1, 2]),
}


@settings(max_examples=150)
@given(case=direct_cases(), common=st.fixed_dictionaries(COMMON))
def test_direct_convolution(case: dict[str, Any], common: dict[str, Any]) -> None:
    check("direct", **case, **common)


@pytest.mark.parametrize("algorithm", WINOGRAD)
@settings(max_examples=100)
@given(case=winograd_cases(), common=st.fixed_dictionaries(COMMON))
def test_winograd_convolution(algorithm: str, case: dict[str, Any], common: dict[str, Any]) -> None:
    check(algorithm, **case, **common)


@pytest.mark.parametrize(("channels", "out_channels"), [(300, 300), (33, 700), (700, 33)])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_many_channels(algorithm: str, channels: int, out_channels: int, number_of_threads: int) -> None:
    check(algorithm, (4, 4), channels, out_channels, (3, 3), ONE_STEP, number_of_threads=number_of_threads)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("channels", [3, 40])
def test_images_without_pixels_but_with_padding(algorithm: str, channels: int) -> None:
    check(algorithm, (0, 4), channels, channels, (3, 3), ((1, 1), ((2, 2), (2, 2)), (1, 1)))


@pytest.mark.parametrize("row", [32, 64, 128, 192])  # the shortest: two vectors of 16 bytes
def test_matrices_of_a_block_do_not_overlap(row: int) -> None:
    for rows in (1, 2, 3, 8, 150):
        at = winograd_kernels.place_matrices(4, rows, row)
        assert at.matrix >= rows * row
        assert at.block >= 16 * at.matrix
        assert at.matrix % 64 == at.block % 64 == 0


# -- what the package calls: the algorithm is chosen by the shape ----------------------------------------------


@pytest.mark.parametrize(
    ("batch", "channels", "side", "out_channels", "kernel", "stride", "tile"),
    [
        (64, 32, 28, 32, 3, 1, 4),
        (8, 64, 14, 64, 3, 1, 4),
        (64, 256, 4, 64, 3, 1, 4),
        (8, 512, 4, 512, 3, 1, 4),
        (1, 256, 4, 256, 3, 1, 2),
        (64, 128, 2, 64, 3, 1, 2),
        (64, 3, 32, 64, 3, 1, 0),
        (64, 1, 28, 32, 3, 1, 0),
        (8, 64, 16, 128, 3, 2, 0),
        (8, 64, 16, 128, 1, 1, 0),
        (8, 64, 16, 128, 1, 2, 0),
        (16, 16, 14, 32, 5, 1, 0),
        (4, 3, 56, 64, 7, 2, 0),
    ],
)
def test_accuracy_at_sizes_of_real_networks(
    batch: int,
    channels: int,
    side: int,
    out_channels: int,
    kernel: int,
    stride: int,
    tile: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    size, window, padding = (side, side), (kernel, kernel), kernel // 2
    geometry = ((stride, stride), ((padding, padding), (padding, padding)), (1, 1))
    out_side = output_length(side, kernel, stride, (padding, padding), 1)
    assert winograd_tile(None, window, *geometry[::2], (channels, out_channels), batch, (out_side, out_side)) == tile
    rng = np.random.default_rng(0)
    x = draw_array(rng, (batch, channels, *size), "float32", "channels-last")
    x = np.maximum(x, 0)  # as after a ReLU: a mean that is not zero is the harder case
    weight = rng.standard_normal((out_channels, channels, *window)).astype("float32")
    bias = rng.standard_normal(out_channels).astype("float32")
    grad = draw_array(rng, (batch, out_channels, out_side, out_side), "float32", "channels-last")
    wide_x, wide_weight, wide_grad = _wide(x), _wide(weight), _wide(grad)
    expected = (
        REFERENCE.conv2d(wide_x, wide_weight, _wide(bias), *geometry, 1),
        REFERENCE.conv2d_input_grad(wide_grad, wide_weight, size, *geometry, 1),
        REFERENCE.conv2d_weight_grad(wide_x, wide_grad, window, *geometry, 1),
    )
    for number in (1, 2):
        monkeypatch.setattr(threads, "_number", number)
        found = (
            FAST.conv2d(x, weight, bias, *geometry, 1),
            FAST.conv2d_input_grad(grad, weight, size, *geometry, 1),
            FAST.conv2d_weight_grad(x, grad, window, *geometry, 1),
        )
        for ours, right in zip(found, expected, strict=True):
            assert_near(ours, right, 1e-5 if tile else 1e-6)


class Recorder(CpuKernels):
    """Notes which algorithm computes each convolution."""

    def __init__(self, algorithm: str | None) -> None:
        super().__init__(CPU)
        self.algorithm = algorithm
        self.called: list[str] = []

    def __getattribute__(self, name: str) -> Any:
        if name.startswith(("direct_", "winograd_", "depthwise_")):
            self.called.append(name)
        return super().__getattribute__(name)


@pytest.mark.parametrize(
    ("algorithm", "groups", "side", "expected"),
    [
        (None, 1, 16, "winograd"),
        (None, 1, 1, "direct"),
        ("direct", 1, 16, "direct"),
        ("winograd-2x2", 1, 1, "winograd"),
        (None, 32, 16, "depthwise"),
        ("winograd-4x4", 32, 16, "depthwise"),
        (None, 2, 16, None),
        ("winograd-4x4", 2, 16, None),
    ],
)
def test_who_computes_a_convolution(algorithm: str | None, groups: int, side: int, expected: str | None) -> None:
    rng = np.random.default_rng(0)
    x, grad = (draw_array(rng, (2, 32, side, side), "float32", "channels-last") for _ in range(2))
    weight = draw_array(rng, (32, 32 // groups, 3, 3), "float32", "plain")
    bias = draw_array(rng, (32, 1), "float32", "plain").ravel()
    kernels = Recorder(algorithm)
    found = (
        kernels.conv2d(x, weight, bias, *ONE_STEP, groups),
        kernels.conv2d_input_grad(grad, weight, (side, side), *ONE_STEP, groups),
        kernels.conv2d_weight_grad(x, grad, (3, 3), *ONE_STEP, groups),
    )
    operations = ("conv2d", "input_grad", "weight_grad")
    assert kernels.called == ([f"{expected}_{operation}" for operation in operations] if expected else [])
    x, grad, weight, bias = (_wide(a) for a in (x, grad, weight, bias))
    right = (
        REFERENCE.conv2d(x, weight, bias, *ONE_STEP, groups),
        REFERENCE.conv2d_input_grad(grad, weight, (side, side), *ONE_STEP, groups),
        REFERENCE.conv2d_weight_grad(x, grad, (3, 3), *ONE_STEP, groups),
    )
    for ours, theirs in zip(found, right, strict=True):
        assert_near(ours, theirs, 1e-5)


# -- infinities, and chance --------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(
    ("algorithm", "pieces", "reach"),
    [
        ("direct", None, 1),
        ("winograd-2x2", None, 3),
        ("winograd-4x4", None, 5),
        ("winograd-2x2", "winograd panels", 3),
        ("winograd-4x4", "winograd panels", 5),
    ],
)
def test_infinities_and_nan_stay_where_they_belong(
    algorithm: str, pieces: str | None, reach: int, value: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the outputs that depend on them; by Winograd's algorithm also in those of the same tile."""
    for module, name, small in SMALL_PIECES[pieces] if pieces else []:
        monkeypatch.setattr(module, name, small)
    rng, kernels = np.random.default_rng(0), kernels_with(algorithm)
    x = rng.standard_normal((3, 8, 15, 15)).astype("float32")
    weight = rng.standard_normal((8, 8, 3, 3)).astype("float32")
    spoiled = x.copy()
    spoiled[1, 3, 7, 7] = value
    for call in (
        lambda a: kernels.conv2d(a, weight, None, *ONE_STEP, 1),
        lambda a: kernels.conv2d_input_grad(a, weight, (15, 15), *ONE_STEP, 1),
    ):
        clean, found = call(x), call(spoiled)
        np.testing.assert_array_equal(found[[0, 2]], clean[[0, 2]])
        assert not np.isfinite(found[1, :, 6:9, 6:9]).any()
        near = np.zeros((15, 15), bool)
        near[7 - reach : 8 + reach, 7 - reach : 8 + reach] = True
        np.testing.assert_array_equal(found[1, :, ~near], clean[1, :, ~near])
    grad = rng.standard_normal(x.shape).astype("float32")
    found = kernels.conv2d_weight_grad(spoiled, grad, (3, 3), *ONE_STEP, 1)
    clean = kernels.conv2d_weight_grad(x, grad, (3, 3), *ONE_STEP, 1)
    assert not np.isfinite(found[:, 3]).any()
    others = [0, 1, 2, 4, 5, 6, 7]
    np.testing.assert_array_equal(found[:, others], clean[:, others])


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_direct_convolution_treats_infinities_as_the_definition_does(value: float) -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 8, 12, 12)).astype("float32")
    x[1, 3, 5, 5] = value
    weight = rng.standard_normal((8, 8, 3, 3)).astype("float32")
    with np.errstate(all="ignore"):
        expected = REFERENCE.conv2d(x, weight, None, *ONE_STEP, 1)
    np.testing.assert_allclose(
        kernels_with("direct").conv2d(x, weight, None, *ONE_STEP, 1), expected, rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("shape", [(16, 33, 12, 40), (8, 3, 12, 20), (2, 300, 4, 300)])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_results_repeat_and_do_not_depend_on_what_memory_held(
    algorithm: str, shape: tuple[int, int, int, int], number_of_threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch, "_WORTH_SHARING", 1.0)
    rng, kernels = np.random.default_rng(0), kernels_with(algorithm)
    batch, channels, side, out_channels = shape
    x = draw_array(rng, (batch, channels, side, side), "float32", "channels-last")
    grad = draw_array(rng, (batch, out_channels, side, side), "float32", "channels-last")
    weight = draw_array(rng, (out_channels, channels, 3, 3), "float32", "plain")

    def results() -> list[Any]:
        return [
            kernels.conv2d(x, weight, None, *ONE_STEP, 1),
            kernels.conv2d_input_grad(grad, weight, (side, side), *ONE_STEP, 1),
            kernels.conv2d_weight_grad(x, grad, (3, 3), *ONE_STEP, 1),
        ]

    monkeypatch.setattr(CPU, "memory", BufferPool())  # which hands out what it gets back
    first = results()
    for _ in range(5):
        for again, before in zip(results(), first, strict=True):
            np.testing.assert_array_equal(again, before)
    with guarded(CPU):
        for again, before in zip(results(), first, strict=True):
            np.testing.assert_array_equal(again, before)
