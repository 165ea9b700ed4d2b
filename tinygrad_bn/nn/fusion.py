"""Running a BatchNorm and the activation beside it as one operation, where nobody watches the value between them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from ..autograd.modes import trace_mode
from ..backend.capturing import depends_on
from ..checks import as_bool
from ..kernels.reference.activations import FORMULAS
from ..tensor import Tensor
from .activation import ACTIVATIONS, Activation
from .module import Module
from .normalization import BatchNorm1d, BatchNorm2d

_fusion: ContextVar[bool] = ContextVar("tinygrad_bn.nn.fusion", default=True)

depends_on(_fusion.get)

# Not among them: a trained or random slope (PReLU, RReLU), and the identity, which costs nothing anyway.
_NAMES: dict[type[Module], str] = {
    made: name for name, made in ACTIVATIONS.items() if name in FORMULAS and issubclass(made, Activation)
}


@contextmanager
def fusion(enabled: bool) -> Iterator[None]:
    """Say whether blocks may run their BatchNorm and activation as one operation; by default they do.

    The results agree within rounding. As one operation the pair takes less time and memory, and the value between the
    two is never there; so a block with a hook on either of them, or one that is being traced, runs them one by one.

    >>> import tinygrad_bn as tg
    >>> from tinygrad_bn import nn
    >>> block, images = nn.ConvBlock(1, 2, 3), tg.ones(4, 1, 5, 5)
    >>> block(images)._node.op.name
    'norm_act'
    >>> with nn.fusion(False):
    ...     block(images)._node.op.name
    'relu'

    Args:
        enabled: True or False; it holds inside the `with` block, in this thread.
    """
    token = _fusion.set(as_bool("fusion", "enabled", enabled))
    try:
        yield
    finally:
        _fusion.reset(token)


def may_fuse() -> bool:
    """Return whether pairs may be fused here; a trace, as drawings and summaries take it, wants every operation."""
    return _fusion.get() and not trace_mode.get()


def fused_pair(first: Module, second: Module) -> Callable[[Tensor], Tensor] | None:
    """Return a function that runs two modules as one operation, or None where they must run one by one.

    They must be one of this package's BatchNorms and one of its activations, exactly: a subclass may compute something
    else. And nobody may watch what comes between them.
    """
    swap = isinstance(first, Activation)
    norm, activation = (second, first) if swap else (first, second)
    if type(norm) not in (BatchNorm1d, BatchNorm2d) or type(activation) not in _NAMES:
        return None
    if is_watched(norm) or is_watched(activation):
        return None
    order, name = "swap" if swap else "convention", _NAMES[type(activation)]
    parameters = activation.function_parameters()
    return lambda input: norm.forward_with_activation(input, order, name, parameters)


def is_watched(module: Module) -> bool:
    """Return whether calling the module does more than its class's forward: it has a hook, or a forward of its own."""
    return bool(module._forward_pre_hooks or module._forward_hooks) or "forward" in vars(module)
