"""Compare BatchNorm before and after tanh, with paired seeds, from Python.

The command `tinygrad-bn compare` does the same and more: see `tinygrad-bn compare --help`.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import tinygrad_bn as tg


def main(arguments: list[str] | None = None) -> int:
    """Run the comparison twice; return 0 if the second one finds every run done and gives the same numbers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fast", action="store_true", help="8x8 digits and two seeds, for a quick check")
    parser.add_argument("--out", type=Path, help="folder for runs and report; a temporary one by default")
    options = parser.parse_args(arguments)
    config = tg.lab.CompareConfig(
        activations=("tanh",),
        dataset="digits",
        width=4 if options.fast else 16,
        epochs=1 if options.fast else 5,
        seeds=(0, 1) if options.fast else tuple(range(6)),
    )
    with tempfile.TemporaryDirectory() as temporary:
        out = options.out or Path(temporary) / "comparison"
        first = tg.lab.compare(config, out=out)
        again = tg.lab.compare(config, out=out)  # finds every run done, and trains none
        same = [record.result for record in first.records] == [record.result for record in again.records]
        print(first)
        print(f"report: {out / 'report.html'}" if options.out else "give --out to keep the report")
    print("expected the same numbers from finished runs:", "the same" if same else "DIFFERENT")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
