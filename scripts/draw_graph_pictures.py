"""Draw the pictures of docs/graphs.md.

python scripts/draw_graph_pictures.py [FOLDER]
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

import tinygrad_bn as tg
from tinygrad_bn import nn
from tinygrad_bn.viz import diff, draw


def main(folder: Path) -> None:
    """Write all pictures into a folder."""
    tg.manual_seed(0)
    orders = ("convention", "swap")

    networks = {order: nn.build_model("vgg16", order=order, activation="tanh") for order in orders}
    view: dict[str, Any] = {"depth": 2, "show_shapes": "inside", "parameters": "hidden"}
    draw(networks, (2, 3, 32, 32), name="VGG16", theme="auto", **view).render(folder / "graph-orders")

    difference = diff(networks["convention"], networks["swap"], (2, 3, 32, 32), names=orders, theme="auto")
    difference.render(folder / "diff-vgg16")

    batch = tg.randn(4, 3, 6, 6, requires_grad=True)
    batch.name = "input"
    opened = draw(nn.BatchNorm2d(3), batch, expand="batch_norm", backward=True, theme="auto")
    opened.render(folder / "graph-batch-norm")

    bump = np.outer([0, 1, 2, 1, 0], [0, 1, 2, 1, 0]).astype(np.float32)
    image = tg.tensor(bump[None, None], requires_grad=True, name="image")
    layers = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.BatchNorm2d(2), nn.ReLU(), nn.MaxPool2d(2))
    numbers = draw(layers, image, observe=True, show_values=True, backward=True, name="5×5", theme="auto")
    numbers.render(folder / "graph-numbers")

    small = {order: nn.SmallCNN(width=8, order=order, activation="tanh") for order in orders}
    view = {"parameters": "hidden", "show_attributes": False, "show_shapes": False}
    coloured = draw(
        small, (64, 1, 28, 28), name="small CNN", observe=True, colour_by="saturation", theme="auto", **view
    )
    coloured.render(folder / "graph-saturation")

    block = nn.ConvBlock(1, 16, 3, padding=1, order="swap", activation="tanh")
    draw(block.eval(), (8, 1, 28, 28), show_costs=True, theme="auto").render(folder / "graph-block")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("docs/images"))
