"""The CUDA kernels of batch normalisation with an activation, on an emulated GPU, against the reference in float64."""

from __future__ import annotations

from typing import Any

import ml_dtypes  # noqa: F401 - makes the name bfloat16 known to NumPy
import numpy as np
import pytest

from tinygrad_bn.backend import get_device
from tinygrad_bn.functional.activation import formula_parameters
from tinygrad_bn.kernels.cuda import compiler
from tinygrad_bn.kernels.cuda.activations import ActivationOverrides
from tinygrad_bn.kernels.cuda.launch import BLOCKS, THREADS, tiling
from tinygrad_bn.kernels.cuda.norm_act import NormActOverrides
from tinygrad_bn.kernels.reference import Kernels
from tinygrad_bn.kernels.reference.batch_norm import RunningAverages

REFERENCE = Kernels(get_device("cpu"))
EPS = 1e-5
# Norm of the error over norm of the result.
TOLERANCE = {"float16": 1e-3, "bfloat16": 8e-3, "float32": 4e-6, "float64": 1e-13}
ORDERS = ("convention", "swap")
# One that is cheap and one that is costly of each kind, with and without parameters; each is compiled for itself.
COMBINATIONS = [
    ("float32", "relu"),
    ("float32", "tanh"),
    ("float32", "leaky_relu"),
    ("float64", "gelu"),
    ("float16", "tanh"),
    ("bfloat16", "leaky_relu"),
]
SHAPES = [(2, 512), (40, 3), (128, 10), (700, 64), (9000, 1), (2100, 8), (3, 33, 4, 5), (2, 513, 2, 2), (5, 8, 9, 7)]


class Own(NormActOverrides, ActivationOverrides):
    """Nothing but what is tested here."""


