"""What the emulated GPUs are doing, thread by thread: the current device, its current stream, who allocates."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any


class CUDARuntimeError(RuntimeError):
    """An error of the CUDA runtime, told as CuPy tells it."""

    def __init__(self, status: int, name: str, text: str) -> None:
        super().__init__(f"{name}: {text}")
        self.status = status


def not_while_capturing() -> CUDARuntimeError:
    """Return the error for what a stream cannot do while it is captured."""
    return CUDARuntimeError(
        900, "cudaErrorStreamCaptureUnsupported", "operation not permitted when stream is capturing"
    )


class _Thread(threading.local):
    """What each thread has for itself."""

    def __init__(self) -> None:
        self.device = 0
        self.streams: dict[int, Any] = {}
        self.allocator: Callable[[int], Any] | None = None


class State:
    """All emulated GPUs of a process.

    Attributes:
        count: how many there are.
        thread: what the calling thread has chosen.
        default_allocator: where memory comes from when the thread has not chosen.
        captured_with_the_null_stream: how many streams are captured that wait for the null stream.
    """

    def __init__(self) -> None:
        self.count = 1
        self.reset()

    def reset(self) -> None:
        self.thread = _Thread()
        self.default_allocator: Callable[[int], Any] | None = None
        self.captured_with_the_null_stream = 0

    def stream(self) -> Any:
        """Return the current stream of the current device; None is the null stream."""
        return self.thread.streams.get(self.thread.device)

    def recording(self) -> Any:
        """Return what the current stream records, if it is being captured."""
        stream = self.stream()
        return None if stream is None else stream._recording

    def refuse_capture(self) -> None:
        """Raise if the current stream is being captured."""
        if self.recording() is not None:
            raise not_while_capturing()

    def refuse_null_stream(self, stream: Any = None) -> None:
        """Raise if work on the null stream would make it wait for a stream that is captured."""
        stream = stream or self.stream()
        if self.captured_with_the_null_stream and (stream is None or stream.ptr == 0):
            raise CUDARuntimeError(
                906,
                "cudaErrorStreamCaptureImplicit",
                "operation would make the legacy stream depend on a capturing blocking stream",
            )


state = State()
