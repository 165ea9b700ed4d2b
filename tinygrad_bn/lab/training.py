"""One training run: from a config to a trained network, its numbers by epoch, and what the probes saw."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import data, nn, optim
from .. import functional as F
from ..autograd import no_grad
from ..backend import get_device, manual_seed
from .config import RunConfig
from .environment import environment
from .models import build_model
from .probes import ModelProbe, mechanism
from .runfolder import RunFolder

EVALUATION_BATCH = 250


@dataclass(frozen=True)
class Trained:
    """A finished run.

    Attributes:
        model: the network after the last epoch.
        metrics: one entry per epoch: epoch, train_loss (mean over the steps), test_loss, test_accuracy (percent),
            learning_rate (at the epoch's end), seconds.
        probes: histograms and moments by layer, as `RunFolder.write_probes` takes them.
        result: what `result.json` holds: final accuracy and loss, whether training diverged, layers, time.
    """

    model: nn.Module
    metrics: list[dict[str, float]]
    probes: dict[str, np.ndarray[Any, Any]]
    result: dict[str, Any]


def train(config: RunConfig, on_epoch: Callable[[dict[str, float]], None] | None = None) -> Trained:
    """Train one network and evaluate it on the test set after every epoch.

    The seed is set here, so the numbers repeat bit for bit on one machine, in this process or another, as long as
    linear algebra uses the same number of threads. A run whose loss is no longer a number stops at the end of
    that epoch and counts with the accuracy it has.

    Args:
        config: what to train.
        on_epoch: told each epoch's numbers as the epoch ends.
    """
    started = time.perf_counter()
    device = get_device(config.device)
    training_set, test_set = data.load(config.dataset, "train"), data.load(config.dataset, "test")
    normalize = data.Normalize(training_set.mean, training_set.std)
    # Statistics of a batch are those of a whole batch: the rest of an epoch that does not fill one is left out.
    loader = data.DataLoader(
        training_set,
        config.batch_size,
        shuffle=True,
        seed=config.seed,
        drop_last=True,
        transform=normalize,
        device=device,
    )
    test_loader = data.DataLoader(test_set, EVALUATION_BATCH, transform=normalize, device=device)

    manual_seed(config.seed)
    model = build_model(config, training_set).to(device)
    optimizer = optim.SGD(
        model.parameters(),
        lr=config.learning_rate,
        momentum=config.momentum,
        weight_decay=config.weight_decay,
    )
    schedule = make_schedule(config, optimizer, steps=config.epochs * len(loader))
    probe = ModelProbe(model)
    metrics: list[dict[str, float]] = []
    for epoch in range(1, config.epochs + 1):
        epoch_started = time.perf_counter()
        train_loss = train_epoch(model, loader, optimizer, schedule)
        diverged = not math.isfinite(train_loss)
        last = epoch == config.epochs or diverged
        with probe.watching() if last else probe.resting():
            test_loss, test_accuracy = evaluate(model, test_loader)
        metrics.append(
            {
                "epoch": epoch,
                "train_loss": train_loss,
                "test_loss": test_loss,
                "test_accuracy": test_accuracy,
                "learning_rate": optimizer.param_groups[0]["lr"],
                "seconds": time.perf_counter() - epoch_started,
            }
        )
        if on_epoch is not None:
            on_epoch(metrics[-1])
        if last:
            break
    arrays = probe.arrays()
    result = {
        "test_accuracy": metrics[-1]["test_accuracy"],
        "test_loss": metrics[-1]["test_loss"],
        "train_loss": metrics[-1]["train_loss"],
        "diverged": diverged,
        "epochs": len(metrics),
        "parameters": sum(parameter.size for parameter in model.parameters()),
        "training_images": len(training_set),
        "test_images": len(test_set),
        "seconds": time.perf_counter() - started,
        "layers": mechanism(arrays),
    }
    return Trained(model, metrics, arrays, result)
