"""Containers: modules that hold other modules."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import count
from typing import Any, ClassVar, Self, overload

from ..autograd import as_scope
from ..checks import as_index
from ..errors import OutOfBoundsError, explain
from .fusion import fused_pair, may_fuse
from .module import Module, check_module


class _Indexed(Module):
    """Children in an order, reached by position."""

    keeps_names: ClassVar[bool]
    """Whether the children of a slice are called as before; otherwise they are numbered from 0, as in PyTorch."""

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Module]:
        return self.children()

    @overload
    def __getitem__(self, index: int) -> Module: ...
    @overload
    def __getitem__(self, index: slice) -> Self: ...
    def __getitem__(self, index: int | slice) -> Module | Self:
        if isinstance(index, slice):
            return self._sliced(index)
        return list(self.children())[self._position(index)]

    def __setitem__(self, index: int, module: Module) -> None:
        name = list(self._modules)[self._position(index)]
        self.add_module(name, check_module(type(self).__name__, module))

    def _sliced(self, index: slice) -> Self:
        part: Any = Sequential() if self.keeps_names else ModuleList()
        chosen = list(self.named_children())[index]
        if not self.keeps_names:
            chosen = [(str(position), child) for position, (_, child) in enumerate(chosen)]
        part._modules.update(chosen)  # not add_module: in drawings the children keep the names they have
        part.training = self.training
        return part  # type: ignore[no-any-return]

    def _position(self, index: int) -> int:
        position = as_index(type(self).__name__, "the position", index)
        if not -len(self) <= position < len(self):
            raise OutOfBoundsError(
                explain(type(self).__name__, f"a position in a container of {len(self)}", str(index))
            )
        return position

    def append(self, module: Module) -> Self:
        """Add a module at the end, named by the first free number from the length on; returns the container."""
        name = next(str(number) for number in count(len(self)) if str(number) not in self._modules)
        self.add_module(name, check_module(type(self).__name__, module))
        return self

    def extend(self, modules: Iterable[Module]) -> Self:
        """Add several modules at the end; returns the container."""
        for module in modules:
            self.append(module)
        return self


class Sequential(_Indexed):
    """Modules applied one after the other.

    Args:
        modules: the modules, named "0", "1", ...; or one mapping from names to modules.

    Slicing gives a Sequential of the same modules under the same names.

    >>> from tinygrad_bn import nn
    >>> nn.Sequential(nn.Linear(4, 8), nn.Tanh())
    Sequential(
      (0): Linear(in_features=4, out_features=8, bias=True)
      (1): Tanh()
    )
    """

    keeps_names = True

    def __init__(self, *modules: Module | Mapping[str, Module]) -> None:
        super().__init__()
        if len(modules) == 1 and isinstance(modules[0], Mapping):
            named: Iterable[tuple[str, Any]] = modules[0].items()
        else:
            named = ((str(position), module) for position, module in enumerate(modules))
        for name, module in named:
            self.add_module(name, check_module(f"Sequential, position {name}", module))

    def forward(self, input: Any) -> Any:
        """Return the output of the last module."""
        if not may_fuse():
            for module in self.children():
                input = module(input)
            return input
        waiting = list(self.children())
        while waiting:
            fused = fused_pair(*waiting[:2]) if len(waiting) > 1 else None
            input = waiting[0](input) if fused is None else fused(input)
            del waiting[: 1 if fused is None else 2]
        return input


class ModuleList(_Indexed):
    """Modules in a list, for a `forward` that goes through them itself.

    Args:
        modules: the modules.
    """

    keeps_names = False

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        super().__init__()
        self.extend(modules)

    def add_module(self, name: str, module: Module | None) -> None:
        """Add a child; in drawings it is named after the list as well, since the list itself is never called."""
        super().add_module(name, module)
        if module is not None and self._scope_name != type(self).__name__:
            module._set_scope_name(f"{self._scope_name}/{as_scope(name)}")

    def _set_scope_name(self, name: str) -> None:
        super()._set_scope_name(name)
        for position, child in self.named_children():
            child._set_scope_name(f"{name}/{position}")
