"""Parameter groups that treat BatchNorm's scale and shift differently from weights."""

from __future__ import annotations

from typing import Any

from ..checks import as_number
from ..tensor import Tensor


def parameter_groups(
    model: Any,
    weight_decay: float,
    norm_weight_decay: float | None = None,
    norm_bias_weight_decay: float | None = None,
) -> list[dict[str, Any]]:
    """Return up to three groups for an optimiser: "weights", "norm_weight" (gamma) and "norm_bias" (beta).

    What has an attribute `track_running_stats`, as the BatchNorm layers have, counts as a norm. Everything else, the
    biases of convolutions too, is in "weights". Groups without parameters are left out.

    Args:
        model: a module.
        weight_decay: of everything that is not said otherwise.
        norm_weight_decay: of the norms' scale (gamma) and shift (beta); None takes `weight_decay`.
        norm_bias_weight_decay: of the norms' shift (beta) alone; None takes `norm_weight_decay`.

    `norm_weight_decay=0` is what Kim et al. (2023) call NWDBN; `norm_bias_weight_decay=0` spares beta alone.

    >>> from tinygrad_bn import nn
    >>> block = nn.ConvBlock(1, 4, 3)
    >>> [(g["name"], len(g["params"]), g["weight_decay"]) for g in parameter_groups(block, 5e-4, 0.0)]
    [('weights', 2, 0.0005), ('norm_weight', 1, 0.0), ('norm_bias', 1, 0.0)]
    """
    scale_decay = weight_decay if norm_weight_decay is None else norm_weight_decay
    shift_decay = scale_decay if norm_bias_weight_decay is None else norm_bias_weight_decay
    decays = {"weights": weight_decay, "norm_weight": scale_decay, "norm_bias": shift_decay}
    for name, decay in decays.items():
        as_number("parameter_groups", f"the weight decay of {name}", decay, at_least=0.0)
    members: dict[str, list[tuple[str, Tensor]]] = {name: [] for name in decays}
    norms = {
        id(p): f"norm_{name}"
        for module in model.modules()
        if hasattr(module, "track_running_stats")
        for name, p in module.named_parameters(recurse=False)
    }
    for name, parameter in model.named_parameters():
        members[norms.get(id(parameter), "weights")].append((name, parameter))
    return [
        {"name": name, "params": members[name], "weight_decay": decay}
        for name, decay in decays.items()
        if members[name]
    ]
