"""What the families of overrides share."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...backend import Device, once
from ..reference import Kernels
from .compiler import Program
from .launch import BLOCKS


class CudaBase(Kernels):
    """The compiled program, and the counters by which the last block of a launch knows that it is the last.

    Attributes:
        missing: why a library or a convolution is left to CuPy, by name; known when it was first needed.
    """

    name = "cuda"

    def __init__(self, device: Device) -> None:
        super().__init__(device)
        self.program = Program(device.xp)
        self._arrived: dict[int, Any] = {}
        self.missing: dict[str, str] = {}

    @property
    def arrived(self) -> Any:
        """Counters, all zero, for a launch on the current stream, which leaves them so for the next one there."""
        stream = self.xp.cuda.get_current_stream().ptr
        counters = self._arrived.get(stream)
        if counters is None:
            with once():
                counters = self._arrived[stream] = self.xp.zeros(BLOCKS, np.uint32)
        return counters
