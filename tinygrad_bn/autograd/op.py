"""What an operation promises to the autograd engine. The operations themselves live one floor up, in `ops`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

Shape = tuple[int, ...]


class Op:
    """One application of a differentiable operation: its attributes, and what it keeps for its derivative.

    A subclass states three things. `forward` computes on arrays, through the device's kernels. `backward` states the
    derivative *with Tensors*, so that it can itself be differentiated. `backward_arrays`, where there is one, computes
    the same on arrays, faster; the engine uses it when nobody asks for gradients of gradients.
    """

    name: str = ""
    broadcasts: ClassVar[bool] = False
    """The inputs broadcast and promote; the engine sums and casts each gradient back to its input."""
    floating: ClassVar[bool] = False
    """Integer inputs are computed as float32."""
    precision: str = ""
    """What `autocast` casts floating-point inputs to: "half", its 16 bits; "float32"; "" leaves them as they are."""
    differentiable: bool = True
    is_view: bool = False
    """The output shares the first input's memory."""

    output_device: Any = None
    """The device of the output where it is not that of the inputs."""

    needs: tuple[bool, ...] = ()
    """For each input, whether its gradient will be asked for; set before `forward`."""
    kept: Any = None
    """Arrays that `forward` keeps for the derivative beside inputs and output; dropped after the backward pass."""

    def forward(self, kernels: Any, *inputs: Any) -> Any:
        """Compute the output array from input arrays; Python scalars and None are passed as they are."""
        raise TypeError(f"{type(self).__name__} must define forward")

    def retained_inputs(self) -> Sequence[int]:
        """Return the positions of the inputs that `backward` reads."""
        return ()

    def retains_output(self) -> bool:
        """Return whether `backward` reads the output."""
        return False

    def backward(self, grad: Any, inputs: Sequence[Any], output: Any) -> Sequence[Any]:
        """Return one gradient per input (None where none flows), given the output's, as Tensors.

        Args:
            grad: gradient of the output, in its shape and dtype.
            inputs: the inputs; those not retained are None.
            output: the output, or None if not retained.
        """
        raise TypeError(f"{type(self).__name__} must define backward")

    backward_arrays: Any = None
    """`backward_arrays(kernels, grad, inputs, output)`: the same as `backward`, on arrays; None if there is none."""
    gradients_are_new: ClassVar[bool] = False
    """Each array that `backward_arrays` returns was made by it and shares no memory: a leaf may keep it uncopied."""

    def flops(self, input_shapes: Sequence[Shape], output_shape: Shape) -> int:
        """Return the floating-point operations of `forward`; one per output element unless stated otherwise."""
        return math.prod(output_shape)
