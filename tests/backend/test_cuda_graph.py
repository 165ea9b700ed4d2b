"""Recording work of an emulated GPU, and the memory of what is recorded."""

from __future__ import annotations

import gc
import weakref
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tinygrad_bn.backend import fed, get_device, once
from tinygrad_bn.backend.cuda_graph import GraphMemory, GraphRecorder
from tinygrad_bn.errors import CaptureError


@pytest.fixture
def recorder(emulated_gpu: ModuleType) -> GraphRecorder:
    found: GraphRecorder = get_device("cuda").recorder()
    assert found is get_device("cuda").recorder()
    return found


def test_nothing_is_computed_before_it_is_launched(recorder: GraphRecorder, emulated_gpu: ModuleType) -> None:
    x = emulated_gpu.asarray(np.zeros(3, np.float32))

    def run() -> Any:
        x[...] = x + 1.0
        return x * 10.0

    result, notes, graph = recorder.record(run)
    assert x.get().tolist() == [0.0] * 3
    for times in (1.0, 2.0, 3.0):
        graph.launch()
        assert x.get().tolist() == [times] * 3
        assert result.get().tolist() == [10.0 * times] * 3
    assert notes.before_replay == []


def test_what_comes_from_the_host_is_there_when_it_is_launched(
    recorder: GraphRecorder, emulated_gpu: ModuleType
) -> None:
    device, numbers = get_device("cuda"), iter(range(10))

    def run() -> Any:
        changed = device.from_host(np.ones(2, np.float32))
        changed *= 2.0
        with once():
            kept = device.from_host(np.zeros(2, np.float32))
        kept += 1.0
        return changed, kept, fed(device, lambda: np.full(2, next(numbers), np.float32)) + 0.0

    (changed, kept, given), notes, graph = recorder.record(run)
    for times in (1.0, 2.0, 3.0):
        if times > 1.0:
            notes.before_replay[0]()
        graph.launch()
        assert changed.get().tolist() == [2.0, 2.0]
        assert kept.get().tolist() == [times, times]
        assert given.get().tolist() == [times - 1.0, times - 1.0]


def test_errors_end_the_recording(recorder: GraphRecorder, emulated_gpu: ModuleType) -> None:
    x = emulated_gpu.asarray(np.ones(2, np.float32))
    failing = (KeyError, lambda: {}["mine"]), (CaptureError, lambda: x.get()), (CaptureError, lambda: x[x > 0])
    for error, run in failing:
        with pytest.raises(error):
            recorder.record(run)
        assert (x + 1.0).get().tolist() == [2.0, 2.0]
        result, _, graph = recorder.record(lambda: x * 3.0)
        graph.launch()
        assert result.get().tolist() == [3.0, 3.0]


def test_what_was_made_aside_is_waited_for_after_an_error(
    recorder: GraphRecorder, emulated_gpu: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An optimiser goes on with the buffers that it made before its step failed."""
    waited: list[bool] = []
    monkeypatch.setattr(
        recorder, "_after", lambda later, earlier: waited.append(later == emulated_gpu.cuda.Stream.null)
    )

    def run() -> None:
        with once():
            get_device("cuda").from_host(np.zeros(2, np.float32))
        raise KeyError

    with pytest.raises(KeyError):
        recorder.record(run)
    assert waited == [False, True]


def test_work_that_goes_astray_is_an_error(recorder: GraphRecorder, emulated_gpu: ModuleType) -> None:
    """A stream that joins the recording, and is not joined again, ends it where nobody's code is running."""
    astray = emulated_gpu.cuda.Stream(non_blocking=True)

    def run() -> None:
        astray.wait_event(emulated_gpu.cuda.get_current_stream().record())

    with pytest.raises(CaptureError, match="cudaErrorStreamCaptureUnjoined"):
        recorder.record(run)
    assert not astray.is_capturing()
    recorder.record(lambda: None)


def test_warming_up_uses_the_stream_that_is_recorded(recorder: GraphRecorder, emulated_gpu: ModuleType) -> None:
    current = emulated_gpu.cuda.get_current_stream
    outside = current()
    with recorder.warming_up():
        warm = current()
    recorded, _, _ = recorder.record(current)
    assert warm == recorded != outside
    assert current() == outside
    with pytest.raises(KeyError), recorder.warming_up():
        raise KeyError
    assert current() == outside


def test_memory_knows_what_lies_in_it(emulated_gpu: ModuleType) -> None:
    memory, other = GraphMemory(emulated_gpu), GraphMemory(emulated_gpu)
    outside = emulated_gpu.zeros(4)
    with emulated_gpu.cuda.using_allocator(memory.allocate):
        inside = [emulated_gpu.zeros(size) for size in (4, 4000, 1)]
    for array in inside:
        assert memory.owns(array)
        assert memory.owns(array[-1:])
        assert not other.owns(array)
    assert not memory.owns(outside)
    assert not memory.owns(np.zeros(4))


def test_memory_is_lent_again_but_never_given_back(emulated_gpu: ModuleType) -> None:
    memory = GraphMemory(emulated_gpu)
    with emulated_gpu.cuda.using_allocator(memory.allocate):
        first = emulated_gpu.zeros(1000)
        address = first.data.ptr
        del first
        assert emulated_gpu.zeros(1000).data.ptr == address
        memory._pool.free_all_blocks()  # as the pool does by itself when the GPU is full
        assert emulated_gpu.zeros(1000).data.ptr != address


def test_memory_lives_as_long_as_an_array_in_it(emulated_gpu: ModuleType) -> None:
    """CuPy's own pool would free it; the stand-in fills memory with NaN when its pool goes."""
    pool = emulated_gpu.cuda.MemoryPool()
    with emulated_gpu.cuda.using_allocator(pool.malloc):
        lost = emulated_gpu.ones(5)
    del pool
    gc.collect()
    assert np.isnan(lost.get()).all()
    memory = GraphMemory(emulated_gpu)
    alive = weakref.ref(memory)
    with emulated_gpu.cuda.using_allocator(memory.allocate):
        kept = emulated_gpu.ones(5)
    part = kept[1:]
    del memory, kept
    gc.collect()
    assert part.get().tolist() == [1.0] * 4
    assert alive() is not None
    del part
    gc.collect()
    assert alive() is None


def test_what_cupy_itself_refuses_is_told_in_our_words(recorder: GraphRecorder, emulated_gpu: ModuleType) -> None:
    x = emulated_gpu.asarray(np.ones((2, 2), np.float32))
    with pytest.raises(CaptureError, match=r"the GPU can do by itself, got .*cuBLAS"):
        recorder.record(lambda: x @ x)
