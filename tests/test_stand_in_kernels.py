"""The CPU that runs CUDA kernels for tests: what it computes, and which mistakes it finds."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import stand_in
from stand_in.compiling import FOLDER

SOURCE = r"""
template <class T>
__device__ __forceinline__ T block_sum(T x) {
  __shared__ T parts[32];
  for (int delta = 16; delta > 0; delta >>= 1) x += __shfl_down_sync(0xffffffffu, x, delta);
  if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = x;
  __syncthreads();
  x = threadIdx.x < blockDim.x / 32 ? parts[threadIdx.x] : T(0);
  if (threadIdx.x < 32)
    for (int bit = 16; bit > 0; bit >>= 1) x += __shfl_xor_sync(0xffffffffu, x, bit);
  return x;
}

extern "C" __global__ void __launch_bounds__(256) row_sums(const float* x, double* sums, int columns) {
  double sum = 0;
  for (int i = threadIdx.x; i < columns; i += blockDim.x) sum += x[(long long)blockIdx.x * columns + i];
  sum = block_sum(sum);
  if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}

extern "C" __global__ void last_block(unsigned* arrived, int* last) {
  __threadfence();
  if (threadIdx.x == 0 && atomicInc(arrived, gridDim.x - 1) == gridDim.x - 1) atomicAdd(last, 1);
}

extern "C" __global__ void indices(int* x) {
  const int block = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
  const int thread = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
  x[block * blockDim.x * blockDim.y * blockDim.z + thread] = block * 1000 + thread;
}

extern "C" __global__ void votes(unsigned* x) {
  const int lane = threadIdx.x % 32;
  const unsigned odd = __ballot_sync(0xffffffffu, lane & 1);
  const int any = __any_sync(0xffffffffu, lane == 31), all = __all_sync(0xffffffffu, lane < 31);
  const int third = __shfl_sync(0xffffffffu, lane, 3), above = __shfl_up_sync(0xffffffffu, lane, 1);
  const int in_eights = __shfl_down_sync(0xffffffffu, lane, 6, 8);
  const int count = __syncthreads_count(lane < 4);
  if (lane == 9) x[0] = odd, x[1] = any, x[2] = all, x[3] = third, x[4] = above, x[5] = in_eights, x[6] = count;
}

extern "C" __global__ void few_lanes(int* x) {
  if (threadIdx.x >= 4) return;  // who has ended is not waited for
  int sum = threadIdx.x;
  sum += __shfl_xor_sync(0xfu, sum, 1);
  sum += __shfl_xor_sync(0xfu, sum, 2);
  __syncthreads();
  x[threadIdx.x] = sum;
}

extern "C" __global__ void reversed(int* x) {
  extern __shared__ int dynamic[];
  dynamic[threadIdx.x] = x[threadIdx.x];
  __syncthreads();
  x[threadIdx.x] = dynamic[blockDim.x - 1 - threadIdx.x];
}

struct Table { float* rows[3]; int lengths[3]; double scale; };
extern "C" __global__ void scaled(const Table table) {
  for (int row = 0; row < 3; ++row)
    if (threadIdx.x < table.lengths[row]) table.rows[row][threadIdx.x] *= table.scale;
}

extern "C" __global__ void parameters(float* x, int n, unsigned char flag, double scale, const void* anything) {
  if (anything == nullptr && flag) for (int i = 0; i < n; ++i) x[i] = scale;
}

extern "C" __global__ void shared_from_before(float* x) {
  __shared__ float buffer[32];
  x[threadIdx.x] = buffer[threadIdx.x];
  buffer[threadIdx.x] = 1;
}

namespace outer {
constexpr int most = 96;
namespace inner { struct Pair { int a, b; }; const char* const brace = "}";
extern "C" __global__ void __launch_bounds__(most) in_a_namespace(Pair pair, int* x) { x[0] = pair.a + pair.b; }
}
}

extern "C" __global__ void without_barrier(float* x) {
  __shared__ float buffer[64];
  buffer[threadIdx.x] = 1;
  x[threadIdx.x] = buffer[63 - threadIdx.x];
}

extern "C" __global__ void sums_in_order_of_arrival(float* sum, const float* x) { *sum = *sum + x[threadIdx.x]; }

extern "C" __global__ void some_threads_wait_elsewhere() {
  if (threadIdx.x < 7) __syncthreads();
  else __syncwarp();
}

extern "C" __global__ void two_barriers() {
  if (threadIdx.x < 32) __syncthreads();
  else
    __syncthreads();
}

