"""Devices, streams, events and graphs of the emulated GPU.

Work is done when it is asked for, so streams never run beside each other; a stream that is captured records instead.
"""

from __future__ import annotations

import itertools
import time
import weakref
from collections.abc import Callable, Iterable
from typing import Any

from .gpu_state import CUDARuntimeError, not_while_capturing, state


class Device:
    """A GPU; current inside a `with` statement."""

    def __init__(self, device: Any = None) -> None:
        self.id = state.thread.device if device is None else int(device)
        self._before: list[int] = []

    def __int__(self) -> int:
        return self.id

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Device) and self.id == other.id

    def __hash__(self) -> int:
        return self.id

    def __enter__(self) -> Device:
        self._before.append(state.thread.device)
        self.use()
        return self

    def __exit__(self, *_: object) -> None:
        state.thread.device = self._before.pop()

    def __repr__(self) -> str:
        return f"<CUDA Device {self.id}>"

    def use(self) -> None:
        if not 0 <= self.id < state.count:
            raise CUDARuntimeError(101, "cudaErrorInvalidDevice", "invalid device ordinal")
        state.thread.device = self.id

    def synchronize(self) -> None:
        state.refuse_capture()

    compute_capability = "90"

    @property
    def mem_info(self) -> tuple[int, int]:
        return 1 << 33, 1 << 34


class Recording:
    """What a stream has been told while it is captured."""

    def __init__(self, origin: Stream) -> None:
        self.origin = origin
        self.streams = {origin}
        self.unjoined: set[Stream] = set()
        self.actions: list[Callable[[], None]] = []
        self.blocks: dict[int, weakref.ref[Any]] = {}

    def uses(self, *arrays: Iterable[Any]) -> None:
        """Note whose memory is read or written; the recording does not keep it."""
        for array in itertools.chain(*arrays):
            block = array._memory.block
            self.blocks[id(block)] = weakref.ref(block)


_numbers = itertools.count(2)


class Stream:
    """A queue of work of one device; `Stream.null` is the default one."""

    null: Stream
    ptds: Stream

    def __init__(self, null: bool = False, non_blocking: bool = False, ptds: bool = False, priority: int | None = None):
        self.ptr = 0 if null else 1 if ptds else next(_numbers)
        self.device_id = -1 if null or ptds else state.thread.device
        self.is_non_blocking = non_blocking
        self._recording: Recording | None = None
        self._before: list[tuple[int, Any]] = []

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Stream) and self.ptr == other.ptr

    def __hash__(self) -> int:
        return self.ptr

    def __enter__(self) -> Stream:
        self._before.append((state.thread.device, state.stream()))
        self.use()
        return self

    def __exit__(self, *_: object) -> None:
        device, stream = self._before.pop()
        state.thread.streams[device] = stream

    def use(self) -> Stream:
        if self.device_id not in (-1, state.thread.device):
            raise RuntimeError(
                f"The device that the stream is created on ({self.device_id})"
                f" does not match with the current device ({state.thread.device})"
            )
        state.thread.streams[state.thread.device] = self
        return self

    @property
    def done(self) -> bool:
        self._refuse_capture()
        return True

    def synchronize(self) -> None:
        self._refuse_capture()

    def record(self, event: Event | None = None) -> Event:
        event = event or Event()
        event.record(self)
        return event

    def wait_event(self, event: Event) -> None:
        recording = event._recording
        if recording is None:
            if self._recording is not None and event._recorded:
                raise CUDARuntimeError(
                    905, "cudaErrorStreamCaptureIsolation", "dependency created on uncaptured work in another stream"
                )
            return
        if self._recording is None:
            self._recording = recording
            recording.streams.add(self)
            recording.unjoined.add(self)
        elif self is recording.origin and event._stream is not None:
            recording.unjoined.discard(event._stream)

    def launch_host_func(self, callback: Callable[[Any], Any], arg: Any) -> None:
        if self._recording is not None:
            self._recording.actions.append(lambda: callback(arg))
        else:
            callback(arg)

    def begin_capture(self, mode: int | None = None) -> None:
        if self.ptr in (0, 1):
            raise RuntimeError("cannot capture on the default (legacy) stream")
        self._refuse_capture()
        self._recording = Recording(self)
        state.captured_with_the_null_stream += not self.is_non_blocking

    def end_capture(self) -> Graph:
        recording = self._recording
        if recording is None or recording.origin is not self:
            raise CUDARuntimeError(1, "cudaErrorInvalidValue", "invalid argument")
        for stream in recording.streams:
            stream._recording = None
        state.captured_with_the_null_stream -= not self.is_non_blocking
        if recording.unjoined:
            raise CUDARuntimeError(904, "cudaErrorStreamCaptureUnjoined", "capturing stream has unjoined work")
        return Graph(recording)

    def is_capturing(self) -> bool:
        return self._recording is not None

    def _refuse_capture(self) -> None:
        if self._recording is not None:
            raise not_while_capturing()


Stream.null = Stream(null=True)
Stream.ptds = Stream(ptds=True)


def get_current_stream(device_id: int = -1) -> Stream:
    """Return the current stream of a device, the current one if none is named."""
    device = state.thread.device if device_id == -1 else device_id
    return state.thread.streams.get(device) or Stream.null


class Event:
    """A mark in a stream."""

    def __init__(self, block: bool = False, disable_timing: bool = False, interprocess: bool = False) -> None:
        self._timed = not disable_timing
        self._time = 0.0
        self._recorded = False
        self._recording: Recording | None = None
        self._stream: Stream | None = None

    def record(self, stream: Stream | None = None) -> None:
        self._stream = stream or get_current_stream()
        self._recording = self._stream._recording
        self._time = time.perf_counter()
        self._recorded = True

    @property
    def done(self) -> bool:
        self.synchronize()
        return True

    def synchronize(self) -> None:
        if self._recording is not None:
            raise CUDARuntimeError(
                907, "cudaErrorCapturedEvent", "operation not permitted on an event last recorded in a capturing stream"
            )


def get_elapsed_time(start_event: Event, end_event: Event) -> float:
    """Return the milliseconds between two events."""
    if not (start_event._timed and end_event._timed and start_event._recorded and end_event._recorded):
        raise CUDARuntimeError(400, "cudaErrorInvalidResourceHandle", "invalid resource handle")
    return (end_event._time - start_event._time) * 1e3


class Graph:
    """Recorded work."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording

    def launch(self, stream: Stream | None = None) -> None:
        if (stream or get_current_stream())._recording is not None:
            raise NotImplementedError("the stand-in does not capture graphs within graphs")
        if any(block() is None for block in self._recording.blocks.values()):
            raise CUDARuntimeError(
                700, "cudaErrorIllegalAddress", "an illegal memory access was encountered: given back to the driver"
            )
        for action in self._recording.actions:
            action()

    def upload(self, stream: Stream | None = None) -> None:
        pass
