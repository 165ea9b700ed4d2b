"""Running a module just to look at it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..backend import default_generator
from ..checks import as_shape
from ..creation import zeros
from ..errors import DTypeError, explain
from ..tensor import Tensor
from .module import Module


@contextmanager
def undisturbed(module: Module) -> Iterator[Module]:
    """Within this block, running the module leaves no trace in it: for counting, drawing and shape inference.

    The module is in evaluation mode, so that one image is enough for BatchNorm and dropout draws nothing; hooks are not
    called. Afterwards the mode of each module inside, buffers, hooks and the default generator's state are as before.

    >>> from tinygrad_bn import nn
    >>> import tinygrad_bn as tg
    >>> layer = nn.Dropout(0.5)
    >>> with undisturbed(layer):
    ...     layer(tg.ones(3)).tolist()
    [1.0, 1.0, 1.0]
    >>> layer.training
    True
    """
    modules = list(module.modules())
    before = [(part.training, part._forward_pre_hooks, part._forward_hooks) for part in modules]
    buffers = [(buffer, buffer.data.copy()) for buffer in module.buffers()]
    random_state = default_generator.get_state()
    try:
        for part in modules:
            part.training = False
            part._forward_pre_hooks, part._forward_hooks = _no_hooks(), _no_hooks()
        yield module
    finally:
        for part, (training, pre_hooks, hooks) in zip(modules, before, strict=True):
            part.training, part._forward_pre_hooks, part._forward_hooks = training, pre_hooks, hooks
        for buffer, values in buffers:
            if not (buffer.data == values).all():
                buffer.assign_(values)
        default_generator.set_state(random_state)


def example_inputs(where: str, model: Any, input: Any) -> list[Any]:
    """Return the arguments of a pass that is only looked at: tensors of their own, with no graph behind them.

    Args:
        where: who asks, for the error's message.
        model: a module, or any function of tensors.
        input: a Tensor; a tuple or list of arguments with a Tensor among them; or the shape of one input, which
            becomes zeros in the dtype and on the device of the module's parameters.

    Raises:
        DTypeError: the input is none of these.
    """
    given = [input] if isinstance(input, Tensor) else input
    if not isinstance(given, tuple | list):
        expected = "a Tensor, a tuple of them, or a shape such as (1, 3, 32, 32)"
        raise DTypeError(explain(where, expected, repr(input)[:80]))
    if any(isinstance(part, Tensor) for part in given):
        return [_without_graph(part) if isinstance(part, Tensor) else part for part in given]
    shape = as_shape(where, (given,), minimum=0)
    like = next(model.parameters(), None) if isinstance(model, Module) else None
    return [zeros(shape) if like is None else zeros(shape, dtype=like.dtype, device=like.device)]


def _without_graph(tensor: Tensor) -> Tensor:
    result = tensor.detach()
    result.name = tensor.name
    return result


def _no_hooks() -> dict[int, Any]:
    return {}