extern "C" __global__ void outside_the_mask(int* x) { x[threadIdx.x] = __shfl_sync(0xfu, threadIdx.x, 0); }
extern "C" __global__ void from_a_lane_that_ended(float* x) {
  if (threadIdx.x % 32 == 31) return;
  x[threadIdx.x] = __shfl_sync(0x7fffffffu, 1.0f, 31);
}
extern "C" __global__ void outside_shared() {
  __shared__ int buffer[8];
  buffer[threadIdx.x] = 1;
}
extern "C" __global__ void nowhere(int* x) { x[1ll << 40] = 1; }
extern "C" __global__ void not_aligned(float* x) { *reinterpret_cast<float4*>(x + 1) = make_float4(0, 0, 0, 0); }
extern "C" __global__ void divides(int* x, int by) { x[0] = 7 / by; }
extern "C" __global__ void one_too_many(float* x, int n) { if (threadIdx.x <= n) x[threadIdx.x] = 1; }
extern "C" __global__ void one_before(float* x) { x[-1] = 1; }
extern "C" __global__ void tiny(float* x) { x[0] = x[0] * 0.5f; x[1] = x[1] + 0.0f; }
"""


@pytest.fixture(scope="module")
def cupy() -> Iterator[ModuleType]:
    with stand_in.emulated_gpu() as module:
        yield module


@pytest.fixture(scope="module")
def module(cupy: Any) -> Any:
    return cupy.RawModule(code=SOURCE, options=("-std=c++17",))


def test_sums_with_shuffles_shared_memory_and_barriers(cupy: Any, module: Any) -> None:
    x = np.random.default_rng(0).standard_normal((300, 777)).astype("float32")
    sums = cupy.empty(300)
    for _ in range(2):
        module.get_function("row_sums")((300,), (256,), (cupy.asarray(x), sums, np.int32(777)))
        np.testing.assert_allclose(sums.get(), x.astype("float64").sum(1), rtol=0, atol=1e-12)


def test_every_block_runs_once_and_one_is_last(cupy: Any, module: Any) -> None:
    for blocks in (1, 2, 3, 4, 12, 97):
        arrived, last = cupy.zeros(1, "uint32"), cupy.zeros(1, "int32")
        module.get_function("last_block")((blocks,), (33,), (arrived, last))
        assert (arrived.item(), last.item()) == (0, 1)


def test_indices_of_threads_and_blocks(cupy: Any, module: Any) -> None:
    x = cupy.empty((24, 30), "int32")
    module.get_function("indices")((2, 3, 4), (5, 3, 2), (x,))
    np.testing.assert_array_equal(x.get(), np.arange(24)[:, None] * 1000 + np.arange(30))


def test_votes_and_shuffles_of_a_warp(cupy: Any, module: Any) -> None:
    x = cupy.empty(7, "uint32")
    module.get_function("votes")((1,), (64,), (x,))
    assert x.get().tolist() == [0xAAAAAAAA, 1, 0, 3, 8, 15, 8]


def test_threads_that_have_ended_are_not_waited_for(cupy: Any, module: Any) -> None:
    x = cupy.zeros(4, "int32")
    module.get_function("few_lanes")((1,), (64,), (x,))
    assert x.get().tolist() == [6] * 4


def test_dynamic_shared_memory(cupy: Any, module: Any) -> None:
    x = cupy.arange(70, dtype="int32")
    kernel = module.get_function("reversed")
    kernel((1,), (70,), (x,), shared_mem=280)
    assert x.get().tolist() == list(range(70))[::-1]
    with pytest.raises(RuntimeError, match="65536 bytes of shared memory"):
        kernel((1,), (70,), (x,), shared_mem=1 << 16)
    kernel.max_dynamic_shared_size_bytes = 1 << 16
    kernel((1,), (70,), (x,), shared_mem=1 << 16)


@pytest.mark.parametrize("form", [lambda table: table, lambda table: table.reshape(1), lambda table: table[()]])
def test_structures_by_value(cupy: Any, module: Any, form: Any) -> None:
    rows = [cupy.ones(n, "float32") for n in (3, 1, 5)]
    table = np.zeros((), [("rows", "u8", 3), ("lengths", "i4", 3), ("pad", "i4"), ("scale", "f8")])
    table["rows"], table["lengths"], table["scale"] = [row.data.ptr for row in rows], (3, 1, 5), 2.5
    module.get_function("scaled")((1,), (8,), (form(table),))
    assert [row.get().tolist() for row in rows] == [[2.5] * 3, [2.5], [2.5] * 5]
    with pytest.raises(TypeError, match="a structure of 48 bytes"):
        module.get_function("scaled")((1,), (8,), (np.zeros((), [("x", "u8", 5)]),))


def test_arguments_are_held_against_the_parameters(cupy: Any, module: Any) -> None:
    kernel, x = module.get_function("parameters"), cupy.zeros(3, "float32")
    good = (x, np.int32(3), np.uint8(1), np.float64(2.5), None)
    kernel((1,), (1,), good)
    assert x.get().tolist() == [2.5] * 3
    kernel((1,), (1,), (*good[:3], 1.5, np.uint64(0)))  # a Python float is a double, an address an integer
    assert x.get().tolist() == [1.5] * 3
    wrong: list[tuple[int, Any]] = [
        (0, cupy.zeros(3)),
        (0, cupy.zeros(3, "int32")),
        (0, np.zeros(3, "float32")),
        (0, np.float32(1)),
        (1, 3),
        (1, np.int64(3)),
        (1, np.float32(3)),
        (1, x),
        (1, None),
        (2, True),
        (2, np.int32(1)),
        (3, np.float32(1)),
        (3, np.int64(1)),
        (4, "text"),
    ]
    for position, argument in wrong:
        arguments = list(good)
        arguments[position] = argument
        with pytest.raises(TypeError, match=f"argument {position}: "):
            kernel((1,), (1,), tuple(arguments))
    for number in (0, 4, 6):
        with pytest.raises(TypeError, match=f"5 parameters, {number} arguments"):
            kernel((1,), (1,), (*good, None)[:number])


def test_sizes_of_launches(cupy: Any, module: Any) -> None:
    kernel, one = module.get_function("shared_from_before"), cupy.zeros(2048, "float32")
    kernel((0,), (1,), (one,))  # CuPy launches one block then
    for grid, block in [((1, 65536), (1,)), ((1,), (1025,)), ((1,), (1, 1, 65)), ((1,), (64, 32))]:
        with pytest.raises(RuntimeError, match="CUDA_ERROR_INVALID_VALUE"):
            kernel(grid, block, (one,))
    with pytest.raises(RuntimeError, match="512 threads in a block, at most 256"):
        module.get_function("row_sums")((1,), (512,), (one, cupy.zeros(1), np.int32(1)))
    for wrong in (3, [1], (1.5,)):
        with pytest.raises(TypeError, match="tuple of integers"):
            kernel(wrong, (1,), (one,))


def test_kernels_in_namespaces(cupy: Any, module: Any) -> None:
    kernel, x = module.get_function("in_a_namespace"), cupy.zeros(1, "int32")
    kernel((1,), (96,), (np.array((3, 4), "i4,i4"), x))
    assert x.item() == 7
    with pytest.raises(RuntimeError, match="97 threads in a block, at most 96"):
        kernel((1,), (97,), (np.array((3, 4), "i4,i4"), x))


def test_shared_memory_begins_as_garbage(cupy: Any, module: Any) -> None:
    x = cupy.zeros(32, "float32")
    for _ in range(2):
        module.get_function("shared_from_before")((2,), (32,), (x,))
        assert np.isnan(x.get()).all()


def test_a_missing_barrier_shows(cupy: Any, module: Any) -> None:
    x = cupy.zeros(64, "float32")
    module.get_function("without_barrier")((1,), (64,), (x,))
    assert 0 < np.isnan(x.get()).sum() < 64


def test_a_sum_that_depends_on_the_order_of_threads_shows(cupy: Any, module: Any) -> None:
    x = cupy.asarray(np.random.default_rng(0).standard_normal(256).astype("float32"))
    sums = [cupy.zeros(1, "float32") for _ in range(20)]
    for total in sums:
        module.get_function("sums_in_order_of_arrival")((1,), (256,), (total, x))
    assert len({total.item() for total in sums}) > 1


@pytest.mark.parametrize(
    ("name", "threads", "dtype", "rest", "message"),
    [
        (
            "some_threads_wait_elsewhere",
            32,
            None,
            (),
            r"wait for each other at .*: thread 0 at .* \(block\), thread 7 at",
        ),
        ("two_barriers", 64, None, (), r"wait for each other at different places"),
        ("outside_the_mask", 32, "int32", (), r"mask 0000000f leaves out the thread"),
        ("outside_shared", 9, None, (), r"index 8 is outside the array in thread \(8, 0, 0\) of block \(0, 0, 0\)"),
        ("nowhere", 1, "int32", (), "illegal memory address"),
        ("not_aligned", 1, "float32", (), "not aligned"),
        ("divides", 1, "int32", (np.int32(0),), "an integer was divided by zero"),
        ("one_too_many", 8, "float32", (np.int32(3),), "written beside an array of 12 bytes, from 12 to 15"),
        ("one_before", 1, "float32", (), "written beside an array of 12 bytes, from -4 to -1"),
    ],
)
def test_mistakes_of_kernels(
    cupy: Any, module: Any, name: str, threads: int, dtype: str | None, rest: tuple[Any, ...], message: str
) -> None:
    arguments = () if dtype is None else (cupy.zeros(3, dtype), *rest)
    with pytest.raises(RuntimeError, match=message):
        module.get_function(name)((1,), (threads,), arguments)


def test_a_lane_that_has_ended_gives_garbage(cupy: Any, module: Any) -> None:
    x = cupy.zeros(32, "float32")
    module.get_function("from_a_lane_that_ended")((1,), (32,), (x,))
    assert np.isnan(x.get()[:31]).all()


@pytest.mark.skipif(platform.machine() != "x86_64", reason="only emulated on x86-64")
def test_tiny_numbers_are_zeros_in_kernels_alone(cupy: Any, module: Any) -> None:
    smallest = np.finfo("float32").smallest_normal
    x = cupy.asarray(np.array([smallest, smallest / 4], "float32"))
    module.get_function("tiny")((1,), (1,), (x,))
    assert x.get().tolist() == [0.0, 0.0]
    assert np.float32(smallest) * np.float32(0.5) > 0


def test_errors_of_the_compiler_name_the_line(cupy: Any) -> None:
    module = cupy.RawModule(code='#line 7 "part.cuh"\nextern "C" __global__ void f() { nothing(); }')
    with pytest.raises(Exception, match=r"part\.cuh:7:.*nothing") as caught:
        module.get_function("f")
    assert type(caught.value).__name__ == "CompileException"
    with pytest.raises(Exception, match="does not know"):
        cupy.RawModule(code="", options=("-use_fast_math",)).compile()
    with pytest.raises(RuntimeError, match="CUDA_ERROR_NOT_FOUND"):
        cupy.RawModule(code="").get_function("f")


CONVERSIONS = """
extern "C" __global__ void widen(const half_storage* x, float* y) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  y[i] = widened(x[i]);
}
extern "C" __global__ void narrow_all(const float* x, half_storage* h, bfloat16_storage* b) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  narrow(h[i], x[i]);
  narrow(b[i], x[i]);
}
"""


def test_conversions_of_16_bit_numbers(cupy: Any) -> None:
    """Also what `source/scalars.cuh` itself does for bfloat16."""
    ml_dtypes = pytest.importorskip("ml_dtypes")
    scalars = FOLDER.parent.parent / "tinygrad_bn" / "kernels" / "cuda" / "source" / "scalars.cuh"
    module = cupy.RawModule(
        code=scalars.read_text(encoding="utf-8") + CONVERSIONS, options=("-std=c++17", "-DSCALAR=float")
    )
    halves = np.arange(1 << 16, dtype="uint16").view("float16")
    wide = cupy.empty(halves.size, "float32")
    module.get_function("widen")((64,), (1024,), (cupy.asarray(halves), wide))
    np.testing.assert_array_equal(wide.get(), halves.astype("float32"))

    rng = np.random.default_rng(0)
    values = rng.integers(0, 1 << 32, 1 << 16, dtype="uint32").view("float32")
    exact = halves.astype("float32")[np.isfinite(halves)]
    exact = np.concatenate([exact, np.zeros(halves.size - exact.size, "float32")])
    middle = (exact + np.roll(exact, -1)) / 2
    above = np.nextafter(middle, np.float32(np.inf))
    for x in (values, exact, middle, above):
        half, brain = cupy.empty(x.size, "float16"), cupy.empty(x.size, ml_dtypes.bfloat16)
        module.get_function("narrow_all")((64,), (1024,), (cupy.asarray(x), half, brain))
        with np.errstate(over="ignore", invalid="ignore"):
            np.testing.assert_array_equal(half.get(), x.astype("float16"))
            np.testing.assert_array_equal(brain.get().astype("float32"), x.astype(ml_dtypes.bfloat16).astype("float32"))
