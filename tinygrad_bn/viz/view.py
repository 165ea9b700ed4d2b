"""What of the records a drawing shows, and how."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import unknown_choice
from .painting import COLOUR_BY
from .style import THEMES

PARAMETERS = ("inside", "nodes", "hidden")
DIRECTIONS = ("TB", "BT", "LR", "RL")


@dataclass(frozen=True)
class View:
    """What of the records is shown.

    Attributes:
        direction: in which the computation runs: "TB" from top to bottom, "BT", "LR" or "RL".
        parameters: parameters and buffers "inside" the operation that alone reads them, as "nodes", or "hidden".
        shapes: shapes, and dtypes that differ from the most frequent one, beside the "edges", "inside" the operations,
            which takes less height, or "hidden".
        attributes: attributes of operations.
        costs: floating-point operations, parameters and kept memory of each operation.
        values: the numbers of small tensors, and their gradients'.
        legend: what the colours mean.
        theme: "light", "dark", or "auto" (an SVG that follows the reader's system; otherwise light).
        colour_by: "role", or what was measured or counted: see `painting.QUANTITIES`.

    Raises:
        ArgumentError: an unknown word.
    """

    direction: str = "TB"
    parameters: str = "inside"
    shapes: str = "edges"
    attributes: bool = True
    costs: bool = False
    values: bool = False
    legend: bool = True
    theme: str = "light"
    colour_by: str = "role"

    def __post_init__(self) -> None:
        for what, valid in (
            ("direction", DIRECTIONS),
            ("parameters", PARAMETERS),
            ("theme", tuple(THEMES)),
            ("colour_by", COLOUR_BY),
        ):
            value = getattr(self, what)
            if value not in valid:
                raise unknown_choice("draw", what, value, valid)
