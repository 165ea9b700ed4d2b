"""Softmax and losses with random arguments, large and infinite logits, and targets that count nothing."""

from __future__ import annotations

import numpy as np
import pytest
from compare import assert_close, compare_with_torch, torch
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_bn as tg
from tinygrad_bn import functional as F

TF = torch.nn.functional
SHAPES = [(1, 2), (4, 3), (3, 5, 2), (2, 3, 2, 2), (0, 3), (3,), (3, 1)]


@given(
    st.sampled_from(SHAPES),
    st.booleans(),
    st.sampled_from([-100, 0, 1, 255]),
    st.sampled_from(["mean", "sum", "none"]),
    st.sampled_from([0.0, 0.1, 1.0]),
    st.sampled_from(["int64", "int32", "uint8"]),
    st.booleans(),
    st.integers(0, 1000),
)
def test_cross_entropy_of_classes(shape, weighted, ignored, reduction, smoothing, dtype, second, seed) -> None:
    rng = np.random.default_rng(seed)
    classes = shape[1] if len(shape) > 1 else shape[0]
    target = np.asarray(rng.integers(0, classes, (*shape[:1], *shape[2:]) if len(shape) > 1 else ()))
    target[np.asarray(rng.random(target.shape) < 0.3)] = ignored if ignored in (0, 255) else 0
    target = target % max(classes, ignored + 1) if ignored != 255 else target
    weight = rng.uniform(0.0, 2.0, classes) if weighted else None
    arguments = {"ignore_index": ignored, "reduction": reduction, "label_smoothing": smoothing}
    if dtype == "uint8" and ignored == -100:
        dtype = "int64"

    def ours(x):
        return F.cross_entropy(
            x, tg.tensor(target.astype(dtype)), None if weight is None else tg.tensor(weight), **arguments
        )

    def theirs(x):
        return TF.cross_entropy(x, torch.tensor(target), None if weight is None else torch.tensor(weight), **arguments)

    compare_with_torch(ours, theirs, [3.0 * rng.standard_normal(shape)])
    if second and not np.isin(target, [ignored]).all():
        compare_with_torch(ours, theirs, [rng.standard_normal(shape)], second=True)


