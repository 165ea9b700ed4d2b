"""Train a small CNN with BatchNorm after the activation (Swap order), and test it."""

from __future__ import annotations

import argparse
import sys

import tinygrad_bn as tg
from tinygrad_bn import functional as F
from tinygrad_bn import nn


def block(inputs: int, outputs: int) -> nn.ConvBlock:
    """Convolution, tanh, BatchNorm: the word `order` decides, and nothing else changes with it."""
    return nn.ConvBlock(inputs, outputs, 3, padding=1, order="swap", activation="tanh")


def accuracy(model: nn.Module, dataset: tg.data.Dataset) -> float:
    """Return the share of images that the model, in evaluation mode, names correctly."""
    model.eval()
    correct = 0.0
    with tg.no_grad():
        for images, labels in tg.data.DataLoader(dataset, batch_size=250):
            correct += (model(images).argmax(axis=1) == labels).astype("float32").sum().item()
    return correct / len(dataset)


def main(arguments: list[str] | None = None) -> int:
    """Train, print the accuracy after each epoch, and return 0 if the last is as good as expected."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fast", action="store_true", help="8x8 digits, for a quick check")
    options = parser.parse_args(arguments)
    name, epochs, expected = ("digits", 5, 0.6) if options.fast else ("fashion_mini", 3, 0.8)

    train, test = tg.data.load(name, "train"), tg.data.load(name, "test")
    side = train.images.shape[-1] // 4  # each of the two poolings halves it

    tg.manual_seed(0)
    model = nn.Sequential(
        block(1, 16),
        nn.MaxPool2d(2),
        block(16, 32),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(32 * side * side, 10),
    )
    optimizer = tg.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    loader = tg.data.DataLoader(train, batch_size=64, shuffle=True, seed=0, drop_last=True)

    reached = 0.0
    for epoch in range(1, epochs + 1):
        model.train()
        total = 0.0
        for images, labels in loader:
            optimizer.zero_grad()
            loss = F.cross_entropy(model(images), labels)
            loss.backward()
            optimizer.step()
            total += loss.item()
        reached = accuracy(model, test)
        print(f"epoch {epoch}: loss {total / len(loader):.3f}, test accuracy {100 * reached:.1f} %", flush=True)

    print(f"expected at least {100 * expected:.0f} %, reached {100 * reached:.1f} %")
    return 0 if reached >= expected else 1


if __name__ == "__main__":
    sys.exit(main())
