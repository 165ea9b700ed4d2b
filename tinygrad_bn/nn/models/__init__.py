"""Models: each takes the order of its blocks and their activation."""

from .mlp import MLP
from .mobilenet import MobileNet
from .registry import MODELS, build_model
from .resnet import ResidualBlock, ResNet
from .small_cnn import SmallCNN
from .vgg import VGG

__all__ = ["MLP", "MODELS", "VGG", "MobileNet", "ResNet", "ResidualBlock", "SmallCNN", "build_model"]
