"""The emulated GPU: its memory, its devices, and what a captured stream records and refuses."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import stand_in

import tinygrad_bn as tg
from tinygrad_bn.backend import device as devices
from tinygrad_bn.backend import unavailable_reason

DOUBLE = r"""
extern "C" __global__ void twice(const float* x, float* y, int n) {
  if (threadIdx.x < n) y[threadIdx.x] = 2 * x[threadIdx.x];
}
"""


@pytest.fixture
def cupy() -> Iterator[ModuleType]:
    with stand_in.emulated_gpu() as module:  # whose memory pool is fresh
        yield module


@pytest.fixture
def stream(cupy: Any) -> Any:
    return cupy.cuda.Stream(non_blocking=True)


def test_it_comes_and_goes_without_a_trace() -> None:
    names, reason = list(devices._devices), unavailable_reason("cuda")
    modules = {name for name in sys.modules if name.partition(".")[0] == "cupy"}
    with stand_in.emulated_gpu(count=2):
        assert unavailable_reason("cuda:1") is None
        assert "index below 2" in str(unavailable_reason("cuda:2"))
        x = tg.ones(2, device="cuda") + 1.0
        assert type(x.data).__module__ == "cupy"
        assert x.tolist() == [2.0, 2.0]
        assert "cuda:0" in tg.available_devices()
    assert {name for name in sys.modules if name.partition(".")[0] == "cupy"} == modules
    assert (list(devices._devices), unavailable_reason("cuda")) == (names, reason)


# -- arrays ------------------------------------------------------------------------------------------------


def test_conversions_are_never_silent(cupy: Any) -> None:
    x = cupy.ones(2)
    for call in (
        lambda: np.asarray(x),
        lambda: np.exp(x),
        lambda: x + np.ones(2),
        lambda: np.ones(2) + x,
        lambda: cupy.exp(np.ones(2)),
        lambda: x[np.array([0])],
        lambda: stand_in.StandInArray(np.ones(2)) + x,
    ):
        with pytest.raises(TypeError):
            call()
    assert cupy.asnumpy(x).tolist() == x.get().tolist() == [1.0, 1.0]


def test_copies_between_host_and_device(cupy: Any) -> None:
    host = np.arange(6, dtype="float32").reshape(2, 3)
    x = cupy.asarray(host)
    host[0, 0] = 9
    assert x[0, 0].item() == 0
    x.set(host)
    out = np.empty_like(host)
    assert x.get(out=out) is out
    assert out[0, 0] == 9
    for wrong, error in [(host.astype("float64"), TypeError), (host.T, ValueError), ([1.0], TypeError)]:
        with pytest.raises(error):
            x.set(wrong)
    with pytest.raises(RuntimeError, match="non-contiguous"):
        x[:, :2].set(host[:, :2])


def test_results_are_in_c_order_as_cupys_are(cupy: Any) -> None:
    channels_last = cupy.ones((2, 4, 5, 3)).transpose(0, 3, 1, 2)
    for made in (channels_last + 1.0, cupy.exp(channels_last), cupy.where(channels_last > 0, channels_last, 0.0)):
        assert made.flags.c_contiguous
    for kept in (cupy.empty_like(channels_last), cupy.array(channels_last), channels_last.astype("float32")):
        assert kept.transpose(0, 2, 3, 1).flags.c_contiguous


def test_16_bit_dtypes(cupy: Any) -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes")
    for dtype in (np.float16, ml_dtypes.bfloat16):
        x = cupy.asarray(np.array([1.0, 2.5], dtype))
        assert (x * x + x).dtype == dtype
        assert np.isnan(cupy.empty(3, dtype).get().astype("float32")).all()
        assert (x * x).get().astype("float32").tolist() == [1.0, 6.25]


def test_views_share_memory(cupy: Any) -> None:
    x = cupy.zeros((3, 4), "float32")
    for view in (x[1:], x.T, x.reshape(4, 3), x.ravel(), cupy.broadcast_to(x, (2, 3, 4))):
        assert x.data.ptr <= view.data.ptr < x.data.ptr + x.nbytes
    assert x[1, 2:].data.ptr - x.data.ptr == 24
    assert x.data.ptr % 256 == 0


# -- memory ------------------------------------------------------------------------------------------------


def test_memory_is_garbage_before_it_is_written_and_after_it_is_freed(cupy: Any) -> None:
    pool = cupy.get_default_memory_pool()
    x = cupy.ones(100, "float32")
    address, host = x.data.ptr, x._host
    assert pool.used_bytes() == 512
    del x
    assert np.isnan(host).all()
    assert (pool.used_bytes(), pool.free_bytes(), pool.n_free_blocks()) == (0, 512, 1)
    again = cupy.empty(128, "float32")
    assert again.data.ptr == address
    assert np.isnan(again.get()).all()
    with cupy.cuda.Stream():
        assert cupy.empty(128, "float32").data.ptr != address
    del again
    pool.free_all_blocks()
    assert pool.total_bytes() == 0


def test_a_pool_of_ones_own(cupy: Any) -> None:
    pool, default = cupy.cuda.MemoryPool(), cupy.get_default_memory_pool()
    with cupy.cuda.using_allocator(pool.malloc):
        x = cupy.ones(3)
    y = cupy.ones(3)
    assert pool.used_bytes() == default.used_bytes() == 512
    pool.set_limit(1024)
    with cupy.cuda.using_allocator(pool.malloc), pytest.raises(cupy.cuda.memory.OutOfMemoryError, match="Out of mem"):
        cupy.ones(200)
    del x, y


def test_what_was_written_beside_an_array_is_found_in_the_end() -> None:
    emulation = stand_in.emulated_gpu()
    x = emulation.__enter__().zeros(2, "float32")
    x._memory.block.bytes[x._memory.block.end] = 1
    with pytest.raises(RuntimeError, match="written beside an array of 8 bytes"):
        emulation.__exit__(None, None, None)


# -- devices -----------------------------------------------------------------------------------------------


def test_arrays_belong_to_a_device() -> None:
    with stand_in.emulated_gpu(count=2) as cupy:
        first = cupy.ones(2)
        with cupy.cuda.Device(1):
            second = cupy.ones(2)
            assert (first.device.id, second.device.id) == (0, 1)
            assert first.copy().device.id == 1
            for use in (lambda: first + 1.0, lambda: second + first, lambda: second.__setitem__(0, first[0])):
                with pytest.raises(ValueError, match=r"resides \(0\) is different from the current device \(1\)"):
                    use()
            kernel = cupy.RawModule(code=DOUBLE).get_function("twice")
            with pytest.raises(ValueError, match="different from the current device"):
                kernel((1,), (1,), (first, second, np.int32(1)))
            stream = cupy.cuda.Stream()
        with pytest.raises(RuntimeError, match=r"created on \(1\) does not match with the current device \(0\)"):
            stream.use()
        with pytest.raises(cupy.cuda.runtime.CUDARuntimeError, match="invalid device ordinal"):
            cupy.cuda.Device(2).use()


# -- capture -----------------------------------------------------------------------------------------------


def captured(stream: Any, record: Callable[[], Any]) -> tuple[Any, Any]:
    """Return a graph of what a function asks for, and what the function returns."""
    with stream:
        stream.begin_capture()
        try:
            results = record()
        except BaseException:
            stream.end_capture()
            raise
        return stream.end_capture(), results


def test_captured_work_is_done_when_it_is_launched(cupy: Any, stream: Any) -> None:
    kernel = cupy.RawModule(code=DOUBLE).get_function("twice")
    x, y, counter = cupy.arange(4, dtype="float32"), cupy.empty(4, "float32"), cupy.zeros(())

    def record() -> Any:
        kernel((1,), (32,), (x, y, np.int32(4)))
        z = y.reshape(2, 2).T + x.reshape(2, 2)
        z[0] *= 10.0
        z[z.shape[0] - 1, ...] = cupy.maximum(z[1], 5.0)
        counter.__iadd__(1.0)
        parts = cupy.split(z, 2)
        return z, z.sum(), cupy.full(3, 7.0), parts[1], cupy.add(z, z, out=cupy.empty_like(z))

    graph, results = captured(stream, record)
    assert counter.item() == 0
    assert all(np.isnan(a.get()).all() for a in (y, *results))
    expected = y.get()
    for start in (0.0, 3.0):
        x[...] = cupy.arange(4, dtype="float32") + start
        graph.launch()
        host = x.get()
        expected = (2 * host).reshape(2, 2).T + host.reshape(2, 2)
        expected[0] *= 10.0
        expected[1] = np.maximum(expected[1], 5.0)
        wanted = (expected, expected.sum(), np.full(3, 7.0), expected[1:], expected + expected)
        for found, value in zip(results, wanted, strict=True):
            np.testing.assert_array_equal(found.get(), value)
    assert counter.item() == 2


FORBIDDEN: dict[str, Callable[[Any, Any, Any], Any]] = {
    "get": lambda cupy, x, stream: x.get(),
    "asnumpy": lambda cupy, x, stream: cupy.asnumpy(x),
    "item": lambda cupy, x, stream: x[0].item(),
    "float": lambda cupy, x, stream: float(x[0]),
    "int": lambda cupy, x, stream: int(x[0]),
    "bool": lambda cupy, x, stream: bool(x[0]),
    "if": lambda cupy, x, stream: 1 if (x > 0).all() else 0,
    "range": lambda cupy, x, stream: range(x.astype("int64")[0]),
    "tolist": lambda cupy, x, stream: x.tolist(),
    "asarray": lambda cupy, x, stream: cupy.asarray(np.ones(3)),
    "a list": lambda cupy, x, stream: cupy.array([1.0, 2.0]),
    "set": lambda cupy, x, stream: x.set(np.ones(3)),
    "mask": lambda cupy, x, stream: x[x > 0],
    "write to a mask": lambda cupy, x, stream: x.__setitem__(x > 0, 1.0),
    "list as index": lambda cupy, x, stream: x[[0, 1]],
    "take from a list": lambda cupy, x, stream: cupy.take(x, [0, 1]),
    "where": lambda cupy, x, stream: cupy.where(x),
    "nonzero": lambda cupy, x, stream: cupy.nonzero(x),
    "unique": lambda cupy, x, stream: cupy.unique(x),
    "argsort": lambda cupy, x, stream: cupy.argsort(x),
    "bincount": lambda cupy, x, stream: cupy.bincount(x.astype("int64")),
    "nine arrays": lambda cupy, x, stream: cupy.concatenate([x] * 9),
    "stream": lambda cupy, x, stream: stream.synchronize(),
    "done": lambda cupy, x, stream: stream.done,
    "device": lambda cupy, x, stream: cupy.cuda.Device().synchronize(),
    "runtime": lambda cupy, x, stream: cupy.cuda.runtime.deviceSynchronize(),
    "event": lambda cupy, x, stream: stream.record().synchronize(),
}


@pytest.mark.parametrize("name", FORBIDDEN)
def test_what_capture_forbids(cupy: Any, stream: Any, name: str) -> None:
    x = cupy.ones(3)
    FORBIDDEN[name](cupy, x, stream)
    with pytest.raises(cupy.cuda.runtime.CUDARuntimeError, match="operation not permitted") as caught:
        captured(stream, lambda: FORBIDDEN[name](cupy, x, stream))
    assert caught.value.status in (900, 907)
    assert (x + 1.0).get().tolist() == [2.0] * 3


@pytest.mark.parametrize("name", ["matmul", "@", "dot", "tensordot", "einsum"])
def test_cublas_is_not_captured(cupy: Any, stream: Any, name: str) -> None:
    x = cupy.ones((2, 2))
    calls = {"@": lambda: x @ x, "einsum": lambda: cupy.einsum("ij,jk->ik", x, x)}
    call = calls.get(name, lambda: getattr(cupy, name)(x, x))
    assert call().get().max() in (2.0, 4.0)
    with pytest.raises(NotImplementedError, match="calling cuBLAS API during stream capture is currently unsupported"):
        captured(stream, call)


def test_what_capture_allows(cupy: Any, stream: Any) -> None:
    pinned = np.frombuffer(cupy.cuda.alloc_pinned_memory(12), "float32")
    pinned[:] = 1.0
    x, index = cupy.zeros(3, "float32"), cupy.asarray(np.array([2, 0]))

    def record() -> Any:
        x.set(pinned, stream)
        assert len(x) == 3
        return x[index] + cupy.array(2.0), cupy.concatenate([x] * 8), x[None, ::2].astype("int32")

    graph, results = captured(stream, record)
    for value in (1.0, 5.0):
        pinned[:] = value
        graph.launch()
        assert results[0].get().tolist() == [value + 2] * 2
        assert results[1].get().tolist() == [value] * 24
        assert results[2].get().tolist() == [[value] * 2]


def test_errors_while_capturing_are_the_real_ones(cupy: Any, stream: Any) -> None:
    for call in (lambda: cupy.ones(2) + cupy.ones(3), lambda: cupy.ones(3).__iadd__(cupy.ones(2))):
        with pytest.raises(ValueError, match="broadcast"):
            captured(stream, call)


def test_memory_that_a_graph_uses_and_somebody_else_too(cupy: Any, stream: Any) -> None:
    """What was freed while it was captured may be lent again; a graph still writes to it."""
    x = cupy.ones(3)
    graph, y = captured(stream, lambda: (x + 1.0) * 3.0)
    with stream:
        others = cupy.zeros(3)
    graph.launch()
    assert y.get().tolist() == [6.0] * 3
    assert others.get().tolist() == [2.0] * 3  # not what its owner wrote

    freed = [cupy.ones(3)]
    graph, y = captured(stream, lambda: freed[0] + 1.0)
    freed.clear()
    graph.launch()
    assert np.isnan(y.get()).all()


def test_a_private_pool_keeps_a_graphs_memory_apart(cupy: Any, stream: Any) -> None:
    x, pool = cupy.ones(3), cupy.cuda.MemoryPool()
    with cupy.cuda.using_allocator(pool.malloc):
        graph, y = captured(stream, lambda: (x + 1.0) * 3.0)
    with stream:
        others = cupy.zeros(3)
    graph.launch()
    assert (y.get().tolist(), others.get().tolist()) == ([6.0] * 3, [0.0] * 3)
    del y, pool
    with pytest.raises(cupy.cuda.runtime.CUDARuntimeError, match="given back to the driver"):
        graph.launch()


def test_other_streams_join_a_capture_through_events(cupy: Any, stream: Any) -> None:
    x, other = cupy.zeros(1), cupy.cuda.Stream(non_blocking=True)

    def fork() -> None:
        other.wait_event(stream.record())
        with other:
            x.__iadd__(1.0)

    def fork_and_join() -> None:
        fork()
        stream.wait_event(other.record())
        x.__imul__(10.0)

    with pytest.raises(cupy.cuda.runtime.CUDARuntimeError, match="unjoined work"):
        captured(stream, fork)
    graph, _ = captured(stream, fork_and_join)
    assert not other.is_capturing()
    graph.launch()
    assert x.item() == 10.0
    with pytest.raises(cupy.cuda.runtime.CUDARuntimeError, match="uncaptured work in another stream"):
        captured(stream, lambda: stream.wait_event(other.record()))


def test_the_null_stream(cupy: Any) -> None:
    with pytest.raises(RuntimeError, match="cannot capture on the default"):
        cupy.cuda.Stream.null.begin_capture()
    blocking, null = cupy.cuda.Stream(), cupy.cuda.Stream.null
    x = cupy.ones(1)

    def record() -> None:
        with null:
            x.__iadd__(1.0)

    with pytest.raises(cupy.cuda.runtime.CUDARuntimeError, match="legacy stream depend on a capturing blocking"):
        captured(blocking, record)
    captured(cupy.cuda.Stream(non_blocking=True), record)
    assert x.item() == 2.0


def test_events_measure_time(cupy: Any, stream: Any) -> None:
    start, end = stream.record(), stream.record()
    assert 0 <= cupy.cuda.get_elapsed_time(start, end) < 1000
    with pytest.raises(cupy.cuda.runtime.CUDARuntimeError):
        cupy.cuda.get_elapsed_time(start, stream.record(cupy.cuda.Event(disable_timing=True)))
