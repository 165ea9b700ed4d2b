"""Compiled surveys of channels against the reference: counts are equal, sums agree in float64."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest
from compare import layouts
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("numba")

from tinygrad_bn.backend import get_device, threads
from tinygrad_bn.kernels.cpu import launch, survey, survey_kernels
from tinygrad_bn.kernels.cpu.survey import SurveyOverrides
from tinygrad_bn.kernels.reference import Kernels
from tinygrad_bn.kernels.reference.survey import SHIFT, Extremes, Survey

CPU = get_device("cpu")
FAST, REFERENCE = SurveyOverrides(CPU), Kernels(CPU)
GROWN = np.linspace(-8.0, 8.0, 65)
EDGES = {"grown": GROWN, "tanh": np.linspace(-1.0, 1.0, 65), "odd": np.linspace(-0.1, 1.3, 48), "one": np.arange(2.0)}


@pytest.fixture(params=[1, 2, 5])
def number_of_threads(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(threads, "_number", request.param)
    monkeypatch.setattr(launch, "_WORTH_SHARING", 100.0)
    number: int = request.param
    return number


def bins_of(extremes: Extremes) -> tuple[int, int]:
    """The bins of magnitudes from the smallest to the largest."""
    if not extremes.largest.any():
        return 0, 0
    smallest, largest = extremes.smallest.min(), extremes.largest.max()
    return int(smallest.view(np.uint32)) >> SHIFT, (int(largest.view(np.uint32)) >> SHIFT) + 1


def assert_same(found: Survey, expected: Survey, scale: Any) -> None:
    """Integers are equal; sums agree relative to the sum of the magnitudes that they are sums of."""
    for name in ("not_finite", "zeros", "histogram"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), name, strict=True)
    np.testing.assert_array_equal(found.moments.count, expected.moments.count, strict=True)
    assert (found.magnitudes is None) == (expected.magnitudes is None)
    for name in found.magnitudes._fields if found.magnitudes else ():
        mine, theirs = getattr(found.magnitudes, name), getattr(expected.magnitudes, name)
        np.testing.assert_array_equal(mine, theirs, name, strict=True)
    np.testing.assert_allclose(found.absolute_sum, expected.absolute_sum, rtol=1e-12)
    count = np.maximum(expected.moments.count, 1)
    for name, power in (("mean", 1), ("second", 2), ("third", 3)):
        mine, theirs = getattr(found.moments, name), getattr(expected.moments, name)
        limit = 1e-12 * scale**power * (1 if name == "mean" else count)
        assert (np.abs(mine - theirs) <= limit).all(), (name, mine, theirs)


def check(x: np.ndarray, edges: np.ndarray | None = GROWN) -> None:
    extremes, expected = FAST.extremes(x), REFERENCE.extremes(x)
    for name in Extremes._fields:
        np.testing.assert_array_equal(getattr(extremes, name), getattr(expected, name), name, strict=True)
    bins = bins_of(extremes)
    scale = np.maximum(np.abs(extremes.minimum), np.abs(extremes.maximum))
    scale[~np.isfinite(scale)] = 0.0
    assert_same(FAST.survey(x, edges, bins), REFERENCE.survey(x, edges, bins), scale)


def values_of(kind: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(shape)
    match kind:
        case "relu":
            return np.maximum(x, 0.0)
        case "saturated":
            return np.tanh(9.0 * x)
        case "on edges":
            return rng.choice(np.concatenate([GROWN, EDGES["tanh"], EDGES["odd"]]), shape)
        case "beside edges":
            edges = np.concatenate(list(EDGES.values()))
            return np.asarray(np.nextafter(rng.choice(edges, shape), rng.choice([-np.inf, np.inf], shape)))
        case "all that float32 has":
            return np.ldexp(x, rng.integers(-149, 120, shape))
        case "denormal":
            return x * 1e-40
        case "huge means":
            return x + 1e7
        case "constant":
            return np.full(shape, 0.1)
        case "zeros":
            return np.zeros(shape)
        case "spoiled":
            return np.where(rng.random(shape) < 0.3, rng.choice([np.nan, np.inf, -np.inf, 0.0, -0.0], shape), x)
        case "nothing finite":
            return np.full(shape, np.nan)
    return x


KINDS = [
    "normal",
    "relu",
    "saturated",
    "on edges",
    "beside edges",
    "all that float32 has",
    "denormal",
    "huge means",
    "constant",
    "zeros",
    "spoiled",
    "nothing finite",
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", KINDS)
@given(
    batch=st.integers(1, 6),
    channels=st.sampled_from([1, 2, 3, 8, 16, 17, 40]),
    size=st.sampled_from([(), (1, 1), (3, 5), (16, 13)]),
    edges=st.sampled_from([*EDGES, None]),
    channels_last=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_against_the_reference(
    kind: str, dtype: str, batch: int, channels: int, size: Any, edges: str | None, channels_last: bool, seed: int
) -> None:
    x = values_of(kind, (batch, channels, *size), seed).astype(dtype)
    if channels_last and size:
        x = np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    check(x, None if edges is None else EDGES[edges])


@pytest.mark.parametrize("kind", ["normal", "relu", "spoiled", "huge means"])
def test_results_do_not_depend_on_the_number_of_threads(
    kind: str, number_of_threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = values_of(kind, (40, 19, 23, 10), 0).astype("float32").transpose(0, 3, 1, 2)
    check(x)
    found = FAST.survey(x, GROWN, bins_of(FAST.extremes(x)))
    monkeypatch.setattr(threads, "_number", 1)
    alone = FAST.survey(x, GROWN, bins_of(FAST.extremes(x)))
    for mine, theirs in zip((*found.moments, found.absolute_sum), (*alone.moments, alone.absolute_sum), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_work_cut_small(number_of_threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(survey, "_ROWS", 3)
    monkeypatch.setattr(survey, "_GROUP", 2)
    monkeypatch.setattr(survey, "_WIDTHS_IN_BLOCK", 1)
    for kind in KINDS:
        check(values_of(kind, (7, 5, 4, 4), 1).astype("float32"))


def test_more_rows_than_a_packed_count_has_room_for_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.full((3000, 2), 1.99999, "float32")
    check(x)
    monkeypatch.setattr(survey, "_ROWS", 64)
    monkeypatch.setattr(survey, "MOST_ROWS", 100)
    check(x)
    most_units = (1 << SHIFT) * (survey_kernels.MOST_ROWS + 1024)
    assert most_units < 1 << survey_kernels.COUNT_SHIFT


def test_memory_of_the_input_does_not_matter() -> None:
    x = values_of("relu", (4, 3, 5, 6), 0)
    for _, moved in layouts(x):
        check(moved)
    check(np.broadcast_to(x[:1], x.shape))


def test_float64_beyond_float32_counts_as_its_largest() -> None:
    x = np.array([[1e300, 1e-300], [-1e39, 0.0], [3.4028235677973366e38, 1e-46], [1.0, 2.0]])
    extremes = FAST.extremes(x)
    assert extremes.maximum.tolist() == [1e300, 2.0]
    assert extremes.largest.tolist() == [np.finfo(np.float32).max, 2.0]
    assert extremes.smallest.tolist() == [1.0, 2.0]
    bins = bins_of(extremes)
    found, expected = FAST.survey(x, GROWN, bins), REFERENCE.survey(x, GROWN, bins)
    assert found.zeros.tolist() == [0, 1]
    assert found.magnitudes.counts[:, [0, 1, -1]].tolist() == [[0, 1, 3], [3, 0, 0]]
    for mine, theirs in zip(found.magnitudes, expected.magnitudes, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    np.testing.assert_array_equal(found.histogram, expected.histogram)
    np.testing.assert_array_equal(found.moments.mean, expected.moments.mean)


@pytest.mark.parametrize("shape", [(0, 3), (0, 3, 2, 2), (2, 3, 0, 2)])
def test_nothing_at_all(shape: tuple[int, ...]) -> None:
    x = np.zeros(shape, "float32")
    check(x)
    assert FAST.extremes(x).minimum.tolist() == [np.inf] * 3
    assert FAST.survey(x, GROWN, (0, 0)).moments.count.tolist() == [0, 0, 0]


@pytest.mark.parametrize("kernels", [FAST, REFERENCE], ids=["compiled", "reference"])
def test_a_channels_last_image_is_not_copied(kernels: Kernels) -> None:
    x = values_of("normal", (64, 56, 56, 8), 0).astype("float32").transpose(0, 3, 1, 2)
    bins = bins_of(kernels.extremes(x))
    tracemalloc.start()
    kernels.extremes(x)
    kernels.survey(x, GROWN, bins)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < x.nbytes / 2


@pytest.mark.parametrize("dtype", ["float16", "int64"])
def test_other_dtypes_go_to_the_reference(dtype: str) -> None:
    check((3.0 * values_of("normal", (50, 3), 0)).astype(dtype))


@pytest.mark.parametrize("kernels", [FAST, REFERENCE], ids=["compiled", "reference"])
def test_numpys_own_functions_say_the_same(kernels: Kernels) -> None:
    x = values_of("normal", (60, 4, 9, 9), 0)
    channels = np.moveaxis(x, 1, 0).reshape(4, -1)
    found = kernels.survey(x, GROWN, None)
    np.testing.assert_allclose(found.moments.mean, channels.mean(axis=1), rtol=1e-12)
    centred = channels - channels.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(found.moments.second, (centred**2).sum(axis=1), rtol=1e-12)
    np.testing.assert_allclose(found.moments.third, (centred**3).sum(axis=1), rtol=1e-9)
    np.testing.assert_allclose(found.absolute_sum, np.abs(channels).sum(axis=1), rtol=1e-12)
    for counts, channel in zip(found.histogram, channels, strict=True):
        np.testing.assert_array_equal(counts, np.histogram(channel, bins=GROWN)[0])
    extremes = kernels.extremes(x)
    np.testing.assert_array_equal(extremes.minimum, channels.min(axis=1))
    np.testing.assert_array_equal(extremes.largest, np.abs(channels).max(axis=1).astype("float32"))
