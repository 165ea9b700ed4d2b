"""Module: what every layer, block and model is made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from ..autograd import HookHandle, as_scope, enter_scope, leave_scope
from ..backend import Device, Recording, get_device, get_gpu, recording
from ..dtypes import as_dtype, is_floating, names_dtype
from ..errors import ArgumentError, DTypeError, GraphError, explain
from ..tensor import Tensor
from .parameter import Parameter, relocate
from .state import LoadResult, load

if TYPE_CHECKING:
    from .summary import Summary

ForwardPreHook = Callable[[Any, tuple[Any, ...]], Any]
ForwardHook = Callable[[Any, tuple[Any, ...], Any], Any]

_REGISTRIES = ("_parameters", "_modules", "_buffers")


class Module:
    """A part of a network: parameters, buffers, child modules, and a `forward` that uses them.

    A subclass calls `super().__init__()` first, assigns parameters, buffers and children to attributes, and defines
    `forward`. Parameters are trained; buffers (running statistics) are saved and moved with the module, never trained.

    `train()` and `eval()` set a flag of each module, `training`. They say how dropout and BatchNorm behave and have
    nothing to do with whether gradients are recorded, which is what `tg.no_grad()` says.

    >>> import tinygrad_bn as tg
    >>> class Scale(Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.factor = Parameter([2.0])
    ...     def forward(self, input):
    ...         return input * self.factor
    >>> Scale()(tg.tensor([3.0])).item()
    6.0
    >>> list(Scale().state_dict())
    ['factor']
    """

    training: bool
    _parameters: dict[str, Parameter | None]
    _buffers: dict[str, Tensor | None]
    _modules: dict[str, Module | None]

    def __init__(self) -> None:
        self.training = True
        self._parameters = {}
        self._buffers = {}
        self._modules = {}
        self._not_saved: set[str] = set()
        self._forward_pre_hooks: dict[int, ForwardPreHook] = {}
        self._forward_hooks: dict[int, ForwardHook] = {}
        self._scope_name = type(self).__name__

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the output; every subclass defines it."""
        raise GraphError(
            explain(f"{type(self).__name__}", "a method forward(self, input)", "a module without one", "define it")
        )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the hooks and `forward`, inside the scope that bears the module's name."""
        under_way = recording()
        if under_way is not None:
            self._note(under_way)
        token = enter_scope(self._scope_name)
        try:
            if self._forward_pre_hooks:
                args = self._run_pre_hooks(args)
            output = self.forward(*args, **kwargs)
            return self._run_hooks(args, output) if self._forward_hooks else output
        finally:
            leave_scope(token)

    def _note(self, under_way: Recording) -> None:
        """Tell a recording the modes and the parts that it depends on, of this module and of every module inside."""
        if (id(self.__dict__), "training") in under_way.entries:
            return
        for module in self.modules():
            under_way.finds(module.__dict__, "training")
            for key in _REGISTRIES:
                under_way.finds(module.__dict__[key])

    def _run_pre_hooks(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        for hook in tuple(self._forward_pre_hooks.values()):
            changed = hook(self, args)
            if changed is not None:
                args = changed if isinstance(changed, tuple) else (changed,)
        return args

    def _run_hooks(self, args: tuple[Any, ...], output: Any) -> Any:
        for hook in tuple(self._forward_hooks.values()):
            changed = hook(self, args, output)
            if changed is not None:
                output = changed
        return output

    # Registration

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, Parameter):
            self.register_parameter(name, value)
        elif isinstance(value, Module):
            self.add_module(name, value)
        elif (registry := self._registry_of(name)) is None:
            object.__setattr__(self, name, value)
        elif value is None or (registry is self.__dict__["_buffers"] and isinstance(value, Tensor)):
            registry[name] = value
        else:
            kind = {"_parameters": "Parameter", "_buffers": "Tensor", "_modules": "Module"}
            expected = next(kind[key] for key in kind if self.__dict__[key] is registry)
            raise DTypeError(
                explain(
                    f"{type(self).__name__}.{name} = ...",
                    f"a {expected} or None, since {name!r} is registered as such",
                    type(value).__name__,
                )
            )

    def __getattr__(self, name: str) -> Any:
        # Python asks here only for what is no ordinary attribute.
        own = self.__dict__
        for key in _REGISTRIES:
            if key in own and name in own[key]:
                return own[key][name]
        hint = "" if "_modules" in self.__dict__ else " (super().__init__() has not been called)"
        raise AttributeError(f"{type(self).__name__!r} has no attribute {name!r}{hint}")

    def __delattr__(self, name: str) -> None:
        registry = self._registry_of(name)
        if registry is None:
            object.__delattr__(self, name)
        else:
            del registry[name]
            self._not_saved.discard(name)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self._parameters, *self._buffers, *self._modules})

    def register_parameter(self, name: str, parameter: Parameter | None) -> None:
        """Add a parameter under a name; None keeps the name for an absent one."""
        if parameter is not None and not isinstance(parameter, Parameter):
            raise DTypeError(explain("register_parameter", "a Parameter or None", type(parameter).__name__))
        self._claim(name, "_parameters")[name] = parameter
        if parameter is not None and parameter.name is None:
            parameter.name = name

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Add a tensor that is moved with the module and, if `persistent`, saved with it, but never trained."""
        if tensor is not None and (not isinstance(tensor, Tensor) or isinstance(tensor, Parameter)):
            raise DTypeError(explain("register_buffer", "a Tensor that is no Parameter", type(tensor).__name__))
        if tensor is not None and tensor.requires_grad:
            raise GraphError(explain("register_buffer", "a tensor that needs no gradient", "one that does"))
        self._check_free("register_buffer", name, "_buffers")
        self._claim(name, "_buffers")[name] = tensor
        if tensor is not None and tensor.name is None:
            tensor.name = name
        if not persistent:
            self._not_saved.add(name)

    def add_module(self, name: str, module: Module | None) -> None:
        """Add a child under a name; the same as assigning it to that attribute."""
        if module is not None:
            check_module(f"{type(self).__name__}.{name}", module)
        self._claim(name, "_modules")[name] = module
        if module is not None:
            module._set_scope_name(as_scope(name))

    def _set_scope_name(self, name: str) -> None:
        self._scope_name = name

    def _check_free(self, where: str, name: str, registry: str) -> None:
        taken = [key for key in ("_parameters", "_buffers", "_modules") if name in self.__dict__.get(key, ())]
        if taken and taken != [registry]:
            raise ArgumentError(explain(where, "a name that nothing else has", f"{name!r}, one of the {taken[0][1:]}"))

    def _claim(self, name: str, registry: str) -> dict[str, Any]:
        """Return a registry after making sure that it alone holds the name."""
        if registry not in self.__dict__:
            raise GraphError(
                explain(
                    f"{type(self).__name__}.{name} = ...",
                    "super().__init__() to be called before anything is assigned",
                    "a module that is not initialised",
                    "make it the first line of __init__",
                )
            )
        if not isinstance(name, str) or not name or "." in name:
            raise ArgumentError(explain(type(self).__name__, "a name without dots, not empty", repr(name)))
        if name in dir(Module):
            raise ArgumentError(explain(type(self).__name__, "a name that Module does not use", repr(name)))
        self.__dict__.pop(name, None)
        for other in ("_parameters", "_buffers", "_modules"):
            if other != registry:
                self.__dict__[other].pop(name, None)
        result: dict[str, Any] = self.__dict__[registry]
        return result

    def _registry_of(self, name: str) -> dict[str, Any] | None:
        for key in _REGISTRIES:
            registry: dict[str, Any] = self.__dict__.get(key, {})
            if name in registry:
                return registry
        return None

    # Iteration

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """Yield (dotted name, module) for this module ("") and every module inside, each once, parents first."""
        seen: set[int] = set()
        for name, module in self._walk(prefix):
            if id(module) not in seen:
                seen.add(id(module))
                yield name, module

    def _walk(self, prefix: str) -> Iterator[tuple[str, Module]]:
        yield prefix, self
        for name, child in self.named_children():
            yield from child._walk(f"{prefix}.{name}" if prefix else name)

    def modules(self) -> Iterator[Module]:
        """Yield this module and every module inside, each once."""
        return (module for _, module in self.named_modules())

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """Yield (name, module) for the direct children, in the order of registration."""
        return ((name, child) for name, child in self._modules.items() if child is not None)

    def children(self) -> Iterator[Module]:
        """Yield the direct children."""
        return (child for _, child in self.named_children())

    def named_parameters(self, prefix: str = "", recurse: bool = True) -> Iterator[tuple[str, Parameter]]:
        """Yield (dotted name, parameter), each parameter once; `recurse=False` leaves out those of children."""
        return self._named_tensors("_parameters", prefix, recurse)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """Yield every parameter once."""
        return (parameter for _, parameter in self.named_parameters(recurse=recurse))

    def named_buffers(self, prefix: str = "", recurse: bool = True) -> Iterator[tuple[str, Tensor]]:
        """Yield (dotted name, buffer), each buffer once."""
        return self._named_tensors("_buffers", prefix, recurse)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """Yield every buffer once."""
        return (buffer for _, buffer in self.named_buffers(recurse=recurse))

    def _named_tensors(self, registry: str, prefix: str, recurse: bool) -> Iterator[tuple[str, Any]]:
        seen: set[int] = set()
        for path, module in self._walk(prefix) if recurse else [(prefix, self)]:
            for name, tensor in module.__dict__[registry].items():
                if tensor is not None and id(tensor) not in seen:
                    seen.add(id(tensor))
                    yield (f"{path}.{name}" if path else name), tensor

    # Modes, gradients, places

    def train(self, mode: bool = True) -> Self:
        """Set `training` here and in every module inside; returns the module."""
        if not isinstance(mode, bool):
            raise DTypeError(explain("train", "True or False", repr(mode)))
        under_way = recording()
        if under_way is not None:
            self._note(under_way)
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """Set evaluation mode: BatchNorm uses its running averages, dropout does nothing. Gradients still flow."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Set whether the parameters require a gradient; returns the module."""
        for parameter in self.parameters():
            parameter.requires_grad = requires_grad
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or (`set_to_none=False`) fill those there are with zeros."""
        for parameter in self.parameters():
            if set_to_none:
                parameter.grad = None
            elif parameter.grad is not None:
                parameter.grad = parameter.grad.detach() * 0.0

    def apply(self, function: Callable[[Module], Any]) -> Self:
        """Call a function with every module inside, children first, and then with this one; returns the module."""
        for child in self.children():
            child.apply(function)
        function(self)
        return self

    def to(self, device: Any = None, dtype: Any = None) -> Self:
        """Move parameters, buffers and gradients to a device, floating-point ones also to a dtype.

        The parameters stay the same objects, so an optimiser made before keeps working. Buffers are kept in float32 or
        wider: running statistics in 16 bits would lose what they average.

        Args:
            device: a device or its name, None for where they are; or, as in PyTorch, a dtype alone.
            dtype: float16, bfloat16, float32 or float64; None leaves them as they are.
        """
        if dtype is None and names_dtype(device):
            device, dtype = None, device
        target = None if device is None else get_device(device)
        wanted = None if dtype is None else as_dtype("Module.to", dtype)
        if wanted is not None and not is_floating(wanted):
            raise DTypeError(explain("Module.to", "a floating-point dtype", str(wanted)))
        for kind, tensors in (("parameter", self.parameters()), ("buffer", self.buffers())):
            for tensor in tensors:
                new = tensor.dtype if wanted is None or not is_floating(tensor.dtype) else wanted
                if kind == "buffer" and is_floating(new):
                    new = np.promote_types(new, "float32")
                relocate(tensor, target or tensor.device, new)
        return self

    def cpu(self) -> Self:
        """Move to the CPU."""
        return self.to("cpu")

    def cuda(self, device: str | int | Device | None = None) -> Self:
        """Move to a GPU, given by name or number; None means the default device if it is one, else the first GPU."""
        return self.to(get_gpu(device))

    def float(self) -> Self:
        """Convert to float32."""
        return self.to(dtype="float32")

    def double(self) -> Self:
        """Convert to float64."""
        return self.to(dtype="float64")

    def half(self) -> Self:
        """Convert parameters to float16; buffers stay in float32."""
        return self.to(dtype="float16")

    def bfloat16(self) -> Self:
        """Convert parameters to bfloat16; buffers stay in float32."""
        return self.to(dtype="bfloat16")

    # State

    def state_dict(self, prefix: str = "") -> dict[str, Tensor]:
        """Return copies of all parameters and persistent buffers by their dotted names, which are PyTorch's.

        It is a snapshot: training on does not change it (in PyTorch it would).
        """
        return {name: Tensor(tensor.data) for name, tensor in self._saved_tensors(prefix)}

    def load_state_dict(self, state: Mapping[str, Any], strict: bool = True) -> LoadResult:
        """Copy a state into the parameters and buffers. When anything does not fit, nothing is loaded.

        Args:
            state: tensors or arrays by dotted name, as `state_dict` returns them.
            strict: also refuse names that are missing or unexpected. Shapes must fit in any case.

        Returns:
            The names that were missing and those that were unexpected.

        Raises:
            StateError: names, shapes or dtypes do not fit; the message lists all of them.
        """
        return load(type(self).__name__, dict(self._saved_tensors("")), state, strict)

    def _saved_tensors(self, prefix: str) -> Iterator[tuple[str, Tensor]]:
        """Yield also what is reached under several names: each of them is a key, as in PyTorch."""
        for path, module in self._walk(prefix.removesuffix(".")):
            kept = {name: b for name, b in module._buffers.items() if name not in module._not_saved}
            for name, tensor in (*module._parameters.items(), *kept.items()):
                if tensor is not None:
                    yield (f"{path}.{name}" if path else name), tensor

    # Hooks

    def register_forward_pre_hook(self, hook: ForwardPreHook) -> HookHandle:
        """Call `hook(module, args)` before every forward; what it returns replaces the arguments."""
        return HookHandle(self._forward_pre_hooks, hook)

    def register_forward_hook(self, hook: ForwardHook) -> HookHandle:
        """Call `hook(module, args, output)` after every forward; what it returns replaces the output."""
        return HookHandle(self._forward_hooks, hook)

    # Showing

    def summary(self, input: Tensor | tuple[Any, ...]) -> Summary:
        """Return a table of shapes, parameters, operations and memory by module; nothing in the module changes.

        Args:
            input: an input tensor, a tuple of them, or the shape of an input, such as (1, 3, 32, 32).
        """
        from .summary import summarize

        return summarize(self, input)

    def extra_repr(self) -> str:
        """Return what `repr` shows between the parentheses; a subclass describes its settings here."""
        return ""

    def __repr__(self) -> str:
        lines = self.extra_repr().splitlines()
        children = [f"({name}): {child!r}".replace("\n", "\n  ") for name, child in self._modules.items()]
        if len(lines) <= 1 and not children:
            return f"{type(self).__name__}({''.join(lines)})"
        return "\n  ".join([f"{type(self).__name__}(", *lines, *children]) + "\n)"


def check_module(where: str, value: Any) -> Module:
    """Return a module after checking that it is one, and not a class or a function."""
    if isinstance(value, Module):
        return value
    if isinstance(value, type) and issubclass(value, Module):
        got, remedy = f"the class {value.__name__}", f"write {value.__name__}(...)"
    else:
        got, remedy = f"{value!r}"[:80], None
    raise DTypeError(explain(where, "a Module", got, remedy))
