"""In what two counterparts differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ..document import dotted, node_keys
from ..operations import COMMUTATIVE
from ..records import EdgeRecord, Flow, NodeRecord
from ..units import shape_text
from .counterparts import hidden, short_name
from .modules import Tree
from .records import Change


def changes_of(first: Tree, second: Tree, i: int, j: int) -> Iterator[Change]:
    """Yield in what node `i` of the first graph differs from its counterpart `j`, the most telling first."""
    ours, theirs = first.graph.nodes[i], second.graph.nodes[j]
    if ours.role.is_tensor and ours.label != theirs.label:
        yield Change("name", ours.label, theirs.label)
    elif ours.label != theirs.label:
        yield Change("operation", ours.label, theirs.label)
    elif first.classes.get(i) and second.classes.get(j):
        yield from _if_different("module", first.classes[i], second.classes[j])
    yield from _if_different("role", str(ours.role), str(theirs.role))
    yield from _of_mappings(dict(ours.attributes), dict(theirs.attributes))
    yield from _if_different("contents", _contents(ours), _contents(theirs))
    yield from _if_different("shape", shape_text(ours.shape), shape_text(theirs.shape))
    yield from _if_different("dtype", ours.dtype, theirs.dtype)
    yield from _of_mappings(_stored(first, i), _stored(second, j))
    yield from _if_different("parameters", f"{ours.parameter_count:,}", f"{theirs.parameter_count:,}")
    yield from _if_different("flops", f"{ours.flops:,}", f"{theirs.flops:,}")


def changed_inputs(first: Tree, second: Tree, fixed: Mapping[int, int]) -> dict[int, Change]:
    """Return, by id in the first graph, what reads something else than before although nothing came in between.

    Args:
        first, second: the graphs.
        fixed: the pairs of counterparts that have not moved.
    """
    ours, theirs = _inputs(first), _inputs(second)
    old = set(fixed)
    new = {j: i for i, j in fixed.items()}
    keys = node_keys(first.graph)
    found = {}
    for i, j in fixed.items():
        before, after = ours.get(i, []), theirs.get(j, [])
        if not all(edge.tail in old for edge in before) or not all(edge.tail in new for edge in after):
            continue
        sources = [edge.tail for edge in before], [new[edge.tail] for edge in after]
        if first.graph.nodes[i].label in COMMUTATIVE:
            sources = sorted(sources[0]), sorted(sources[1])
        if sources[0] != sources[1]:
            before_text = ", ".join(_named(first.graph.nodes[edge.tail]) for edge in before)
            after_text = ", ".join(_named(second.graph.nodes[edge.tail]) for edge in after)
            if before_text == after_text:  # two of one name: they are numbered
                before_text, after_text = (", ".join(keys[tail] for tail in tails) for tails in sources)
            found[i] = Change("inputs", before_text, after_text)
    return found


def _inputs(tree: Tree) -> dict[int, list[EdgeRecord]]:
    """Return what each node of the forward computation reads, but for its own parameters."""
    inside = hidden(tree)
    found: dict[int, list[EdgeRecord]] = {}
    for edge in tree.graph.edges:
        if edge.flow is Flow.VALUE and edge.tail not in inside:
            found.setdefault(edge.head, []).append(edge)
    return found


def _contents(node: NodeRecord) -> str:
    return ", ".join(f"{c.label} × {c.count}" if c.count > 1 else c.label for c in node.contents) or "none"


def _named(node: NodeRecord) -> str:
    path = dotted(node.path)
    return f"{node.label} {path}" if path else node.label


def _stored(tree: Tree, i: int) -> dict[str, str]:
    return {short_name(leaf): shape_text(leaf.shape) for leaf in tree.docked.get(i, ())}


def _if_different(what: str, before: str, after: str) -> Iterator[Change]:
    if before != after:
        yield Change(what, before, after)


def _of_mappings(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[Change]:
    for what in dict.fromkeys((*before, *after)):
        yield from _if_different(what, before.get(what, "none"), after.get(what, "none"))
