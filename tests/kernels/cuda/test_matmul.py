"""Products of matrices on an emulated GPU, by a stand-in for cuBLAS, against NumPy; and the real library."""

from __future__ import annotations

import re
from collections.abc import Iterator
from ctypes import CFUNCTYPE, POINTER, c_int, c_int64, c_longlong, c_size_t, c_void_p
from pathlib import Path
from typing import Any

import ml_dtypes  # noqa: F401 - makes the name bfloat16 known to NumPy
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tinygrad_bn.backend import get_device, set_float32_matmul_precision
from tinygrad_bn.errors import DeviceError
from tinygrad_bn.kernels.cuda import CudaKernels, cublas, libraries

# Norm of the error over norm of the result.
TOLERANCE = {"float16": 1e-3, "bfloat16": 8e-3, "float32": 1e-6, "float64": 1e-14}
FLOAT32, TF32 = 68, 77  # cublasComputeType_t

ONE_GPU = [HealthCheck.function_scoped_fixture]  # for all examples of a test


@pytest.fixture
def kernels(emulated_gpu: Any) -> CudaKernels:
    return CudaKernels(get_device("cuda"))


@pytest.fixture(autouse=True)
def _precision() -> Iterator[None]:
    yield
    set_float32_matmul_precision("highest")


def draw(rng: np.random.Generator, shape: tuple[int, ...], dtype: str, order: str) -> Any:
    """Matrices on the GPU in one of several memory orders; memory between or around them is NaN."""
    from_host = get_device("cuda").from_host
    values = rng.standard_normal(shape).astype(dtype)
    *batch, rows, columns = shape
    if order == "transposed":
        return from_host(np.ascontiguousarray(values.swapaxes(-1, -2))).swapaxes(-1, -2)
    if order == "part":
        wide = np.full((*batch, rows + 2, columns + 3), np.nan, dtype)
        wide[..., 1:-1, 1:-2] = values
        return from_host(wide)[..., 1:-1, 1:-2]
    if order == "transposed part":
        wide = np.full((*batch, columns + 2, rows + 3), np.nan, dtype)
        wide[..., 1:-1, 1:-2] = values.swapaxes(-1, -2)
        return from_host(wide)[..., 1:-1, 1:-2].swapaxes(-1, -2)
    if order == "strided":
        wide = np.full((*batch, 2 * rows, 3 * columns), np.nan, dtype)
        wide[..., ::2, ::3] = values
        return from_host(wide)[..., ::2, ::3]
    if order == "reversed":
        return from_host(values[..., ::-1, :].copy())[..., ::-1, :]
    if order == "repeated row":
        return get_device("cuda").xp.broadcast_to(from_host(values[..., :1, :].copy()), shape)
    return from_host(values)


def assert_product(found: Any, a: Any, b: Any, tolerance: float) -> None:
    to_host = get_device("cuda").to_host
    wide = [to_host(x).astype("float64") for x in (a, b)]
    expected = np.matmul(*wide)
    assert found.shape == expected.shape
    assert found.dtype == a.dtype
    assert found.flags.c_contiguous
    # A repeated row makes all rows of a product alike; where it cancels, the norm does too.
    usual_norm = np.sqrt(float(expected.size) * a.shape[-1])
    error = np.linalg.norm((to_host(found).astype("float64") - expected).ravel())
    assert error / max(float(np.linalg.norm(expected.ravel())), usual_norm) <= tolerance


ORDERS = st.sampled_from(["plain", "transposed", "part", "transposed part", "strided", "reversed", "repeated row"])
BATCHES = [
    ((), ()),
    ((3,), (3,)),
    ((2, 3), (2, 3)),
    ((1,), (4,)),
    ((4,), ()),
    ((), (2, 2)),
    ((2, 1), (1, 3)),
    ((1, 1), ()),
]


@settings(max_examples=150, suppress_health_check=ONE_GPU)
@given(
    sizes=st.tuples(*[st.integers(1, 9) | st.sampled_from([1, 31, 64])] * 3),
    batches=st.sampled_from(BATCHES),
    orders=st.tuples(ORDERS, ORDERS),
    dtype=st.sampled_from(["float16", "bfloat16", "float32", "float64"]),
)
def test_products(kernels: CudaKernels, sizes: Any, batches: Any, orders: Any, dtype: str) -> None:
    rows, depth, columns = sizes
    rng = np.random.default_rng(rows + 10 * depth)
    a = draw(rng, (*batches[0], rows, depth), dtype, orders[0])
    b = draw(rng, (*batches[1], depth, columns), dtype, orders[1])
    log = libraries.load_cublas().log
    log.clear()
    assert_product(kernels.matmul(a, b), a, b, TOLERANCE[dtype])
    (entry,) = log
    batch = np.prod(np.broadcast_shapes(*batches), dtype=int)
    assert entry == (
        "GemmEx" if batch == 1 else "GemmStridedBatchedEx",
        dtype,
        70 if dtype == "float64" else FLOAT32,
        columns,
        rows,
        depth,
        batch,
    )