@pytest.fixture(autouse=True)
def small_source(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Compile these kernels alone: it is done for several activations and dtypes."""
    monkeypatch.setattr(compiler, "PARTS", ("scalars", "activations", "reduction", "norm_act"))
    with np.errstate(all="ignore"):
        yield


@pytest.fixture
def kernels(emulated_gpu: Any) -> Any:
    own = Own(get_device("cuda"))
    yield own
    assert not own.arrived.get().any(), "a counter was left above zero"


def near(found: Any, expected: Any, tolerance: float, what: str) -> None:
    assert found.shape == expected.shape, what
    error = np.linalg.norm((found - expected).ravel()) / max(np.linalg.norm(expected.ravel()), 1e-30)
    assert error <= tolerance, f"{what}: relative error {error:.1e}"


def drawn(shape: tuple[int, ...], dtype: str, seed: int = 0) -> list[Any]:
    """Return x, the output's gradient, weight and bias; channels differ in mean and width."""
    rng = np.random.default_rng(seed)
    per_channel = (1, shape[1], *[1] * (len(shape) - 2))
    x = rng.standard_normal(shape) * rng.uniform(0.5, 2.0, per_channel) + rng.standard_normal(per_channel)
    parameters = (rng.uniform(0.5, 2.0, shape[1]), rng.standard_normal(shape[1]))
    real = "float64" if dtype == "float64" else "float32"
    return [a.astype(dtype) for a in (x, rng.standard_normal(shape))] + [a.astype(real) for a in parameters]


def results(kernels: Kernels, arrays: list[Any], settings: tuple[Any, ...]) -> dict[str, Any]:
    """Training and evaluation, both ways; evaluation with statistics that are not those of x."""
    x, grad, weight, bias = arrays
    output, mean, variance = kernels.norm_act(x, weight, bias, *settings)
    training = kernels.norm_act_grad(grad, x, mean, variance, weight, bias, *settings)
    rng = np.random.default_rng(9)
    numbers = rng.uniform(0.5, 1.5, (2, x.shape[1])).astype("float32").astype(mean.dtype)
    given = [kernels.device.from_host(statistic) for statistic in numbers]
    evaluated = kernels.norm_act_eval(x, *given, weight, bias, *settings)
    evaluation = kernels.norm_act_eval_grad(grad, x, *given, weight, bias, *settings)
    names = ("output", "mean", "variance", "grad x", "grad weight", "grad bias")
    names += ("eval output", "eval grad x", "eval grad weight", "eval grad bias")
    return dict(zip(names, (output, mean, variance, *training, evaluated, *evaluation), strict=True))


def compare(kernels: Own, arrays: list[Any], settings: tuple[Any, ...], given: list[Any] | None = None) -> None:
    """Compare all results for arrays, which the GPU gets as they are or as `given`."""
    exact = [None if a is None else a.astype("float64") for a in arrays]
    expected = results(REFERENCE, exact, settings)
    if given is None:
        given = [None if a is None else kernels.device.from_host(a) for a in arrays]
    for name, found in results(kernels, given, settings).items():
        of_elements = name.endswith(("output", "grad x"))
        real = "float64" if arrays[0].dtype == "float64" else "float32"
        assert found.dtype == (arrays[0].dtype if of_elements else real), name
        tolerance = TOLERANCE[arrays[0].dtype.name] * (
            20 if len(arrays[0]) == 2 else 1
        )  # then little is left of grad x
        near(found.get().astype("float64"), expected[name], tolerance, name)
    for array, old in zip(given, arrays, strict=True):
        if old is not None:
            np.testing.assert_array_equal(array.get(), old, err_msg="an input was changed")


def settings_of(order: str, activation: str) -> tuple[Any, ...]:
    return EPS, order, activation, formula_parameters("test", activation, {})


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(("dtype", "activation"), COMBINATIONS)
@pytest.mark.parametrize("shape", SHAPES, ids=repr)
def test_every_shape(kernels: Own, shape: tuple[int, ...], dtype: str, activation: str, order: str) -> None:
    compare(kernels, drawn(shape, dtype), settings_of(order, activation))


@pytest.mark.parametrize("order", ORDERS)
def test_without_weight_or_bias(kernels: Own, order: str) -> None:
    for absent in ((2,), (3,), (2, 3)):
        arrays = [None if i in absent else a for i, a in enumerate(drawn((6, 4, 3, 3), "float32"))]
        compare(kernels, arrays, settings_of(order, "tanh"))


def in_memory(kernels: Own, array: Any) -> dict[str, Any]:
    """Return an image batch's values on the GPU in several kinds of memory."""
    xp, x = kernels.xp, kernels.device.from_host(array)
    wide = xp.zeros((*array.shape[:-1], 2 * array.shape[-1]), array.dtype)
    wide[..., 1::2] = x
    longer = xp.zeros(array.size + 1, array.dtype)
    rows = longer[1:].reshape(len(array), *array.shape[2:], array.shape[1])
    rows[...] = x.transpose(0, 2, 3, 1)
    return {
        "channels-last": x.transpose(0, 2, 3, 1).copy().transpose(0, 3, 1, 2),
        "with gaps": wide[..., 1::2],
        "reversed axes": x.T.copy().T,
        "backwards": x[::-1].copy()[::-1],
        "not at 16 bytes": rows.transpose(0, 3, 1, 2),
    }


@pytest.mark.parametrize("order", ORDERS)
def test_every_memory_layout(kernels: Own, order: str) -> None:
    arrays = drawn((3, 8, 5, 6), "float32")
    plain = [kernels.device.from_host(a) for a in arrays]
    for number in (0, 1):
        for moved in in_memory(kernels, arrays[number]).values():
            given = [moved if i == number else a for i, a in enumerate(plain)]
            compare(kernels, arrays, settings_of(order, "tanh"), given)


def test_images_come_out_channels_last(kernels: Own) -> None:
    arrays = [kernels.device.from_host(a) for a in drawn((3, 8, 5, 6), "float32")]
    found = results(kernels, arrays, settings_of("convention", "relu"))
    for name in ("output", "grad x", "eval output", "eval grad x"):
        assert found[name].transpose(0, 2, 3, 1).flags.c_contiguous, name


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_batch_norm_alone(kernels: Own, dtype: str) -> None:
    for shape in ((50, 7), (4, 8, 6, 5)):
        arrays = drawn(shape, dtype)
        x, grad, weight, bias = (a.astype("float64") for a in arrays)
        mean, variance = REFERENCE.batch_norm_statistics(x)
        expected = [mean, variance, REFERENCE.batch_norm(x, mean, variance, weight, bias, EPS)]
        expected += REFERENCE.batch_norm_grad(grad, x, mean, variance, weight, EPS)
        expected += REFERENCE.batch_norm_eval_grad(grad, x, mean, variance, weight, EPS)
        x, grad, weight, bias = (kernels.device.from_host(a) for a in arrays)
        mean, variance = kernels.batch_norm_statistics(x)
        found = [mean, variance, kernels.batch_norm(x, mean, variance, weight, bias, EPS)]
        found += kernels.batch_norm_grad(grad, x, mean, variance, weight, EPS)
        found += kernels.batch_norm_eval_grad(grad, x, mean, variance, weight, EPS)
        for i, (one, other) in enumerate(zip(found, expected, strict=True)):
            near(one.get().astype("float64"), other, TOLERANCE[dtype], f"{shape} {i}")


@pytest.mark.parametrize("kind", ["float16", "bfloat16"])
def test_parameters_of_16_bits(kernels: Own, kind: str) -> None:
    arrays = [a.astype(kind) for a in drawn((6, 4, 3, 3), "float32")]
    compare(kernels, arrays, settings_of("convention", "tanh" if kind == "float16" else "leaky_relu"))


def test_wider_parameters_are_left_to_the_reference(kernels: Own) -> None:
    x, grad, *parameters = drawn((6, 4, 3, 3), "float32")
    arrays = [x, grad, *(a.astype("float64") for a in parameters)]
    expected = results(REFERENCE, arrays, settings_of("swap", "relu"))
    found = results(kernels, [kernels.device.from_host(a) for a in arrays], settings_of("swap", "relu"))
    for name, one in found.items():
        assert one.dtype == expected[name].dtype, name
        near(one.get(), expected[name], 2e-6, name)


@pytest.mark.parametrize("shape", [(3000, 8), (60, 4, 7, 7), (999, 3)], ids=repr)
def test_statistics_of_values_far_from_zero(kernels: Own, shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    x = (rng.standard_normal(shape) + 1e4).astype("float32")
    x[:, 1] *= 1e-3
    axes = (0, *range(2, len(shape)))
    exact_mean, exact_variance = x.astype("float64").mean(axes), x.astype("float64").var(axes)
    mean, variance = (a.get() for a in kernels.batch_norm_statistics(kernels.device.from_host(x)))
    assert (np.abs(mean - exact_mean) <= 1.01 * np.spacing(mean)).all()
    np.testing.assert_allclose(variance, exact_variance, rtol=2e-6)


def test_statistics_after_an_outlier(kernels: Own) -> None:
    for row in (0, 77, 2999):
        x = np.random.default_rng(0).standard_normal((3000, 4)).astype("float32")
        x[row] = 1e5
        mean, variance = (a.get() for a in kernels.batch_norm_statistics(kernels.device.from_host(x)))
        np.testing.assert_allclose(mean, x.mean(0, dtype="float64"), rtol=1e-6)
        np.testing.assert_allclose(variance, x.var(0, dtype="float64"), rtol=1e-6)


def test_a_constant_channel_has_no_variance(kernels: Own) -> None:
    x = kernels.device.from_host(np.full((2500, 4), 0.1, "float32"))
    mean, variance = (a.get() for a in kernels.batch_norm_statistics(x))
    np.testing.assert_allclose(mean, np.float32(0.1), rtol=2e-7)
    assert (variance < 1e-15).all()


@pytest.mark.parametrize("order", ORDERS)
def test_results_repeat_bit_for_bit(kernels: Own, order: str) -> None:
    arrays = [kernels.device.from_host(a) for a in drawn((40, 8, 9, 9), "float32")]
    first = results(kernels, arrays, settings_of(order, "tanh"))
    for _ in range(3):
        for name, found in results(kernels, arrays, settings_of(order, "tanh")).items():
            assert found.get().tobytes() == first[name].get().tobytes(), name


def test_nan_and_infinity_stay_in_their_channel(kernels: Own) -> None:
    x, grad, weight, bias = drawn((30, 4, 3, 3), "float32")
    x[3, 0, 1, 1], x[3, 2, 1, 1] = np.nan, np.inf
    expected = results(REFERENCE, [x, grad, weight, bias], settings_of("convention", "relu"))
    found = results(
        kernels, [kernels.device.from_host(a) for a in (x, grad, weight, bias)], settings_of("convention", "relu")
    )
    for name, one in found.items():
        if name != "mean":  # of values with infinity among them: the reference's is infinite, ours NaN
            np.testing.assert_allclose(one.get(), expected[name], rtol=2e-5, atol=2e-5, err_msg=name)
    assert np.isfinite(found["mean"].get()).tolist() == [False, True, False, True]


def test_two_values_per_channel(kernels: Own) -> None:
    compare(kernels, drawn((2, 5), "float64"), settings_of("convention", "gelu"))
    x = kernels.device.from_host(np.array([[3.0]], "float32"))
    mean, variance = kernels.batch_norm_statistics(x)
    assert (mean.item(), variance.item()) == (3.0, 0.0)


def averages(kernels: Kernels, dtype: str, with_batches: bool = True) -> RunningAverages:
    start = [kernels.device.from_host(np.linspace(low, 2, 8).astype(dtype)) for low in (-1, 1)]
    return RunningAverages(*start, 0.3, kernels.device.from_host(np.array(41)) if with_batches else None)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(
    ("dtype", "of_averages"), [("float32", "float32"), ("float16", "float32"), ("float32", "float64")]
)
def test_running_averages_move(kernels: Own, dtype: str, of_averages: str, order: str) -> None:
    for shape in ((300, 8), (2, 8), (40, 8, 6, 6)):
        x, _, weight, bias = drawn(shape, dtype)
        ours, exact = averages(kernels, of_averages), averages(REFERENCE, "float64")
        REFERENCE.norm_act(x.astype("float64"), weight, bias, *settings_of(order, "tanh"), exact)
        given = [kernels.device.from_host(a) for a in (x, weight, bias)]
        kernels.norm_act(*given, *settings_of(order, "tanh"), ours)
        np.testing.assert_allclose(ours.mean.get(), exact.mean, rtol=2e-6, atol=1e-7)
        np.testing.assert_allclose(ours.variance.get(), exact.variance, rtol=2e-6)
        assert ours.mean.dtype == of_averages
        assert ours.batches.item() == exact.batches.item() == 42


def test_running_averages_without_a_count_of_batches(kernels: Own) -> None:
    ours, exact = averages(kernels, "float32", False), averages(REFERENCE, "float32", False)
    x = drawn((9, 8), "float32")[0]
    REFERENCE.batch_norm_statistics(x, exact)
    kernels.batch_norm_statistics(kernels.device.from_host(x), ours)
    np.testing.assert_allclose(ours.variance.get(), exact.variance, rtol=1e-6)


@pytest.mark.parametrize("columns", [1, 2, 3, 5, 8, 9, 12, 16, 24, 25, 40, 128, 513, 5000])
@pytest.mark.parametrize("rows", [1, 2, 100, 128, 8192, 100352, 131072])
def test_all_rows_and_columns_have_a_thread(rows: int, columns: int) -> None:
    (tiles, parts), (across, lanes), each = tiling(rows, columns)
    assert across * lanes == THREADS
    assert tiles * across >= columns > (tiles - 1) * across
    assert parts * each >= rows > (parts - 1) * each
    assert each % lanes == 0
    assert parts == 1 or tiles * parts <= BLOCKS
    assert across * tiles < 2 * columns


def test_large_inputs_are_spread_over_the_whole_gpu() -> None:
    for rows, columns in ((131072, 16), (32768, 32), (8192, 64), (131072, 3)):
        tiles, parts = tiling(rows, columns).grid
        assert 132 <= tiles * parts <= BLOCKS, (rows, columns)


def test_launches(kernels: Own, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two each way, the running averages included."""
    launched: list[str] = []
    kernel = kernels.program.kernel

    def counted(name: str, *rest: Any) -> Any:
        launched.append(name)
        return kernel(name, *rest)

    monkeypatch.setattr(kernels.program, "kernel", counted)
    x, grad, weight, bias = (kernels.device.from_host(a) for a in drawn((300, 8), "float32"))
    for order in ORDERS:
        _, mean, variance = kernels.norm_act(x, weight, bias, *settings_of(order, "tanh"), averages(kernels, "float32"))
        kernels.norm_act_grad(grad, x, mean, variance, weight, bias, *settings_of(order, "tanh"))
        assert launched == ["statistics", "output", "gradient_sums", "input_gradient"]
        launched.clear()


def test_a_replayed_launch_moves_the_averages_again(kernels: Own, emulated_gpu: Any) -> None:
    x, exact, ours = drawn((300, 8), "float32")[0], averages(REFERENCE, "float64"), averages(kernels, "float32")
    given, stream = kernels.device.from_host(x), emulated_gpu.cuda.Stream(non_blocking=True)
    with stream:
        stream.begin_capture()
        kernels.batch_norm_statistics(given, ours)
        graph = stream.end_capture()
        assert ours.batches.item() == 41
        for _ in range(3):
            REFERENCE.batch_norm_statistics(x.astype("float64"), exact)
            graph.launch(stream)
    stream.synchronize()
    assert ours.batches.item() == exact.batches.item() == 44
    np.testing.assert_allclose(ours.mean.get(), exact.mean, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(ours.variance.get(), exact.variance, rtol=1e-5)
