"""Which node of one network is which node of another, and what differs."""

from __future__ import annotations

import itertools
import json
import random
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_bn import nn, viz
from tinygrad_bn.viz.comparing.compare import compare
from tinygrad_bn.viz.comparing.records import Change, Diff
from tinygrad_bn.viz.comparing.sequences import align, heaviest_increasing
from tinygrad_bn.viz.records import EdgeRecord, GraphRecord, NodeRecord, Role

MODELS = ("mlp", "small_cnn", "plain_cnn", "vgg16", "resnet18", "resnet20", "preresnet20", "mobilenet")


def record(name: str, **settings: object) -> GraphRecord:
    gray = name in ("mlp", "small_cnn", "plain_cnn")
    model = nn.build_model(name, **{"width": 4, **settings})
    return viz.record_model(model, (2, 1, 28, 28) if gray else (2, 3, 32, 32))


def labels(diff: Diff, ids: tuple[int, ...], graph: GraphRecord) -> list[str]:
    return sorted(graph.nodes[i].label for i in ids)


def moved(diff: Diff) -> list[str]:
    return sorted(diff.first.nodes[pair.first].label for pair in diff.moved)


def norms(graph: GraphRecord) -> int:
    return sum(node.role is Role.NORM for node in graph.nodes)


@pytest.mark.parametrize("name", MODELS)
def test_nothing_differs_between_a_network_and_itself(name: str) -> None:
    diff = compare(record(name), record(name))
    assert diff.same
    assert diff.summary == "no difference"
    assert all(pair.first == pair.second and pair.status == "same" for pair in diff.pairs)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("name", ["mlp", "small_cnn", "vgg16", "mobilenet", "preresnet20"])
def test_from_convention_to_swap_exactly_the_batch_norms_move(name: str, activation: str) -> None:
    first, second = (record(name, order=order, activation=activation) for order in ("convention", "swap"))
    diff = compare(first, second)
    assert diff.summary == f"{norms(first)} batch_norm moved from before {activation} to after it"
    assert (diff.removed, diff.added, diff.changed) == ((), (), ())


@pytest.mark.parametrize(
    ("name", "shortcuts", "inside", "after"), [("resnet20", 0, 10, 9), ("resnet18", 3, 9, 8), ("resnet32", 0, 16, 15)]
)
def test_a_batch_norm_moves_past_the_addition_of_a_residual_block(
    name: str, shortcuts: int, inside: int, after: int
) -> None:
    diff = compare(record(name), record(name, order="swap"))
    assert moved(diff) == ["batch_norm"] * (norms(diff.first) - shortcuts)
    assert (diff.removed, diff.added, diff.changed) == ((), (), ())
    text = f"({inside} from before relu to after it, {after} from before add to after relu)"
    assert diff.summary == f"{inside + after} batch_norm moved {text}"
    paths = {diff.first.nodes[p.first].path: diff.second.nodes[p.second].path for p in diff.moved}
    assert paths["ResNet/stages/0/0/second/norm"] == "ResNet/stages/0/0/after/norm"


@pytest.mark.parametrize("order", sorted(nn.ORDERS))
@pytest.mark.parametrize("name", MODELS)
def test_in_every_order_weights_stay_and_all_operations_have_counterparts(name: str, order: str) -> None:
    diff = compare(record(name), record(name, order=order))
    with_norm = "norm" in nn.parse_order(order)
    assert labels(diff, diff.removed, diff.first) == ([] if with_norm else ["batch_norm"] * norms(diff.first))
    assert diff.added == ()
    assert not {"conv2d", "linear", "max_pool2d", "add"} & set(moved(diff))
    for pair in diff.pairs:
        assert diff.first.nodes[pair.first].role is diff.second.nodes[pair.second].role
        # A norm or an activation that stands elsewhere may see other channels; nothing else changes.
        assert pair.moved or not pair.changes


def test_one_order_per_block() -> None:
    first = record("mlp", depth=3, order="convention+swap+no-norm")
    diff = compare(first, record("mlp", depth=3, order="swap+swap+preact"))
    assert diff.summary.split("; ") == [
        "1 batch_norm moved from before relu to after it",
        "1 relu moved from after linear to before it",
        "1 batch_norm added",
    ]
    assert [diff.first.nodes[pair.first].path for pair in diff.moved] == [
        "MLP/features/0/norm",
        "MLP/features/2/act",
    ]


def test_an_activation_in_the_place_of_another_is_changed() -> None:
    diff = compare(record("vgg16", activation="tanh"), record("vgg16", activation="relu", order="swap"))
    assert diff.summary == "13 batch_norm moved from before tanh to after it; 13 tanh became relu"
    assert {pair.changes[0] for pair in diff.changed} == {Change("operation", "tanh", "relu")}


