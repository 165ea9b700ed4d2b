"""Models: known numbers of parameters, shapes, the same function in PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinygrad_bn as tg
from tinygrad_bn import nn
from tinygrad_bn.errors import ArgumentError, ShapeError


def count(model: nn.Module) -> int:
    return sum(p.size for p in model.parameters())


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        # Figures of the usual CIFAR-10 implementations of these networks, which have no biases before BatchNorm,
        # except VGG's, which has.
        (lambda: nn.VGG(11), 9_231_114),
        (lambda: nn.VGG(16), 14_728_266),
        (lambda: nn.ResNet(18, bias=False), 11_173_962),
        (lambda: nn.ResNet(20, bias=False), 269_722),
        (lambda: nn.ResNet(110, bias=False), 1_727_962),
        (lambda: nn.MobileNet(bias=False), 3_217_226),
        (lambda: nn.MLP(784, (100, 50), 10), 784 * 100 + 100 + 200 + 100 * 50 + 50 + 100 + 50 * 10 + 10),
        (lambda: nn.SmallCNN(), 468_458),
    ],
)
def test_known_numbers_of_parameters(model: Any, expected: int) -> None:
    assert count(model()) == expected


@pytest.mark.parametrize("name", [name for name in nn.MODELS if not name.endswith(("34", "44", "56", "110"))])
def test_every_model_runs_and_trains_on_other_images(name: str) -> None:
    model = nn.build_model(name, in_channels=2, num_classes=7, image_size=9, width=4, order="swap", activation="tanh")
    images = tg.randn(3, 2, 9, 9)
    assert model.input_shape in {(2, 9, 9), (162,)}
    logits = model(images)
    assert logits.shape == (3, 7)
    logits.sum().backward()
    assert all(p.grad is not None for p in model.parameters())
    assert any(isinstance(m, nn.Tanh) for m in model.modules())
    assert not any(isinstance(m, nn.ReLU) for m in model.modules())
    assert model.eval()(images[:1]).shape == (1, 7)


@pytest.mark.parametrize("order", ["convention", "swap", "preact", "no-norm"])
def test_plain_models_repeat_one_block(order: str) -> None:
    for name in ("mlp", "small_cnn", "vgg16", "mobilenet"):
        blocks = [
            m
            for m in nn.build_model(name, width=2, order=order).modules()
            if isinstance(m, nn.ConvBlock | nn.LinearBlock)
        ]
        assert len(blocks) == {"mlp": 2, "small_cnn": 5, "vgg16": 13, "mobilenet": 27}[name]
        shown = {tuple("weight" if n in ("conv", "linear") else n for n, _ in b.named_children()) for b in blocks}
        assert shown == {nn.parse_order(order)}


@pytest.mark.parametrize("depth", [8, 18])
def test_the_order_changes_no_number_of_parameters_of_a_resnet(depth: int) -> None:
    orders = [word for word in nn.ORDERS if "norm" in nn.parse_order(word)]
    counts = {
        count(nn.ResNet(depth, width=4, order=order, variant=variant))
        for order in orders
        for variant in ("original", "pre-activation")
    }
    assert len(counts) == 1


def parts_of(module: nn.Module) -> str:
    letters = {"Conv2d": "W", "BatchNorm2d": "N", "ReLU": "A"}
    return "".join(letters.get(type(m).__name__, "") for m in module.modules())


@pytest.mark.parametrize(
    ("order", "variant", "stem", "branch", "after", "head"),
    [
        ("convention", "original", "WNA", "WNAWN", "A", ""),
        ("swap", "original", "WAN", "WANW", "AN", ""),
        ("preact", "original", "W", "NAWNAW", "", "NA"),
        ("act-norm-weight", "original", "W", "ANWANW", "", "AN"),
        ("act-weight-norm", "original", "WN", "AWNAWN", "", "A"),
        ("norm-weight-act", "original", "WA", "NWANW", "A", "N"),
        ("no-norm", "original", "WA", "WAW", "A", ""),
        ("convention", "pre-activation", "W", "NAWNAW", "", "NA"),
        ("swap", "pre-activation", "W", "ANWANW", "", "AN"),
        ("preact", "pre-activation", "W", "NAWNAW", "", "NA"),
    ],
)
def test_how_an_order_maps_onto_a_residual_block(
    order: str, variant: str, stem: str, branch: str, after: str, head: str
) -> None:
    net = nn.ResNet(8, width=2, order=order, variant=variant)
    block = net.stages[0][0]
    assert parts_of(net.stem) == stem
    assert parts_of(block.first) + parts_of(block.second) == branch
    assert parts_of(block.after) == after
    assert parts_of(net.head) == head


def test_a_residual_block_adds() -> None:
    block = nn.ResidualBlock(3, 3).eval()
    images = tg.randn(2, 3, 5, 5)
    expected = (block.second(block.first(images)) + images).numpy()
    np.testing.assert_allclose(block(images).numpy(), np.maximum(expected, 0), rtol=1e-6)


def test_the_shortcut_without_parameters() -> None:
    block = nn.ResidualBlock(2, 4, stride=2, projection=False)
    images = tg.randn(1, 2, 4, 4)
    shortcut = block.shortcut(images).numpy()
    np.testing.assert_array_equal(shortcut[:, :2], images.numpy()[:, :, ::2, ::2])
    assert not shortcut[:, 2:].any()
    assert block.shortcut.state_dict() == {}


def test_resnet18_is_the_same_function_in_pytorch() -> None:
    """The wide network with projections, convention order, written out once more."""
    torch = pytest.importorskip("torch")
    from twins import twin_of

    net = nn.ResNet(18, width=2).double()
    images = tg.randn(2, 3, 8, 8, dtype="float64")

    def residual(block: Any, x: Any) -> Any:
        branch = twin_of(block.second)(twin_of(block.first)(x))
        return torch.relu(branch + (x if block.shortcut is None else twin_of(block.shortcut)(x)))

    x = twin_of(net.stem)(torch.tensor(images.numpy()))
    for stage in net.stages:
        for block in stage:
            x = residual(block, x)
    expected = twin_of(net.classifier)(x)
    np.testing.assert_allclose(net(images).numpy(), expected.detach().numpy(), atol=1e-10)


@pytest.mark.parametrize("name", ["mlp", "small_cnn", "vgg13", "mobilenet"])
@pytest.mark.parametrize("order", ["convention", "swap"])
def test_plain_models_are_the_same_function_in_pytorch(name: str, order: str) -> None:
    torch = pytest.importorskip("torch")
    from twins import twin_of

    net = nn.build_model(name, in_channels=1, image_size=16, width=4, order=order, activation="tanh").double()
    twin = twin_of(net)
    images = np.random.default_rng(0).standard_normal((4, 1, 16, 16))
    for _ in range(2):
        expected = twin(torch.tensor(images)).detach().numpy()
        np.testing.assert_allclose(net(tg.tensor(images)).numpy(), expected, atol=1e-8)
        net.eval()
        twin.eval()


def test_vgg_of_small_and_large_images() -> None:
    small, large = nn.VGG(11, image_size=8, width=1), nn.VGG(11, image_size=64, width=1)
    assert sum(isinstance(m, nn.MaxPool2d) for m in small.modules()) == 3
    assert sum(isinstance(m, nn.MaxPool2d) for m in large.modules()) == 5
    assert count(small) == count(large)
    assert large.eval()(tg.zeros(1, 3, 64, 64)).shape == (1, 10)


@pytest.mark.parametrize(
    ("call", "error", "complaint"),
    [
        (lambda: nn.build_model("small_cn"), ArgumentError, "did you mean 'small_cnn'"),
        (lambda: nn.build_model("vgg11", widht=3), ArgumentError, "did you mean 'width'"),
        (lambda: nn.SmallCNN(image_size=3), ShapeError, "image_size of at least 4"),
        (lambda: nn.VGG(12), ArgumentError, "depth to be one of 11, 13, 16, 19"),
        (lambda: nn.ResNet(21), ArgumentError, "depth 18, 34 or 6n"),
        (lambda: nn.ResNet(20, variant="pre"), ArgumentError, "did you mean 'pre-activation'|original"),
        (lambda: nn.MLP(784, order="conv"), ArgumentError, "the order to be one of"),
        (lambda: nn.MLP(0), ArgumentError, "in_features >= 1"),
    ],
)
def test_wrong_settings(call: Any, error: type[Exception], complaint: str) -> None:
    with pytest.raises(error, match=complaint):
        call()
