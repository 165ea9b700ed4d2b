"""Kim, Kim & Kim (2023): bounded activation functions do better before BatchNorm than behind it. Do they?"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import partial
from typing import Any

from .. import quantities
from ..config import CompareConfig
from . import bounded_published as published
from .bounded_decay import present_decay
from .bounded_functions import FUNCTIONS
from .bounded_published import CONVENTION, ORDERS, SWAP
from .bounded_results import present_accuracy, present_architecture, present_tuned
from .experiment import Experiment, Measurement, Training
from .tanh_asymmetry import ASYMMETRY, RELOCATION

#: In a training of a few epochs a weight decay pulls less far, so that the small size looks at larger ones.
SMALL_DECAYS = (0.0, 1e-4, 1e-3, 1e-2, 1e-1)
#: All activation functions of the paper-size comparison: those of the paper, and others, bounded and not.
ACTIVATIONS = (
    "tanh",
    "lecun_tanh",
    "softsign",
    "penalized_tanh",
    "shifted_tanh",
    "sigmoid",
    "hardtanh",
    "relu",
)


def _small() -> dict[str, CompareConfig]:
    vgg = CompareConfig(
        model="vgg11",
        width=4,
        epochs=4,
        orders=ORDERS,
        activations=("tanh", "softsign", "relu"),
        seeds=tuple(range(6)),
    )
    two_orders = dataclasses.replace(vgg, orders=(CONVENTION, SWAP), activations=("tanh", "relu"))
    alone = dataclasses.replace(vgg, activations=("tanh",))
    return {
        "vgg": vgg,
        "mobilenet": dataclasses.replace(two_orders, model="mobilenet", epochs=2),
        "resnet": dataclasses.replace(two_orders, model="resnet20", dataset="digits", batch_size=32, epochs=8),
        "beta": dataclasses.replace(
            alone, orders=(CONVENTION,), gamma_weight_decay=0.0, vary={"beta_weight_decay": SMALL_DECAYS}
        ),
        "affine": dataclasses.replace(alone, orders=(SWAP,), vary={"affine_weight_decay": SMALL_DECAYS}),
        "tuned": dataclasses.replace(
            alone, orders=(CONVENTION, SWAP), tune={"learning_rate": (0.02, 0.1), "weight_decay": (5e-4, 5e-3)}
        ),
    }


def _paper() -> dict[str, CompareConfig]:
    training: dict[str, Any] = {
        "dataset": "cifar100",
        "augmentation": "crop-flip",
        "epochs": published.EPOCHS,
        "batch_size": 128,
        "learning_rate": 0.1,
        "schedule": "two_drops",
        "seeds": tuple(range(9)),  # the paper's three, and six more so that a difference can be called
        "device": "cuda",
    }
    vgg = CompareConfig(model="vgg16", width=64, orders=ORDERS, activations=ACTIVATIONS, **training)
    alone = dataclasses.replace(vgg, activations=("tanh",))
    at_its_rate = dataclasses.replace(alone, orders=(CONVENTION,), learning_rate=published.LEARNING_RATE)
    tuned = dataclasses.replace(
        alone,
        orders=(CONVENTION, SWAP),
        activations=("tanh", "lecun_tanh", "softsign", "relu"),
        vary={"dataset": ("cifar10", "cifar100")},
        tune={"learning_rate": (0.01, 0.05, 0.1), "weight_decay": (1e-4, 5e-4, 1e-3)},
    )
    return {
        "vgg": vgg,
        "mobilenet": dataclasses.replace(vgg, model="mobilenet", width=32),
        "resnet": dataclasses.replace(vgg, model="resnet18"),
        "beta": dataclasses.replace(
            at_its_rate, gamma_weight_decay=0.0, vary={"beta_weight_decay": published.BETA_DECAYS}
        ),
        "affine": dataclasses.replace(alone, orders=(SWAP,), vary={"affine_weight_decay": published.AFFINE_DECAYS}),
        "tuned": tuned,
        "tuned-mobilenet": dataclasses.replace(tuned, model="mobilenet", width=32, activations=("tanh", "relu")),
    }


def parts(size: str) -> Sequence[Measurement | Training]:
    """The functions, the theory, the paper's comparison in three architectures, its two ablations, and tuning."""
    configs = {"small": _small, "paper": _paper}[size]()
    return (
        FUNCTIONS,
        ASYMMETRY,
        RELOCATION,
        Training(
            name="accuracy",
            title="Convention, Swap and NWDBN in VGG",
            config=configs["vgg"],
            present=present_accuracy,
        ),
        Training(
            name="mobilenet",
            title="MobileNet",
            config=configs["mobilenet"],
            present=partial(present_architecture, "mobilenet"),
        ),
        Training(
            name="resnet",
            title="ResNet, which the paper leaves out",
            config=configs["resnet"],
            present=partial(present_architecture, "resnet"),
        ),
        Training(
            name="weight-decay-on-beta",
            title="Less asymmetry: weight decay on β",
            config=configs["beta"],
            present=partial(present_decay, "beta_weight_decay", quantities.SKEWNESS),
        ),
        Training(
            name="weight-decay-on-affine",
            title="More sparsity: weight decay on γ and β in Swap",
            config=configs["affine"],
            present=partial(present_decay, "affine_weight_decay", quantities.SPARSITY),
        ),
        *(
            Training(
                name=name, title=f"Tuned per order: {configs[name].model}", config=configs[name], present=present_tuned
            )
            for name in ("tuned", "tuned-mobilenet")
            if name in configs
        ),
    )


EXPERIMENT = Experiment(
    name="seed-003-bounded",
    title="Do bounded activation functions do better before BatchNorm?",
    introduction=(
        "Kim, Kim & Kim report that with tanh and its like, BatchNorm after the activation (Swap) is much better than "
        "before it (Convention), and that it is not so with ReLU. Their explanation has two steps. In Swap the "
        "channels saturate asymmetrically: each sits at one end of tanh. And BatchNorm after tanh moves the crowded "
        "end to near 0, which makes the block's output sparse.",
        "Both steps are derived first, from tanh of a normal input. Then networks are trained in both orders and in "
        "NWDBN, looked into, and put beside the paper's tables and figures; with VGG and MobileNet as in the paper, "
        "and ResNet. The small size is not the paper's experiment: the data set is easier, the networks are narrower "
        "and the trainings are a few epochs long. What can be compared is the sign and the mechanism, not the size.",
    ),
    parts=parts,
)
