"""Models: each takes the order of its blocks and their activation."""

from .mlp import MLP
from .mobilenet import MobileNet
from .plain_cnn import PlainCNN
from .registry import ANY_DEPTH, MODELS, build_model
from .resnet import ResidualBlock, ResNet
from .small_cnn import SmallCNN
from .vgg import VGG

__all__ = [
    "ANY_DEPTH",
    "MLP",
    "MODELS",
    "VGG",
    "MobileNet",
    "PlainCNN",
    "ResNet",
    "ResidualBlock",
    "SmallCNN",
    "build_model",
]
