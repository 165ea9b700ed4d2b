"""One training run: from a config to a trained network, its numbers by epoch, and what the probes saw."""

from __future__ import annotations

import contextlib
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
from ..errors import ShapeError, explain
from ..tensor import Tensor
from .config import RunConfig
from .environment import environment
from .probes import ModelProbe, mechanism
from .runfolder import RunFolder
from .recipes import AUGMENTATIONS, INITIALIZATIONS, OPTIMIZERS, SCHEDULES, parameter_groups

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
        transform=data.Compose([*AUGMENTATIONS[config.augmentation](training_set), normalize]),
        device=device,
    )
    test_loader = data.DataLoader(test_set, EVALUATION_BATCH, transform=normalize, device=device)

    manual_seed(config.seed)
    model = build_model(config, training_set).to(device)
    optimizer = OPTIMIZERS[config.optimizer](parameter_groups(model, config), config)
    schedule = SCHEDULES[config.schedule](optimizer, config.epochs * len(loader))
    probe = ModelProbe(model, config.activation)
    metrics: list[dict[str, float]] = []
    diverged = False
    while len(metrics) < config.epochs and not diverged:
        epoch_started = time.perf_counter()
        train_loss = train_epoch(model, loader, optimizer, schedule)
        diverged = not math.isfinite(train_loss)
        # The probes watch the evaluation after the last epoch: one pass over the test set serves both.
        last = diverged or len(metrics) + 1 == config.epochs
        with probe.watching() if last else contextlib.nullcontext():
            test_loss, test_accuracy = evaluate(model, test_loader)
        metrics.append(
            {
                "epoch": len(metrics) + 1,
                "train_loss": train_loss,
                "test_loss": test_loss,
                "test_accuracy": test_accuracy,
                "learning_rate": optimizer.param_groups[0]["lr"],
                "seconds": time.perf_counter() - epoch_started,
            }
        )
        if on_epoch is not None:
            on_epoch(metrics[-1])
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


def build_model(config: RunConfig, dataset: data.Dataset) -> nn.Module:
    """Build a run's network for the images of a data set; the initial weights come from the default generator.

    Raises:
        ShapeError: the images are not square pictures, or the network cannot take their size.
    """
    shape = dataset.image_shape
    if len(shape) != 3 or shape[1] != shape[2]:
        raise ShapeError(explain("build_model", "square images (channels, size, size)", f"{shape} in {dataset.name}"))
    depth = {"depth": config.depth} if config.model in nn.ANY_DEPTH else {}
    model = nn.build_model(
        config.model,
        **depth,
        in_channels=shape[0],
        num_classes=len(dataset.classes),
        image_size=shape[1],
        width=config.width,
        order=config.order,
        activation=config.activation,
    )
    INITIALIZATIONS[config.initialization](model)
    return model


def train_in_folder(folder: RunFolder) -> None:
    """Train the run of a folder and write everything into it, the result last."""
    folder.begin()
    folder.write_environment(environment(folder.config.device))
    trained = train(folder.config, folder.add_metrics)
    folder.write_probes(trained.probes)
    folder.write_checkpoint(trained.model)
    folder.write_result(trained.result)


def train_epoch(
    model: nn.Module, loader: data.DataLoader, optimizer: optim.Optimizer, schedule: optim.LRScheduler
) -> float:
    """Take one step per batch and return the mean loss of the steps."""
    model.train()
    total = Tensor(np.zeros((), dtype=np.float32), device=loader.device)
    for images, labels in loader:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        schedule.step()
        # The sum stays on the device: reading it at every step would make a GPU wait.
        total = total + loss.detach()
    return float(total.item()) / len(loader)


def evaluate(model: nn.Module, loader: data.DataLoader) -> tuple[float, float]:
    """Mean loss and accuracy in percent over a data set, in evaluation mode."""
    model.eval()
    loss_sum, correct, count = 0.0, 0, 0
    with no_grad():
        for images, labels in loader:
            logits = model(images)
            loss_sum += float(F.cross_entropy(logits, labels, reduction="sum").item())
            correct += int(np.sum(logits.numpy().argmax(axis=1) == labels.numpy()))
            count += len(labels)
    return loss_sum / count, 100.0 * correct / count
