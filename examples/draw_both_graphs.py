"""Draw one block in both orders, and BatchNorm opened into its primitive operations."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import tinygrad_bn as tg
from tinygrad_bn import nn


def main(arguments: list[str] | None = None) -> int:
    """Write three drawings; return 0 if both orders show the same operations, in a different sequence."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fast", action="store_true", help="accepted for symmetry with the other examples")
    parser.add_argument("--out", type=Path, help="folder for the drawings; a temporary one by default")
    options = parser.parse_args(arguments)

    sequences = {}
    with tempfile.TemporaryDirectory() as temporary:
        out = options.out or Path(temporary)
        for order in ("convention", "swap"):
            tg.manual_seed(0)
            model = nn.ConvBlock(1, 8, 3, padding=1, order=order, activation="tanh")
            with nn.fusion(False):  # each operation is to be a node of its own, as in the drawing
                output = model(tg.randn(2, 1, 8, 8))
            print(tg.viz.draw(model, (2, 1, 8, 8)).render(out / order, format="svg"))
            node, names = output._node, []
            while node is not None:
                names.append(node.op.name)
                node = node.edges[0] if isinstance(node.edges[0], type(node)) else None
            sequences[order] = names[::-1]
        tg.manual_seed(0)
        block = nn.ConvBlock(1, 8, 3, padding=1, order="swap", activation="tanh")
        print(tg.viz.draw(block, (2, 1, 8, 8), expand=("batch_norm",)).render(out / "opened", format="svg"))

    for order, names in sequences.items():
        print(f"{order:12}", " -> ".join(names))
    agree = sequences["convention"] != sequences["swap"] and sorted(sequences["convention"]) == sorted(
        sequences["swap"]
    )
    print("expected the same operations in another sequence:", "seen" if agree else "NOT seen")
    return 0 if agree else 1


if __name__ == "__main__":
    sys.exit(main())
