"""Colouring nodes by a number: what each costs, or what was measured of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ..errors import ArgumentError, explain
from .records import GraphRecord, NodeRecord
from .scale import diverging, sequential
from .units import bytes_text, flops_text, number_text, seconds_text

Parameters = Callable[[NodeRecord], int]
"""Returns the number of trained numbers in an operation."""


@dataclass(frozen=True)
class Quantity:
    """Something that a node has a number of.

    Attributes:
        title: what the scale is called.
        write: the number as text, with its unit.
        signed: whether 0 lies in the middle of the scale.
        measured: whether it is known only of what was observed.
    """

    title: str
    write: Callable[[float], str] = number_text
    signed: bool = False
    measured: bool = True


QUANTITIES = {
    "time": Quantity("time of the forward computation", seconds_text),
    "memory": Quantity("memory kept for backward", bytes_text, measured=False),
    "flops": Quantity("floating-point operations", flops_text, measured=False),
    "parameters": Quantity("parameters", lambda number: f"{number:,.0f}", measured=False),
    "saturation": Quantity("saturation: mean |x| / max |x|"),
    "skewness": Quantity("skewness: mean over channels of |skewness|"),
    "zeros": Quantity("zeros: share of values that are 0", lambda number: f"{number_text(100 * number)} %"),
    "mean": Quantity("mean", signed=True),
    "variance": Quantity("variance"),
    "gradient": Quantity("norm of the gradient"),
}

COLOUR_BY = ("role", *QUANTITIES)


@dataclass(frozen=True)
class Painting:
    """Numbers of nodes as positions on a scale.

    Attributes:
        quantity: what the numbers are.
        numbers: by the node's id.
        low, high: ends of the scale.
    """

    quantity: Quantity
    numbers: Mapping[int, float]
    low: float
    high: float

    def fill(self, number: float, theme: str) -> str:
        """Return the colour of a number."""
        if self.quantity.signed:
            return diverging(number / self.high if self.high else 0.0, theme)
        span = self.high - self.low
        return sequential((number - self.low) / span if span else 0.0, theme)


def paint(graph: GraphRecord, colour_by: str, parameters: Parameters) -> Painting:
    """Return the numbers of a graph's operations.

    Args:
        graph: the records.
        colour_by: one of QUANTITIES.
        parameters: how many parameters an operation has.

    Raises:
        ArgumentError: no operation has such a number.
    """
    quantity = QUANTITIES[colour_by]
    read = _reader(colour_by, parameters)
    numbers: dict[int, float] = {}
    for node in graph.nodes:
        number = None if node.role.is_tensor else read(node)
        if number is not None and math.isfinite(number):
            numbers[node.id] = number
    if not numbers:
        raise ArgumentError(
            explain(
                "draw",
                f"operations whose {colour_by} was measured, to colour them by it",
                "none",
                "draw a model with observe=True",
            )
        )
    largest = max(map(abs, numbers.values())) if quantity.signed else max(numbers.values())
    # A scale of shares, costs or norms that does not begin at 0 would make small differences look large.
    return Painting(quantity, numbers, -largest if quantity.signed else min(0.0, *numbers.values()), largest)


def _reader(colour_by: str, parameters: Parameters) -> Callable[[NodeRecord], float | None]:
    counted: dict[str, Callable[[NodeRecord], float]] = {
        "memory": lambda node: node.kept_bytes,
        "flops": lambda node: node.flops,
        "parameters": parameters,
    }
    if colour_by in counted:
        return lambda node: counted[colour_by](node) if node.derivative_of is None else None
    return lambda node: _measured(node, colour_by)


def _measured(node: NodeRecord, colour_by: str) -> float | None:
    observation = node.observation
    if observation is None:
        return None
    if colour_by == "time":
        return observation.seconds
    if colour_by == "gradient":
        return None if observation.gradient is None else observation.gradient.norm
    number: float = getattr(observation.value, colour_by)
    return number
