"""Drawings of networks and of autograd graphs: `draw(model, input)` and `draw(tensor)`.

The graph becomes plain records first (`records`, made by `trace` and `walk`, simplified by `fold`), the records become
DOT text (`dot`, `style`, `markup`), and an engine turns that into a picture (`drawing`, `render`).
"""

from .diff import diff
from .draw import draw
from .drawing import Drawing
from .records import ClusterRecord, Content, EdgeRecord, GraphRecord, NodeRecord, Role
from .trace import record_model, record_tensor

__all__ = [
    "ClusterRecord",
    "Content",
    "Drawing",
    "EdgeRecord",
    "GraphRecord",
    "NodeRecord",
    "Role",
    "diff",
    "draw",
    "record_model",
    "record_tensor",
]
