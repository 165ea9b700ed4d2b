"""A 5 x 5 image through BatchNorm, ReLU and 2 x 2 max pooling, in both sequences, number by number.

A well-known tutorial walks a 5 x 5 image through both sequences, looks at the charts, and finds that ReLU, then
BatchNorm, then pooling gives "slightly more values in the Y axis". Here is why. For z ~ N(0, 1), ReLU's output has mean
1/sqrt(2 pi) = 0.3989 and standard deviation sqrt(1/2 - 1/(2 pi)) = 0.5838. Normalising that moves its many zeros to
-0.3989 / 0.5838 = -0.683 and stretches everything else by 1 / 0.5838. So the *range* changes and the zeros are gone,
and the mean of the pooled maxima moves from 1.046 to 1.108.
"""

from __future__ import annotations

import argparse
import math
import sys

import numpy as np

import tinygrad_bn as tg
from tinygrad_bn import functional as F


def normalize(x: tg.Tensor) -> tg.Tensor:
    """BatchNorm with gamma 1 and beta 0."""
    return F.batch_norm(x, None, None, training=True)


def convention(z: tg.Tensor) -> tg.Tensor:
    """BatchNorm, then ReLU."""
    return F.relu(normalize(z))


def swap(z: tg.Tensor) -> tg.Tensor:
    """ReLU, then BatchNorm."""
    return normalize(F.relu(z))


def show(title: str, image: tg.Tensor) -> None:
    """Print an image's numbers, aligned."""
    print(f"\n{title}")
    for row in image.numpy()[0, 0]:
        print("  " + " ".join(f"{value:7.3f}" for value in row))


def main(arguments: list[str] | None = None) -> int:
    """Walk one image, then check the explanation on many; return 0 if it holds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fast", action="store_true", help="fewer images for the check")
    options = parser.parse_args(arguments)

    tg.manual_seed(0)
    image = tg.randn(1, 1, 5, 5)
    show("the image", image)
    show("BatchNorm, then ReLU", convention(image))
    show("ReLU, then BatchNorm", swap(image))
    show("BatchNorm, ReLU, 2 x 2 max pooling", F.max_pool2d(convention(image), 2))
    show("ReLU, BatchNorm, 2 x 2 max pooling", F.max_pool2d(swap(image), 2))

    z = tg.randn(20 if options.fast else 400, 1, 100, 100)
    first, second = convention(z), swap(z)
    mean = 1 / math.sqrt(2 * math.pi)
    deviation = math.sqrt(0.5 - mean**2)
    # Maximum of four independent N(0, 1) values, cut off at 0: the mean of max(m, 0).
    grid = np.linspace(0, 8, 80_001)
    normal = np.array([0.5 * math.erfc(-x / math.sqrt(2)) for x in grid])
    pooled = float(((1 - normal**4)[1:] + (1 - normal**4)[:-1]).sum() / 2 * (grid[1] - grid[0]))
    rows = (
        ("mean, BatchNorm then ReLU", mean, first.mean().item()),
        ("standard deviation", deviation, first.std().item()),
        ("share of exact zeros", 0.5, (first == 0.0).mean().item()),
        ("floor of ReLU then BatchNorm", -mean / deviation, second.min().item()),
        ("share of exact zeros", 0.0, (second == 0.0).mean().item()),
        ("pooled mean, BatchNorm then ReLU", pooled, F.max_pool2d(first, 2).mean().item()),
        ("pooled mean, ReLU then BatchNorm", (pooled - mean) / deviation, F.max_pool2d(second, 2).mean().item()),
    )
    print(f"\n{'':36}{'expected':>10}{'seen':>10}")
    for name, expected, seen in rows:
        print(f"{name:36}{expected:10.4f}{seen:10.4f}")
    agree = all(abs(expected - seen) < 0.01 for _, expected, seen in rows)
    print("\nThe explanation holds." if agree else "\nThe explanation does NOT hold.")
    return 0 if agree else 1


if __name__ == "__main__":
    sys.exit(main())
