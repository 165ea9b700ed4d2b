"""GPUs, their streams and their memory, in PyTorch's words.

Work for a GPU is put into a queue, a *stream*, and Python goes on before it is done: reading a value waits for it. Each
thread has a current stream on each GPU; at first that is the default one, and most programs need no other. Work of
different streams may overlap, so what one of them writes and another one reads needs `wait_stream` or an `Event`.

In every function `device` is a name ("cuda", "cuda:1"), a number or a Device; None means the default device where that
is a GPU, and the first GPU otherwise. Where it cannot be used, DeviceError says why and what helps.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, NamedTuple

from .backend import Device, get_gpu, unavailable_reason
from .backend import cuda as _backend
from .backend.capturing import refuse_inside
from .errors import ArgumentError, DTypeError, explain

DeviceLike = str | int | Device | None

__all__ = [
    "DeviceProperties",
    "Event",
    "Stream",
    "current_stream",
    "device_count",
    "empty_cache",
    "get_device_name",
    "get_device_properties",
    "is_available",
    "mem_get_info",
    "memory_allocated",
    "memory_reserved",
    "memory_summary",
    "stream",
    "synchronize",
]


class DeviceProperties(NamedTuple):
    """What a GPU is.

    Attributes:
        name: its maker's name for it.
        major, minor: its compute capability, as in 9.0.
        total_memory: bytes.
        multi_processor_count: how many of its multiprocessors work side by side.
    """

    name: str
    major: int
    minor: int
    total_memory: int
    multi_processor_count: int


def is_available() -> bool:
    """Return whether there is a GPU that can be used; `tg.get_device("cuda")` says why there is none."""
    return unavailable_reason("cuda") is None


def device_count() -> int:
    """Return the number of GPUs that can be used: 0 where none can."""
    return _backend.device_count() if is_available() else 0


def get_device_properties(device: DeviceLike = None) -> DeviceProperties:
    """Return what a GPU is."""
    gpu = get_gpu(device)
    found = gpu.xp.cuda.runtime.getDeviceProperties(_index(gpu))
    return DeviceProperties(
        found["name"].decode(), found["major"], found["minor"], found["totalGlobalMem"], found["multiProcessorCount"]
    )


def get_device_name(device: DeviceLike = None) -> str:
    """Return a GPU's name."""
    return get_device_properties(device).name


def synchronize(device: DeviceLike = None) -> None:
    """Wait until a GPU has done all that was asked of it, in all streams."""
    _refuse_in_a_step("synchronize")
    gpu = get_gpu(device)
    gpu.xp.cuda.Device(_index(gpu)).synchronize()


class Event:
    """A point in a stream, to wait for or to measure time between.

    Args:
        enable_timing: whether `elapsed_time` shall work.
        device: the GPU whose streams record it.
    """

    def __init__(self, enable_timing: bool = False, device: DeviceLike = None) -> None:
        self.device = get_gpu(device)
        self.enable_timing = enable_timing
        self.raw = self.device.use().cuda.Event(disable_timing=not enable_timing)

    def record(self, stream: Stream | None = None) -> None:
        """Be the point in a stream, by default the current one, that lies after all that was asked of it so far."""
        _refuse_in_a_step("Event.record")
        self.device.use()
        self.raw.record((stream or current_stream(self.device)).raw)

    def wait(self, stream: Stream | None = None) -> None:
        """Let what a stream, by default the current one, is asked from now on begin only after this point."""
        _refuse_in_a_step("Event.wait")
        (stream or current_stream(self.device)).wait_event(self)

    def query(self) -> bool:
        """Return whether the GPU has come to this point."""
        _refuse_in_a_step("Event.query")
        return bool(self.raw.done)

    def synchronize(self) -> None:
        """Wait until the GPU has come to this point."""
        _refuse_in_a_step("Event.synchronize")
        self.raw.synchronize()

    def elapsed_time(self, end: Event) -> float:
        """Return the milliseconds between this point and a later one; both must have been reached."""
        _refuse_in_a_step("Event.elapsed_time")
        if not (self.enable_timing and end.enable_timing):
            expected = "two events made with enable_timing=True"
            raise ArgumentError(explain("Event.elapsed_time", expected, "one without"))
        return float(self.device.use().cuda.get_elapsed_time(self.raw, end.raw))