def test_another_width_changes_shapes_and_parameters_alone() -> None:
    diff = compare(record("small_cnn", width=4), record("small_cnn", width=8))
    assert (diff.removed, diff.added, diff.moved) == ((), (), ())
    assert {change.what for pair in diff.changed for change in pair.changes} <= {
        "shape",
        "weight",
        "bias",
        "flops",
        "to",
    }
    weights = {diff.first.nodes[p.first].path: {c.what: (c.before, c.after) for c in p.changes} for p in diff.changed}
    assert weights["SmallCNN/features/1/conv"]["weight"] == ("4×4×3×3", "8×8×3×3")


def test_blocks_of_a_deeper_network_are_added() -> None:
    diff = compare(record("vgg11"), record("vgg16"))
    assert diff.summary == "5 conv2d, 5 batch_norm, 5 relu added"
    assert diff.changed == ()
    assert compare(record("vgg16"), record("vgg11")).summary == "5 conv2d, 5 batch_norm, 5 relu removed"


def test_a_network_of_another_depth_and_order() -> None:
    diff = compare(record("resnet20"), record("resnet32", order="swap"))
    assert moved(diff) == ["batch_norm"] * 19
    assert set(labels(diff, diff.added, diff.second)) == {"add", "batch_norm", "conv2d", "relu"}
    assert diff.removed == ()


def test_renamed_modules_are_the_same_modules() -> None:
    def model(*names: str) -> nn.Module:
        parts = [nn.ConvBlock(3, 4, 3), nn.MaxPool2d(2), nn.ConvBlock(4, 4, 3, order="swap"), nn.Flatten()]
        return nn.Sequential(dict(zip(names, parts, strict=True)))

    graphs = [
        viz.record_model(model(*names), (2, 3, 12, 12))
        for names in (("stem", "pool", "body", "flat"), ("begin", "smaller", "middle", "end"))
    ]
    assert compare(*graphs).same


def test_attributes_are_compared_one_by_one() -> None:
    graphs = [
        viz.record_model(nn.Sequential(nn.Conv2d(3, 4, 3, stride=stride, padding=1), activation), (2, 3, 8, 8))
        for stride, activation in ((1, nn.LeakyReLU(0.1)), (2, nn.LeakyReLU(0.2)))
    ]
    diff = compare(*graphs)
    found = [[(change.what, change.before, change.after) for change in pair.changes] for pair in diff.changed]
    assert ("stride", "none", "2") in found[0]
    assert ("shape", "2×4×8×8", "2×4×4×4") in found[0]
    assert any(before == "0.1" and after == "0.2" for _, before, after in found[1])


def test_modules_without_names_of_their_own_move_too() -> None:
    convention = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.ReLU())
    swap = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 3), nn.ReLU())
    diff = compare(*(viz.record_model(model, (2, 3, 8, 8)) for model in (convention, swap)))
    assert diff.summary == "1 batch_norm moved from before relu to after it"
    assert diff.changed == ()


def graph(*operations: tuple[Role, str, tuple[int, ...]]) -> GraphRecord:
    """Return a graph of operations, each with the positions of what it reads; 0 is the input."""
    nodes = [NodeRecord(0, Role.INPUT, "input", "", (1,), "float32")]
    edges = []
    for number, (role, label, inputs) in enumerate(operations, 1):
        nodes.append(NodeRecord(number, role, label, "", (1,), "float32"))
        edges += [EdgeRecord(tail, number, "", (1,), "float32") for tail in inputs]
    return GraphRecord("graph", "", "", tuple(nodes), tuple(edges), ())


def test_independent_branches_computed_in_another_order_have_not_moved() -> None:
    conv, linear = (Role.WEIGHT, "conv2d"), (Role.WEIGHT, "linear")
    tanh, add = (Role.ACTIVATION, "tanh"), (Role.ARITHMETIC, "add")
    first = graph((*conv, (0,)), (*tanh, (1,)), (*linear, (0,)), (*add, (2, 3)))
    second = graph((*linear, (0,)), (*conv, (0,)), (*tanh, (2,)), (*add, (3, 1)))
    assert compare(first, second).same
    elsewhere = graph((*linear, (0,)), (*conv, (1,)), (*tanh, (2,)), (*add, (3, 1)))
    assert moved(compare(first, elsewhere)) == ["linear"]


