"""From records to the JSON that the interactive page reads and a `.json` file holds; see docs/graph-format.md."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from ..autograd import as_name
from .docking import STORED, docked
from .equations import equation_of
from .observation import Facts, Numbers, Observation
from .operations import operands, sign_of, signed
from .records import ClusterRecord, EdgeRecord, GraphRecord, NodeRecord, Role

FORMAT = "tinygrad_bn.graph"
VERSION = 1
DIGITS = 4
"""Significant digits of measured numbers."""

CHANNEL_DIGITS = 3
"""The same of those of single channels, which are most of a document."""

VALUE_CHANNELS = ("mean", "variance", "skewness", "saturation", "zeros")
GRADIENT_CHANNELS = ("norm",)
STORED_CHANNELS = ("mean",)
"""What is told of the channels of an operation's output, of a gradient, and of BatchNorm's parameters and buffers."""


def page_document(title: str, graphs: Sequence[dict[str, Any]], diff: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return the whole document of some graphs, as `graph_document` returns them, and of what differs between two."""
    return {"format": FORMAT, "version": VERSION, "title": title, "graphs": list(graphs), "diff": diff}


DOCUMENTS = ("html", "json")
"""Files of a document: the interactive page, and the document itself."""


def document_bytes(document: dict[str, Any], format: str) -> bytes:
    """Return a document as a file of "html", the interactive page, or of "json"."""
    if format == "html":
        from .page import page_html  # brings along Graphviz for the browser

        text = page_html(document)
    else:
        text = json.dumps(document, ensure_ascii=False, allow_nan=False, indent=1)
    # Half a surrogate pair, which UTF-8 cannot write, becomes what JSON escapes it as.
    return text.encode("utf-8", "backslashreplace")


def graph_document(graph: GraphRecord, name: str, frames: Sequence[dict[str, Any]] = ()) -> dict[str, Any]:
    """Return one graph as JSON values.

    Args:
        graph: the records, unfolded, so that the page can open what it has closed.
        name: what to call the graph beside others, such as "convention".
        frames: what `frame_document` has returned over a training; by default that of the records themselves.
    """
    inside = docked(graph)
    keys = node_keys(graph)
    reads = Counter(edge.head for edge in graph.edges)
    hidden = {node.id for nodes in inside.values() for node in nodes}
    nodes = [node for node in graph.nodes if node.id not in hidden]
    own = [frame_document(graph, "")] if any(node.observation is not None for node in graph.nodes) else []
    parameters = [node for node in graph.nodes if node.role is Role.PARAMETER and node.derivative_of is None]
    return {
        "name": name,
        "title": graph.title,
        "mode": graph.mode,
        "root": graph.root,
        "totals": {
            "parameters": sum(node.size for node in parameters) + sum(node.parameter_count for node in graph.nodes),
            "flops": sum(node.flops for node in graph.nodes),
            "kept_bytes": sum(node.kept_bytes for node in graph.nodes),
        },
        "nodes": [_node(node, keys, inside.get(node.id, ()), reads[node.id]) for node in nodes],
        "edges": [_edge(edge) for edge in graph.edges if edge.tail not in hidden and edge.head not in hidden],
        "clusters": [_cluster(cluster) for cluster in graph.clusters],
        "frames": list(frames) or own,
    }


def frame_document(graph: GraphRecord, name: str) -> dict[str, Any]:
    """Return what was observed of a graph's nodes at one moment as JSON values, by the nodes' keys."""
    return {
        "name": name,
        "nodes": {
            key: _observation(node.observation, node)
            for key, node in zip(node_keys(graph), graph.nodes, strict=True)
            if node.observation is not None
        },
    }


def node_keys(graph: GraphRecord) -> list[str]:
    """Return a name for each node that is the same in every recording of the same model: path, label and number."""
    seen: Counter[str] = Counter()
    keys = []
    for node in graph.nodes:
        sign = "" if node.derivative_of is None else "∂"
        name = f"{dotted(node.path)}#{sign}{node.label}"
        seen[name] += 1
        keys.append(name if seen[name] == 1 else f"{name}#{seen[name]}")
    return keys


