"""Rolling up repeats: what is alike, what is not, and that nothing is lost from the sums."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

import tinygrad_bn as tg
from tinygrad_bn import nn
from tinygrad_bn.viz import ClusterRecord, EdgeRecord, GraphRecord, NodeRecord, Role, record_model
from tinygrad_bn.viz.document import graph_document
from tinygrad_bn.viz.dot import body, graph_attributes
from tinygrad_bn.viz.fold import fold
from tinygrad_bn.viz.records import Flow
from tinygrad_bn.viz.scene import Scene
from tinygrad_bn.viz.totals import totals
from tinygrad_bn.viz.view import View


def block(channels: int = 4) -> nn.Module:
    return nn.ConvBlock(channels, channels, 3, padding=1, order="swap", activation="tanh")


def rolled(model: nn.Module, depth: int | None = None, backward: bool = False) -> GraphRecord:
    return fold(record_model(model, (2, 4, 8, 8), backward=backward), depth, rolled=True)


def repeats(graph: GraphRecord) -> list[int]:
    return [record.repeat for records in (graph.clusters, graph.nodes) for record in records if record.repeat > 1]


def test_a_chain_of_alike_modules_becomes_the_first_of_them() -> None:
    graph = rolled(nn.Sequential(nn.Tanh(), block(), block(), block(), nn.MaxPool2d(2)))
    assert [(cluster.path, cluster.repeat) for cluster in graph.clusters] == [("Sequential/1", 3)]
    assert [node.label for node in graph.nodes if not node.role.is_tensor] == [
        "tanh",
        "conv2d",
        "tanh",
        "batch_norm",
        "max_pool2d",
    ]
    flow = [(graph.nodes[e.tail].label, graph.nodes[e.head].label) for e in graph.edges]
    assert ("tanh", "conv2d") in flow
    assert ("batch_norm", "max_pool2d") in flow
    assert ("batch_norm", "conv2d") not in flow


def test_closed_modules_and_single_operations_are_rolled_up_too() -> None:
    model = nn.Sequential(nn.Sequential(block(), block()), nn.Tanh(), nn.Tanh(), nn.Tanh(), nn.Tanh())
    graph = rolled(model, depth=2)
    assert [(node.label, node.repeat) for node in graph.nodes if not node.role.is_tensor] == [
        ("ConvBlock", 2),
        ("tanh", 4),
    ]


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = block()

    def forward(self, input: tg.Tensor) -> tg.Tensor:
        return input + self.inner(input)


def test_residual_blocks_are_rolled_up_and_so_is_a_chain_within_a_chain() -> None:
    model = nn.Sequential(*(nn.Sequential(Residual(), Residual(), Residual(), nn.Tanh()) for _ in range(2)))
    graph = rolled(model)
    assert repeats(graph) == [2, 3]
    assert len([node for node in graph.nodes if node.role is Role.WEIGHT]) == 1
    assert totals(graph)[0] == f"{sum(parameter.size for parameter in model.parameters()):,} parameters"


def test_a_box_that_holds_only_a_rolled_up_chain_multiplies_it() -> None:
    graph = rolled(nn.Sequential(*(nn.Sequential(Residual(), Residual(), Residual()) for _ in range(2))))
    assert repeats(graph) == [6]


class Forked(nn.Module):
    """The second block's result is not all that the third reads."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.three = block(), block(), block()

    def forward(self, input: tg.Tensor) -> tg.Tensor:
        first = self.one(input)
        return self.three(self.two(first)) * first


class Tied(nn.Module):
    """Both layers have the same weight."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(4, 4, 1, bias=False), nn.Conv2d(4, 4, 1, bias=False)
        self.two.weight = self.one.weight

    def forward(self, input: tg.Tensor) -> tg.Tensor:
        return self.two(self.one(input))


class Parallel(nn.Module):
    """Both blocks read the same."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = block(), block()

    def forward(self, input: tg.Tensor) -> tg.Tensor:
        return self.one(input) + self.two(input)


UNLIKE: dict[str, Callable[[], nn.Module]] = {
    "shapes": lambda: nn.Sequential(nn.Conv2d(4, 8, 1), nn.Conv2d(8, 4, 1)),
    "attributes": lambda: nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 4, 5, padding=2)),
    "order": lambda: nn.Sequential(
        nn.ConvBlock(4, 4, 1, order="swap", activation="tanh"),
        nn.ConvBlock(4, 4, 1, order="convention", activation="tanh"),
    ),
    "something between": lambda: nn.Sequential(block(), nn.Tanh(), block()),
    "a shared weight": Tied,
    "side by side": Parallel,
}


