"""Recording what a step does on a GPU as a CUDA graph, and launching it again.

The work of a whole step is captured from a stream of its own: nothing is computed meanwhile, and what is computed later
uses the very addresses that were recorded. So what is allocated while a step is captured comes from memory that belongs
to the graph alone. Memory that is freed during the capture may be allocated again within it, since a graph of one
stream does its work in order.
"""

from __future__ import annotations

import bisect
import contextlib
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from ..errors import CaptureError, explain
from .capturing import place_of, recorded
from .recording import Recording

Result = TypeVar("Result")

# Numbers of the CUDA runtime's errors: cudaErrorStreamCaptureUnsupported and its neighbours.
_OF_CAPTURE = range(900, 910)


class GraphMemory:
    """Memory of one graph: it lives as long as the graph, and as long as any array in it.

    CuPy's pools free what is still lent when they go, and give blocks that nobody holds back to the driver when it runs
    short; a graph would go on writing there. Here every array holds the pool, and the pool every block it ever took.

    Args:
        cupy: the module.
    """

    def __init__(self, cupy: Any) -> None:
        self._cupy = cupy
        self._ranges: list[tuple[int, int]] = []
        ranges, blocks, cuda = self._ranges, [], cupy.cuda

        def take(size: int) -> Any:
            block = cuda.Memory(size)
            blocks.append(block)
            bisect.insort(ranges, (block.ptr, block.ptr + size))
            return cuda.MemoryPointer(block, 0)

        self._pool = cuda.MemoryPool(take)

    def allocate(self, size: int) -> Any:
        """Return a pointer to memory of so many bytes, as CuPy's allocators do."""
        cuda = self._cupy.cuda
        lent = self._pool.malloc(size)
        return cuda.MemoryPointer(cuda.UnownedMemory(lent.ptr, size, (self, lent), lent.device_id), 0)

    def owns(self, array: Any) -> bool:
        """Return whether an array lies here."""
        if not isinstance(array, self._cupy.ndarray):
            return False
        address = array.data.ptr
        before = bisect.bisect_right(self._ranges, address, key=lambda found: found[0])
        return before > 0 and address < self._ranges[before - 1][1]


class CudaGraph:
    """A recorded step."""

    def __init__(self, graph: Any, memory: GraphMemory) -> None:
        self._graph = graph
        self._memory = memory

    def launch(self) -> None:
        """Do the recorded work, on the current stream."""
        self._graph.launch()


class GraphRecorder:
    """Records steps on one GPU; one thread at a time can.

    Args:
        cupy: the module. The GPU is current.
    """

    def __init__(self, cupy: Any) -> None:
        self._cupy = cupy
        self._captured = cupy.cuda.Stream(non_blocking=True)
        self._aside = cupy.cuda.Stream(non_blocking=True)
        self._using_streams = threading.Lock()

    @contextmanager
    def warming_up(self) -> Iterator[None]:
        """Inside, the device works on the stream that steps are recorded on, after and before the current one's work.

        What libraries keep for each stream is then there when a step is recorded.
        """
        current = self._cupy.cuda.get_current_stream()
        with self._using_streams:
            self._after(self._captured, current)
            try:
                with self._captured:
                    yield
            finally:
                self._after(current, self._captured)

    def record(self, run: Callable[[], Result]) -> tuple[Result, Recording, CudaGraph]:
        """Record what `run` tells the device to do; nothing of it is done yet.

        Returns:
            What `run` returned, what was noted of its Python code, and the graph.

        Raises:
            CaptureError: the device was told what cannot be recorded.
        """
        cuda = self._cupy.cuda
        current, allocator = cuda.get_current_stream(), cuda.get_allocator()
        memory = GraphMemory(self._cupy)

        @contextmanager
        def aside() -> Iterator[None]:
            with cuda.using_allocator(allocator), self._aside:
                yield

        notes = Recording(memory.owns, aside)
        with self._using_streams, self._beside(current):
            self._cupy.get_default_memory_pool().free_all_blocks(self._captured)  # of the calls that warmed up
            with cuda.using_allocator(memory.allocate), self._captured:
                self._captured.begin_capture(cuda.runtime.streamCaptureModeRelaxed)  # others forbid to allocate
                try:
                    with recorded(notes):
                        result = run()
                    graph = self._captured.end_capture()
                except BaseException as error:
                    with contextlib.suppress(cuda.runtime.CUDARuntimeError):  # it may be ended, or what has failed
                        self._captured.end_capture()
                    notes.undo()
                    # CuPy itself refuses some of its functions, in the second way.
                    of_cuda = isinstance(error, cuda.runtime.CUDARuntimeError) and error.status in _OF_CAPTURE
                    if of_cuda or isinstance(error, NotImplementedError):
                        raise _refused(error) from error
                    raise
        return result, notes, CudaGraph(graph, memory)

    @contextmanager
    def _beside(self, current: Any) -> Iterator[None]:
        """Inside, what is done aside comes after the current stream's work, and what that is asked later after it.

        What is made aside, such as an optimiser's buffers, outlives a recording that fails.
        """
        self._after(self._aside, current)
        try:
            yield
        finally:
            self._after(current, self._aside)

    def _after(self, later: Any, earlier: Any) -> None:
        later.wait_event(earlier.record(self._cupy.cuda.Event(disable_timing=True)))


def _refused(error: BaseException) -> CaptureError:
    """Return what to raise where CUDA refuses to record something; it names the user's line that has asked for it."""
    innermost_first = reversed(list(traceback.walk_tb(error.__traceback__)))
    where = f"a captured step, {place_of(innermost_first)}"
    remedy = "read values after the call, and give the step tensors"
    return CaptureError(explain(where, "work that the GPU can do by itself", str(error), remedy))
