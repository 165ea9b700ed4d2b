"""Making records simpler: closing modules below a depth, and leaving out boxes that hold a single thing."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Container, Sequence
from dataclasses import dataclass, replace

from .records import ClusterRecord, Content, EdgeRecord, Flow, GraphRecord, NodeRecord, Role
from .roll import roll

MOST_CONTENTS = 10
"""Operations of a closed module that are shown one by one; more are counted by kind."""


def fold(graph: GraphRecord, depth: int | None, *, rolled: bool = False) -> GraphRecord:
    """Return the graph with the modules at a depth closed.

    Args:
        graph: as it was recorded.
        depth: how many levels of modules are opened: 0 shows the outermost module as one node, 1 shows the modules
            directly inside it, None opens all. A closed module of a single operation is shown as that operation.
        rolled: whether consecutive modules that are built alike become one, see `roll`.
    """
    closed = graph if depth is None else _closed(graph, depth)
    return _without_boxes_of_one(roll(closed) if rolled else closed)


@dataclass(frozen=True)
class _Group:
    """What becomes one node: a closed module, or its derivative."""

    cluster: int
    derivative: bool


Owners = list[_Group | None]
"""For each node, the group that it becomes part of; None where it stays itself."""


def _closed(graph: GraphRecord, depth: int) -> GraphRecord:
    closed = _closed_clusters(graph, depth)
    contents = _contents(graph, closed)
    closed = [cluster if cluster is not None and len(contents[cluster]) > 1 else None for cluster in closed]
    owner = [
        None
        if node.cluster is None or (cluster := closed[node.cluster]) is None
        else _Group(cluster, node.derivative_of is not None)
        for node in graph.nodes
    ]
    _take_in_tensors(graph, owner)
    return _merged(graph, owner, closed, contents)


def _closed_clusters(graph: GraphRecord, depth: int) -> list[int | None]:
    """Return, for each cluster, the closed one that it is or lies in; None where it stays open."""
    levels: list[int] = []
    closed: list[int | None] = []
    for cluster in graph.clusters:
        inside = None if cluster.parent is None else closed[cluster.parent]
        level = 0 if cluster.parent is None else levels[cluster.parent] + 1
        levels.append(level)
        closed.append(cluster.id if inside is None and level == depth and cluster.role is Role.MODULE else inside)
    return closed


def _contents(graph: GraphRecord, closed: Sequence[int | None]) -> dict[int, list[Content]]:
    """Return the operations of each closed cluster, in their order; an opened operation counts as one."""
    opened: list[int | None] = []  # for each cluster, the outermost opened operation that it is or lies in
    for cluster in graph.clusters:
        outer = None if cluster.parent is None else opened[cluster.parent]
        opened.append(cluster.id if outer is None and cluster.role is not Role.MODULE else outer)
    contents: dict[int, list[Content]] = defaultdict(list)
    counted: set[int] = set()
    for node in graph.nodes:
        group, whole = (None, None) if node.cluster is None else (closed[node.cluster], opened[node.cluster])
        if group is None or node.role.is_tensor or node.derivative_of is not None or whole in counted:
            continue
        if whole is not None:
            counted.add(whole)
        shown = node if whole is None else graph.clusters[whole]
        contents[group].append(Content(shown.role, shown.label, 1))
    return contents


def _take_in_tensors(graph: GraphRecord, owner: Owners) -> None:
    """Let a closed module own the parameters, buffers and constants that it alone reads, and their gradients.

    Its derivative owns the sums of gradients that all come from it.
    """
    derivatives = {node.derivative_of: node.id for node in graph.nodes}
    partners: dict[int, set[_Group | None]] = {}
    for edge in graph.edges:
        if edge.flow is Flow.VALUE:
            partners.setdefault(edge.tail, set()).add(owner[edge.head])
        elif edge.flow is Flow.GRADIENT:
            partners.setdefault(edge.head, set()).add(owner[edge.tail])
    for node in graph.nodes:
        is_sum = node.derivative_of is not None and derivatives[node.derivative_of] != node.id
        if is_sum and owner[node.id] is None and len(partners[node.id]) == 1:
            owner[node.id] = next(iter(partners[node.id]))
        elif node.role in (Role.PARAMETER, Role.BUFFER, Role.CONSTANT):
            groups = partners.get(node.id, set())
            owner[node.id] = next(iter(groups)) if len(groups) == 1 else None


def _merged(
    graph: GraphRecord, owner: Owners, closed: Sequence[int | None], contents: dict[int, list[Content]]
) -> GraphRecord:
    """Return the graph with each group as one node."""
    members: dict[_Group, list[NodeRecord]] = {}
    for node, group in zip(graph.nodes, owner, strict=True):
        if group is not None:
            members.setdefault(group, []).append(node)
    nodes: list[NodeRecord] = []
    new_ids: dict[int, int] = {}
    for node, group in zip(graph.nodes, owner, strict=True):
        if group is None:
            new_ids[node.id] = len(nodes)
            nodes.append(replace(node, cluster=_open_around(graph, closed, node.cluster)))
        elif node is members[group][-1]:  # all that a module reads stands before its last operation
            new_ids.update((member.id, len(nodes)) for member in members[group])
            shown = () if group.derivative else contents[group.cluster]
            nodes.append(_as_node(graph.clusters[group.cluster], members[group], shown))
    numbered = [
        replace(node, id=number, derivative_of=None if node.derivative_of is None else new_ids[node.derivative_of])
        for number, node in enumerate(nodes)
    ]
    edges = dict.fromkeys(
        replace(edge, tail=new_ids[edge.tail], head=new_ids[edge.head], argument=_argument(edge, owner))
        for edge in graph.edges
        if new_ids[edge.tail] != new_ids[edge.head]
    )
    return replace(graph, nodes=tuple(numbered), edges=tuple(edges))


def _argument(edge: EdgeRecord, owner: Owners) -> str:
    return edge.argument if owner[edge.head] is None else ""


def _open_around(graph: GraphRecord, closed: Sequence[int | None], cluster: int | None) -> int | None:
    """Return the innermost cluster around a node that is still drawn."""
    while cluster is not None and closed[cluster] is not None:
        cluster = graph.clusters[cluster].parent
    return cluster


def _as_node(cluster: ClusterRecord, members: Sequence[NodeRecord], contents: Sequence[Content]) -> NodeRecord:
    if len(contents) > MOST_CONTENTS:
        counts = Counter((content.role, content.label) for content in contents)
        contents = [Content(role, label, count) for (role, label), count in counts.items()]
    operations = [node for node in members if not node.role.is_tensor]
    # What a derivative begins with is that of the operation which the module ends with.
    last = operations[-1] if operations[-1].derivative_of is None else operations[0]
    return NodeRecord(
        0,
        Role.MODULE,
        cluster.label,
        cluster.path,
        last.shape,
        last.dtype,
        cluster=cluster.parent,
        contents=tuple(contents),
        parameter_count=sum(
            node.size for node in members if node.role is Role.PARAMETER and node.derivative_of is None
        ),
        flops=sum(node.flops for node in members),
        kept_bytes=sum(node.kept_bytes for node in members),
        derivative_of=last.derivative_of,
        observation=last.observation,
    )


def _without_boxes_of_one(graph: GraphRecord) -> GraphRecord:
    """Return the graph without clusters that hold one operation or one cluster, or the whole graph."""
    held: Counter[int | None] = Counter(cluster.parent for cluster in graph.clusters)
    held.update(node.cluster for node in graph.nodes if not node.role.is_tensor and node.derivative_of is None)
    kept: set[int] = set()
    for cluster in reversed(graph.clusters):  # innermost first, because an empty one does not count in its parent
        whole = cluster.parent is None and held[None] == 1 and cluster.repeat == 1
        if held[cluster.id] == 0:
            held[cluster.parent] -= 1
        elif cluster.role is not Role.MODULE or (held[cluster.id] > 1 and not whole):
            kept.add(cluster.id)
    new_ids: dict[int | None, int | None] = {None: None}
    repeats: dict[int | None, int] = {None: 1}  # of the boxes that are left out around what is inside
    clusters: list[ClusterRecord] = []
    for cluster in graph.clusters:
        repeat = cluster.repeat * repeats[cluster.parent]
        if cluster.id in kept:
            new_ids[cluster.id], repeats[cluster.id] = len(clusters), 1
            clusters.append(replace(cluster, id=len(clusters), parent=new_ids[cluster.parent], repeat=repeat))
        else:
            new_ids[cluster.id], repeats[cluster.id] = new_ids[cluster.parent], repeat
    nodes = tuple(
        replace(
            node,
            cluster=new_ids[node.cluster],
            module=_module_around(graph, node, kept),
            repeat=node.repeat * repeats[node.cluster],
        )
        for node in graph.nodes
    )
    return replace(graph, nodes=nodes, clusters=tuple(clusters))


def _module_around(graph: GraphRecord, node: NodeRecord, kept: Container[int]) -> str:
    """Return the class of the module of which an operation is all there is."""
    if node.role.is_tensor or node.role is Role.MODULE or node.cluster is None or node.cluster in kept:
        return ""
    return graph.clusters[node.cluster].label
