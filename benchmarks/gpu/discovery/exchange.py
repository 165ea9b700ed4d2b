"""What goes in and out: arrays of other libraries, and batches from the host."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

import tinygrad_bn as tg
from tinygrad_bn import nn
from tinygrad_bn.data import DataLoader
from tinygrad_bn.functional import cross_entropy

from ..place import Place
from . import Found, Item, SkipItemError


def torch_sharing(place: Place) -> Found:
    """Hand memory to PyTorch and back, and write into it from either side."""
    import torch

    ours = tg.tensor(np.arange(6.0, dtype="float32"), device=place.ours)
    theirs = torch.from_dlpack(ours)
    theirs[0] = 10.0
    place.finish()
    back = tg.from_dlpack(theirs)
    ours[1] = 20.0
    place.finish()
    seen = [ours.tolist(), theirs.tolist(), back.tolist()]
    return Found(f"{seen[0][:2]} seen from all sides", {"seen": seen}, seen == [[10.0, 20.0, 2.0, 3.0, 4.0, 5.0]] * 3)


def jax_sharing(place: Place) -> Found:
    """Hand memory to JAX and take memory from it."""
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # JAX would take most of the card for itself
    try:
        import jax
    except ImportError as error:
        raise SkipItemError(f"no JAX here: {error}") from None
    values = np.arange(6.0, dtype="float32")
    ours = tg.tensor(values, device=place.ours)
    place.finish()
    theirs = jax.dlpack.from_dlpack(ours)
    doubled = tg.from_dlpack((theirs * 2.0).block_until_ready())
    shared = theirs.unsafe_buffer_pointer() == _pointer(ours)
    right = doubled.tolist() == (2.0 * values).tolist() and str(doubled.device) == str(ours.device)
    line = f"{'shared' if shared else 'copied'}; JAX's result came back as {doubled.device}"
    return Found(line, passed=right and (shared or place.ours == "cpu"))  # on the CPU JAX copies what begins anywhere


def _pointer(tensor: tg.Tensor) -> int:
    data = tensor.data
    return int(data.ctypes.data if isinstance(data, np.ndarray) else data.data.ptr)


def loading(place: Place) -> Found:
    """Train an epoch from the DataLoader, and as many steps on one batch that is there already."""
    count = 4 if place.small else 100
    side = 8 if place.small else 28
    random = np.random.default_rng(0)
    images = random.normal(size=(count * place.batch, 1, side, side)).astype("float32")
    labels = random.integers(0, 10, len(images))
    loader = DataLoader((images, labels), place.batch, shuffle=True, device=place.ours)
    model = nn.build_model("small_cnn", image_size=side, width=4 if place.small else 32).to(place.ours)
    optimizer = tg.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)

    @tg.capture
    def step(images: tg.Tensor, labels: tg.Tensor) -> tg.Tensor:
        optimizer.zero_grad()
        loss = cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        return loss

    batch: Any = next(iter(loader))
    for _ in range(5):
        step(*batch)

    def loaded() -> None:
        for images, labels in loader:
            step(images, labels)

    def resident() -> None:
        for _ in range(count):
            step(*batch)

    def delivered() -> None:
        for _ in loader:
            pass

    times = {"with loading": loaded, "computing alone": resident, "loading alone": delivered}
    seconds = {name: place.seconds([call]) for name, call in times.items()}
    line = ", ".join(f"{name} {taken * 1e3:.1f} ms" for name, taken in seconds.items())
    return Found(f"{count} batches of {place.batch}: {line}", {"seconds": seconds})


ITEMS = (
    Item("dlpack-torch", "memory shared with PyTorch", torch_sharing),
    Item("dlpack-jax", "memory shared with JAX", jax_sharing, 20.0, priority=3),
    Item("loading", "loading beside computing", loading, 20.0),
)
