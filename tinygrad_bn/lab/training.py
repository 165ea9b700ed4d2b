"""One training run: from a config to a trained network, its numbers by epoch, and what the probes saw."""

from __future__ import annotations

import contextlib
import itertools
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .. import data, nn
from .. import functional as F
from ..autograd import autocast, no_grad
from ..backend import default_generator, get_device, manual_seed
from ..captured import capture
from ..creation import zeros
from ..errors import ShapeError, StateError, TinygradBNError, explain
from ..optim import GradScaler, LRScheduler, Optimizer
from ..tensor import Tensor
from .config import RunConfig
from .environment import environment, package_version
from .events import EventFiles
from .probes import GraphProbe, ModelProbe, StepProbe, landscape, mechanism, top_hessian_eigenvalue
from .probes.graph import IMAGES as GRAPH_IMAGES
from .probes.graph import moments
from .probes.precise import precise_statistics, running_distances, with_statistics
from .recipes import (
    AUGMENTATIONS,
    AUTOCASTS,
    INITIALIZATIONS,
    OPTIMIZERS,
    SCHEDULES,
    loss_scaler,
    matmul_precision,
    parameter_groups,
)
from .runfolder import RunFolder

Array = np.ndarray[Any, np.dtype[Any]]
Metrics = dict[str, float]

EVALUATION_BATCH = 250
#: Precise statistics of BatchNorm come from at most so many training images.
PRECISE_IMAGES = 4096
#: Which images are held out is the same for every run, so that all of them are judged on the same ones.
VALIDATION_SEED = 0


@dataclass(frozen=True)
class Trained:
    """A finished run.

    Attributes:
        model: the network after the last epoch.
        metrics: one entry per epoch: epoch, train_loss (mean over the steps), test_loss, test_accuracy (percent),
            learning_rate (at the epoch's end), seconds.
        probes: histograms and moments by layer, as `RunFolder.write_probes` takes them.
        result: what `result.json` holds: final accuracy and loss, what they were evaluated on, the same with precise
            statistics of BatchNorm, how far the running ones are from these, whether training diverged, layers, time.
        steps: what `StepProbe` recorded; empty without `config.step_probes`.
        landscape: one entry per measurement of the loss landscape: step, and what `Landscape.to_dict` and
            `HessianEigenvalue.to_dict` (under "hessian") give.
        graph: what `GraphProbe` saw; empty without `config.graph_frames`.
    """

    model: nn.Module
    metrics: list[Metrics]
    probes: dict[str, Array]
    result: dict[str, Any]
    steps: dict[str, Array] = field(default_factory=dict)
    landscape: list[dict[str, Any]] = field(default_factory=list)
    graph: list[Array] = field(default_factory=list)


def train(config: RunConfig, on_epoch: Callable[[Metrics], None] | None = None) -> Trained:
    """Train one network and evaluate it after every epoch: on the test set, or on held-out training images.

    The seed is set here, so the numbers repeat bit for bit on one machine, in this process or another, as long as
    linear algebra uses the same number of threads. A run whose loss is no longer a number stops at the end of
    that epoch and counts with the accuracy it has.

    Args:
        config: what to train.
        on_epoch: told each epoch's numbers as the epoch ends.
    """
    training = Training(config)
    while not training.is_over:
        training.run_epoch()
        if on_epoch is not None:
            on_epoch(training.metrics[-1])
    return training.finish()


