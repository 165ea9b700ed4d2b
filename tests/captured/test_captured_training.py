"""Training by captured steps is training by plain ones, bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import tinygrad_bn as tg
from tinygrad_bn import functional as F
from tinygrad_bn import nn, optim
from tinygrad_bn.backend import get_device
from tinygrad_bn.kernels import kernels_of

OPTIMIZERS: dict[str, Callable[[Any], optim.Optimizer]] = {
    "momentum": lambda p: optim.SGD(p, lr=0.05, momentum=0.9, dampening=0.2, weight_decay=1e-3),
    "nesterov": lambda p: optim.SGD(p, lr=0.05, momentum=0.9, nesterov=True),
    "sgd": lambda p: optim.SGD(p, lr=0.1),
    "adam": lambda p: optim.Adam(p, lr=0.02, weight_decay=1e-2),
    "adamw": lambda p: optim.AdamW(p, lr=0.02),
}
SCHEDULES: dict[str, Callable[[optim.Optimizer], optim.LRScheduler]] = {
    "cosine": lambda o: optim.CosineAnnealingLR(o, 20),
    "cycle": lambda o: optim.OneCycleLR(o, 0.1, total_steps=30),
    "steps": lambda o: optim.MultiStepLR(o, [3, 7]),
}
WHOLE, REST = 6, 4


def network(where: str) -> nn.Module:
    tg.manual_seed(3)
    layers = nn.Sequential(
        nn.ConvBlock(1, 3, 3, padding=1, order="swap", activation="tanh"),
        nn.MaxPool2d(2),
        nn.ConvBlock(3, 4, 3, padding=1, activation="leaky_relu"),
        nn.Flatten(),
        nn.Dropout(0.3),
        nn.RReLU(),
        nn.Linear(4 * 3 * 3, 3),
    )
    return layers.to(where)


def batches(where: str, number: int) -> list[tuple[tg.Tensor, tg.Tensor]]:
    """Three whole ones, then a smaller one, and again."""
    rng = np.random.default_rng(0)
    sizes = [REST if i % 4 == 3 else WHOLE for i in range(number)]
    return [
        (
            tg.tensor(rng.standard_normal((size, 1, 6, 6)).astype(np.float32), device=where),
            tg.tensor(rng.integers(0, 3, size), device=where),
        )
        for size in sizes
    ]


def train(
    where: str, captured: bool, optimizer: str = "momentum", schedule: str = "cosine", steps: int = 22, **options: Any
) -> dict[str, Any]:
    """Train a network; return everything that could have become different."""
    model = network(where)
    rule = OPTIMIZERS[optimizer](model.parameters())
    rates = SCHEDULES[schedule](rule)

    def step(images: tg.Tensor, labels: tg.Tensor) -> tuple[tg.Tensor, dict[str, tg.Tensor]]:
        rule.zero_grad()
        logits = model(images)
        loss = F.cross_entropy(logits, labels)
        loss.backward()
        if options.get("clipped"):
            optim.clip_grad_norm_(model.parameters(), 0.5)
        rule.step()
        rates.step()
        if options.get("forgetting"):
            rule.zero_grad()
        return loss, {"logits": logits}

    function = tg.capture(step) if captured else step
    losses, logits = [], []
    for images, labels in batches(where, steps):
        loss, others = function(images, labels)
        losses.append(loss)
        logits.append(others["logits"])
    if captured and where != "cpu":
        assert [(info.inputs[0][0][0], info.replays) for info in function.graphs] == [(REST, 1), (WHOLE, 13)]
    return {
        "losses": [loss.item() for loss in losses],
        "logits": [values.tolist() for values in logits],
        "state": {name: tensor.tolist() for name, tensor in model.state_dict().items()},
        "gradients": {n: p.grad if p.grad is None else p.grad.tolist() for n, p in model.named_parameters()},
        "versions": [tensor.version.count for tensor in (*model.parameters(), *model.buffers())],
        "optimizer": str(rule.state_dict()),
        "schedule": rates.state_dict(),
        "next random numbers": tg.rand(3).tolist(),
    }


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_optimisers(gpu: ModuleType, optimizer: str) -> None:
    assert train("cuda", True, optimizer) == train("cuda", False, optimizer)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_schedules(gpu: ModuleType, schedule: str) -> None:
    assert train("cuda", True, schedule=schedule) == train("cuda", False, schedule=schedule)


@pytest.mark.parametrize("option", ["clipped", "forgetting"])
def test_what_happens_to_gradients(gpu: ModuleType, option: str) -> None:
    options = {option: True}
    found = train("cuda", True, **options)
    assert found == train("cuda", False, **options)
    assert all((gradient is None) == (option == "forgetting") for gradient in found["gradients"].values())


def test_with_the_kernels_of_a_gpu(gpu_with_its_kernels: ModuleType) -> None:
    """Its own CUDA C++, if need be compiled for the CPU; the other tests here then compute by the reference."""
    assert "CudaKernels" in str(kernels_of(get_device("cuda")))
    assert train("cuda", True, "adamw", "cycle", clipped=True) == train("cuda", False, "adamw", "cycle", clipped=True)


def test_on_the_cpu(gpu: ModuleType) -> None:
    for optimizer in ("nesterov", "adam"):
        assert train("cpu", True, optimizer) == train("cpu", False, optimizer)


def test_the_test_can_tell_two_trainings_apart(gpu: ModuleType) -> None:
    one, other = train("cuda", False), train("cuda", False, "nesterov")
    assert [name for name in one if one[name] == other[name]] == ["versions", "schedule", "next random numbers"]