def test_an_operation_that_reads_something_else_is_changed() -> None:
    conv, add = (Role.WEIGHT, "conv2d"), (Role.ARITHMETIC, "add")
    first = graph((*conv, (0,)), (*conv, (1,)), (*add, (1, 2)))
    second = graph((*conv, (0,)), (*conv, (1,)), (*add, (0, 2)))
    (pair,) = compare(first, second).changed
    assert [(change.what, change.before, change.after) for change in pair.changes] == [
        ("inputs", "conv2d, conv2d", "input, conv2d")
    ]
    conv, linear = (Role.WEIGHT, "conv2d"), (Role.WEIGHT, "linear")
    first = graph((*conv, (0,)), (*conv, (0,)), (*linear, (1,)))
    second = graph((*conv, (0,)), (*conv, (0,)), (*linear, (2,)))
    (pair,) = compare(first, second).changed
    assert pair.changes == (Change("inputs", "#conv2d", "#conv2d#2"),)


def test_the_derivative_of_what_moved_has_moved() -> None:
    nodes = (
        NodeRecord(0, Role.INPUT, "input", "", (1,), "float32"),
        NodeRecord(1, Role.NORM, "batch_norm", "", (1,), "float32"),
        NodeRecord(2, Role.ACTIVATION, "tanh", "", (1,), "float32"),
        NodeRecord(3, Role.ACTIVATION, "tanh", "", (1,), "float32", derivative_of=2),
        NodeRecord(4, Role.NORM, "batch_norm", "", (1,), "float32", derivative_of=1),
    )
    swapped = (
        nodes[0],
        NodeRecord(1, Role.ACTIVATION, "tanh", "", (1,), "float32"),
        NodeRecord(2, Role.NORM, "batch_norm", "", (1,), "float32"),
        NodeRecord(3, Role.NORM, "batch_norm", "", (1,), "float32", derivative_of=2),
        NodeRecord(4, Role.ACTIVATION, "tanh", "", (1,), "float32", derivative_of=1),
    )
    edges = tuple(EdgeRecord(i, i + 1, "", (1,), "float32") for i in range(2))
    diff = compare(*(GraphRecord("graph", "", "", part, edges, ()) for part in (nodes, swapped)))
    assert {(pair.first, pair.second, pair.moved) for pair in diff.pairs} == {
        (0, 0, False),
        (1, 2, True),
        (2, 1, False),
        (3, 4, False),
        (4, 3, True),
    }


def test_the_document_is_that_of_the_format() -> None:
    diff = compare(record("mlp"), record("mlp", order="swap"), ("convention", "swap"))
    document = json.loads(json.dumps(diff.document(), allow_nan=False))
    assert [one["name"] for one in document["graphs"]] == ["convention", "swap"]
    part = document["diff"]
    assert (part["first"], part["second"]) == ("convention", "swap")
    assert part["summary"] == "2 batch_norm moved from before relu to after it"
    for side, graph_, alone in (("first", 0, "removed"), ("second", 1, "added")):
        ids = [pair[side] for pair in part["pairs"]] + part[alone]
        assert sorted(ids) == [node["id"] for node in document["graphs"][graph_]["nodes"]]
    assert {pair["status"] for pair in part["pairs"]} == {"same", "moved"}


# Any two graphs

KINDS = (
    (Role.WEIGHT, "conv2d"),
    (Role.NORM, "batch_norm"),
    (Role.ACTIVATION, "relu"),
    (Role.ACTIVATION, "tanh"),
    (Role.POOL, "max_pool2d"),
    (Role.ARITHMETIC, "add"),
    (Role.SHAPE, "reshape"),
    (Role.CONSTANT, "constant"),
    (Role.PARAMETER, "weight"),
)
PATHS = ("", "Net", "Net/a", "Net/a/conv", "Net/a/norm", "Net/0", "Net/1", "Net/1/act", "Net/b/0/1")


@st.composite
def graphs(draw: st.DrawFn) -> GraphRecord:
    nodes: list[NodeRecord] = [NodeRecord(0, Role.INPUT, "input", "", (1,), "float32")]
    edges: list[EdgeRecord] = []
    for number in range(1, draw(st.integers(1, 14))):
        role, label = draw(st.sampled_from(KINDS))
        shape = (draw(st.integers(1, 2)),)
        if role.is_tensor:
            nodes.append(NodeRecord(number, role, f"{label}{draw(st.integers(0, 1))}", "", shape, "float32"))
            continue
        nodes.append(NodeRecord(number, role, label, draw(st.sampled_from(PATHS)), shape, "float32"))
        tails = draw(st.lists(st.integers(0, number - 1), min_size=1, max_size=2, unique=True))
        edges += [EdgeRecord(tail, number, str(k), (1,), "float32") for k, tail in enumerate(tails)]
    unread = sorted({node.id for node in nodes} - {edge.tail for edge in edges})
    last = NodeRecord(len(nodes), Role.SHAPE, "concatenate", "", (1,), "float32")
    edges += [EdgeRecord(tail, last.id, str(tail), (1,), "float32") for tail in unread]
    nodes.append(last)
    return GraphRecord("Net", "", draw(st.sampled_from(("", "Net"))), tuple(nodes), tuple(edges), ())