class Stream:
    """A queue of work for a GPU; `with stream(s):` makes it the current one.

    Args:
        device: the GPU.
        priority: a lower number is served first; 0 is the usual one, -1 above it.
    """

    def __init__(self, device: DeviceLike = None, priority: int = 0) -> None:
        self.device = get_gpu(device)
        self.raw = self.device.use().cuda.Stream(non_blocking=True, priority=priority)

    @classmethod
    def around(cls, raw: Any, device: Device) -> Stream:
        """Return a stream of CuPy's as one of ours."""
        stream = cls.__new__(cls)
        stream.raw, stream.device = raw, device
        return stream

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Stream) and (self.device, self.raw) == (other.device, other.raw)

    def __hash__(self) -> int:
        return hash((self.device, self.raw))

    def __repr__(self) -> str:
        return f"Stream({self.raw.ptr:#x}, device={self.device.name!r})"

    def record_event(self, event: Event | None = None) -> Event:
        """Return an event, a new one by default, that is reached when all that was asked of the stream is done."""
        _refuse_in_a_step("Stream.record_event")
        event = Event(device=self.device) if event is None else event
        event.record(self)
        return event

    def wait_event(self, event: Event) -> None:
        """Begin what the stream is asked from now on only after an event, of this GPU or another one."""
        _refuse_in_a_step("Stream.wait_event")
        self.device.use()
        self.raw.wait_event(event.raw)

    def wait_stream(self, other: Stream) -> None:
        """Begin what the stream is asked from now on only after all that another one was asked so far."""
        _refuse_in_a_step("Stream.wait_stream")
        self.wait_event(other.record_event())

    def query(self) -> bool:
        """Return whether all that was asked of the stream is done."""
        _refuse_in_a_step("Stream.query")
        return bool(self.raw.done)

    def synchronize(self) -> None:
        """Wait until all that was asked of the stream is done."""
        _refuse_in_a_step("Stream.synchronize")
        self.raw.synchronize()


def current_stream(device: DeviceLike = None) -> Stream:
    """Return the stream to which a GPU's work goes now in this thread."""
    gpu = get_gpu(device)
    return Stream.around(gpu.use().cuda.get_current_stream(), gpu)


@contextlib.contextmanager
def stream(stream: Stream) -> Iterator[Stream]:
    """Let the work for a stream's GPU go to that stream, in this thread and until the end of the block.

    Neither the beginning nor the end waits for other streams, see `Stream.wait_stream`. Replays of captured steps on
    several streams must not run at the same time: they count finished blocks in the same memory.
    """
    if not isinstance(stream, Stream):
        raise DTypeError(explain("stream", "a Stream", type(stream).__name__))
    _refuse_in_a_step("stream")
    stream.device.use()
    stream.raw.__enter__()
    try:
        yield stream
    finally:
        stream.device.use()  # CuPy gives the current GPU its stream back, and that may be another one by now
        stream.raw.__exit__(None, None, None)


def memory_allocated(device: DeviceLike = None) -> int:
    """Return how many bytes of a GPU the arrays of this process occupy, in CuPy's pool."""
    allocated: int = get_gpu(device).memory.sizes()[0]
    return allocated


def memory_reserved(device: DeviceLike = None) -> int:
    """Return how many bytes CuPy's pool holds: those of arrays, and those that wait to be used again."""
    return sum(get_gpu(device).memory.sizes())


def mem_get_info(device: DeviceLike = None) -> tuple[int, int]:
    """Return how many bytes of a GPU are free for any process, and how many it has."""
    gpu = get_gpu(device)
    free, total = gpu.xp.cuda.Device(_index(gpu)).mem_info
    return free, total


def empty_cache(device: DeviceLike = None) -> None:
    """Give what CuPy's pool holds and no array uses back to the GPU, for other processes."""
    get_gpu(device).memory.release()


def memory_summary(device: DeviceLike = None) -> str:
    """Return a GPU's memory as a table, in MiB."""
    gpu = get_gpu(device)
    allocated, waiting = gpu.memory.sizes()
    free, total = mem_get_info(gpu)
    rows = (
        ("arrays of this process", allocated),
        ("kept for its next arrays", waiting),
        ("everything else in use", total - free - allocated - waiting),
        ("free", free),
        ("in all", total),
    )
    lines = [f"  {label:26}{size / 2**20:12.1f} MiB" for label, size in rows]
    return "\n".join([f"{gpu}: {get_device_name(gpu)}", *lines])


def _refuse_in_a_step(name: str) -> None:
    """Raise in a captured step: a graph is recorded from one stream, and nobody waits within it.

    Raises:
        CaptureError: a captured step is running.
    """
    remedy = "use streams and events around the call of the step"
    refuse_inside("work for the stream that the step is called on alone", f"tg.cuda.{name}", remedy)


def _index(gpu: Device) -> int:
    return int(gpu.name.removeprefix("cuda:"))
