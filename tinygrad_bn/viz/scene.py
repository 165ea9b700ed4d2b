"""What every part of a drawing needs to know: the records, the view, and what follows from both."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace

from ..autograd import as_name
from .docking import STORED, docked
from .painting import paint
from .records import EdgeRecord, GraphRecord, NodeRecord, Role
from .scale import text_on
from .style import THEMES, Look
from .totals import repeats
from .view import View


class Scene:
    """One graph in one view.

    Attributes:
        graph, view: as given.
        theme: the colours.
        ground: "light" or "dark".
        dtype: that need not be said at every tensor.
        inputs: edges into a node, by its id.
        docked: parameters and buffers that are shown inside an operation, by its id.
        absent: ids of nodes that are not drawn.
        derivatives: the id of its derivative, by the id of an operation or a tensor.
        sums: ids of nodes that add up gradients.
        counts: how many alike each node stands for, by its id.
        painting: numbers that colour the nodes; None where roles do.
    """

    def __init__(self, graph: GraphRecord, view: View) -> None:
        self.graph = graph
        self.view = view
        self.theme = THEMES[view.theme]
        self.ground = "dark" if view.theme == "dark" else "light"
        self.dtype = most_frequent_dtype(graph)
        self.inputs: dict[int, list[EdgeRecord]] = defaultdict(list)
        for edge in graph.edges:
            self.inputs[edge.head].append(edge)
        self._stored = docked(graph)
        self.docked = self._stored if view.parameters == "inside" else {}
        self.absent = {node.id for nodes in self.docked.values() for node in nodes}
        if view.parameters == "hidden":
            self.absent = {node.id for node in graph.nodes if node.role in STORED}
        self.derivatives = _derivatives(graph)
        own = set(self.derivatives.values())
        self.sums = {node.id for node in graph.nodes if node.derivative_of is not None and node.id not in own}
        self.counts = repeats(graph)
        self.painting = None if view.colour_by == "role" else paint(graph, view.colour_by, self.parameters_of)

    def parameters_of(self, node: NodeRecord) -> int:
        """Return how many trained numbers belong to an operation or a closed module, and to all that it stands for."""
        stored = self._stored.get(node.id, ()) if node.derivative_of is None else ()
        own = sum(leaf.size for leaf in stored if leaf.role is Role.PARAMETER)
        return node.parameter_count + own * self.counts[node.id]

    def look(self, node: NodeRecord) -> Look:
        """Return how a node is drawn: after its role, or after its number."""
        derivative = node.derivative_of is not None
        if self.painting is None or node.role.is_tensor:
            return self.theme.derivative_look(node.role) if derivative else self.theme.looks[node.role]
        look = self.theme.looks[node.role]
        style = f"{look.style},dashed" if derivative else look.style
        if node.id not in self.painting.numbers:
            return replace(look, fill=self.theme.paper, text=self.theme.ink, faint=self.theme.faint, style=style)
        fill = self.painting.fill(self.painting.numbers[node.id], self.ground)
        return replace(look, fill=fill, text=text_on(fill), faint=text_on(fill), style=style)

    def path_within(self, path: str, cluster: int | None) -> str:
        """Return a module's dotted path as seen from the cluster around it, or from the model."""
        outer = self.graph.clusters[cluster].path if cluster is not None else self.graph.root
        return as_name(path.removeprefix(outer).removeprefix("/").replace("/", "."))


def most_frequent_dtype(graph: GraphRecord) -> str:
    """Return the dtype that need not be said at every tensor."""
    return Counter(node.dtype for node in graph.nodes).most_common(1)[0][0]


def _derivatives(graph: GraphRecord) -> dict[int, int]:
    """Return the id of its derivative for each id that has one; sums of several gradients are left out."""
    # The gradients of something are summed before its derivative is computed.
    return {node.derivative_of: node.id for node in graph.nodes if node.derivative_of is not None}
