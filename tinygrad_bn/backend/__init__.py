"""Devices and random numbers: what every higher floor stands on."""

from .device import Device, available_devices, device_of, get_device, register_device, unavailable_reason
from .forks import renew_in_children
from .memory import BufferPool
from .random import Generator, default_generator, manual_seed
from .threads import get_num_threads, set_num_threads

__all__ = [
    "BufferPool",
    "Device",
    "Generator",
    "available_devices",
    "default_generator",
    "device_of",
    "get_device",
    "get_num_threads",
    "manual_seed",
    "register_device",
    "renew_in_children",
    "set_num_threads",
    "unavailable_reason",
]
