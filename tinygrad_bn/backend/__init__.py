"""Devices and random numbers: what every higher floor stands on."""

from .capturing import each_time, fed, once, recording
from .device import (
    Device,
    available_devices,
    device_of,
    get_default_device,
    get_device,
    get_gpu,
    register_device,
    set_default_device,
    unavailable_reason,
)
from .forks import renew_in_children
from .memory import BufferPool
from .precision import get_float32_matmul_precision, set_float32_matmul_precision
from .random import Generator, default_generator, manual_seed
from .recording import Recording
from .threads import get_num_threads, set_num_threads
from .tuning import get_cudnn_benchmark, set_cudnn_benchmark

__all__ = [
    "BufferPool",
    "Device",
    "Generator",
    "Recording",
    "available_devices",
    "default_generator",
    "device_of",
    "each_time",
    "fed",
    "get_cudnn_benchmark",
    "get_default_device",
    "get_device",
    "get_float32_matmul_precision",
    "get_gpu",
    "get_num_threads",
    "manual_seed",
    "once",
    "recording",
    "register_device",
    "renew_in_children",
    "set_cudnn_benchmark",
    "set_default_device",
    "set_float32_matmul_precision",
    "set_num_threads",
    "unavailable_reason",
]
