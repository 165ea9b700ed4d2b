"""The loss of one batch as a function of a network's weights, looked at without leaving a trace in the network."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from ... import nn
from ...autograd import enable_grad, grad
from ...backend import default_generator
from ...creation import zeros_like
from ...errors import ArgumentError, DTypeError, ShapeError, explain
from ...tensor import Tensor

LossFunction = Callable[[Any, Any], Tensor]
Array = Any
"""An array of the network's device."""


class Objective:
    """The loss of one batch as a function of the trained parameters, BatchNorm and dropout as in training.

    Dropout draws the same masks for all weights, those that the default generator's state gives at the start.

    Args:
        where: who asks, for the errors' messages.
        model: the network.
        loss_function: of the network's output and the labels, such as `functional.cross_entropy`; returns one number.
        images: (N, ...), the network's input.
        labels: (N, ...), what the loss is taken against.

    Attributes:
        names: of the parameters that require a gradient.
        parameters: these parameters.
        device: where they live.

    Raises:
        ArgumentError, DTypeError, ShapeError: an argument is not of that kind, the batch is empty, images and labels
            differ in number, or nothing is trained.
    """

    def __init__(self, where: str, model: nn.Module, loss_function: LossFunction, images: Tensor, labels: Tensor):
        if not isinstance(model, nn.Module):
            raise DTypeError(explain(where, "a Module", type(model).__name__))
        if not callable(loss_function):
            remedy = "pass functional.cross_entropy, for instance"
            raise DTypeError(explain(where, "a loss function", repr(loss_function)[:80], remedy))
        for what, value in (("images", images), ("labels", labels)):
            if not isinstance(value, Tensor):
                raise DTypeError(explain(where, f"{what} to be a Tensor", type(value).__name__))
        if not images.shape or images.shape[0] == 0 or images.shape[:1] != labels.shape[:1]:
            expected = "at least one image, and as many labels as images"
            raise ShapeError(explain(where, expected, f"shapes {images.shape} and {labels.shape}"))
        trained = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
        if not trained:
            raise ArgumentError(explain(where, "a model with parameters that require a gradient", "none"))
        self.names = tuple(name for name, _ in trained)
        self.parameters = tuple(parameter for _, parameter in trained)
        self.device = self.parameters[0].device
        self._where = where
        self._model = model
        self._loss_function = loss_function
        self._images, self._labels = images.detach(), labels.detach()
        self._random_state = default_generator.get_state()

    @contextmanager
    def at(self, weights: Sequence[Array]) -> Iterator[tuple[Tensor, Sequence[Tensor]]]:
        """Give the loss and the leaves it was computed from, which hold copies of the given arrays.

        Modes, hooks, parameters and their gradients, buffers and the default generator are afterwards, and for the
        parameters already inside the block, as before.

        Args:
            weights: one array per trained parameter, in the order of `names`.
        """
        leaves = [
            nn.Parameter(array, device=parameter.device)
            for array, parameter in zip(weights, self.parameters, strict=True)
        ]
        with nn.undisturbed(self._model), enable_grad():
            for module in self._model.modules():
                module.training = True
            default_generator.set_state(self._random_state)
            with self._replaced(leaves):
                loss = self._loss_function(self._model(self._images), self._labels)
            if not isinstance(loss, Tensor) or loss.size != 1:
                got = f"shape {loss.shape}" if isinstance(loss, Tensor) else type(loss).__name__
                raise ShapeError(explain(self._where, "a loss of one number", got, "take its mean"))
            yield loss, leaves

    @contextmanager
    def _replaced(self, leaves: Sequence[nn.Parameter]) -> Iterator[None]:
        """Put other parameters into the model's places; no hook, gradient or graph of its own then hears of it."""
        new = {id(old): leaf for old, leaf in zip(self.parameters, leaves, strict=True)}
        places = [
            (module, name, parameter)
            for module in self._model.modules()
            for name, parameter in module.named_parameters(recurse=False)
            if id(parameter) in new
        ]
        try:
            for module, name, parameter in places:
                module.register_parameter(name, new[id(parameter)])
            yield
        finally:
            for module, name, parameter in places:
                module.register_parameter(name, parameter)


def gradient_of(loss: Tensor, leaves: Sequence[Tensor], create_graph: bool = False) -> list[Tensor]:
    """Return the gradient of a loss by leaf: zeros for a leaf that took no part in it."""
    if not loss.requires_grad:
        return [zeros_like(leaf) for leaf in leaves]
    parts = grad(loss, leaves, create_graph=create_graph, allow_unused=True)
    return [zeros_like(leaf) if part is None else part for leaf, part in zip(leaves, parts, strict=True)]