@pytest.mark.parametrize(
    ("order", "copied"),
    [
        ("plain", False),
        ("transposed", False),
        ("part", False),
        ("transposed part", False),
        ("strided", True),
        ("reversed", True),
        ("repeated row", True),
    ],
)
def test_what_is_copied(kernels: CudaKernels, order: str, copied: bool) -> None:
    x = draw(np.random.default_rng(0), (3, 5, 4), "float32", order)
    found, place = kernels._placed(x, (3,))
    assert (found is not x) == copied
    assert place.address == found.data.ptr
    assert place.transposed == order.startswith("transposed")
    one, place = kernels._placed(x[:1], (7,))
    assert (one.shape, place.step) == ((1, 5, 4), 0)


def test_a_row_and_a_column_need_no_copy(kernels: CudaKernels) -> None:
    x = draw(np.random.default_rng(0), (6, 8), "float32", "plain")
    for vector in (x[2:3], x[:, 2:3], x[2:3].T, x[:, 2:3].T, x[2:3, 1:5:2][:, :1]):
        found, _ = kernels._placed(vector, ())
        assert found is vector


@pytest.mark.emulated_only("asks the stand-in for cuBLAS what it was asked")
@pytest.mark.parametrize("precision", ["highest", "high", "medium"])
def test_precision_is_read_at_each_call(kernels: CudaKernels, precision: str) -> None:
    rng = np.random.default_rng(0)
    a, b = (draw(rng, (20, 20), "float32", "plain") for _ in range(2))
    set_float32_matmul_precision(precision)
    log = libraries.load_cublas().log
    log.clear()
    found = kernels.matmul(a, b)
    assert_product(found, a, b, 1e-6 if precision == "highest" else 1e-3)
    if precision != "highest":
        with pytest.raises(AssertionError):
            assert_product(found, a, b, 1e-5)
    for dtype in ("float64", "float16"):
        kernels.matmul(a.astype(dtype), b.astype(dtype))
    assert [compute for _, _, compute, *_ in log] == [FLOAT32 if precision == "highest" else TF32, 70, FLOAT32]


@pytest.mark.emulated_only("asks the stand-in for cuBLAS what it was asked")
def test_sums_of_16_bit_products_stay_in_float32(kernels: CudaKernels) -> None:
    a = draw(np.random.default_rng(0), (2, 4096), "float16", "plain")
    assert_product(kernels.matmul(a, a.T), a, a.T, 1e-3)
    assert libraries.load_cublas().math_mode == 16  # CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION


@pytest.mark.parametrize(
    "shapes", [((0, 3), (3, 2)), ((2, 0), (0, 2)), ((0, 2, 3), (3, 2)), ((3,), (3, 2)), ((3,), (3,))]
)
def test_empty_matrices_and_vectors_go_to_the_reference(kernels: CudaKernels, shapes: Any) -> None:
    a, b = (np.ones(shape, "float32") for shape in shapes)
    libraries.load_cublas().log.clear()
    device = get_device("cuda")
    found = kernels.matmul(device.from_host(a), device.from_host(b))
    np.testing.assert_array_equal(device.to_host(found), np.matmul(a, b))
    assert libraries.load_cublas().log == []


@pytest.mark.parametrize("dtypes", [("int64", "int64"), ("float32", "float64"), ("bool", "bool")])
def test_other_dtypes_go_to_the_reference(kernels: CudaKernels, dtypes: Any) -> None:
    a, b = (np.ones((2, 2), dtype) for dtype in dtypes)
    libraries.load_cublas().log.clear()
    device = get_device("cuda")
    found = device.to_host(kernels.matmul(device.from_host(a), device.from_host(b)))
    np.testing.assert_array_equal(found, np.matmul(a, b))
    assert found.dtype == np.matmul(a, b).dtype
    assert libraries.load_cublas().log == []


def test_shapes_that_do_not_fit_are_refused_as_by_cupy(kernels: CudaKernels) -> None:
    xp = get_device("cuda").xp
    with pytest.raises(ValueError, match="matmul"):
        kernels.matmul(xp.ones((2, 3)), xp.ones((2, 3)))


@pytest.mark.emulated_only("asks the stand-in for cuBLAS what it was asked")
def test_each_stream_has_a_workspace(emulated_gpu: Any) -> None:
    kernels, rng = CudaKernels(get_device("cuda")), np.random.default_rng(0)
    a, b = (draw(rng, (5, 5), "float32", "plain") for _ in range(2))
    streams = [emulated_gpu.cuda.Stream(non_blocking=True) for _ in range(2)]
    workspaces = set()
    for stream in (None, *streams, *streams, None):
        with stream or emulated_gpu.cuda.Stream.null:
            assert_product(kernels.matmul(a, b), a, b, 1e-6)  # the stand-in checks stream and workspace
            workspaces.add(libraries.load_cublas()._workspace)
    assert len(workspaces) == 3


