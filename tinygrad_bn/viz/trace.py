"""What can be drawn, and how it becomes records: the graph behind a tensor, or a model applied to an input."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..autograd import as_scope, enable_grad, trace
from ..backend import default_generator
from ..errors import ArgumentError, DTypeError, explain
from ..functional import cross_entropy
from ..nn import Module, undisturbed
from ..nn.undisturbed import example_inputs
from ..tensor import Tensor
from .observe import Observer
from .operations import names_to_open
from .records import GraphRecord, Role
from .walk import Names, record_graph

Model = Module | Callable[..., Any]
Input = Tensor | tuple[Any, ...] | list[Any]


def record_tensor(
    tensor: Tensor, *, expand: Iterable[str] | str = (), title: str | None = None, backward: bool = False
) -> GraphRecord:
    """Record the graph that a tensor was computed from; `backward` may already have used it up.

    Args:
        tensor: the result.
        expand: names of fused operations to open into what they consist of, such as "batch_norm".
        title: what to call the drawing; by default the tensor's name.
        backward: also record the derivatives that `tensor.backward()` computes.
    """
    named = title or tensor.name or "autograd graph"
    return record_graph([tensor], named, Names(), names_to_open(expand), backward=backward)


def record_model(
    model: Model,
    input: Input,
    *,
    expand: Iterable[str] | str = (),
    title: str | None = None,
    target: Any = None,
    backward: bool = False,
    observe: bool = False,
    checks: bool = True,
) -> GraphRecord:
    """Record what a model computes from an input, in the mode it is in; afterwards it is as it was before.

    Args:
        model: a Module, or any function of Tensors.
        input: a Tensor, a tuple of them, or the shape of one, such as (1, 3, 32, 32).
        expand: names of fused operations to open into what they consist of, such as "batch_norm".
        title: what to call the drawing; by default the model's class.
        target: labels, shape (N,): the drawing then ends in the cross-entropy of the model's result.
        backward: also record the derivatives that a backward pass from the result computes.
        observe: also measure what was computed: statistics and gradients. Gradients are those of the result if it is
            one number, otherwise of the result along a random direction. The input of a given shape is then standard
            normal, not zeros.
        checks: when observing, also time each operation and check its derivative.

    Raises:
        ArgumentError: an unknown operation shall be opened, or several results shall meet a target.
        DTypeError: the input is none of these, or the model returns no Tensor.
    """
    opened = names_to_open(expand)
    inputs = example_inputs("draw", model, input)
    given = input if isinstance(input, tuple | list) else [input]
    if observe and not any(isinstance(part, Tensor) for part in given):
        # Statistics of zeros, which stand for a shape, would say nothing.
        inputs = [_random_like(inputs[0], np.random.default_rng(1))]
    for number, argument in enumerate(inputs):
        if isinstance(argument, Tensor):
            if len(given) == len(inputs) and isinstance(given[number], Tensor) and given[number].requires_grad:
                argument.requires_grad_()
            argument.name = argument.name or ("input" if len(inputs) == 1 else f"input {number}")
    observer = Observer(checks) if observe else None
    with _as_it_is(model), enable_grad():
        with trace(None if observer is None else observer.watch):
            results = _tensors_in(model(*inputs))
            if not results:
                raise DTypeError(explain("draw", "a model that returns a Tensor", "one that returns none"))
            if target is not None:
                if len(results) > 1:
                    raise ArgumentError(explain("draw", "one result for the target", f"{len(results)} of them"))
                results = [_loss(results[0], target)]
        if observer is not None:
            _run_backward(observer, results)
    names = _names(model, inputs)
    root = model._scope_name if isinstance(model, Module) else ""
    return record_graph(
        results,
        title or _title(model),
        names,
        opened,
        _mode(model),
        root,
        observer=observer,
        backward=backward,
    )


def _loss(result: Tensor, target: Any) -> Tensor:
    labels = target.detach() if isinstance(target, Tensor) else Tensor(np.asarray(target))
    labels.name = "labels"
    loss = cross_entropy(result, labels)
    loss.name = "loss"
    return loss


def _run_backward(observer: Observer, results: list[Tensor]) -> None:
    ends = [result for result in results if result.requires_grad]
    random = np.random.default_rng(0)
    starts = [None if result.size == 1 else _random_like(result, random) for result in ends]
    if ends:
        observer.run_backward(ends, starts)


def _random_like(tensor: Tensor, random: np.random.Generator) -> Tensor:
    """Return a tensor of standard normal numbers."""
    return tensor.wrap(tensor.device.from_host(random.standard_normal(tensor.shape).astype(tensor.dtype)))


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


def _tensors_in(value: Any) -> list[Tensor]:
    """Return the Tensors in nested lists, tuples and dicts, in order; those in dicts are called by their keys."""
    found: list[Tensor] = []
    waiting: list[tuple[str | None, Any]] = [(None, value)]
    while waiting:
        name, item = waiting.pop()
        if isinstance(item, Tensor):
            if name is not None and item._node is not None and item.name is None:
                item.name = name
            found.append(item)
        elif isinstance(item, dict):
            waiting += [(str(key), part) for key, part in reversed(item.items())]
        elif isinstance(item, tuple | list):
            waiting += [(name, part) for part in reversed(item)]
    return found


def _names(model: Model, inputs: list[Any]) -> Names:
    names = Names()
    labelled = [(Role.INPUT, argument.name or "input", argument) for argument in inputs if isinstance(argument, Tensor)]
    if isinstance(model, Module):
        labelled += [(Role.PARAMETER, name, parameter) for name, parameter in model.named_parameters()]
        labelled += [(Role.BUFFER, name, buffer) for name, buffer in model.named_buffers()]
        names.modules = {
            "/".join([model._scope_name, *as_scope(name).split(".")]) if name else model._scope_name: module
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