@pytest.mark.parametrize("name", UNLIKE)
@pytest.mark.parametrize("depth", [None, 1])
def test_what_differs_or_is_wired_otherwise_stays(name: str, depth: int | None) -> None:
    full = record_model(UNLIKE[name](), (2, 4, 8, 8))
    assert fold(full, depth, rolled=True) == fold(full, depth)


def test_only_the_straight_part_of_a_chain_is_rolled_up() -> None:
    graph = rolled(Forked(), depth=1)
    assert [(node.path, node.repeat) for node in graph.nodes if node.role is Role.MODULE] == [
        ("Forked/one", 1),
        ("Forked/two", 2),
    ]


@pytest.mark.parametrize("depth", [None, 1, 2, 3])
@pytest.mark.parametrize("name", ["resnet20", "vgg16", "mobilenet"])
def test_what_is_rolled_up_still_counts(name: str, depth: int | None) -> None:
    full = record_model(nn.build_model(name, order="swap", activation="tanh", width=4), (2, 3, 32, 32))
    graph = fold(full, depth, rolled=True)
    assert bool(repeats(graph)) == (len(graph.nodes) < len(fold(full, depth).nodes))
    assert repeats(graph) or depth in (1, 2)
    assert totals(graph) == totals(full)
    assert graph_document(full, "")["totals"]["flops"] == sum(node.flops for node in graph.nodes)


def test_derivatives_are_rolled_up_with_their_operations() -> None:
    model = nn.Sequential(nn.Tanh(), *(block() for _ in range(4)), nn.MaxPool2d(2))
    input = tg.ones(2, 4, 8, 8, requires_grad=True)  # otherwise the first block differs: it gives no gradient on
    for depth in (None, 1):
        graph = fold(record_model(model, input, backward=True), depth, rolled=True)
        ids = {node.id for node in graph.nodes}
        assert set(repeats(graph)) == {4}
        assert all(node.derivative_of in ids for node in graph.nodes if node.derivative_of is not None)
        assert all(
            (graph.nodes[edge.tail].derivative_of is not None) == (edge.flow is Flow.GRADIENT) for edge in graph.edges
        )


def test_names_do_not_matter_but_paths_inside_do() -> None:
    graph = rolled(nn.Sequential(nn.Sequential(nn.Tanh(), block()), nn.Sequential(nn.Tanh(), block())))
    assert repeats(graph) == [2]
    other = nn.Sequential(block(), nn.Tanh())
    assert repeats(rolled(nn.Sequential(nn.Sequential(nn.Tanh(), block()), other))) == []


def chain(blocks: int, alike: bool, nested: bool) -> GraphRecord:
    """Return a chain of blocks of two layers, each inside the one before if they are nested."""
    nodes, edges, clusters = [NodeRecord(0, Role.INPUT, "input", "", (2, 4), "float32")], [], []
    for block in range(blocks):
        path = f"Chain/{block}"
        clusters.append(ClusterRecord(block, block - 1 if nested and block else None, path, "Block"))
        for part in range(2):
            weight = len(nodes)
            shape = (4, 4) if alike else (4, block + 1)
            label = f"{block}.{part}.weight"
            nodes.append(NodeRecord(weight, Role.PARAMETER, label, "", shape, "float32", cluster=block))
            layer = f"{path}/{part}"
            nodes.append(
                NodeRecord(weight + 1, Role.WEIGHT, "linear", layer, (2, 4), "float32", cluster=block, flops=5)
            )
            edges.append(EdgeRecord(weight - 1, weight + 1, "x", (2, 4), "float32"))
            edges.append(EdgeRecord(weight, weight + 1, "weight", shape, "float32"))
    nodes.append(NodeRecord(len(nodes), Role.OUTPUT, "output", "", (2, 4), "float32"))
    edges.append(EdgeRecord(len(nodes) - 2, len(nodes) - 1, "", (2, 4), "float32"))
    return GraphRecord("chain", "training", "Chain", tuple(nodes), tuple(edges), tuple(clusters))


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("alike", [False, True])
def test_ten_thousand_nodes_are_folded_and_written_in_time(alike: bool, nested: bool) -> None:
    graph = chain(2500, alike, nested)
    start = time.perf_counter()
    folded = fold(graph, None, rolled=True)
    scene = Scene(folded, View())
    lines = [graph_attributes(scene)["graph"]["label"], *body(scene)]
    assert time.perf_counter() - start < 5.0
    rolled_up = alike and not nested
    assert len(lines) < 20 if rolled_up else len(lines) > 10_000
    assert repeats(folded) == ([2500] if rolled_up else [])
    assert sum(node.flops for node in folded.nodes) == 25_000
