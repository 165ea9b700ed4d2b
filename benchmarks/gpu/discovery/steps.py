"""Whole training steps: captured and repeated, bit for bit; and with float16's small range."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import tinygrad_bn as tg
from tinygrad_bn import functional as F
from tinygrad_bn import nn

from ..place import Array, Place
from . import Found, Item

STEPS = 8

Step = Callable[[tg.Tensor, tg.Tensor], tg.Tensor]


class _Training:
    """A small network with dropout and Adam, from the same seed each time.

    Args:
        place: where.
        precision: what products are computed in, for `autocast`; None: float32.
    """

    def __init__(self, place: Place, precision: str | None = None) -> None:
        tg.manual_seed(0)
        random = np.random.default_rng(0)
        side = 8 if place.small else 28
        model = nn.build_model("small_cnn", image_size=side, width=4 if place.small else 32)
        self.model = nn.Sequential(model, nn.Dropout(0.1)).to(place.ours)
        self.optimizer = tg.optim.Adam(self.model.parameters(), lr=1e-3)
        self.images = [place.tensor(random.normal(size=(place.batch, 1, side, side)), "float32") for _ in range(STEPS)]
        self.labels = [place.tensor(random.integers(0, 10, place.batch)) for _ in range(STEPS)]
        self._precision = precision

    def step(self, images: tg.Tensor, labels: tg.Tensor) -> tg.Tensor:
        """Do one step and return the loss."""
        self.optimizer.zero_grad()
        if self._precision is None:
            loss = F.cross_entropy(self.model(images), labels)
        else:
            with tg.autocast(self._precision):
                loss = F.cross_entropy(self.model(images), labels)
        loss.backward()
        self.optimizer.step()
        return loss

    def run(self, step: Step) -> dict[str, Array]:
        """Return losses, weights and buffers after all steps; dropout draws the same masks each time."""
        tg.manual_seed(1)
        losses = [step(*batch).item() for batch in zip(self.images, self.labels, strict=True)]
        state = {name: np.array(tensor) for name, tensor in self.model.state_dict().items()}
        return {"losses": np.array(losses), **state}


def _differences(what: str, a: dict[str, Array], b: dict[str, Array]) -> list[str]:
    """Say how two runs differ in their bits; nothing where they do not."""
    names = [name for name in a if a[name].tobytes() != b[name].tobytes()]
    if not names:
        return []
    largest = max(float(np.abs(a[name].astype("float64") - b[name]).max()) for name in names)
    return [f"{what} in {len(names)} of {len(a)} arrays, by {largest:.0e} at most, first {names[0]}"]


def capturing(place: Place) -> Found:
    """Train with a captured step and without, and the captured one twice."""
    return _captured(place, None)


def capturing_half(place: Place) -> Found:
    """The same in bfloat16."""
    return _captured(place, "bfloat16")


def _captured(place: Place, precision: str | None) -> Found:
    trainings = [_Training(place, precision) for _ in range(3)]
    plain = trainings[0].run(trainings[0].step)
    steps = [tg.capture(training.step) for training in trainings[1:]]
    captured, again = (training.run(step) for training, step in zip(trainings[1:], steps, strict=True))
    differences = _differences("captured differs from plain", plain, captured)
    differences += _differences("two captured runs differ", captured, again)
    replays = sum(graph.replays for graph in steps[0].graphs)
    batch = trainings[1].images[0], trainings[1].labels[0]
    seconds = {
        "as it is": place.seconds([lambda: trainings[0].step(*batch)]),
        "captured": place.seconds([lambda: steps[0](*batch)]),
    }
    times = ", ".join(f"{name} {taken * 1e3:.2f} ms" for name, taken in seconds.items())
    line = "; ".join(differences) or f"the same bits in {STEPS} steps, {replays} replays; a step takes {times}"
    repeated = replays > 0 or place.ours == "cpu"
    if not repeated:
        line = f"nothing was replayed; {line}"
    return Found(line, {"seconds": seconds, "differences": differences}, repeated and not differences)


def repeating(place: Place) -> Found:
    """Train twice from the same seed, with dropout, without capturing."""
    first, second = (_Training(place) for _ in range(2))
    differences = _differences("two runs differ", first.run(first.step), second.run(second.step))
    return Found("; ".join(differences) or f"the same bits after {STEPS} steps", passed=not differences)


def scaling(place: Place) -> Found:
    """Train in float16 with loss scaling, and let one step overflow."""
    training = _Training(place, "float16")
    scaler = tg.GradScaler(init_scale=2.0**12)
    before = scaler.get_scale()

    def step(images: tg.Tensor, labels: tg.Tensor) -> tg.Tensor:
        training.optimizer.zero_grad()
        with tg.autocast("float16"):
            loss = F.cross_entropy(training.model(images), labels)
        scaler.scale(loss).backward()
        scaler.step(training.optimizer)
        scaler.update()
        return loss

    losses = training.run(step)["losses"]
    kept = [np.array(parameter) for parameter in training.model.parameters()]
    step(training.images[0] * float("inf"), training.labels[0])
    changed = [
        index
        for index, (parameter, old) in enumerate(zip(training.model.parameters(), kept, strict=True))
        if np.array(parameter).tobytes() != old.tobytes()
    ]
    after = scaler.get_scale()
    data: dict[str, Any] = {"losses": losses.tolist(), "scales": [before, after]}
    line = f"losses {losses[0]:.3f} to {losses[-1]:.3f}; the step that overflowed changed {len(changed)} parameters, "
    line += f"and the scale from {before:g} to {after:g}"
    return Found(line, data, bool(np.isfinite(losses).all()) and not changed and after < before)


ITEMS = (
    Item("capture", "a captured training step", capturing, 20.0),
    Item("repeat", "the same seed, the same bits", repeating),
    Item("capture-bfloat16", "a captured step in bfloat16", capturing_half, 20.0),
    Item("scaling", "float16 with loss scaling", scaling),
)