@pytest.mark.parametrize("function", ["cross_entropy", "nll_loss"])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_ignoring_every_target(function: str, reduction: str) -> None:
    """The mean of nothing is NaN, but its gradient is 0: it must not poison the weights."""
    target = np.array([1, 1, 1])
    compare_with_torch(
        lambda x: getattr(F, function)(x, tg.tensor(target), ignore_index=1, reduction=reduction),
        lambda x: getattr(TF, function)(x, torch.tensor(target), ignore_index=1, reduction=reduction),
        [np.random.default_rng(0).standard_normal((3, 4))],
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("scale", [1e3, 1e5, 1e30])
def test_large_logits(scale: float, dtype: str) -> None:
    x = scale * np.random.default_rng(0).standard_normal((5, 4))
    target = np.array([0, 1, 2, 3, 0])
    for ours, theirs in (
        (lambda t: F.softmax(t, 1), lambda t: TF.softmax(t, 1)),
        (lambda t: F.log_softmax(t, 1), lambda t: TF.log_softmax(t, 1)),
        (lambda t: t.logsumexp(1), lambda t: t.logsumexp(1)),
        (lambda t: F.cross_entropy(t, tg.tensor(target)), lambda t: TF.cross_entropy(t, torch.tensor(target))),
    ):
        compare_with_torch(ours, theirs, [x], dtype)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_logits_of_minus_infinity(reduction: str) -> None:
    x = np.array([[0.0, -np.inf, 1.0], [-np.inf, 2.0, -np.inf], [1.0, 0.0, -np.inf]])
    for target in ([0, 1, 1], [0, 1, 2], [2, 0, 0]):
        compare_with_torch(
            lambda t, y=target: F.cross_entropy(t, tg.tensor(y, dtype="int64"), reduction=reduction),
            lambda t, y=target: TF.cross_entropy(t, torch.tensor(y), reduction=reduction),
            [x],
        )
    compare_with_torch(lambda t: F.softmax(t, 1), lambda t: TF.softmax(t, 1), [x])
    compare_with_torch(lambda t: F.log_softmax(t, 1), lambda t: TF.log_softmax(t, 1), [x])
    compare_with_torch(lambda t: t.logsumexp(1), lambda t: t.logsumexp(1), [x])


def test_logsumexp_of_infinities() -> None:
    x = tg.tensor([[-np.inf, -np.inf], [np.inf, 1.0], [np.nan, 0.0]])
    values = x.logsumexp(1).numpy()
    assert values[0] == -np.inf
    assert values[1] == np.inf
    assert np.isnan(values[2])


def test_denormal_probabilities() -> None:
    x = np.array([[0.0, -100.0], [0.0, -87.5], [0.0, -103.0]])
    compare_with_torch(lambda t: F.softmax(t, 1), lambda t: TF.softmax(t, 1), [x], "float32")
    target = np.array([1, 1, 1])
    compare_with_torch(
        lambda t: F.cross_entropy(t, tg.tensor(target)),
        lambda t: TF.cross_entropy(t, torch.tensor(target)),
        [x],
        "float32",
    )


def test_probabilities_of_another_dtype_than_the_logits() -> None:
    """As torch: the loss is computed in the wider one."""
    rng = np.random.default_rng(0)
    x, p = rng.standard_normal((3, 4)).astype("float32"), rng.dirichlet(np.ones(4), 3)
    ours, theirs = tg.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    loss, expected = F.cross_entropy(ours, tg.tensor(p)), TF.cross_entropy(theirs, torch.tensor(p))
    loss.backward()
    expected.backward()
    assert_close(loss, expected, dtype="float32")  # torch takes the softmax in float32
    assert_close(ours.grad, theirs.grad)


def test_labels_of_one_class_ignored_index_outside_the_classes() -> None:
    x = tg.randn(3, 2)
    loss = F.cross_entropy(x, tg.tensor([0, -100, 1], dtype="int64"))
    expected = TF.cross_entropy(torch.tensor(x.numpy()), torch.tensor([0, -100, 1]))
    assert_close(loss, expected)


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_dtype_converts_first(name: str) -> None:
    x = np.array([[60000, 59999], [1, 2]])
    ours = getattr(F, name)(tg.tensor(x), 1, dtype="float64")
    assert_close(ours, getattr(TF, name)(torch.tensor(x), 1, dtype=torch.float64))


def test_weight_of_cross_entropy_may_be_zero() -> None:
    rng = np.random.default_rng(1)
    weight = np.array([0.0, 1.0, 0.0])
    compare_with_torch(
        lambda x: F.cross_entropy(x, tg.tensor([0, 1, 2, 1], dtype="int64"), tg.tensor(weight)),
        lambda x: TF.cross_entropy(x, torch.tensor([0, 1, 2, 1]), torch.tensor(weight)),
        [rng.standard_normal((4, 3))],
        second=True,
    )


@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (0,)])
@pytest.mark.parametrize("classes", [4, 7])
def test_one_hot(shape: tuple[int, ...], classes: int) -> None:
    indices = np.asarray(np.random.default_rng(0).integers(0, 4, shape))
    assert_close(F.one_hot(tg.tensor(indices), classes), TF.one_hot(torch.tensor(indices), classes))


def test_one_hot_counts_the_classes_itself() -> None:
    indices = np.array([[0, 2], [5, 1]])
    assert_close(F.one_hot(tg.tensor(indices)), TF.one_hot(torch.tensor(indices)))
    assert F.one_hot(tg.tensor([0, 1], dtype="uint8")).dtype == np.int64


def test_losses_make_one_node_between_logits_and_reduction() -> None:
    """cross_entropy is one operation: a drawing of a network shows one box for it."""
    x = tg.randn(4, 3, requires_grad=True)
    node = F.cross_entropy(x, tg.tensor([0, 1, 2, 0], dtype="int64"), reduction="none")._node
    assert node.op.name == "cross_entropy"
    assert node.edges[0].tensor is x
