"""What can be drawn, and how it becomes records: the graph behind a tensor, or a model applied to an input."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..autograd import no_grad, trace
from ..backend import default_generator
from ..checks import as_shape
from ..errors import ArgumentError, DTypeError, explain
from ..nn import Module, undisturbed
from ..tensor import Tensor
from .operations import names_to_open
from .records import GraphRecord, Role
from .walk import Names, record_graph

Model = Module | Callable[..., Any]
Input = Tensor | tuple[Any, ...] | list[Any]


def record_tensor(tensor: Tensor, *, expand: Iterable[str] | str = (), title: str | None = None) -> GraphRecord:
    """Record the graph that a tensor was computed from; `backward` may already have used it up.

    Args:
        tensor: the result.
        expand: names of fused operations to open into what they consist of, such as "batch_norm".
        title: what to call the drawing; by default the tensor's name.
    """
    return record_graph([tensor], title or tensor.name or "autograd graph", Names(), names_to_open(expand))


def record_model(
    model: Model, input: Input, *, expand: Iterable[str] | str = (), title: str | None = None
) -> GraphRecord:
    """Record what a model computes from an input, in the mode it is in; afterwards it is as it was before.

    Args:
        model: a Module, or any function of Tensors.
        input: a Tensor, a tuple of them, or the shape of one, such as (1, 3, 32, 32).
        expand: names of fused operations to open into what they consist of, such as "batch_norm".
        title: what to call the drawing; by default the model's class.

    Raises:
        ArgumentError: the input is none of these, or an unknown operation shall be opened.
        DTypeError: the model returns no Tensor.
    """
    opened = names_to_open(expand)
    inputs = _as_inputs(model, input)
    with _as_it_is(model), no_grad(), trace():
        results = _tensors_in(model(*inputs))
    if not results:
        raise DTypeError(explain("draw", "a model that returns a Tensor", "one that returns none"))
    names = _names(model, inputs)
    root = model._scope_name if isinstance(model, Module) else ""
    return record_graph(results, title or _title(model), names, opened, _mode(model), root)


@contextmanager
def _as_it_is(model: Model) -> Iterator[None]:
    """Let a model run in the mode it is in, and leave no trace in it or in the random state."""
    if not isinstance(model, Module):
        random_state = default_generator.get_state()
        try:
            yield
        finally:
            default_generator.set_state(random_state)
        return
    modes = [(module, module.training) for module in model.modules()]
    versions = [(buffer.version, buffer.version.count) for buffer in model.buffers()]
    try:
        with undisturbed(model):
            for module, training in modes:
                module.training = training
            yield
    finally:
        # The buffers have their values again, bit for bit: for a graph that has saved them nothing has happened.
        for version, count in versions:
            version.count = count


def _as_inputs(model: Model, input: Any) -> list[Tensor]:
    """Return the input as Tensors of their own, with no graph behind them."""
    if isinstance(input, Tensor):
        given = [input]
    elif isinstance(input, tuple | list) and input and all(isinstance(i, Tensor) for i in input):
        given = list(input)
    elif isinstance(input, tuple | list) and all(isinstance(n, int | np.integer) for n in input):
        given = [_zeros(model, as_shape("draw", input))]
    else:
        expected = "an input: a Tensor, a tuple of Tensors, or a shape such as (1, 3, 32, 32)"
        raise ArgumentError(explain("draw", expected, repr(input)[:80]))
    inputs = []
    for number, tensor in enumerate(given):
        own = tensor.detach()
        own.name = tensor.name or ("input" if len(given) == 1 else f"input {number}")
        inputs.append(own)
    return inputs


def _zeros(model: Model, shape: tuple[int, ...]) -> Tensor:
    """Return zeros in the dtype and on the device of the model's parameters."""
    like = next(iter(model.parameters()), None) if isinstance(model, Module) else None
    if like is None:
        return Tensor(np.zeros(shape, dtype="float32"))
    return Tensor(np.zeros(shape, dtype=like.dtype), device=like.device)


def _tensors_in(value: Any) -> list[Tensor]:
    """Return the Tensors in nested lists, tuples and dicts, in order."""
    found: list[Tensor] = []
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, Tensor):
            found.append(item)
        elif isinstance(item, dict):
            waiting += reversed(item.values())
        elif isinstance(item, tuple | list):
            waiting += reversed(item)
    return found


def _names(model: Model, inputs: list[Tensor]) -> Names:
    names = Names()
    labelled = [(Role.INPUT, tensor.name or "input", tensor) for tensor in inputs]
    if isinstance(model, Module):
        labelled += [(Role.PARAMETER, name, parameter) for name, parameter in model.named_parameters()]
        labelled += [(Role.BUFFER, name, buffer) for name, buffer in model.named_buffers()]
        names.modules = {
            "/".join([model._scope_name, *name.split(".")]) if name else model._scope_name: module
            for name, module in model.named_modules()
        }
    for role, name, tensor in labelled:
        leaf = tensor._leaf() if tensor._leaf is not None else None
        if leaf is not None:
            names.leaves[leaf] = (role, name)
    return names


def _title(model: Model) -> str:
    return type(model).__name__ if isinstance(model, Module) else getattr(model, "__name__", "function")


def _mode(model: Model) -> str:
    modes = {module.training for module in model.modules()} if isinstance(model, Module) else set()
    if not modes:
        return ""
    return "mixed" if len(modes) == 2 else "training" if modes == {True} else "evaluation"
