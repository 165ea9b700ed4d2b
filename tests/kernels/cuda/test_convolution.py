"""Convolutions on an emulated GPU, by stand-ins for cuDNN and cuBLAS and by our own kernels, against the reference."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import ml_dtypes  # noqa: F401 - makes the name bfloat16 known to NumPy
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stand_in import cudnn

from tinygrad_bn.backend import get_device, set_float32_matmul_precision
from tinygrad_bn.errors import DeviceError
from tinygrad_bn.kernels.cuda import CudaKernels, libraries
from tinygrad_bn.kernels.reference import Kernels

REFERENCE = Kernels(get_device("cpu"))
DTYPES = ["float16", "bfloat16", "float32", "float64"]
# Norm of the error over norm of the result.
TOLERANCE = {"float16": 1e-3, "bfloat16": 8e-3, "float32": 1e-6, "float64": 1e-14}
ONE_STEP = ((1, 1), ((1, 1), (1, 1)), (1, 1))

ONE_GPU = [HealthCheck.function_scoped_fixture]  # for all examples of a test


@pytest.fixture
def kernels(emulated_gpu: Any) -> CudaKernels:
    return CudaKernels(get_device("cuda"))


@pytest.fixture(autouse=True)
def _precision() -> Iterator[None]:
    yield
    set_float32_matmul_precision("highest")


def draw(rng: np.random.Generator, shape: tuple[int, ...], dtype: str, layout: str) -> tuple[Any, np.ndarray]:
    """Random numbers on the GPU in one of several memory layouts, NaN around them, and the same as float64."""
    from_host = get_device("cuda").from_host
    values = rng.standard_normal(shape).astype(dtype)
    wide = values.astype("float64")
    if layout == "plain":
        return from_host(values), wide
    if layout == "strided":
        spaced = np.full((*shape[:-1], 2 * shape[-1] + 1), np.nan, dtype)
        spaced[..., 1::2] = values
        return from_host(spaced)[..., 1::2], wide
    if layout == "reversed":
        return from_host(values[::-1].copy())[::-1], wide
    last = values.transpose(0, 2, 3, 1) if len(shape) == 4 else values
    with_margins = np.full(values.size + 2 * 64, np.nan, dtype)
    begin = 65 if layout == "not aligned" else 64
    with_margins[begin : begin + values.size] = last.ravel()
    found = from_host(with_margins)[begin : begin + values.size].reshape(last.shape)
    return (found.transpose(0, 3, 1, 2) if len(shape) == 4 else found), wide


LAYOUTS = st.sampled_from(["plain", "channels-last", "not aligned", "strided", "reversed"])


def assert_near(found: Any, expected: np.ndarray, dtype: str) -> None:
    host = get_device("cuda").to_host(found)
    assert host.shape == expected.shape
    assert host.dtype == dtype
    error = np.linalg.norm((host.astype("float64") - expected).ravel())
    assert error <= TOLERANCE[dtype] * max(float(np.linalg.norm(expected.ravel())), 1.0)


def check(
    kernels: CudaKernels,
    size: tuple[int, int],
    channels: tuple[int, int],
    kernel: tuple[int, int],
    geometry: Any,
    groups: int = 1,
    batch: int = 2,
    dtype: str = "float32",
    layouts: tuple[str, str, str] = ("channels-last", "plain", "channels-last"),
    seed: int = 0,
) -> None:
    """Compare the three convolutions with the reference in float64."""
    rng = np.random.default_rng(seed)
    x, wide_x = draw(rng, (batch, channels[0], *size), dtype, layouts[0])
    weight, wide_weight = draw(rng, (channels[1], channels[0] // groups, *kernel), dtype, layouts[1])
    bias, wide_bias = draw(rng, (channels[1],), dtype, layouts[2])
    where = (*geometry, groups)
    expected = REFERENCE.conv2d(wide_x, wide_weight, None, *where)
    grad, wide_grad = draw(rng, expected.shape, dtype, layouts[2])
    assert_near(kernels.conv2d(x, weight, None, *where), expected, dtype)
    assert_near(kernels.conv2d(x, weight, bias, *where), expected + wide_bias[:, None, None], dtype)
    found = kernels.conv2d_input_grad(grad, weight, size, *where)
    assert_near(found, REFERENCE.conv2d_input_grad(wide_grad, wide_weight, size, *where), dtype)
    found = kernels.conv2d_weight_grad(x, grad, kernel, *where)
    assert_near(found, REFERENCE.conv2d_weight_grad(wide_x, wide_grad, kernel, *where), dtype)


PADDING = st.tuples(*[st.tuples(st.integers(0, 3), st.integers(0, 3))] * 2)


@st.composite
def cases(draw: st.DrawFn, kernels: Any) -> dict[str, Any]:
    kernel = draw(kernels)
    dilation = draw(st.sampled_from([(1, 1), (1, 2), (2, 1)]))
    padding = draw(PADDING)
    least = [max(1, dilation[d] * (kernel[d] - 1) + 1 - sum(padding[d])) for d in (0, 1)]
    return {
        "size": tuple(n + draw(st.integers(0, 7)) for n in least),
        "kernel": kernel,
        "geometry": (draw(st.sampled_from([(1, 1), (2, 2), (1, 3)])), padding, dilation),
        "batch": draw(st.integers(1, 3)),
        "dtype": draw(st.sampled_from(DTYPES)),
        "layouts": draw(st.tuples(LAYOUTS, LAYOUTS, LAYOUTS)),
        "seed": draw(st.integers(0, 1000)),
    }


@settings(max_examples=120, suppress_health_check=ONE_GPU)
@given(
    case=cases(st.tuples(st.integers(1, 4), st.integers(1, 4))),
    channels=st.sampled_from([(1, 1, 1), (3, 8, 1), (8, 5, 1), (4, 6, 2), (6, 9, 3), (4, 4, 4), (3, 6, 3)]),
)
def test_by_cudnn(kernels: CudaKernels, case: dict[str, Any], channels: tuple[int, int, int]) -> None:
    check(kernels, channels=channels[:2], groups=channels[2], **case)
    assert kernels.missing == {}


@settings(max_examples=80, suppress_health_check=ONE_GPU)
@given(case=cases(st.just((3, 3))), channels=st.sampled_from([2, 3, 4, 8, 24, 33, 136]))
def test_depthwise_by_our_own_kernels(kernels: CudaKernels, case: dict[str, Any], channels: int) -> None:
    cudnn.state.executed.clear()
    check(kernels, channels=(channels, channels), groups=channels, **case)
    assert cudnn.state.executed == []


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("batch", "side", "channels"), [(5, 17, 72), (40, 3, 8), (1, 61, 3)])
def test_depthwise_with_several_blocks(kernels: CudaKernels, batch: int, side: int, channels: int, dtype: str) -> None:
    check(kernels, (side, side), (channels, channels), (3, 3), ONE_STEP, channels, batch, dtype)


def test_depthwise_results_repeat(kernels: CudaKernels) -> None:
    rng = np.random.default_rng(0)
    x, _ = draw(rng, (9, 24, 15, 15), "float32", "channels-last")
    grad, _ = draw(rng, (9, 24, 15, 15), "float32", "channels-last")
    to_host = get_device("cuda").to_host
    first = to_host(kernels.conv2d_weight_grad(x, grad, (3, 3), *ONE_STEP, 24))
    for _ in range(3):
        again = to_host(kernels.conv2d_weight_grad(x, grad, (3, 3), *ONE_STEP, 24))
        np.testing.assert_array_equal(again, first)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_depthwise_treats_infinities_as_the_definition_does(kernels: CudaKernels, value: float) -> None:
    device, rng = get_device("cuda"), np.random.default_rng(0)
    x = rng.standard_normal((2, 4, 6, 6)).astype("float32")
    x[0, 1, 0, 0] = x[1, 3, 5, 2] = value
    weight = rng.standard_normal((4, 1, 3, 3)).astype("float32")
    with np.errstate(all="ignore"):
        expected = REFERENCE.conv2d(x, weight, None, (2, 2), ((0, 2), (1, 1)), (1, 1), 4)
    found = kernels.conv2d(device.from_host(x), device.from_host(weight), None, (2, 2), ((0, 2), (1, 1)), (1, 1), 4)
    np.testing.assert_allclose(device.to_host(found), expected, rtol=1e-5, atol=1e-5)


@settings(max_examples=40, suppress_health_check=ONE_GPU)
@given(
    size=st.tuples(st.integers(1, 6), st.integers(1, 6)),
    channels=st.sampled_from([(1, 1), (3, 8), (8, 5)]),
    batch=st.integers(1, 3),
    dtype=st.sampled_from(DTYPES),
    layouts=st.tuples(LAYOUTS, LAYOUTS, LAYOUTS),
)
def test_kernels_of_one_pixel_are_products(kernels: CudaKernels, size: Any, channels: Any, **case: Any) -> None:
    cudnn.state.executed.clear()
    libraries.load_cublas().log.clear()
    check(kernels, size, channels, (1, 1), ((1, 1), ((0, 0), (0, 0)), (1, 1)), **case)
    assert cudnn.state.executed == []
    assert len(libraries.load_cublas().log) == 4


@pytest.mark.emulated_only("asks the stand-in for cuDNN what it was asked")
@pytest.mark.parametrize(
    ("kernel", "channels", "groups", "geometry", "expected"),
    [
        ((3, 3), (4, 6), 1, ONE_STEP, "cudnn"),
        ((3, 3), (4, 4), 4, ONE_STEP, "own"),
        ((3, 3), (4, 8), 4, ONE_STEP, "cudnn"),
        ((3, 3), (1, 1), 1, ONE_STEP, "cudnn"),
        ((5, 5), (4, 4), 4, ((1, 1), ((2, 2), (2, 2)), (1, 1)), "cudnn"),
        ((1, 1), (4, 6), 1, ((1, 1), ((0, 0), (0, 0)), (1, 1)), "cublas"),
        ((1, 1), (4, 6), 1, ((2, 2), ((0, 0), (0, 0)), (1, 1)), "cudnn"),
        ((1, 1), (4, 6), 1, ((1, 1), ((1, 1), (0, 0)), (1, 1)), "cudnn"),
        ((1, 1), (4, 6), 2, ((1, 1), ((0, 0), (0, 0)), (1, 1)), "cudnn"),
    ],
)
def test_who_computes_a_convolution(
    kernels: CudaKernels,
    monkeypatch: pytest.MonkeyPatch,
    kernel: tuple[int, int],
    channels: tuple[int, int],
    groups: int,
    geometry: Any,
    expected: str,
) -> None:
    launched: list[str] = []
    find = kernels.program.kernel
    monkeypatch.setattr(kernels.program, "kernel", lambda name, *rest: launched.append(name) or find(name, *rest))
    cudnn.state.executed.clear()
    libraries.load_cublas().log.clear()
    check(kernels, (5, 6), channels, kernel, geometry, groups)
    found = {
        "own": launched,
        "cudnn": [operation for operation, *_ in cudnn.state.executed],
        "cublas": [name for name, *_ in libraries.load_cublas().log],
    }
    assert {name for name, calls in found.items() if calls} == {expected}
    assert (
        found[expected]
        == {
            "own": [
                "depthwise_conv2d",
                "depthwise_conv2d",
                "depthwise_input_grad",
                "depthwise_weight_grad",
                "depthwise_weight_grad_sum",
            ],
            "cudnn": ["fprop", "fprop", "dgrad", "wgrad"],
            "cublas": ["GemmEx"] * 4,
        }[expected]
    )


# -- what is not covered, or not there ---------------------------------------------------------------------------


def compare_with_the_reference(kernels: CudaKernels, shapes: Any, where: Any, dtypes: Any = ("float32",) * 2) -> None:
    """Compare the forward pass and the gradients for small whole numbers, which have no rounding errors."""
    device, rng = get_device("cuda"), np.random.default_rng(0)
    x, weight = (rng.integers(-2, 3, shape).astype(d) for shape, d in zip(shapes, dtypes, strict=True))
    expected = REFERENCE.conv2d(x, weight, None, *where)
    on_gpu = [device.from_host(a) for a in (x, weight, expected)]
    found = kernels.conv2d(*on_gpu[:2], None, *where)
    np.testing.assert_array_equal(device.to_host(found), expected)
    found = kernels.conv2d_input_grad(on_gpu[2], on_gpu[1], x.shape[2:], *where)
    wanted = REFERENCE.conv2d_input_grad(expected, weight, x.shape[2:], *where)
    np.testing.assert_array_equal(device.to_host(found), wanted)
    found = kernels.conv2d_weight_grad(on_gpu[0], on_gpu[2], weight.shape[2:], *where)
    wanted = REFERENCE.conv2d_weight_grad(x, expected, weight.shape[2:], *where)
    np.testing.assert_array_equal(device.to_host(found), wanted)


@pytest.mark.parametrize(
    ("shapes", "where", "dtypes"),
    [
        (((0, 2, 5, 5), (3, 2, 3, 3)), (*ONE_STEP, 1), ("float32", "float32")),
        (((2, 4, 5, 5), (4, 1, 3, 3)), (*ONE_STEP, 4), ("int64", "int64")),
        # Zeros that a negative number takes away, as where a transposed convolution's output is padded by a pixel
        # more than its stride.
        (((2, 2, 6, 6), (3, 2, 3, 3)), ((1, 1), ((0, -1), (0, -1)), (2, 2), 1), ("float32", "float32")),
    ],
)
def test_what_is_not_covered_goes_to_the_reference(kernels: CudaKernels, shapes: Any, where: Any, dtypes: Any) -> None:
    cudnn.state.executed.clear()
    compare_with_the_reference(kernels, shapes, where, dtypes)
    assert cudnn.state.executed == []


def test_two_dtypes_go_to_the_reference(kernels: CudaKernels) -> None:
    xp = get_device("cuda").xp
    found = kernels.conv2d(xp.ones((1, 1, 3, 3), "float32"), xp.ones((1, 1, 3, 3), "float64"), None, *ONE_STEP, 1)
    assert found.dtype == "float64"
    assert float(found[0, 0, 1, 1]) == 9.0
    assert cudnn.state.executed == []


@pytest.mark.parametrize("layout", ["plain", "channels-last"])
@pytest.mark.parametrize(("kernel", "groups"), [((3, 3), 1), ((3, 3), 4), ((1, 1), 1)])
def test_results_are_channels_last(kernels: CudaKernels, layout: str, kernel: tuple[int, int], groups: int) -> None:
    rng = np.random.default_rng(0)
    x, _ = draw(rng, (2, 4, 5, 6), "float32", layout)
    weight, _ = draw(rng, (4, 4 // groups, *kernel), "float32", layout)
    where = ((1, 1), ((0, 0), (0, 0)), (1, 1), groups)
    grad = kernels.conv2d(x, weight, None, *where)
    results = (
        grad,
        kernels.conv2d_input_grad(grad, weight, (5, 6), *where),
        kernels.conv2d_weight_grad(x, grad, kernel, *where),
    )
    for result in results:
        assert result.transpose(0, 2, 3, 1).flags.c_contiguous


@pytest.mark.emulated_only("asks the stand-in for cuDNN what it was asked")
def test_rows_that_no_position_reads_need_no_negative_padding(kernels: CudaKernels) -> None:
    cudnn.state.executed.clear()
    compare_with_the_reference(kernels, ((2, 2, 8, 8), (3, 2, 3, 3)), ((2, 2), ((0, -1), (0, -1)), (1, 1), 1))
    assert len(cudnn.state.executed) == 3


@pytest.mark.emulated_only("asks the stand-in for cuDNN what it was asked")
@pytest.mark.parametrize("operation", ["fprop", "dgrad", "wgrad"])
def test_what_cudnn_refuses_goes_to_the_reference_and_is_asked_once(emulated_gpu: Any, operation: str) -> None:
    kernels = CudaKernels(get_device("cuda"))
    cudnn.state.refuses = {operation}
    for _ in range(2):
        check(kernels, (5, 5), (4, 6), (3, 3), ONE_STEP)
    (reason,) = {value for key, value in kernels.missing.items() if key.startswith("conv2d ")}
    assert reason == f"No valid engine configs for {operation}"
    assert operation not in {name for name, *_ in cudnn.state.executed}


def test_without_cudnn_the_reference_computes_and_the_reason_is_kept(
    emulated_gpu: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing() -> Any:
        raise DeviceError("no cudnn here")

    monkeypatch.setattr(libraries, "load_cudnn", missing)
    kernels = CudaKernels(get_device("cuda"))
    check(kernels, (5, 5), (4, 6), (3, 3), ONE_STEP)
    check(kernels, (5, 5), (4, 4), (3, 3), ONE_STEP, 4)
    assert kernels.missing == {"cuDNN": "no cudnn here"}


def test_what_the_reference_computes_can_be_captured(emulated_gpu: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """CuPy's own products cannot: it refuses cuBLAS while a stream is captured."""

    def missing() -> Any:
        raise DeviceError("no cudnn here")

    monkeypatch.setattr(libraries, "load_cudnn", missing)
    check_captured(CudaKernels(get_device("cuda")), emulated_gpu, 1, (3, 3), ONE_STEP)
    check_captured(CudaKernels(get_device("cuda")), emulated_gpu, 2, (3, 3), ((2, 1), ((1, 1), (1, 0)), (1, 1)))


