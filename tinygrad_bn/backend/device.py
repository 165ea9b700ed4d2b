"""A device is an array module plus the way in and out of it.

The reference kernels are written against the array module `xp`, so a new device is a new `Device` object and
nothing else. `cuda.py` opens those of GPUs, when one is first asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import DeviceError, explain
from .capturing import refuse_reading
from .forks import renew_in_children
from .memory import BufferPool


class Device:
    """Where arrays live and which module computes on them.

    Args:
        name: "cpu", "cuda:0", ...
        xp: the array module (NumPy, CuPy, or anything with NumPy's interface).
        array_type: the class of the module's arrays.
        to_host: turns one of the module's arrays into a NumPy array.
        from_host: turns a NumPy array into one of the module's arrays.
        memory: where kernels take outputs and workspaces, a `BufferPool` or its like; None leaves that to the module.
        activate: makes the device the one that its module computes and allocates on; None where there is only one.
        from_peer: returns an array of another device of the same module as one of this device, without the host.
        recorder: returns what records steps on the device, see `GraphRecorder`; None where steps are plain calls.
    """

    __slots__ = (
        "activate",
        "array_type",
        "from_host",
        "from_peer",
        "kernels",
        "memory",
        "name",
        "recorder",
        "to_host",
        "xp",
    )

    def __init__(
        self,
        name: str,
        xp: Any,
        array_type: type,
        to_host: Callable[[Any], np.ndarray],
        from_host: Callable[[np.ndarray], Any],
        memory: Any = None,
        activate: Callable[[], None] | None = None,
        from_peer: Callable[[Any], Any] | None = None,
        recorder: Callable[[], Any] | None = None,
    ) -> None:
        self.name = name
        self.xp = xp
        self.array_type = array_type
        self.to_host = to_host
        self.from_host = from_host
        self.memory = memory
        self.activate = activate
        self.from_peer = from_peer
        self.recorder = recorder
        self.kernels: Any = None  # chosen by the kernels floor on first use

    def use(self) -> Any:
        """Make this the device on which its array module computes and allocates, and return the module."""
        if self.activate is not None:
            self.activate()
        return self.xp

    def copy(self, array: Any) -> Any:
        """Return a copy of an array of this device with its axes in the same order in memory, from the pool if any."""
        self.use()
        if self.memory is None:
            return self.xp.array(array)
        outer_first = sorted(range(array.ndim), key=lambda axis: -abs(array.strides[axis]))
        memory = self.memory.empty(tuple(array.shape[axis] for axis in outer_first), array.dtype)
        result = memory.transpose(sorted(range(array.ndim), key=outer_first.__getitem__))
        result[...] = array
        return result

    def fetch(self, array: Any, source: Device) -> Any:
        """Return a copy of another device's array on this device; between GPUs it does not pass through the host."""
        if source.name != "cpu":
            refuse_reading("one that is moved to another device")
        if self.from_peer is not None and source.array_type is self.array_type:
            return self.from_peer(array)
        return self.from_host(source.to_host(array))

    def refill(self, array: Any, values: np.ndarray) -> None:
        """Write a NumPy array's values into an array of this device, of the same shape and dtype."""
        array[...] = self.from_host(values)

    def __repr__(self) -> str:
        return f"Device({self.name!r})"

    def __str__(self) -> str:
        return self.name


def _same_array(array: Any) -> Any:
    return array


_host_memory = BufferPool()
_devices: dict[str, Device] = {"cpu": Device("cpu", np, np.ndarray, _same_array, np.asarray, _host_memory)}
renew_in_children(_host_memory.restart)

_default = "cpu"


def register_device(device: Device) -> None:
    """Make a device known under its name, so that `get_device` and `Tensor.to` find it."""
    _devices[device.name] = device


def get_device(device: str | Device | None = None) -> Device:
    """Return the device of that name ("cpu", "cuda", "cuda:1"); None means the default one, see `set_default_device`.

    Raises:
        DeviceError: the name is unknown, or the device cannot be used here; the message says why. There is no
            silent fall-back to another device.
    """
    if device is None:
        device = _default
    if isinstance(device, Device):
        return device
    if not isinstance(device, str):
        raise DeviceError(explain("device", "a name such as 'cpu' or 'cuda:0'", repr(device)))
    if device in _devices:
        return _devices[device]
    index = "0" if device == "cuda" else device.removeprefix("cuda:")
    if not (device.startswith("cuda") and index.isdecimal()):
        known = ", ".join(_devices)
        raise DeviceError(explain("device", f"one of {known}, cuda, cuda:N", repr(device)))
    name = f"cuda:{int(index)}"
    if name not in _devices:
        from .cuda import open_device

        _devices.setdefault(name, open_device(int(index)))  # another thread may have been first
    return _devices[name]


def get_gpu(device: str | int | Device | None = None) -> Device:
    """Return the GPU of that name or number; None means the default device where it is one, and else the first GPU.

    Raises:
        DeviceError: it is no GPU, or cannot be used here.
    """
    if device is None:
        device = _default if _default.startswith("cuda:") else "cuda"
    found = get_device(f"cuda:{device}" if isinstance(device, int) else device)
    if not found.name.startswith("cuda:"):
        raise DeviceError(explain("cuda", "a GPU: 'cuda' or 'cuda:N'", repr(found.name)))
    return found


def get_default_device() -> Device:
    """Return where tensors live that are made without `device`; see `set_default_device`."""
    return get_device(_default)


def set_default_device(device: str | Device) -> None:
    """Choose where tensors, the parameters of modules and batches live that are made without `device`; first the CPU.

    It concerns Python and NumPy data, NumPy arrays as operands among them. What is on a device already stays there, and
    `from_numpy` shares the array's memory, on the CPU.

    Raises:
        DeviceError: the device cannot be used here; the message says why.
    """
    global _default
    _default = get_device(device).name


def device_of(array: Any) -> Device | None:
    """Return the device whose arrays are of this class, or None when no device knows the class."""
    if isinstance(array, np.ndarray):
        return _devices["cpu"]
    if type(array).__module__.partition(".")[0] == "cupy":
        return get_device(f"cuda:{array.device.id}")
    for device in _devices.values():
        if isinstance(array, device.array_type):
            return device
    return None


def available_devices() -> list[str]:
    """Return the names of the devices that can be used on this machine, the CPU first."""
    from .cuda import device_count

    names = list(_devices)
    if unavailable_reason("cuda") is None:
        names += [f"cuda:{i}" for i in range(device_count())]
    return list(dict.fromkeys(names))


def unavailable_reason(name: str) -> str | None:
    """Return why a device cannot be used here, with the remedy, or None when it can be used."""
    try:
        get_device(name)
    except DeviceError as error:
        return str(error)
    return None
