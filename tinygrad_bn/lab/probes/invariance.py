"""Which weights of a network may be multiplied by a positive number without changing what it computes in training.

BatchNorm with the batch's statistics takes out the scale of what it normalises, and each channel's constant. So a
weight is scale-invariant where everything between it and the next BatchNorm passes a factor on (van Laarhoven 2017,
"L2 Regularization versus Batch and Weight Normalization"):

* directly before BatchNorm (Convention), for every activation; the weight's bias does not matter, since BatchNorm
  takes it out;
* before an activation and then BatchNorm (Swap), only if the activation is positively homogeneous, f(c x) = c f(x) for
  c > 0, as ReLU and its leaky kin are, and if the weight layer has no bias. With a bias the scale of weight and bias
  together is free, but not the weight's alone: the bias does not grow with it;
* with BatchNorm only before the weight: not.

Such a weight is orthogonal to its gradient, and its direction moves by learning rate / ||weight||^2 per step; weight
decay then acts through that rate alone. BatchNorm's eps makes all this approximate: the error is about eps over the
variance of what is normalised.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TypeAlias

from ... import nn

Weight: TypeAlias = nn.Linear | nn.Conv2d | nn.ConvTranspose2d
Norm: TypeAlias = nn.BatchNorm1d | nn.BatchNorm2d

# What a layer's output goes through: a module and what comes after it, or a sentence that says why it ends there.
_Path: TypeAlias = "tuple[nn.Module, _Path] | str"

_CONTAINERS = (nn.Sequential, nn.ConvBlock, nn.LinearBlock)
_MODELS = (nn.MLP, nn.SmallCNN, nn.PlainCNN, nn.VGG, nn.MobileNet, nn.ResNet)
_IN_ORDER = tuple(made.forward for made in (*_CONTAINERS, *_MODELS))
_HOMOGENEOUS = (nn.ReLU, nn.LeakyReLU, nn.PReLU, nn.RReLU, nn.Dropout)


@dataclass(frozen=True)
class WeightLayer:
    """A convolution or a fully connected layer of a model, and whether its weight is scale-invariant in training.

    Attributes:
        name: its name in the model.
        module: the layer.
        scale_invariant: whether multiplying its weight by c > 0 leaves the loss as it is.
        reason: why, or why not.
    """

    name: str
    module: Weight
    scale_invariant: bool
    reason: str


def weight_layers(model: nn.Module) -> list[WeightLayer]:
    """Return all weight layers of a model in the order of execution, and which of them are scale-invariant.

    Decided by the structure alone. It is known for `Sequential`, blocks and this package's models; what a module with a
    `forward` of its own does with a layer's output is not, and such layers do not count as invariant. Fully connected
    layers are taken to work on (N, C).

    >>> for layer in weight_layers(nn.MLP(4, hidden=(3, 3), order="swap", activation="tanh")):
    ...     print(layer.name, layer.scale_invariant, layer.reason)
    features.0.linear False tanh is not positively homogeneous
    features.1.linear False tanh is not positively homogeneous
    classifier False no BatchNorm follows the weight
    """
    paths: dict[str, tuple[Weight, _Path]] = {}
    _walk("", model, "no BatchNorm follows the weight", paths)
    places = Counter(id(layer.weight) for layer, _ in paths.values())
    names = {name for name, _ in model.named_modules()}  # each module once, by its first name
    layers = []
    for name, (layer, path) in reversed(paths.items()):
        if places[id(layer.weight)] > 1:
            invariant, reason = False, "the weight is used in several places"
        else:
            invariant, reason = _judge(layer, path)
        if name in names:
            layers.append(WeightLayer(name, layer, invariant, reason))
    return layers


def _walk(name: str, module: nn.Module, after: _Path, paths: dict[str, tuple[Weight, _Path]]) -> _Path:
    """Note the path behind each weight layer inside a module, from the back; return the path of the module's input."""
    children = [(f"{name}.{child}" if name else child, part) for child, part in module.named_children()]
    own_forward = "forward" in vars(module)
    if isinstance(module, Weight):
        paths[name] = (module, after)
    if type(module).forward is nn.ResidualBlock.forward and not own_forward:
        return _walk_residual(dict(module.named_children()), name, after, paths)
    if type(module).forward in _IN_ORDER and not own_forward:
        for child, part in reversed(children):
            after = _walk(child, part, after, paths)
        return after
    if not children:
        return module, after
    unknown = f"what follows is up to {type(module).__name__}.forward"
    for child, part in reversed(children):
        _walk(child, part, unknown, paths)
    return unknown


def _walk_residual(
    parts: dict[str, nn.Module], name: str, after: _Path, paths: dict[str, tuple[Weight, _Path]]
) -> _Path:
    prefix = f"{name}." if name else ""
    _walk(f"{prefix}after", parts["after"], after, paths)
    addition = "a shortcut is added before any BatchNorm"
    if "shortcut" in parts:
        _walk(f"{prefix}shortcut", parts["shortcut"], addition, paths)
    second = _walk(f"{prefix}second", parts["second"], addition, paths)
    _walk(f"{prefix}first", parts["first"], second, paths)
    return "a shortcut leads around what follows"


def _judge(layer: Weight, path: _Path) -> tuple[bool, str]:
    """Follow a layer's output to the next BatchNorm: does a factor of the weight arrive there, and nothing else?"""
    between, end = _until_norm(path)
    if end is not None:
        return False, end
    # A constant per channel that does not grow with the weight: BatchNorm takes it out, but an activation bends it.
    shifted = layer.bias is not None
    for module in between:
        kind = type(module).__name__
        if isinstance(module, _HOMOGENEOUS):
            if shifted:
                return False, f"a bias is added before {kind}: it does not grow with the weight alone"
        elif isinstance(module, Weight):
            if shifted and not _keeps_constants(module):
                return False, f"a bias is added before {kind}, whose borders turn it into a pattern"
            shifted = shifted or module.bias is not None
        elif isinstance(module, nn.AvgPool2d):
            if shifted and not _keeps_constants(module):
                return False, f"a bias is added before {kind}, whose borders turn it into a pattern"
        elif isinstance(module, nn.Activation):
            return False, f"{type(module).function.__name__} is not positively homogeneous"
        elif not isinstance(module, nn.MaxPool2d | nn.AdaptiveAvgPool2d | nn.Flatten | nn.Identity):
            return False, f"whether {kind} passes a factor on is not known"
    if not between:
        return True, "BatchNorm follows the weight"
    kinds = ", ".join(dict.fromkeys(type(module).__name__ for module in between))
    return True, f"BatchNorm follows, and {kinds} before it passes a factor on"


def _until_norm(path: _Path) -> tuple[list[nn.Module], str | None]:
    """Return the modules before the next BatchNorm and None, or why none is reached."""
    between: list[nn.Module] = []
    while not isinstance(path, str):
        module, path = path
        if isinstance(module, Norm):
            return between, None
        between.append(module)
    return between, path


def _keeps_constants(module: nn.Module) -> bool:
    """Whether channels that are constant come out constant: not where zeros are put around them."""
    if isinstance(module, nn.Linear):
        return True
    if isinstance(module, nn.AvgPool2d):
        return module.padding in (0, (0, 0)) or not module.count_include_pad
    return isinstance(module, nn.Conv2d) and module.padding in ((0, 0), "valid")
