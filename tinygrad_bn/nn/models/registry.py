"""Every model by its name, built with the same settings."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from ...checks import as_index
from ...errors import unknown_choice
from ..block import ActivationLike
from ..module import Module
from ..order import OrderLike, split_orders
from .arguments import image_shape
from .mlp import MLP
from .mobilenet import MobileNet
from .plain_cnn import PlainCNN
from .resnet import ResNet
from .small_cnn import SmallCNN
from .vgg import STAGES as VGG_DEPTHS
from .vgg import VGG

SETTINGS = ("in_channels", "num_classes", "image_size", "width", "order", "activation", "bias")
"""The settings that every model of the registry takes."""


def mlp(
    in_channels: int = 1,
    num_classes: int = 10,
    image_size: int = 28,
    width: int = 256,
    order: OrderLike = "convention",
    activation: ActivationLike = "relu",
    bias: bool = True,
    depth: int = 2,
) -> MLP:
    """Return an MLP for images with `depth` hidden blocks of `width` features.

    `order` may name one order per block, with a plus between them: "swap+no-norm".
    """
    channels, rows, columns = image_shape("mlp", in_channels, image_size)
    features = as_index("mlp", "width", width, 1)
    hidden = (features,) * as_index("mlp", "depth", depth, 1)
    by_block = split_orders(order) if isinstance(order, str) and "+" in order else order
    return MLP(channels * rows * columns, hidden, num_classes, by_block, activation, bias)


MODELS: dict[str, Callable[..., Module]] = {
    "mlp": mlp,
    "plain_cnn": PlainCNN,
    "small_cnn": SmallCNN,
    **{f"vgg{depth}": partial(VGG, depth) for depth in VGG_DEPTHS},
    **{f"resnet{depth}": partial(ResNet, depth) for depth in (18, 34, 20, 32, 44, 56, 110)},
    **{
        f"preresnet{depth}": partial(ResNet, depth, variant="pre-activation") for depth in (18, 34, 20, 32, 44, 56, 110)
    },
    "mobilenet": MobileNet,
}
"""What builds each model; all take the keywords in `SETTINGS` and have defaults of their own."""

ANY_DEPTH = ("mlp", "plain_cnn")
"""The models that also take `depth`, their number of blocks."""


def build_model(name: str, **settings: Any) -> Module:
    """Return a new model by its name.

    Args:
        name: a key of `MODELS`.
        settings: in_channels, num_classes, image_size, width, order, activation, bias, and depth for the models of
            `ANY_DEPTH`; the model's own defaults for those left out.

    Raises:
        ArgumentError: an unknown name or setting; the message lists the valid ones.

    >>> build_model("resnet20", width=4, order="swap", activation="tanh").input_shape
    (3, 32, 32)
    """
    if not isinstance(name, str) or name not in MODELS:
        raise unknown_choice("build_model", "the model's name", name, MODELS)
    valid = (*SETTINGS, "depth") if name in ANY_DEPTH else SETTINGS
    for setting in settings:
        if setting not in valid:
            raise unknown_choice("build_model", "each setting", setting, valid)
    return MODELS[name](**settings)
