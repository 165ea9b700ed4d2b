"""How a network is trained, by a config's words: initialisation, augmentation, optimiser, schedule, precision."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from .. import data, nn, optim
from ..autograd import autocast
from ..backend import get_float32_matmul_precision, set_float32_matmul_precision
from ..tensor import Tensor

if TYPE_CHECKING:
    from .config import TrainingConfig


def keep_default(model: nn.Module) -> None:
    """Leave the weights as the layers draw them: uniform, as PyTorch's layers do."""


def _drawn_with(draw: Callable[[Tensor], Tensor]) -> Callable[[nn.Module], None]:
    def initialize(model: nn.Module) -> None:
        for module in model.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                draw(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    return initialize


def _no_augmentation(dataset: data.Dataset) -> list[data.Transform]:
    return []


def _crop_and_flip(dataset: data.Dataset) -> list[data.Transform]:
    """Shifts of up to an eighth of the side and mirror images, as is usual for CIFAR (He et al. 2016)."""
    return [data.RandomCrop(dataset.image_shape[-1] // 8), data.RandomHorizontalFlip()]


def constant(optimizer: optim.Optimizer, steps: int) -> optim.LRScheduler:
    """The same learning rate in every step."""
    return optim.LambdaLR(optimizer, lambda step: 1.0)


def cosine(optimizer: optim.Optimizer, steps: int) -> optim.LRScheduler:
    """Half a cosine from the learning rate to 0."""
    return optim.CosineAnnealingLR(optimizer, T_max=steps)


def two_drops(optimizer: optim.Optimizer, steps: int) -> optim.LRScheduler:
    """A tenth after half of the training and again after three quarters, as in Kim, Kim & Kim (NeurIPS 2023)."""
    return optim.MultiStepLR(optimizer, milestones=[steps // 2, steps * 3 // 4])


def one_cycle(optimizer: optim.Optimizer, steps: int) -> optim.LRScheduler:
    """Up to the learning rate and down to almost nothing (Smith & Topin 2017); the momentum stays as it is."""
    highest = [group["lr"] for group in optimizer.param_groups]
    return optim.OneCycleLR(optimizer, max_lr=highest, total_steps=max(2, steps), cycle_momentum=False)


def _sgd(groups: Sequence[dict[str, Any]], config: TrainingConfig) -> optim.Optimizer:
    return optim.SGD(groups, lr=config.learning_rate, momentum=config.momentum, weight_decay=config.weight_decay)


def _adam(groups: Sequence[dict[str, Any]], config: TrainingConfig) -> optim.Optimizer:
    return optim.Adam(groups, lr=config.learning_rate, weight_decay=config.weight_decay)


#: Word -> what draws a model's weights anew.
INITIALIZATIONS: dict[str, Callable[[nn.Module], None]] = {
    "default": keep_default,
    "xavier_normal": _drawn_with(nn.init.xavier_normal_),
    "xavier_uniform": _drawn_with(nn.init.xavier_uniform_),
    "kaiming_normal": _drawn_with(nn.init.kaiming_normal_),
    "lecun_normal": _drawn_with(nn.init.lecun_normal_),
    "orthogonal": _drawn_with(nn.init.orthogonal_),
}

#: Word -> the random changes of training images, before they are normalised.
AUGMENTATIONS: dict[str, Callable[[data.Dataset], list[data.Transform]]] = {
    "none": _no_augmentation,
    "crop-flip": _crop_and_flip,
}

#: Word -> what makes the optimiser from parameter groups and a config.
OPTIMIZERS: dict[str, Callable[[Sequence[dict[str, Any]], TrainingConfig], optim.Optimizer]] = {
    "sgd": _sgd,
    "adam": _adam,
}

#: Word -> what makes the schedule for an optimiser and a number of steps.
SCHEDULES: dict[str, Callable[[optim.Optimizer, int], optim.LRScheduler]] = {
    schedule.__name__: schedule for schedule in (constant, cosine, two_drops, one_cycle)
}


#: Word -> in what precision the network computes.
AUTOCASTS: dict[str, Callable[[], autocast]] = {
    "none": lambda: autocast(enabled=False),
    "float16": lambda: autocast("float16"),
    "bfloat16": lambda: autocast("bfloat16"),
}


def loss_scaler(config: TrainingConfig) -> optim.GradScaler:
    """What scales the loss: only float16 has too small a range for gradients."""
    return optim.GradScaler(enabled=config.autocast == "float16")


@contextmanager
def matmul_precision(precision: str) -> Iterator[None]:
    """Inside, GPUs multiply float32 matrices that precisely; afterwards as before."""
    before = get_float32_matmul_precision()
    set_float32_matmul_precision(precision)
    try:
        yield
    finally:
        set_float32_matmul_precision(before)


def parameter_groups(model: nn.Module, config: TrainingConfig) -> list[dict[str, Any]]:
    """The model's parameters, BatchNorm's scales and shifts apart where they have a weight decay of their own.

    A model in which nothing is set apart is one group, in the model's order.
    """
    own_decay = {
        name: config.affine_weight_decay if decay is None else decay
        for name, decay in (("gamma", config.gamma_weight_decay), ("beta", config.beta_weight_decay))
    }
    if own_decay == {"gamma": None, "beta": None}:
        return [{"name": "all", "params": list(model.parameters())}]
    kinds = {}
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            kinds.update({id(module.weight): "gamma", id(module.bias): "beta"})
    groups: dict[str, list[nn.Parameter]] = {"weights": [], "gamma": [], "beta": []}
    for parameter in model.parameters():
        groups[kinds.get(id(parameter), "weights")].append(parameter)
    return [
        {"name": name, "params": parameters}
        | ({"weight_decay": own_decay[name]} if own_decay.get(name) is not None else {})
        for name, parameters in groups.items()
        if parameters
    ]
