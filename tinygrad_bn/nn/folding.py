"""Folding BatchNorm into the weights before it, for inference."""

from __future__ import annotations

import copy
from collections import Counter
from itertools import pairwise
from typing import Any

from ..autograd import no_grad
from .activation import Identity
from .block import ConvBlock, LinearBlock
from .container import Sequential
from .convolution import Conv2d
from .fusion import is_watched
from .linear import Linear
from .module import Module, check_module
from .normalization import BatchNorm1d, BatchNorm2d
from .parameter import Parameter

_NORM_OF: dict[type[Module], type[Module]] = {Conv2d: BatchNorm2d, Linear: BatchNorm1d}
_IN_ORDER = (Sequential.forward, ConvBlock.forward, LinearBlock.forward)


def fold_batch_norm(model: Module) -> Module:
    """Return a copy of a model for inference, in evaluation mode, with its BatchNorms folded into the weights.

    In evaluation a BatchNorm is an affine map of each channel, and so the layer before it can do it as well: with
    s = gamma / sqrt(running_var + eps), weight becomes s * weight and bias s * (bias - running_mean) + beta. Computed
    in float64 and stored in the weights' dtype, so outputs agree with the model's own within rounding.

    Folded is what stands directly behind a `Conv2d` (BatchNorm2d) or a `Linear` (BatchNorm1d, of inputs (N, C)) among
    the children of a block or `Sequential`; an `Identity` takes its place. All others stay as they are:

    * behind an activation, as in Swap order. Folding such a one into the *next* convolution would be wrong at the
      borders, where zeros are padded: the shift would be missing there;
    * without running averages, since it normalises with the batch's statistics in evaluation, too;
    * where a hook watches it or the layer before it, or where the layer is used in another place, too.

    The model itself is not changed, and shares nothing with the copy.

    >>> import tinygrad_bn as tg
    >>> from tinygrad_bn import nn
    >>> nn.fold_batch_norm(nn.ConvBlock(1, 8, 3, bias=False))
    ConvBlock(
      (conv): Conv2d(1, 8, kernel_size=(3, 3), stride=(1, 1))
      (norm): Identity()
      (act): ReLU()
    )

    Raises:
        DTypeError: the model is no Module.
    """
    folded = copy.deepcopy(check_module("fold_batch_norm", model))
    places = Counter(id(child) for module in folded.modules() for child in module.children())
    for container in folded.modules():
        if type(container).forward not in _IN_ORDER or "forward" in vars(container):
            continue  # who knows in which order it calls its children
        children = list(container.named_children())
        for (_, layer), (name, norm) in pairwise(children):
            if _can_fold(layer, norm) and places[id(layer)] == 1:
                _fold(layer, norm)
                container.add_module(name, Identity())
    return folded.eval()


def _can_fold(layer: Module, norm: Module) -> bool:
    return (
        type(layer) in _NORM_OF
        and type(norm) is _NORM_OF[type(layer)]
        and norm.running_mean is not None
        and norm.num_features == layer.weight.shape[0]
        and not is_watched(layer)
        and not is_watched(norm)
    )


@no_grad()
def _fold(layer: Any, norm: Any) -> None:
    mean, variance = norm.running_mean.astype("float64"), norm.running_var.astype("float64")
    scale = (variance + norm.eps).rsqrt()
    if norm.weight is not None:
        scale = scale * norm.weight.astype("float64")
    bias = -mean if layer.bias is None else layer.bias.astype("float64") - mean
    bias = bias * scale
    if norm.bias is not None:
        bias = bias + norm.bias.astype("float64")
    weight = layer.weight.astype("float64") * scale.reshape(-1, *[1] * (layer.weight.ndim - 1))
    # New parameters, because another layer may hold the old ones, too.
    for name, value in (("weight", weight), ("bias", bias)):
        setattr(layer, name, Parameter(value.astype(layer.weight.dtype), layer.weight.requires_grad))
