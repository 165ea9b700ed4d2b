"""Which weights are said to be scale-invariant, against what scaling them does to the loss and to its gradient."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_bn as tg
from tinygrad_bn import nn
from tinygrad_bn.lab.probes import weight_layers

F = tg.functional
ORDERS = sorted({nn.canonical_order(order) for order in nn.ORDERS})
MODELS = {
    "mlp": {"width": 6, "image_size": 4},
    "small_cnn": {"width": 2, "image_size": 8},
    "resnet20": {"width": 2, "image_size": 8},
}
# The share of the gradient along an invariant weight is about eps / variance: with this eps, below NONE for variances
# above 1e-3. The largest share found is 1.4e-10 for an invariant weight; the smallest for another one is 3e-6.
EPS, NONE, SOME = 1e-12, 1e-9, 1e-6


def prepared(model: nn.Module, eps: float = EPS) -> nn.Module:
    """In float64, with an eps that does not matter, and with biases, scales and shifts that are not 0 and 1."""
    model.double()
    random = np.random.default_rng(3)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.eps = eps
    for parameter in model.parameters():
        if parameter.ndim == 1 and parameter.size > 1:
            shifted = parameter.numpy() + 0.3 * random.standard_normal(parameter.shape)
            parameter.data = parameter.device.from_host(shifted)
    return model


def built(name: str, order: str, activation: str, bias: bool) -> nn.Module:
    tg.manual_seed(1)
    settings = {"in_channels": 1, "num_classes": 3, **MODELS[name]}
    return prepared(nn.build_model(name, order=order, activation=activation, bias=bias, **settings))


def loss_of(model: nn.Module, size: int) -> tg.Tensor:
    random = np.random.default_rng(0)
    tg.manual_seed(2)  # of the slopes that RReLU draws
    return F.cross_entropy(model(tg.tensor(random.normal(size=(8, 1, size, size)))), tg.tensor(np.arange(8) % 3))


def radial(weight: tg.Tensor) -> float:
    """|<w, g>| / (||w|| ||g||): how much of the gradient changes the weight's length."""
    w, g = weight.numpy().ravel(), weight.grad.numpy().ravel()
    return abs(w @ g) / (np.linalg.norm(w) * np.linalg.norm(g))


def check_against_the_loss(model: nn.Module, size: int) -> None:
    layers = weight_layers(model)
    before = loss_of(model, size)
    before.backward()
    parts = {layer.name: radial(layer.module.weight) for layer in layers}
    for layer in layers:
        if layer.scale_invariant:
            assert parts[layer.name] < NONE, (layer.name, layer.reason, parts[layer.name])
        else:
            assert parts[layer.name] > SOME, (layer.name, layer.reason, parts[layer.name])
    for position, layer in enumerate(layers):
        if layer.scale_invariant:
            layer.module.weight.data *= 1.5 + position
    assert loss_of(model, size).item() == pytest.approx(before.item(), rel=1e-7)


@pytest.mark.parametrize(
    ("activation", "bias"), [("tanh", True), ("relu", True), ("relu", False), ("prelu", False), ("softsign", False)]
)
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("name", MODELS)
def test_what_is_declared_is_what_the_gradient_says(name: str, order: str, activation: str, bias: bool) -> None:
    check_against_the_loss(built(name, order, activation, bias), MODELS[name]["image_size"])


@pytest.mark.parametrize("order", ["convention", "swap", "preact"])
@pytest.mark.parametrize("name", ["plain_cnn", "vgg11", "mobilenet", "resnet18", "preresnet20"])
def test_every_model(name: str, order: str) -> None:
    tg.manual_seed(1)
    # Deep networks of few channels have some of tiny variance; and not ReLU, because channels that are 0 for all images
    # have no gradient but rounding, which a tiny eps makes large.
    # A depthwise filter on a single pixel has none either, so MobileNet gets larger images.
    size = 32 if name == "mobilenet" else 8
    settings = {"in_channels": 1, "num_classes": 3, "width": 2, "image_size": size, "bias": False}
    model = prepared(nn.build_model(name, order=order, activation="leaky_relu", **settings), eps=1e-18)
    check_against_the_loss(model, size)
    names = [path for path, part in model.named_modules() if isinstance(part, nn.Conv2d | nn.Linear)]
    assert [layer.name for layer in weight_layers(model)] == names


