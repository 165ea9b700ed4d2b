"""Bringing an operation of one's own."""

from __future__ import annotations

from typing import Any

from .autograd import Op, Value, apply, no_grad
from .errors import DTypeError, GraphError, explain
from .tensor import Tensor


class Context:
    """What a Function's forward hands to its backward.

    Attributes:
        saved_tensors: the tensors given to `save_for_backward`, also where they are inputs of the graph.
        needs_input_grad: for each argument of forward, whether its gradient is asked for.
    """

    def __init__(self) -> None:
        self.saved_tensors: tuple[Tensor, ...] = ()
        self.needs_input_grad: tuple[bool, ...] = ()

    def save_for_backward(self, *tensors: Tensor) -> None:
        """Keep tensors for backward; anything else may be kept as an attribute of the context."""
        for tensor in tensors:
            if not isinstance(tensor, Tensor):
                raise DTypeError(
                    explain("save_for_backward", "Tensors", type(tensor).__name__, "set an attribute of ctx")
                )
        self.saved_tensors = tensors


class Function:
    """Subclass this to bring an operation with its own derivative, as `torch.autograd.Function`.

    Define two static methods: `forward(ctx, *args)` computes a Tensor from the arguments and records nothing;
    `backward(ctx, grad)` returns one gradient per argument of forward (None where there is none). If backward uses
    tensor operations throughout, gradients of gradients work. Apply it with `MyFunction.apply(*args)`.

    >>> import tinygrad_bn as tg
    >>> class Cube(Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         ctx.save_for_backward(x)
    ...         return x * x * x
    ...
    ...     @staticmethod
    ...     def backward(ctx, grad):
    ...         (x,) = ctx.saved_tensors
    ...         return grad * 3.0 * x * x
    >>> x = tg.tensor(2.0, requires_grad=True)
    >>> Cube.apply(x).backward()
    >>> x.grad.item()
    12.0
    """

    @staticmethod
    def forward(ctx: Context, *args: Any) -> Tensor:
        """Compute the result; to be defined by the subclass."""
        raise DTypeError(explain("Function", "a subclass that defines forward", "none"))

    @staticmethod
    def backward(ctx: Context, grad: Tensor) -> Any:
        """Return the gradient of each argument; to be defined by the subclass."""
        raise DTypeError(explain("Function", "a subclass that defines backward", "none"))

    @classmethod
    def apply(cls, *args: Any) -> Tensor:
        """Compute the function of the arguments (Tensors and anything else) and record it.

        Raises:
            DTypeError: there is no Tensor among the arguments, or forward returns something else.
        """
        tensors = [arg for arg in args if isinstance(arg, Tensor)]
        if not tensors:
            raise DTypeError(explain(f"{cls.__name__}.apply", "at least one Tensor argument", "none"))
        result: Tensor = apply(_Application(cls, args), *tensors)
        return result


class _Application(Op):
    """One application of a Function, in the graph."""

    def __init__(self, function: type[Function], args: tuple[Any, ...]) -> None:
        self.name = function.__name__
        self.function = function
        self.args: tuple[Any, ...] | None = args
        self.is_tensor = [isinstance(arg, Tensor) for arg in args]

    def forward(self, kernels: Any, *arrays: Any) -> Any:
        self.ctx = Context()
        needs = iter(self.needs or (False,) * len(arrays))
        self.ctx.needs_input_grad = tuple(next(needs) if is_tensor else False for is_tensor in self.is_tensor)
        args, self.args = self.args or (), None
        with no_grad():
            result = self.function.forward(self.ctx, *args)
        if not isinstance(result, Value):
            raise DTypeError(explain(f"{self.name}.forward", "a Tensor to be returned", type(result).__name__))
        inputs = [arg for arg in args if isinstance(arg, Tensor)]
        # Inputs are kept by their place in the graph (see backward), the others as they are.
        self.kept = tuple(t.data for t in self.ctx.saved_tensors)
        self.sources = [
            next((i for i, arg in enumerate(inputs) if arg is saved), None) for saved in self.ctx.saved_tensors
        ]
        self.output_positions = [saved is result for saved in self.ctx.saved_tensors]
        self.ctx.saved_tensors = ()
        if any(result.version is tensor.version for tensor in inputs):
            return kernels.copy(result.data)  # an input itself or a view of one: the output has memory of its own
        return result.data

    def retained_inputs(self) -> Any:
        return [i for i in self.sources if i is not None]

    def retains_output(self) -> bool:
        return any(self.output_positions)

    def backward(self, grad: Any, inputs: Any, output: Any) -> Any:
        self.ctx.saved_tensors = tuple(
            output if is_output else grad.wrap(array) if source is None else inputs[source]
            for array, source, is_output in zip(self.kept, self.sources, self.output_positions, strict=True)
        )
        try:
            gradients = self.function.backward(self.ctx, grad)
        finally:
            self.ctx.saved_tensors = ()
        gradients = gradients if isinstance(gradients, tuple | list) else (gradients,)
        if len(gradients) != len(self.is_tensor):
            raise GraphError(
                explain(
                    f"{self.name}.backward",
                    f"{len(self.is_tensor)} gradients, one per argument of forward",
                    str(len(gradients)),
                )
            )
        for gradient in gradients:
            if gradient is not None and not isinstance(gradient, Tensor):
                raise DTypeError(explain(f"{self.name}.backward", "Tensors or None", type(gradient).__name__))
        return [g for g, is_tensor in zip(gradients, self.is_tensor, strict=True) if is_tensor]
