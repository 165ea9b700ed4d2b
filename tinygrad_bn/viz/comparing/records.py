"""What differs between two graphs, as plain records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ..document import graph_document, page_document
from ..records import GraphRecord, NodeRecord


@dataclass(frozen=True)
class Change:
    """One thing in which two nodes differ, such as "stride", "1", "2"."""

    what: str
    before: str
    after: str


@dataclass(frozen=True)
class Pair:
    """Two nodes that are each other's counterpart.

    Attributes:
        first, second: their ids, each in its own graph.
        moved: whether the operation stands elsewhere in the computation.
        move: from where to where, such as "from before tanh to after it"; "" for what has not moved.
        changes: in what the two differ otherwise.
    """

    first: int
    second: int
    moved: bool = False
    move: str = ""
    changes: tuple[Change, ...] = ()

    @property
    def status(self) -> str:
        """Return "changed", otherwise "moved", otherwise "same"."""
        return "changed" if self.changes else "moved" if self.moved else "same"


@dataclass(frozen=True)
class Diff:
    """What differs between two graphs. Every node is in one pair, or removed, or added.

    Parameters and buffers that are shown inside an operation are part of that operation.

    Attributes:
        first, second: the graphs.
        names: what to call them.
        pairs: counterparts, in the order of the first graph.
        removed: ids in the first graph of what the second has no counterpart for.
        added: ids in the second graph of what the first has no counterpart for.
    """

    first: GraphRecord
    second: GraphRecord
    names: tuple[str, str]
    pairs: tuple[Pair, ...]
    removed: tuple[int, ...]
    added: tuple[int, ...]

    @property
    def moved(self) -> tuple[Pair, ...]:
        """The pairs that have moved."""
        return tuple(pair for pair in self.pairs if pair.moved)

    @property
    def changed(self) -> tuple[Pair, ...]:
        """The pairs that differ otherwise."""
        return tuple(pair for pair in self.pairs if pair.changes)

    @property
    def same(self) -> bool:
        """Whether nothing differs."""
        return not (self.removed or self.added or self.moved or self.changed)

    @property
    def summary(self) -> str:
        """One sentence about the operations that differ."""
        first, second = self.first.nodes, self.second.nodes
        parts = _moves([(first[pair.first], pair.move) for pair in self.moved if _counts(first[pair.first])])
        for word, nodes in (
            ("removed", [first[i] for i in self.removed]),
            ("added", [second[j] for j in self.added]),
        ):
            labels = [node.label for node in nodes if _counts(node)]
            parts += [f"{_counted(labels)} {word}"] if labels else []
        became = Counter(
            f"{change.before} became {change.after}"
            for pair in self.changed
            for change in pair.changes
            if change.what == "operation" and _counts(first[pair.first])
        )
        parts += [f"{count} {text}" for text, count in became.most_common()]
        others = [
            first[pair.first].label
            for pair in self.changed
            if _counts(first[pair.first]) and all(change.what != "operation" for change in pair.changes)
        ]
        parts += [f"{_counted(others)} changed"] if others else []
        if parts:
            return "; ".join(parts)
        return "no difference" if self.same else "no operation differs"

    def document(self) -> dict[str, Any]:
        """Return both graphs and what differs, as JSON values; docs/graph-format.md says what is in them."""
        graphs = [
            graph_document(graph, name) for graph, name in zip((self.first, self.second), self.names, strict=True)
        ]
        diff = {
            "first": self.names[0],
            "second": self.names[1],
            "summary": self.summary,
            "pairs": [
                {
                    "first": pair.first,
                    "second": pair.second,
                    "status": pair.status,
                    "moved": pair.moved,
                    "changes": [[change.what, change.before, change.after] for change in pair.changes],
                }
                for pair in self.pairs
            ],
            "removed": list(self.removed),
            "added": list(self.added),
        }
        return page_document(self.title, graphs, diff)

    @property
    def title(self) -> str:
        """Name of the graph, or of both."""
        titles = dict.fromkeys((self.first.title, self.second.title))
        return " and ".join(titles)


def _counts(node: NodeRecord) -> bool:
    """Whether the summary speaks of a node: of operations of the forward computation."""
    return not node.role.is_tensor and node.derivative_of is None


def _moves(moved: Iterable[tuple[NodeRecord, str]]) -> list[str]:
    """Say what has moved, by label; where all of a label went the same way, say it once."""
    ways: dict[str, Counter[str]] = {}
    for node, move in moved:
        ways.setdefault(node.label, Counter())[move] += 1
    parts = []
    for label, counts in ways.items():
        total = counts.total()
        if len(counts) == 1:
            parts.append(f"{total} {label} moved {next(iter(counts))}")
        else:
            several = ", ".join(f"{count} {move}" for move, count in counts.most_common(_MOST_WAYS))
            rest = total - sum(count for _, count in counts.most_common(_MOST_WAYS))
            parts.append(f"{total} {label} moved ({several}{f', {rest} otherwise' if rest else ''})")
    return parts


_MOST_WAYS = 3


def _counted(labels: Iterable[str]) -> str:
    return ", ".join(f"{count} {label}" for label, count in Counter(labels).most_common())