@pytest.mark.parametrize("activation", sorted(nn.ACTIVATIONS))
@pytest.mark.parametrize("order", ["convention", "swap"])
def test_every_activation(order: str, activation: str) -> None:
    model = built("mlp", order, activation, bias=False)
    for layer in weight_layers(model):
        layer.module.weight.data *= 20.0  # so that also relu6 and hardsigmoid leave the range where they are linear
    check_against_the_loss(model, 4)


def test_the_facts_of_the_two_orders() -> None:
    for activation in nn.ACTIVATIONS:
        for order in ("convention", "swap"):
            for bias in (True, False):
                layers = weight_layers(built("small_cnn", order, activation, bias))
                homogeneous = activation in ("relu", "leaky_relu", "prelu", "rrelu")
                expected = order == "convention" or activation == "identity" or (homogeneous and not bias)
                assert [layer.scale_invariant for layer in layers] == [expected] * 5 + [False]


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"order": "convention", "activation": "tanh"}, "BatchNorm follows the weight"),
        ({"order": "swap", "activation": "tanh"}, "tanh is not positively homogeneous"),
        (
            {"order": "swap", "activation": "relu"},
            "a bias is added before ReLU: it does not grow with the weight alone",
        ),
        (
            {"order": "swap", "activation": "relu", "bias": False},
            "BatchNorm follows, and ReLU before it passes a factor on",
        ),
        ({"order": "no-norm", "activation": "relu"}, "no BatchNorm follows the weight"),
    ],
)
def test_reasons(settings: dict[str, object], reason: str) -> None:
    assert weight_layers(nn.MLP(4, (3,), **settings))[0].reason == reason


class Doubled(nn.Module):
    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer
        self.norm = nn.BatchNorm1d(3)

    def forward(self, input: tg.Tensor) -> tg.Tensor:
        return self.norm(self.layer(input)) + self.layer(input)


def test_what_cannot_be_seen_is_not_claimed() -> None:
    shared = nn.Linear(3, 3)
    model = nn.Sequential(
        Doubled(nn.Linear(3, 3)), nn.Linear(3, 3), nn.BatchNorm1d(3), shared, nn.BatchNorm1d(3), nn.Tanh(), shared
    )
    found = {layer.name: (layer.scale_invariant, layer.reason) for layer in weight_layers(model)}
    assert found == {
        "0.layer": (False, "what follows is up to Doubled.forward"),
        "1": (True, "BatchNorm follows the weight"),
        "3": (False, "the weight is used in several places"),
    }


@pytest.mark.parametrize("pool", [nn.AvgPool2d(2, padding=1), nn.MaxPool2d(2, padding=1), nn.AvgPool2d(2)], ids=repr)
@pytest.mark.parametrize("bias", [True, False])
def test_borders_matter_only_to_a_bias(pool: nn.Module, bias: bool) -> None:
    tg.manual_seed(0)
    parts = [nn.Conv2d(1, 2, 3, bias=bias), pool, nn.Conv2d(2, 2, 3, padding=1), nn.BatchNorm2d(2), nn.Flatten()]
    model = nn.Sequential(*parts, nn.Linear(2 * (3 + pool.padding) ** 2, 3))
    check_against_the_loss(prepared(model), 8)
    assert weight_layers(model)[0].scale_invariant is not bias


def test_a_bias_before_a_layer_without_borders_goes_into_the_norm() -> None:
    tg.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Conv2d(2, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(32, 3))
    check_against_the_loss(prepared(model), 8)
    assert [layer.scale_invariant for layer in weight_layers(model)] == [True, True, False]
