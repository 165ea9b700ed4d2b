"""Building blocks: modules, layers, blocks that know their order, models. PyTorch's names, defaults and state keys."""

from . import init
from .activation import (
    ACTIVATIONS,
    CELU,
    ELU,
    GELU,
    SELU,
    Activation,
    Arctan,
    Erf,
    Hardsigmoid,
    Hardswish,
    Hardtanh,
    Identity,
    LeakyReLU,
    LeCunTanh,
    Mish,
    PenalizedTanh,
    PReLU,
    ReLU,
    ReLU6,
    RReLU,
    ShiftedTanh,
    Sigmoid,
    SiLU,
    Softplus,
    Softsign,
    Tanh,
    activation,
)
from .block import ConvBlock, LinearBlock
from .container import ModuleList, Sequential
from .convolution import Conv2d, ConvTranspose2d
from .dropout import Dropout
from .folding import fold_batch_norm
from .fusion import fusion
from .linear import Linear
from .loss import CrossEntropyLoss, MSELoss
from .models import ANY_DEPTH, MLP, MODELS, VGG, MobileNet, PlainCNN, ResidualBlock, ResNet, SmallCNN, build_model
from .module import Module
from .normalization import BatchNorm1d, BatchNorm2d
from .order import ORDERS, canonical_order, parse_order, split_orders
from .parameter import Parameter
from .pooling import AdaptiveAvgPool2d, AvgPool2d, Flatten, MaxPool2d
from .summary import ModuleRow, Summary
from .undisturbed import undisturbed

__all__ = [
    "ACTIVATIONS",
    "ANY_DEPTH",
    "CELU",
    "ELU",
    "GELU",
    "MLP",
    "MODELS",
    "ORDERS",
    "SELU",
    "VGG",
    "Activation",
    "AdaptiveAvgPool2d",
    "Arctan",
    "AvgPool2d",
    "BatchNorm1d",
    "BatchNorm2d",
    "Conv2d",
    "ConvBlock",
    "ConvTranspose2d",
    "CrossEntropyLoss",
    "Dropout",
    "Erf",
    "Flatten",
    "Hardsigmoid",
    "Hardswish",
    "Hardtanh",
    "Identity",
    "LeCunTanh",
    "LeakyReLU",
    "Linear",
    "LinearBlock",
    "MSELoss",
    "MaxPool2d",
    "Mish",
    "MobileNet",
    "Module",
    "ModuleList",
    "ModuleRow",
    "PReLU",
    "Parameter",
    "PenalizedTanh",
    "PlainCNN",
    "RReLU",
    "ReLU",
    "ReLU6",
    "ResNet",
    "ResidualBlock",
    "Sequential",
    "ShiftedTanh",
    "SiLU",
    "Sigmoid",
    "SmallCNN",
    "Softplus",
    "Softsign",
    "Summary",
    "Tanh",
    "activation",
    "build_model",
    "canonical_order",
    "fold_batch_norm",
    "fusion",
    "init",
    "parse_order",
    "split_orders",
    "undisturbed",
]