@pytest.mark.emulated_only("asks the stand-in for cuBLAS what it was asked")
def test_a_captured_product_is_computed_at_each_replay(emulated_gpu: Any) -> None:
    kernels, rng = CudaKernels(get_device("cuda")), np.random.default_rng(0)
    a, b = (draw(rng, (5, 5), "float32", "plain") for _ in range(2))
    stream = emulated_gpu.cuda.Stream(non_blocking=True)
    with stream:
        kernels.matmul(a, b)
        stream.begin_capture()
        found = kernels.matmul(a, b.T)
        graph = stream.end_capture()
        assert not np.isfinite(get_device("cuda").to_host(found)).any()
        for _ in range(2):
            a[...] = a + 1.0
            graph.launch()
            assert_product(found, a, b.T, 1e-6)


def test_without_cublas_cupy_multiplies_and_the_reason_is_kept(
    emulated_gpu: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing() -> Any:
        raise DeviceError("no cublas here")

    monkeypatch.setattr(libraries, "load_cublas", missing)
    kernels, rng = CudaKernels(get_device("cuda")), np.random.default_rng(0)
    a, b = (draw(rng, (5, 5), "float32", "plain") for _ in range(2))
    assert_product(kernels.matmul(a, b), a, b, 1e-6)
    assert kernels.missing == {"cuBLAS": "no cublas here"}


@pytest.mark.emulated_only("asks the stand-in for cuBLAS what it was asked")
def test_a_handle_that_cannot_be_had_is_a_reason_too(emulated_gpu: Any) -> None:
    libraries.load_cublas().works = False
    kernels = CudaKernels(get_device("cuda"))
    assert kernels.cublas is None
    assert "cublasCreate: expected cuBLAS to do it, got status 1, the library was not in" in kernels.missing["cuBLAS"]


@pytest.mark.emulated_only("asks the stand-in for cuBLAS what it was asked")
def test_a_failing_product_is_an_error(emulated_gpu: Any) -> None:
    library = libraries.load_cublas()
    kernels = CudaKernels(get_device("cuda"))
    x = emulated_gpu.ones((2, 2), "float32")
    kernels.matmul(x, x)
    failing = CFUNCTYPE(c_int, *cublas._PROTOTYPES["cublasGemmEx_64"])(lambda *_: 15)
    library.cublasGemmEx_64 = failing
    with pytest.raises(DeviceError, match=r"matmul of float32 matrices with M, N, K = \(2, 2, 2\).*status 15, not"):
        kernels.matmul(x, x)


# -- the real library, which can be loaded without a GPU ----------------------------------------------------------

C_TYPES = {
    "int64_t": c_int64,
    "long long int": c_longlong,
    "size_t": c_size_t,
    "cublasHandle_t": c_void_p,
    "cublasHandle_t*": POINTER(c_void_p),
    "cudaStream_t": c_void_p,
    "void*": c_void_p,
    **dict.fromkeys(("cublasOperation_t", "cudaDataType", "cublasComputeType_t", "cublasGemmAlgo_t"), c_int),
    "cublasMath_t": c_int,
}


@pytest.fixture(scope="module")
def library() -> Any:
    try:
        return libraries.load_cublas()
    except DeviceError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def header(library: Any) -> str:
    file = Path(library._name).parents[1] / "include/cublas_api.h"
    if not file.is_file():
        pytest.skip(f"cuBLAS is installed without {file}")
    return file.read_text(encoding="utf-8")


@pytest.mark.cpu_only("asks the real library, for which no GPU is needed")
@pytest.mark.parametrize("name", cublas._PROTOTYPES)
def test_the_library_has_the_functions_that_are_called(library: Any, header: str, name: str) -> None:
    assert getattr(library, name)
    assert library.cublasGetStatusString
    found = re.search(rf"cublasStatus_t CUBLASWINAPI {name}\((.*?)\);", header, re.DOTALL)
    assert found
    kinds = [re.sub(r"^const |\s*\w+$", "", part.strip()) for part in found[1].split(",")]
    assert [C_TYPES[kind] for kind in kinds] == list(cublas._PROTOTYPES[name])


@pytest.mark.cpu_only("asks the real library, for which no GPU is needed")
def test_constants_are_the_librarys(header: str) -> None:
    for name, value in {
        "CUBLAS_COMPUTE_32F": cublas._COMPUTE_FLOAT32,
        "CUBLAS_COMPUTE_32F_FAST_TF32": cublas._COMPUTE_TF32,
        "CUBLAS_COMPUTE_64F": cublas._COMPUTE_FLOAT64,
        "CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION": cublas._DISALLOW_REDUCED_PRECISION_REDUCTION,
        "CUBLAS_OP_N": cublas._AS_IT_IS,
        "CUBLAS_OP_T": cublas._TRANSPOSED,
        "CUBLAS_GEMM_DEFAULT": cublas._DEFAULT_ALGORITHM,
    }.items():
        assert re.search(rf"\b{name} = {value}\b", header), name