class Training:
    """A run under way: epoch by epoch, with a state between two epochs from which another process can go on.

    With `config.autocast` the network computes in 16 bits where it is trained and evaluated. The loss landscape and the
    recorded graph are computed in float32, as the weights are: rounding would hide differences as small as theirs.

    Args:
        config: what to train. The default generator is seeded with its seed.

    Attributes:
        metrics: one entry per epoch so far; see `Trained`.
    """

    def __init__(self, config: RunConfig) -> None:
        self.config = config
        self.metrics: list[Metrics] = []
        self._started = time.perf_counter()
        device = get_device(config.device)
        self._training_set, self._evaluation_set = datasets_of(config)
        normalize = data.Normalize(self._training_set.mean, self._training_set.std)
        # Statistics of a batch are those of a whole batch: the rest of an epoch that does not fill one is left out.
        self._loader = data.DataLoader(
            self._training_set,
            config.batch_size,
            shuffle=True,
            seed=config.seed,
            drop_last=True,
            transform=data.Compose([*AUGMENTATIONS[config.augmentation](self._training_set), normalize]),
            device=device,
        )
        self._evaluation_loader = data.DataLoader(
            self._evaluation_set, EVALUATION_BATCH, transform=normalize, device=device
        )
        manual_seed(config.seed)
        self.model = build_model(config, self._training_set).to(device)
        self._optimizer = OPTIMIZERS[config.optimizer](parameter_groups(self.model, config), config)
        steps = config.epochs * len(self._loader)
        self._schedule = SCHEDULES[config.schedule](self._optimizer, steps)
        self._scaler = loss_scaler(config)
        self._autocast = AUTOCASTS[config.autocast]()
        self._take_step = capture(take_step)
        self._probe = ModelProbe(self.model, config.activation)
        self._has_been_probed = False
        self._step_probe = StepProbe(self.model, self._optimizer, config.step_probes) if config.step_probes else None
        self._landscape_steps = {steps * number // config.landscape for number in range(config.landscape)}
        self._landscape: list[dict[str, Any]] = []
        self._graph_epochs = moments(config.graph_frames, config.epochs)
        self._graph_probe = GraphProbe(self.model, *self._first_images()) if config.graph_frames else None

    @property
    def is_over(self) -> bool:
        """Whether there is no epoch left, or the loss of the last one is no longer a number."""
        return len(self.metrics) == self.config.epochs or self._has_diverged

    @property
    def _has_diverged(self) -> bool:
        return bool(self.metrics) and not math.isfinite(self.metrics[-1]["train_loss"])

    def run_epoch(self) -> None:
        """Train for one epoch, evaluate, and append to `metrics`."""
        with matmul_precision(self.config.float32_matmul_precision):
            self._run_epoch()

    def _run_epoch(self) -> None:
        started = time.perf_counter()
        if not self.metrics:
            self._look_at_graph("start")
        train_loss = self._train()
        # The probes watch the evaluation after the last epoch: one pass over the images serves both.
        last = not math.isfinite(train_loss) or len(self.metrics) + 1 == self.config.epochs
        loss, accuracy = self._evaluate(probed=last)
        self.metrics.append(
            {
                "epoch": len(self.metrics) + 1,
                "train_loss": train_loss,
                "test_loss": loss,
                "test_accuracy": accuracy,
                "learning_rate": self._optimizer.param_groups[0]["lr"],
                "seconds": time.perf_counter() - started,
            }
        )
        self._look_at_graph(f"epoch {len(self.metrics)}")

    def finish(self) -> Trained:
        """What has come out, after the last epoch."""
        with matmul_precision(self.config.float32_matmul_precision):
            return self._finish()

    def _finish(self) -> Trained:
        if not self._has_been_probed:  # by another process, whose probes are gone with it
            self._evaluate(probed=True)
        arrays = self._probe.arrays()
        last = self.metrics[-1]
        result = {
            "evaluated_on": "validation" if self.config.validation_share else "test",
            "test_accuracy": last["test_accuracy"],
            "test_loss": last["test_loss"],
            "train_loss": last["train_loss"],
            **self._with_precise_statistics(),
            "diverged": self._has_diverged,
            "epochs": len(self.metrics),
            "parameters": sum(parameter.size for parameter in self.model.parameters()),
            "training_images": len(self._training_set),
            "test_images": len(self._evaluation_set),
            "seconds": time.perf_counter() - self._started,
            "layers": mechanism(arrays),
        }
        steps = self._step_probe.arrays() if self._step_probe is not None else {}
        return Trained(self.model, self.metrics, arrays, result, steps, self._landscape, self._graph_frames)

    def _with_precise_statistics(self) -> dict[str, Any]:
        """Loss and accuracy with precise statistics, and the running ones' distance; None without such statistics."""
        statistics = {}
        if not self._has_diverged:
            # The batches of the epoch that would come next.
            self._loader.set_epoch(len(self.metrics))
            batches = max(1, PRECISE_IMAGES // self.config.batch_size)
            with self._autocast:
                statistics = precise_statistics(self.model, itertools.islice(self._loader, batches))
        if not statistics:
            return {"test_accuracy_precise": None, "test_loss_precise": None, "running_distances": None}
        with with_statistics(self.model, statistics), self._autocast:
            loss, accuracy = evaluate(self.model, self._evaluation_loader)
        distances = running_distances(self.model, statistics)
        return {
            "test_accuracy_precise": accuracy,
            "test_loss_precise": loss,
            "running_distances": {name: distance._asdict() for name, distance in distances.items()},
        }

    def state(self) -> dict[str, Any]:
        """Everything that the next epoch depends on, as `write_state` takes it."""
        optimizer = self._optimizer.state_dict()
        return {
            "of": self._identity(),
            "seconds": time.perf_counter() - self._started,
            "metrics": self.metrics,
            "model": self.model.state_dict(),
            "optimizer": {**optimizer, "state": list(optimizer["state"].items())},  # numbers are no keys in JSON
            "schedule": self._schedule.state_dict(),
            "scaler": self._scaler.state_dict(),
            "loader": self._loader.state_dict(),
            "generator": default_generator.get_state(),
            "steps": self._step_probe.arrays() if self._step_probe is not None else None,
            "landscape": self._landscape,
            "graph": self._graph_frames,
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on from a state that `state` returned, of the same config and version, as if nothing had happened.

        Raises:
            StateError: it is no such state. This training is then of no further use.
        """
        if state.get("of") != self._identity():
            raise StateError(explain("Training.load_state", f"a state of {self._identity()}", str(state.get("of"))))
        try:
            self._started -= state["seconds"]
            self.metrics = [dict(line) for line in state["metrics"]]
            self.model.load_state_dict(state["model"])
            optimizer = state["optimizer"]
            self._optimizer.load_state_dict({**optimizer, "state": dict(optimizer["state"])})
            self._schedule.load_state_dict(state["schedule"])
            self._scaler.load_state_dict(state.get("scaler", {}))
            self._loader.load_state_dict(state["loader"])
            if self._step_probe is not None:
                self._step_probe.restore(state["steps"])
            self._landscape = list(state["landscape"])
            if self._graph_probe is not None:
                self._graph_probe.frames = list(state["graph"])
            default_generator.set_state(state["generator"])
        except (KeyError, TypeError, ValueError, TinygradBNError) as error:
            got = f"{type(error).__name__}: {error}"
            raise StateError(explain("Training.load_state", "a whole state of a training", got)) from error

    def _identity(self) -> dict[str, str]:
        """Whose state it is: that of another config, or of a version that computes differently, is none of ours."""
        return {"run": self.config.fingerprint, "tinygrad_bn": package_version("tinygrad_bn"), "numpy": np.__version__}

    def _train(self) -> float:
        """Take one step per batch and return the mean loss of the steps."""
        self.model.train()
        total = Tensor(np.zeros((), dtype=np.float32), device=self._loader.device)
        first = len(self.metrics) * len(self._loader)
        for number, (images, labels) in enumerate(self._loader, start=first):
            if number in self._landscape_steps:
                self._landscape.append(self._look_around(number, images, labels))
            tools = self.model, self._optimizer, self._schedule, self._scaler, self._autocast
            if self._step_probe is not None and self._step_probe.looks_at(number):
                loss = take_step(*tools, images, labels, self._step_probe.step(number))
            else:
                loss = self._take_step(*tools, images, labels)
            # The sum stays on the device: reading it at every step would make a GPU wait.
            total = total + loss.detach()
        return float(total.item()) / len(self._loader)

    @property
    def _graph_frames(self) -> list[Array]:
        return [] if self._graph_probe is None else self._graph_probe.frames

    def _look_at_graph(self, moment: str) -> None:
        """Record the graph if this is one of the moments at which that is asked for."""
        if self._graph_probe is not None and len(self.metrics) in self._graph_epochs:
            self._graph_probe.look(moment)

    def _first_images(self) -> tuple[Tensor, Tensor]:
        """The first images of the evaluation set, as the network sees them, and their labels."""
        images, labels = next(iter(self._evaluation_loader))
        return images[:GRAPH_IMAGES], labels[:GRAPH_IMAGES]

    def _look_around(self, step: int, images: Tensor, labels: Tensor) -> dict[str, Any]:
        """Measure the loss landscape around the weights on the batch that the next step is taken on."""
        rate = self._optimizer.param_groups[0]["lr"]
        around = landscape(self.model, F.cross_entropy, images, labels, rate)
        curvature = top_hessian_eigenvalue(self.model, F.cross_entropy, images, labels, largest="value")
        return {"step": step, **around.to_dict(), "hessian": curvature.to_dict()}

    def _evaluate(self, probed: bool) -> tuple[float, float]:
        self._has_been_probed = probed
        with self._probe.watching() if probed else contextlib.nullcontext(), self._autocast:
            return evaluate(self.model, self._evaluation_loader)


def take_step(
    model: nn.Module,
    optimizer: Optimizer,
    schedule: LRScheduler,
    scaler: GradScaler,
    precision: autocast,
    images: Tensor,
    labels: Tensor,
    looking: contextlib.AbstractContextManager[None] | None = None,
) -> Tensor:
    """Take a training step, the optimiser's part of it inside a context, and return the loss."""
    optimizer.zero_grad()
    with precision:
        loss = F.cross_entropy(model(images), labels)
    scaler.scale(loss).backward()
    scaler.unscale_(optimizer)
    with looking or contextlib.nullcontext():
        scaler.step(optimizer)
    scaler.update()
    schedule.step()
    return loss


def datasets_of(config: RunConfig) -> tuple[data.Dataset, data.Dataset]:
    """What a run is trained on, and what it is evaluated on: the test set, or images held out of the training set.

    Raises:
        ArgumentError: `validation_share` leaves no image on one side.
    """
    training_set = data.load(config.dataset, "train")
    if not config.validation_share:
        return training_set, data.load(config.dataset, "test")
    held_out, rest = training_set.split(config.validation_share, VALIDATION_SEED)
    return rest, held_out


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


def train_in_folder(
    folder: RunFolder, tensorboard: bool = False, after_epoch: Callable[[], None] = lambda: None
) -> None:
    """Train the run of a folder, from its last whole epoch on, and write everything into it, the result last.

    Args:
        folder: where the run lies; nobody else must be training it, see `RunFolder.locked`.
        tensorboard: also write event files for TensorBoard.
        after_epoch: called after each epoch, when everything about it has been written.
    """
    training = _taken_up(folder) or Training(folder.config)
    folder.begin(training.metrics)
    folder.write_environment(environment(folder.config.device), from_epoch=len(training.metrics))
    with EventFiles(folder.path / "events", training.metrics) if tensorboard else contextlib.nullcontext() as events:
        while not training.is_over:
            training.run_epoch()
            # The state first: it holds the metrics, and a line that the file lacks is written from it again.
            folder.write_state(training.state())
            folder.add_metrics(training.metrics[-1])
            if events is not None:
                events.add(training.metrics[-1])
            after_epoch()
    trained = training.finish()
    folder.write_probes(trained.probes)
    if trained.steps:
        folder.write_steps(trained.steps)
    if trained.landscape:
        folder.write_landscape(trained.landscape)
    if trained.graph:
        folder.write_graph(trained.graph)
    folder.write_checkpoint(trained.model)
    folder.write_result(trained.result)
    folder.forget_state()


def _taken_up(folder: RunFolder) -> Training | None:
    """The training that another attempt has left, or None when there is none that can be gone on with."""
    state = folder.state()
    if state is None:
        return None
    training = Training(folder.config)
    try:
        training.load_state(state)
    except StateError:
        return None
    return training


def evaluate(model: nn.Module, loader: data.DataLoader) -> tuple[float, float]:
    """Mean loss and accuracy in percent over a data set, in evaluation mode."""
    model.eval()
    # The sums stay on the device until the end: reading them at every batch would make a GPU wait.
    loss_sum = zeros(dtype="float64", device=loader.device)
    correct = zeros(dtype="int64", device=loader.device)
    count = 0
    with no_grad():
        for images, labels in loader:
            logits = model(images)
            loss_sum = loss_sum + F.cross_entropy(logits, labels, reduction="sum").astype("float64")
            correct = correct + (logits.argmax(axis=1) == labels).sum()
            count += len(labels)
    return float(loss_sum.item()) / count, 100.0 * int(correct.item()) / count
