"""Rolling up repeats: consecutive modules that are built alike are drawn once, with how many they are.

Two modules are alike if their operations, attributes, shapes (also of parameters) and inner wiring are the same. Alike
modules are rolled up where they form a straight chain: each reads only what the one before it gives, in the same way.
What was measured is not compared. Costs of what is drawn are the sums over all that it stands for.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise

from .document import dotted
from .records import EdgeRecord, Flow, GraphRecord, NodeRecord, Role


@dataclass(frozen=True)
class _Unit:
    """A call of a module, as a cluster or closed: the ids of its nodes, in order; derivatives belong to it."""

    path: str
    cluster: int | None
    nodes: tuple[int, ...]


@dataclass(frozen=True)
class _Link:
    """An edge, with the places of its ends in their units."""

    tail: int
    head: int
    argument: str
    flow: Flow


def roll(graph: GraphRecord) -> GraphRecord:
    """Return the graph with each chain of alike modules as the first of them, which says how many they are."""
    roller = _Roller(graph)
    for units in _siblings(graph):
        # Comparing is worth while only where neighbours might be alike.
        for _, neighbours in groupby(units, key=lambda unit: _sketch(graph, unit)):
            roller.roll_up(list(neighbours))
    return roller.rolled()


def _siblings(graph: GraphRecord) -> Iterable[list[_Unit]]:
    """Yield the modules directly inside each cluster, in the order of the computation."""
    members: dict[int, list[int]] = defaultdict(list)
    closed: dict[int, list[int]] = {}
    for node in graph.nodes:
        if node.role is not Role.MODULE:
            if node.cluster is not None:
                members[node.cluster].append(node.id)
        elif node.derivative_of is None:
            closed[node.id] = [node.id]
        else:
            closed[node.derivative_of].append(node.id)
    inside: dict[int | None, list[_Unit]] = defaultdict(list)
    for first, nodes in closed.items():
        inside[graph.nodes[first].cluster].append(_Unit(graph.nodes[first].path, None, tuple(nodes)))
        outer = graph.nodes[first].cluster
        if outer is not None:
            members[outer] += nodes
    for cluster in reversed(graph.clusters):  # children stand after their parents
        nodes = members.pop(cluster.id, [])
        if nodes and cluster.role is Role.MODULE:
            inside[cluster.parent].append(_Unit(cluster.path, cluster.id, tuple(sorted(nodes))))
        if cluster.parent is not None:
            members[cluster.parent] += nodes
    for units in inside.values():
        yield sorted(units, key=lambda unit: unit.nodes[0])


def _sketch(graph: GraphRecord, unit: _Unit) -> Hashable:
    """Return what is known of a module without looking inside."""
    node = graph.nodes[unit.nodes[0]]
    label = node.label if unit.cluster is None else graph.clusters[unit.cluster].label
    return unit.cluster is None, label, len(unit.nodes)


class _Roller:
    """Collects which nodes are drawn as which others."""

    def __init__(self, graph: GraphRecord) -> None:
        self.graph = graph
        self.drawn_as: dict[int, int] = {}
        self.between: set[EdgeRecord] = set()
        self.repeats: dict[_Unit, int] = {}
        self.arriving: dict[int, list[EdgeRecord]] = defaultdict(list)
        self.leaving: dict[int, list[EdgeRecord]] = defaultdict(list)
        for edge in graph.edges:
            self.leaving[edge.tail].append(edge)
            self.arriving[edge.head].append(edge)

    def roll_up(self, units: Sequence[_Unit]) -> None:
        """Roll up every chain of alike modules among neighbours."""
        if len(units) < 2:
            return
        built = [self._built(unit) for unit in units]
        links = [
            self._links(first, second) if built[i] == built[i + 1] else None
            for i, (first, second) in enumerate(pairwise(units))
        ]
        start = 0
        while start < len(links):
            end = start
            while end < len(links) and links[end] is not None and links[end] == links[start]:
                end += 1
            chain, link = units[start : end + 1], links[start]
            if link is not None and self._ends_fit(chain, link):
                self._merge(chain)
            start = end + 1

    def _built(self, unit: _Unit) -> Hashable:
        """Return what alike modules have in common."""
        place = {identifier: i for i, identifier in enumerate(unit.nodes)}
        nodes = [self.graph.nodes[identifier] for identifier in unit.nodes]
        inside = [
            (place[edge.tail], place[edge.head], edge.argument, edge.flow)
            for identifier in unit.nodes
            for edge in self.leaving[identifier]
            if edge.head in place
        ]
        return tuple(self._shown(unit, node, place) for node in nodes), tuple(inside)

    def _shown(self, unit: _Unit, node: NodeRecord, place: dict[int, int]) -> Hashable:
        cluster = "" if node.cluster is None or unit.cluster is None else self.graph.clusters[node.cluster].path
        return replace(
            node,
            id=0,
            label=node.label.removeprefix(f"{dotted(unit.path)}.") if node.role.is_tensor else node.label,
            path=node.path.removeprefix(unit.path),
            cluster=None,
            derivative_of=None if node.derivative_of is None else place.get(node.derivative_of, -1),
            kept_bytes=0,  # what is kept for two operations is counted at the first, which may lie outside
            observation=None,
        ), cluster.removeprefix(unit.path)

    def _links(self, first: _Unit, second: _Unit) -> frozenset[_Link] | None:
        """Return the edges between two modules; None if either is connected to anything else on this side."""
        tails, heads = ({identifier: i for i, identifier in enumerate(unit.nodes)} for unit in (first, second))
        forward = {*self._outward(first, self.leaving), *self._outward(second, self.arriving)}
        backward = {*self._outward(first, self.arriving), *self._outward(second, self.leaving)}
        found = set()
        for edge in forward:
            if edge.flow is not Flow.GRADIENT:
                if edge.tail not in tails or edge.head not in heads:
                    return None
                found.add(_Link(tails[edge.tail], heads[edge.head], edge.argument, edge.flow))
        for edge in backward:
            if edge.flow is Flow.GRADIENT:
                if edge.tail not in heads or edge.head not in tails:
                    return None
                found.add(_Link(heads[edge.tail], tails[edge.head], edge.argument, edge.flow))
        return frozenset(found)

    def _outward(self, unit: _Unit, edges: dict[int, list[EdgeRecord]]) -> list[EdgeRecord]:
        """Return those of a module's edges that have only one end in it."""
        inside = set(unit.nodes)
        return [e for node in unit.nodes for e in edges[node] if not (e.tail in inside and e.head in inside)]

    def _ends_fit(self, chain: Sequence[_Unit], links: frozenset[_Link]) -> bool:
        """Whether the first module is given what the others are, and the last gives what the others do."""
        values = [link for link in links if link.flow is Flow.VALUE]
        first = {identifier: i for i, identifier in enumerate(chain[0].nodes)}
        last = {identifier: i for i, identifier in enumerate(chain[-1].nodes)}
        entries = {
            (first[edge.head], edge.argument)
            for edge in self._outward(chain[0], self.arriving)
            if edge.flow is Flow.VALUE
        }
        exits = {last[edge.tail] for edge in self._outward(chain[-1], self.leaving) if edge.flow is Flow.VALUE}
        return (
            bool(values)
            and entries == {(link.head, link.argument) for link in values}
            and exits == {link.tail for link in values}
        )

    def _merge(self, chain: Sequence[_Unit]) -> None:
        number = {identifier: i for i, unit in enumerate(chain) for identifier in unit.nodes}
        for identifier, i in number.items():
            self.between.update(e for e in self.leaving[identifier] if number.get(e.head, i) != i)
        for unit in chain[1:]:
            self.drawn_as.update(zip(unit.nodes, chain[0].nodes, strict=True))
        self.repeats[chain[0]] = len(chain)

    def rolled(self) -> GraphRecord:
        """Return the graph without what is drawn as something else."""
        graph = self.graph
        final = [self._final(node.id) for node in graph.nodes]
        sums: dict[int, list[int]] = defaultdict(lambda: [0, 0, 0])
        for node, kept in zip(graph.nodes, final, strict=True):
            for i, cost in enumerate((node.flops, node.kept_bytes, node.parameter_count)):
                sums[kept][i] += cost
        alone = {node: count for unit, count in self.repeats.items() if unit.cluster is None for node in unit.nodes}
        clusters = {unit.cluster: count for unit, count in self.repeats.items()}
        new_ids = {identifier: i for i, identifier in enumerate(sorted(set(final)))}
        nodes = tuple(
            replace(
                node,
                id=new_ids[node.id],
                derivative_of=None if node.derivative_of is None else new_ids[final[node.derivative_of]],
                flops=sums[node.id][0],
                kept_bytes=sums[node.id][1],
                parameter_count=sums[node.id][2],
                repeat=node.repeat * alone.get(node.id, 1),
            )
            for node in graph.nodes
            if node.id in new_ids
        )
        edges = dict.fromkeys(
            replace(edge, tail=new_ids[final[edge.tail]], head=new_ids[final[edge.head]])
            for edge in graph.edges
            if edge not in self.between
        )
        return replace(
            graph,
            nodes=nodes,
            edges=tuple(edges),
            clusters=tuple(replace(c, repeat=c.repeat * clusters.get(c.id, 1)) for c in graph.clusters),
        )

    def _final(self, identifier: int) -> int:
        while identifier in self.drawn_as:
            identifier = self.drawn_as[identifier]
        return identifier
