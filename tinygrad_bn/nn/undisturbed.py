"""Running a module just to look at it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..backend import default_generator
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


def _no_hooks() -> dict[int, Any]:
    return {}
