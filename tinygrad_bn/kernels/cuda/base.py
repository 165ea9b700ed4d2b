"""What the families of overrides share."""

from __future__ import annotations

import numpy as np

from ...backend import Device
from ..reference import Kernels
from .compiler import Program
from .launch import BLOCKS


class CudaBase(Kernels):
    """The compiled program, and the counters by which the last block of a launch knows that it is the last.

    A kernel leaves the counters at zero. They are the same for all launches: kernels of one device run one after
    another, on one stream.

    Attributes:
        missing: why a library or a convolution is left to CuPy, by name; known when it was first needed.
    """

    name = "cuda"

    def __init__(self, device: Device) -> None:
        super().__init__(device)
        self.program = Program(device.xp)
        self.arrived = device.from_host(np.zeros(BLOCKS, np.uint32))
        self.missing: dict[str, str] = {}