@pytest.mark.emulated_only("asks the stand-in for cuDNN what it was asked")
def test_without_cublas_kernels_of_one_pixel_go_to_cudnn(emulated_gpu: Any) -> None:
    libraries.load_cublas().works = False
    kernels = CudaKernels(get_device("cuda"))
    check(kernels, (5, 5), (4, 6), (1, 1), ((1, 1), ((0, 0), (0, 0)), (1, 1)))
    assert [operation for operation, *_ in cudnn.state.executed] == ["fprop", "fprop", "dgrad", "wgrad"]


# -- precision, streams and capture ------------------------------------------------------------------------------


@pytest.mark.emulated_only("asks the stand-in for cuDNN what it was asked")
@pytest.mark.parametrize(
    ("dtype", "precision", "engine"),
    [
        ("float32", "highest", "eng4_k3=0"),
        ("float32", "high", "eng2"),
        ("float32", "medium", "eng2"),
        ("float16", "highest", "eng2"),
        ("bfloat16", "highest", "eng2"),
        ("float64", "highest", "eng2"),
    ],
)
def test_precision_is_read_at_each_call(kernels: CudaKernels, dtype: str, precision: str, engine: str) -> None:
    rng = np.random.default_rng(0)
    x, wide_x = draw(rng, (2, 8, 6, 6), dtype, "channels-last")
    weight, wide_weight = draw(rng, (8, 8, 3, 3), dtype, "channels-last")
    set_float32_matmul_precision(precision)
    cudnn.state.executed.clear()
    found = get_device("cuda").to_host(kernels.conv2d(x, weight, None, *ONE_STEP, 1)).astype("float64")
    assert cudnn.state.executed == [("fprop", engine, dtype)]
    expected = REFERENCE.conv2d(wide_x, wide_weight, None, *ONE_STEP, 1)
    error = np.linalg.norm(found - expected) / np.linalg.norm(expected)
    rounds = precision != "highest"
    assert (1e-5 if rounds else 0) < error < (1e-3 if rounds else TOLERANCE[dtype])


