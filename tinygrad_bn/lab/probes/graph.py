"""What happens at every node of the network's graph, at some moments of a training: for the drawing with a slider."""

from __future__ import annotations

import gzip
import json
from typing import Any

import numpy as np

from ... import viz
from ...nn import Module
from ...tensor import Tensor
from ...viz.document import frame_document

IMAGES = 32
"""So many images go through the network at each moment, the same ones every time."""


def moments(frames: int, epochs: int) -> set[int]:
    """The epochs after which a graph is looked at, evenly spread: the start (0) and the end are among them.

    >>> sorted(moments(3, 10)), sorted(moments(6, 2)), sorted(moments(1, 5)), sorted(moments(0, 5))
    ([0, 5, 10], [0, 1, 2], [5], [])
    """
    if frames <= 1:
        return {epochs} if frames else set()
    return {round(epochs * number / (frames - 1)) for number in range(frames)}


class GraphProbe:
    """Looks at the graph of a network in training mode, forward and backward, on a batch that it is not trained on.

    The network is afterwards as it was before, its random numbers too.

    Args:
        model: the network.
        images, labels: the batch.

    Attributes:
        frames: one compressed line for each look; `RunFolder.graph` reads them.
    """

    def __init__(self, model: Module, images: Tensor, labels: Tensor) -> None:
        self._model, self._images, self._labels = model, images, labels
        self.frames: list[np.ndarray[Any, np.dtype[np.uint8]]] = []

    def look(self, name: str) -> None:
        """Append what is to be seen now, under the name of the moment."""
        was_training = self._model.training
        self._model.train()
        graph = viz.record_model(self._model, self._images, target=self._labels, observe=True, checks=False)
        self._model.train(was_training)
        line = json.dumps(frame_document(graph, name), separators=(",", ":")) + "\n"
        # Compressed one by one: the file is their concatenation, and the state of a training stays small.
        self.frames.append(np.frombuffer(gzip.compress(line.encode("utf-8"), mtime=0), np.uint8))
