"""Drawings of networks and of autograd graphs: `draw(model, input)`, `draw(tensor)`, `diff(first, second, input)`.

The graph becomes plain records first (`records`, made by `trace` and `walk`, simplified by `fold` and `roll`). The
records become DOT text (`dot`, with `scene`, `labels`, `heading`, `style`), which an engine turns into a picture
(`drawing`, `render`), or a document (`document`) for the interactive page (`page`).
"""

from .diff import DiffDrawing, diff
from .draw import draw
from .drawing import Drawing
from .observation import Channels, Facts, Histogram, Observation
from .recording import Recording
from .records import ClusterRecord, Content, EdgeRecord, Flow, GraphRecord, NodeRecord, Role
from .trace import record_model, record_tensor

__all__ = [
    "Channels",
    "ClusterRecord",
    "Content",
    "DiffDrawing",
    "Drawing",
    "EdgeRecord",
    "Facts",
    "Flow",
    "GraphRecord",
    "Histogram",
    "NodeRecord",
    "Observation",
    "Recording",
    "Role",
    "diff",
    "draw",
    "record_model",
    "record_tensor",
]
