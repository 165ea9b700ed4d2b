"""Devices that exist in tests only: an array module that is not NumPy, and a GPU that runs on the CPU."""

from __future__ import annotations

from .array import StandInArray, StandInModule, stand_in_device
from .gpu import emulated_gpu

__all__ = ["StandInArray", "StandInModule", "emulated_gpu", "stand_in_device"]
