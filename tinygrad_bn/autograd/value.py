"""What the engine needs of a tensor: its array, and where it stands in the graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import ReferenceType

from ..backend import Device, recording
from ..dtypes import is_floating
from ..errors import DTypeError, GraphError, explain
from .node import InputVersion, Leaf, Node, Version


class Value:
    """The engine's view of a tensor; `Tensor` adds the methods that people use.

    Attributes:
        data: the array, of the device's module.
        device: the device it lives on.
        name: a name for drawings and messages.
    """

    __slots__ = (
        "__weakref__",
        "_grad",
        "_hooks",
        "_leaf",
        "_node",
        "_requires_grad",
        "_version",
        "data",
        "device",
        "name",
    )

    data: Any
    device: Device
    _grad: Any
    name: str | None
    _node: Node | None
    _leaf: ReferenceType[Leaf] | None
    _version: Version | None
    _hooks: dict[int, Callable[[Any], Any]] | None
    _requires_grad: bool

    @property
    def grad(self) -> Any:
        """The gradient collected by `backward`, a tensor of this one's shape, dtype and device; None before."""
        under_way = recording()
        if under_way is not None:
            under_way.reads_gradient(self)
        return self._grad

    @grad.setter
    def grad(self, gradient: Any) -> None:
        if gradient is not None:
            if not isinstance(gradient, Value):
                raise DTypeError(explain("grad", "a Tensor or None", type(gradient).__name__))
            own, new = self.data, gradient.data
            if (new.shape, new.dtype, gradient.device) != (own.shape, own.dtype, self.device):
                raise GraphError(
                    explain(
                        "grad",
                        f"a gradient of shape {own.shape} and dtype {own.dtype} on {self.device}",
                        f"shape {new.shape} and dtype {new.dtype} on {gradient.device}",
                    )
                )
        under_way = recording()
        if under_way is not None:
            under_way.writes_gradient(self)
        self._grad = gradient

    @property
    def requires_grad(self) -> bool:
        """Whether a gradient is asked for; it can be set on a leaf of floating-point dtype only."""
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, flag: bool) -> None:
        if self._node is not None and not flag and self._requires_grad:
            raise GraphError(
                explain(
                    "requires_grad",
                    "a leaf",
                    "a computed tensor, whose flag follows its inputs",
                    "use detach()",
                )
            )
        if flag and not is_floating(self.data.dtype):
            raise DTypeError(explain("requires_grad", "a floating-point tensor", str(self.data.dtype), "use astype"))
        under_way = recording()
        if under_way is not None:
            under_way.uses(self)
        if flag and not self._requires_grad:
            self._node = None  # what was only traced is a leaf from now on
        self._requires_grad = bool(flag)

    @property
    def version(self) -> Version:
        """The counter of in-place changes of this tensor's memory."""
        if self._version is None:
            self._version = Version()
        return self._version

    def has_changed(self) -> None:
        """Count a change of this tensor's memory in place; whoever makes one calls this."""
        self.version.count += 1
        under_way = recording()
        if under_way is not None:
            under_way.changed(self)

    @property
    def is_step_input(self) -> bool:
        """Whether this is an input of the captured step that is running, or a part of one."""
        return isinstance(self._version, InputVersion)

    def wrap(
        self,
        array: Any,
        node: Node | None = None,
        version: Version | None = None,
        requires_grad: bool = False,
        device: Device | None = None,
    ) -> Any:
        """Return a new tensor around an array of a device (this tensor's by default), without copying it."""
        raise TypeError("wrap is defined by Tensor")

    def astype(self, dtype: Any) -> Any:
        """Return the values in another dtype."""
        raise TypeError("astype is defined by Tensor")

    def astype_again(self, values: Any) -> Any:
        """Return the values in another dtype, in which an array holds them already."""
        raise TypeError("astype_again is defined by Tensor")

    def alias(self) -> Any:
        """Return the same values in the same memory, as a node of its own in the graph."""
        raise TypeError("alias is defined by Tensor")