@settings(max_examples=100, deadline=None)
@given(graphs(), graphs())
def test_any_two_graphs(first: GraphRecord, second: GraphRecord) -> None:
    diff = compare(first, second)
    inside = [
        {leaf["key"] for node in one["nodes"] for leaf in node["parameters"]} for one in diff.document()["graphs"]
    ]
    for graph_, position, alone in ((first, 0, diff.removed), (second, 1, diff.added)):
        ids = [(pair.first, pair.second)[position] for pair in diff.pairs] + list(alone)
        assert len(set(ids)) == len(ids)
        assert len(ids) == len(graph_.nodes) - len(inside[position])
    for pair in diff.pairs:
        one, other = first.nodes[pair.first], second.nodes[pair.second]
        assert one.role is other.role
        assert pair.status == ("changed" if pair.changes else "moved" if pair.moved else "same")
        assert bool(pair.move) == pair.moved
        assert all(change.before != change.after for change in pair.changes)
    back = compare(second, first)
    assert sorted((p.second, p.first, p.moved, len(p.changes)) for p in back.pairs) == [
        (p.first, p.second, p.moved, len(p.changes)) for p in diff.pairs
    ]
    assert (back.removed, back.added) == (diff.added, diff.removed)
    assert compare(first, first).same


def test_the_same_graphs_give_the_same_diff() -> None:
    first, second = record("resnet20"), record("vgg16", order="swap")
    assert compare(first, second).document() == compare(first, second).document()


def random_chain(length: int, seed: int, nested: bool) -> GraphRecord:
    draw = random.Random(seed)
    nodes = [NodeRecord(0, Role.INPUT, "input", "", (1,), "float32")]
    edges = []
    for number in range(1, length):
        role, label = draw.choice(KINDS[:7])
        path = f"Net/layers/{number // 5}/{label}" if nested else ""
        nodes.append(NodeRecord(number, role, label, path, (draw.randrange(4),), "float32"))
        edges.append(EdgeRecord(draw.randrange(max(0, number - 5), number), number, "", (1,), "float32"))
    return GraphRecord("Net", "", "Net" if nested else "", tuple(nodes), tuple(edges), ())


@pytest.mark.parametrize("nested", [False, True])
def test_ten_thousand_nodes_that_have_nothing_to_do_with_each_other(nested: bool) -> None:
    graphs_ = random_chain(10_000, 1, nested), random_chain(10_000, 2, nested)
    start = time.perf_counter()
    compare(*graphs_)
    assert time.perf_counter() - start < 20


# The two algorithms against trying everything


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(st.integers(0, 3), min_size=5, max_size=5), min_size=1, max_size=5))
def test_an_alignment_is_the_best_of_all(rows: list[list[int]]) -> None:
    table = np.array(rows, np.int64)
    pairs = align(*table.shape, lambda i, low, high: table[i, low:high])
    best = max(
        sum(table[i, j] for i, j in zip(ours, theirs, strict=True))
        for size in range(len(rows) + 1)
        for ours in itertools.combinations(range(len(rows)), size)
        for theirs in itertools.combinations(range(5), size)
    )
    assert sum(table[i, j] for i, j in pairs) == best
    assert all(a < c and b < d for (a, b), (c, d) in itertools.pairwise(pairs))
    assert all(table[i, j] > 0 for i, j in pairs)


def test_a_long_alignment_in_little_memory_is_as_good(monkeypatch: pytest.MonkeyPatch) -> None:
    table = np.random.default_rng(0).integers(0, 9, (60, 70))

    def scores(i: int, low: int, high: int) -> np.ndarray:
        return table[i, low:high]

    whole = align(60, 70, scores)
    monkeypatch.setattr("tinygrad_bn.viz.comparing.sequences.MOST_CELLS", 200)
    pieces = align(60, 70, scores)
    assert sum(table[i, j] for i, j in pieces) == sum(table[i, j] for i, j in whole)
    assert all(a < c and b < d for (a, b), (c, d) in itertools.pairwise(pieces))


@given(st.permutations(range(7)), st.lists(st.integers(1, 9), min_size=7, max_size=7))
def test_no_increasing_subsequence_is_heavier(values: list[int], weights: list[int]) -> None:
    kept = heaviest_increasing(values, weights)
    assert [values[k] for k in kept] == sorted(values[k] for k in kept)
    best = max(
        sum(weights[k] for k in chosen)
        for size in range(8)
        for chosen in itertools.combinations(range(7), size)
        if [values[k] for k in chosen] == sorted(values[k] for k in chosen)
    )
    assert sum(weights[k] for k in kept) == best