def dotted(path: str) -> str:
    """Return a module's path without the outermost module, as `named_modules` writes it."""
    return as_name(path.partition("/")[2].replace("/", "."))


def _node(node: NodeRecord, keys: Sequence[str], stored: Iterable[NodeRecord], inputs: int) -> dict[str, Any]:
    return {
        "id": node.id,
        "key": keys[node.id],
        "role": str(node.role),
        "label": node.label,
        "sign": signed(sign_of(node.label), operands(node.attributes, inputs)),
        "path": node.path,
        "name": dotted(node.path),
        "shape": list(node.shape),
        "dtype": node.dtype,
        "attributes": [list(pair) for pair in node.attributes],
        "cluster": node.cluster,
        "module": node.module,
        "contents": [{"role": str(c.role), "label": c.label, "count": c.count} for c in node.contents],
        "parameters": [
            {
                "key": keys[leaf.id],
                "name": leaf.label,
                "role": str(leaf.role),
                "shape": list(leaf.shape),
                "dtype": leaf.dtype,
                "size": leaf.size,
            }
            for leaf in stored
        ],
        "parameter_count": node.parameter_count,
        "flops": node.flops,
        "kept_bytes": node.kept_bytes,
        "derivative_of": node.derivative_of,
        "repeat": node.repeat,
        "equation": equation_of(node.label),
    }


def _edge(edge: EdgeRecord) -> dict[str, Any]:
    return {
        "tail": edge.tail,
        "head": edge.head,
        "argument": edge.argument,
        "shape": list(edge.shape),
        "dtype": edge.dtype,
        "flow": str(edge.flow),
    }


def _cluster(cluster: ClusterRecord) -> dict[str, Any]:
    return {
        "id": cluster.id,
        "parent": cluster.parent,
        "path": cluster.path,
        "name": dotted(cluster.path),
        "label": cluster.label,
        "role": str(cluster.role),
        "attributes": [list(pair) for pair in cluster.attributes],
        "repeat": cluster.repeat,
        "equation": equation_of(cluster.label),
    }


def _observation(observation: Observation, node: NodeRecord) -> dict[str, Any]:
    of_value: Sequence[str] = VALUE_CHANNELS
    of_gradient: Sequence[str] = GRADIENT_CHANNELS
    if node.role in STORED:
        # The channels of a weight of several axes are not those that its reader shows.
        of_value, of_gradient = (STORED_CHANNELS, GRADIENT_CHANNELS) if len(node.shape) == 1 else ((), ())
    gradient = observation.gradient
    return {
        "value": _facts(observation.value, node.shape, of_value),
        "gradient": None if gradient is None else _facts(gradient, node.shape, of_gradient),
        "seconds": number(observation.seconds),
        "gradient_error": number(observation.gradient_error),
    }


def _facts(facts: Facts, shape: Sequence[int], names: Sequence[str]) -> dict[str, Any]:
    channels = facts.channels if names else None
    return {
        **{
            name: number(getattr(facts, name))
            for name in ("mean", "variance", "minimum", "maximum", "skewness", "saturation", "zeros", "norm")
        },
        "not_finite": facts.not_finite,
        "histogram": {
            "low": number(facts.histogram.low),
            "high": number(facts.histogram.high),
            "counts": list(facts.histogram.counts),
        },
        "channels": None
        if channels is None
        else {name: numbers(getattr(channels, name), CHANNEL_DIGITS) for name in names},
        "values": None if facts.values is None else {"shape": list(shape), "numbers": numbers(facts.values)},
    }


def numbers(values: Numbers, digits: int = DIGITS) -> list[float | None]:
    """Return numbers as `number` does."""
    return [number(value, digits) for value in values]


def number(value: float | None, digits: int = DIGITS) -> float | None:
    """Return a number with so many significant digits, whole ones as integers; None for what JSON has no number for."""
    if value is None or not math.isfinite(value):
        return None
    rounded = float(f"{value:.{digits}g}")
    return int(rounded) if rounded.is_integer() and abs(rounded) < 10**digits else rounded
