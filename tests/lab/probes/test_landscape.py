"""The loss along the gradient step, against PyTorch and against a quadratic whose answer is known."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

import tinygrad_bn as tg
from tinygrad_bn import nn
from tinygrad_bn.backend import default_generator
from tinygrad_bn.errors import ArgumentError, DTypeError, ShapeError, StateError
from tinygrad_bn.lab.probes import Landscape, hessian_vector_product, landscape, top_hessian_eigenvalue

F = tg.functional
IMAGES = tg.tensor(np.random.default_rng(0).normal(size=(10, 1, 8, 8)))
LABELS = tg.tensor(np.arange(10) % 3)


def network(order: str = "swap", activation: str = "tanh") -> nn.Module:
    tg.manual_seed(0)
    return nn.SmallCNN(1, 3, 8, width=2, order=order, activation=activation).double()


def test_a_quadratic_has_the_landscape_that_can_be_written_down() -> None:
    # L(w) = mean (a w)^2 = (a1^2 + a2^2) / 2 w^2: gradient c w with c = a1^2 + a2^2, Hessian c.
    model = nn.Linear(1, 1, bias=False).double()
    model.weight.data[:] = 2.0
    images, targets = tg.tensor(np.array([[1.0], [2.0]])), tg.tensor(np.zeros((2, 1)))
    found = landscape(model, F.mse_loss, images, targets, learning_rate=0.1, multiples=(1.0, 3.0))
    assert found.loss == pytest.approx(10.0)
    assert found.gradient_norm == pytest.approx(10.0)
    assert found.step_sizes == pytest.approx((0.1, 0.3))
    assert found.losses == pytest.approx((2.5 * 1.0**2, 2.5 * 1.0**2))  # w goes to 1 and to -1
    assert found.gradient_changes == pytest.approx((5.0 * 1.0, 5.0 * 3.0))
    assert found.loss_range == pytest.approx((2.5, 2.5))
    assert found.gradient_change_range == pytest.approx((5.0, 15.0))
    assert found.smoothness == pytest.approx(5.0)


@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize("order", ["convention", "swap", "no-norm"])
def test_it_is_what_pytorch_finds(order: str, activation: str) -> None:
    torch = pytest.importorskip("torch")
    from twins import twin_of

    model = network(order, activation)
    theirs = twin_of(model)
    names, weights = zip(*theirs.named_parameters(), strict=True)
    images, labels = torch.tensor(IMAGES.numpy()), torch.tensor(LABELS.numpy())

    def evaluate(values: Sequence[Any]) -> tuple[float, Any]:
        leaves = [value.detach().requires_grad_() for value in values]
        output = torch.func.functional_call(theirs, dict(zip(names, leaves, strict=True)), (images,))
        loss = torch.nn.functional.cross_entropy(output, labels)
        return loss.item(), torch.autograd.grad(loss, leaves)

    loss, gradient = evaluate(weights)
    found = landscape(model, F.cross_entropy, IMAGES, LABELS, learning_rate=0.2, multiples=(0.5, 4.0))
    assert found.loss == pytest.approx(loss, rel=1e-10)
    for position, step in enumerate((0.1, 0.8)):
        there, new = evaluate([w - step * g for w, g in zip(weights, gradient, strict=True)])
        change = math.sqrt(sum(((a - b) ** 2).sum().item() for a, b in zip(new, gradient, strict=True)))
        assert found.losses[position] == pytest.approx(there, rel=1e-9)
        assert found.gradient_changes[position] == pytest.approx(change, rel=1e-8)
    size = math.sqrt(sum((g**2).sum().item() for g in gradient))
    assert found.gradient_norm == pytest.approx(size, rel=1e-9)
    ratios = [c / (s * size) for c, s in zip(found.gradient_changes, found.step_sizes, strict=True)]
    assert found.smoothness == pytest.approx(max(ratios), rel=1e-9)


@pytest.mark.parametrize("measure", ["landscape", "eigenvalue", "product", "failure"])
@pytest.mark.parametrize("training", [True, False])
def test_nothing_is_left_behind(measure: str, training: bool) -> None:
    tg.manual_seed(0)
    body = nn.SmallCNN(1, 3, 8, width=2, order="swap", activation="rrelu")
    model = nn.Sequential(nn.Dropout(0.3), body)
    images = IMAGES.astype("float32")
    F.cross_entropy(model(images), LABELS).backward()
    model.train(training)
    body.features[0].train(not training)
    seen: list[str] = []
    model.register_forward_hook(lambda module, arguments, output: seen.append("forward"))
    for parameter in model.parameters():
        parameter.register_hook(lambda gradient: seen.append("gradient"))
    body.features[1].conv.weight.requires_grad = False

    def state() -> list[object]:
        tensors = [*model.parameters(), *model.buffers()]
        return [
            *(tensor.numpy().tobytes() for tensor in tensors),
            *(parameter.grad.numpy().tobytes() for parameter in model.parameters()),
            [(id(p), id(p.data), id(p.grad), p.name, p.version.count) for p in model.parameters()],
            [name for name, _ in model.named_parameters()],
            [(module.training, len(module._forward_hooks)) for module in model.modules()],
            default_generator.get_state(),
            list(seen),
        ]

    before = state()
    if measure == "landscape":
        found = landscape(model, F.cross_entropy, images, LABELS, 0.1)
        assert found == landscape(model, F.cross_entropy, images, LABELS, 0.1)
    elif measure == "eigenvalue":
        top_hessian_eigenvalue(model, F.cross_entropy, images, LABELS, iterations=3)
    elif measure == "product":
        vector = {n: np.ones(p.shape) for n, p in model.named_parameters() if p.requires_grad}
        assert hessian_vector_product(model, F.cross_entropy, images, LABELS, vector).keys() == vector.keys()
    else:
        with pytest.raises(ZeroDivisionError):
            landscape(model, lambda output, labels: 1 / 0, images, LABELS, 0.1)
    assert state() == before


def test_it_works_where_gradients_are_off() -> None:
    with tg.no_grad():
        found = landscape(network(), F.cross_entropy, IMAGES, LABELS, 0.1)
    assert found.gradient_norm > 0.0


def test_batch_norm_uses_the_batch_in_evaluation_mode_too() -> None:
    model = network()
    training = landscape(model, F.cross_entropy, IMAGES, LABELS, 0.1)
    assert landscape(model.eval(), F.cross_entropy, IMAGES, LABELS, 0.1) == training


def test_a_loss_that_explodes_is_reported_without_a_warning() -> None:
    model = network("no-norm", "relu")
    found = landscape(model, F.cross_entropy, IMAGES, LABELS, 1e300)
    assert not math.isfinite(found.loss_range[1])
    assert not math.isfinite(found.smoothness)


def test_a_parameter_without_a_part_in_the_loss_stays_where_it_is() -> None:
    model = nn.Linear(1, 1)
    model.extra = nn.Parameter([1.0])
    found = landscape(model, F.mse_loss, tg.ones(2, 1), tg.zeros(2, 1), 0.1)
    model.register_parameter("extra", None)
    assert found == landscape(model, F.mse_loss, tg.ones(2, 1), tg.zeros(2, 1), 0.1)


def test_json_and_back() -> None:
    found = landscape(network(), F.cross_entropy, IMAGES, LABELS, 0.1)
    assert Landscape.from_dict(json.loads(json.dumps(found.to_dict()))) == found
    flat = Landscape.from_dict({**found.to_dict(), "losses": [None, 1.0], "gradient_norm": 0.0})
    assert math.isnan(flat.losses[0])
    assert math.isnan(flat.smoothness)
    for wrong in ({}, {**found.to_dict(), "more": 1.0}, {**found.to_dict(), "loss": "high"}):
        with pytest.raises(StateError, match=r"Landscape\.from_dict"):
            Landscape.from_dict(wrong)


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"learning_rate": 0.0}, ArgumentError, "learning_rate"),
        ({"learning_rate": math.nan}, ArgumentError, "learning_rate"),
        ({"multiples": (1.0, -1.0)}, ArgumentError, "each multiple"),
        ({"multiples": ()}, ArgumentError, "at least one multiple"),
        ({"loss_function": "cross_entropy"}, DTypeError, "a loss function"),
        ({"loss_function": lambda output, labels: output}, ShapeError, "a loss of one number"),
        ({"loss_function": lambda output, labels: 1.0}, ShapeError, "a loss of one number, got float"),
        ({"images": IMAGES[:0], "labels": LABELS[:0]}, ShapeError, "at least one image"),
        ({"labels": LABELS[:3]}, ShapeError, "as many labels as images"),
        ({"images": IMAGES.numpy()}, DTypeError, "images to be a Tensor"),
        ({"model": len}, DTypeError, "a Module"),
        ({"model": nn.Flatten()}, ArgumentError, "parameters that require a gradient"),
    ],
)
def test_what_is_refused(changed: dict[str, object], error: type[Exception], message: str) -> None:
    arguments = {
        "model": network(),
        "loss_function": F.cross_entropy,
        "images": IMAGES,
        "labels": LABELS,
        "learning_rate": 0.1,
    }
    with pytest.raises(error, match=message):
        landscape(**(arguments | changed))
