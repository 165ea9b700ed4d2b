"""A training watched through its graph: the page's slider replays the moments at which one looked."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ..checks import check_text
from ..errors import ArgumentError, explain, unknown_choice
from ..files import write_file
from .document import DOCUMENTS, document_bytes, frame_document, graph_document, node_keys, page_document
from .records import GraphRecord
from .trace import Input, Model, record_model


class Recording:
    """What happens at every node of a model's graph, at the moments of a training at which one looks.

    A look runs the model forward and backward in the mode it is in, and leaves no trace in it. It measures values and
    gradients, by channel.

    Args:
        model: a Module, or a function of Tensors.
        input: what goes through it at each look, the same every time: a Tensor, or a tuple of them.
        target: labels, shape (N,): gradients are then those of the cross-entropy of the model's result.

    Attributes:
        frames: one entry per look, as docs/graph-format.md describes it.

    >>> import tinygrad_bn as tg
    >>> model = tg.nn.Sequential(tg.nn.Linear(3, 2), tg.nn.BatchNorm1d(2), tg.nn.Tanh())
    >>> recording = Recording(model, tg.randn(8, 3))
    >>> recording.look("start")
    >>> [frame["name"] for frame in recording.frames]
    ['start']
    """

    def __init__(self, model: Model, input: Input, *, target: Any = None) -> None:
        self._model, self._input, self._target = model, input, target
        self._graph: GraphRecord | None = None
        self.frames: list[dict[str, Any]] = []

    def look(self, moment: str) -> None:
        """Record what is to be seen now.

        Args:
            moment: its name, such as "epoch 3".

        Raises:
            ArgumentError: the model computes something else than at the first look.
        """
        check_text("Recording.look", "moment", moment)
        graph = record_model(self._model, self._input, target=self._target, backward=True, observe=True, checks=False)
        self._graph = self._graph or graph
        if node_keys(graph) != node_keys(self._graph):
            remedy = "begin a new recording"
            raise ArgumentError(explain("Recording.look", "the graph of the first look", "another", remedy))
        self.frames.append(frame_document(graph, moment))

    def document(self) -> dict[str, Any]:
        """Return the JSON document of the graph with everything that was recorded.

        Raises:
            ArgumentError: nobody has looked yet.
        """
        if self._graph is None:
            raise ArgumentError(explain("Recording", "at least one look", "none", 'call look("start") first'))
        return page_document(self._graph.title, [graph_document(self._graph, self._graph.title, self.frames)])

    def render(self, filename: str | os.PathLike[str], *, format: str = "html") -> str:
        """Write the interactive page to `filename.html`, or its document to `filename.json`; returns that path.

        Raises:
            ArgumentError: an unknown format, or nobody has looked yet.
        """
        if format not in DOCUMENTS:
            raise unknown_choice("Recording", "format", format, DOCUMENTS)
        path = Path(f"{os.fspath(filename).removesuffix(f'.{format}')}.{format}")
        data = document_bytes(self.document(), format)
        write_file(path, data)
        return str(path)