def check_captured(kernels: CudaKernels, cupy: Any, groups: int, kernel: tuple[int, int], geometry: Any) -> None:
    """Compare what replays of a captured convolution, and of its gradients, compute with the reference."""
    rng = np.random.default_rng(0)
    stream = cupy.cuda.Stream(non_blocking=True)
    x, _ = draw(rng, (2, 4, 5, 5), "float32", "channels-last")
    weight, wide_weight = draw(rng, (4, 4 // groups, *kernel), "float32", "channels-last")
    where = (*geometry, groups)
    with stream:
        kernels.conv2d(x, weight, None, *where)
        stream.begin_capture()
        found = kernels.conv2d(x, weight, None, *where)
        grads = kernels.conv2d_weight_grad(x, found, kernel, *where)
        grads_x = kernels.conv2d_input_grad(found, weight, (5, 5), *where)
        graph = stream.end_capture()
        for _ in range(2):
            x[...] = x + 1.0
            graph.launch()
            wide = get_device("cuda").to_host(x).astype("float64")
            expected = REFERENCE.conv2d(wide, wide_weight, None, *where)
            assert_near(found, expected, "float32")
            assert_near(grads, REFERENCE.conv2d_weight_grad(wide, expected, kernel, *where), "float32")
            assert_near(grads_x, REFERENCE.conv2d_input_grad(expected, wide_weight, (5, 5), *where), "float32")


@pytest.mark.parametrize(
    ("groups", "kernel", "geometry"),
    [(1, (3, 3), ONE_STEP), (4, (3, 3), ONE_STEP), (1, (1, 1), ((1, 1), ((0, 0), (0, 0)), (1, 1)))],
)
def test_captured_convolutions_are_computed_at_each_replay(
    emulated_gpu: Any, groups: int, kernel: tuple[int, int], geometry: Any
) -> None:
    check_captured(CudaKernels(get_device("cuda")), emulated_gpu, groups, kernel, geometry)
