"""Operations with hand-derived kernels, defined by an expansion into primitive operations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .engine import grad as gradients_of
from .modes import enable_grad
from .op import Op
from .value import Value


class FusedOp(Op):
    """An operation with hand-derived kernels both ways, and a definition in terms of primitive operations.

    `expand` is what the kernels are tested against, what gradients of gradients differentiate, what a drawing shows
    when the box is opened, and the documentation.
    """

    def expand(self, *inputs: Any) -> Any:
        """State the same mathematics with primitive operations on Tensors."""
        raise TypeError(f"{type(self).__name__} must define expand")

    def backward(self, grad: Any, inputs: Sequence[Any], output: Any) -> Sequence[Any]:
        """Differentiate the expansion, which needs every input; only used for gradients of gradients."""
        with enable_grad():
            # Fresh nodes: an input that is used twice must get two separate gradients.
            aliases = [
                value.alias() if isinstance(value, Value) and need else value
                for value, need in zip(inputs, self.needs, strict=True)
            ]
            wanted = [alias for alias, need in zip(aliases, self.needs, strict=True) if need]
            found = gradients_of(self.expand(*aliases), wanted, grad, create_graph=True, allow_unused=True)
        remaining = iter(found)
        return [next(remaining) if need else None for need in self.needs]
