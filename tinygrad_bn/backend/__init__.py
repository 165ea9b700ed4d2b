"""Devices and random numbers: what every higher floor stands on."""

from .device import Device, available_devices, device_of, get_device, register_device, unavailable_reason
from .random import Generator, default_generator, manual_seed

__all__ = [
    "Device",
    "Generator",
    "available_devices",
    "default_generator",
    "device_of",
    "get_device",
    "manual_seed",
    "register_device",
    "unavailable_reason",
]
