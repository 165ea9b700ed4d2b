#!/usr/bin/env python3
r"""Make the data files that the package carries, byte for byte, from the original files.

    python scripts/make_embedded_data.py --from /usr/share/datasets/fashion-mnist \
        --out tinygrad_bn/data/files --check

`--from` is the folder with the four IDX files of Fashion-MNIST (Debian's package dataset-fashion-mnist),
`--digits` the file digits.csv.gz of scikit-learn (by default that of the installed scikit-learn). With
`--check` nothing is written: the files in `--out` are compared with what would have been written.

The draw uses only the raw numbers of NumPy's Philox generator, which never change, and the files are
compressed with bzip2, whose encoder has been the same since version 1.0. Images keep the order of the
original files.
"""

from __future__ import annotations

import argparse
import bz2
import gzip
import hashlib
import importlib.util
import os
import sys
from pathlib import Path

import numpy as np

from tinygrad_bn.data.dataset import balanced_choice
from tinygrad_bn.data.embedded import DIGITS_8X8, FASHION_MINI
from tinygrad_bn.data.full_sets import FASHION_MNIST
from tinygrad_bn.data.idx import encode_idx, read_idx
from tinygrad_bn.errors import DataError, explain

SEED = 0
FASHION_COUNTS = {"train": 6000, "test": 2000}
DIGITS_TEST_COUNT = 360
DIGITS_CSV_SHA256 = "6ebb3d2fee246a4e99363262ddf8a00a3c41bee6014c373ed9d9216ba7f651b8"


def fashion_parts(folder: Path) -> dict[str, np.ndarray]:
    """Return the images and labels of fashion_mini, drawn from the original files."""
    parts = {}
    for split, prefix in (("train", "train"), ("test", "t10k")):
        arrays = []
        for kind in ("images-idx3-ubyte", "labels-idx1-ubyte"):
            name = f"{prefix}-{kind}"
            path = next((p for p in (folder / name, folder / f"{name}.gz") if p.is_file()), folder / name)
            arrays.append(read_idx(path, FASHION_MNIST.sha256[name]))
        images, labels = arrays
        chosen = balanced_choice(labels, FASHION_COUNTS[split], SEED)
        parts[f"{split}-images"] = images[chosen]
        parts[f"{split}-labels"] = labels[chosen]
    return parts


def digits_parts(csv: Path) -> dict[str, np.ndarray]:
    """Return the images and labels of digits, split into training and test images."""
    try:
        text = gzip.decompress(csv.read_bytes())
    except (OSError, EOFError) as error:
        raise DataError(explain("make_embedded_data", f"a readable file {csv}", f"{error}")) from error
    digest = hashlib.sha256(text).hexdigest()
    if digest != DIGITS_CSV_SHA256:
        raise DataError(explain("make_embedded_data", f"{csv} with SHA-256 {DIGITS_CSV_SHA256}", digest))
    table = np.array([line.split(",") for line in text.decode("ascii").split()], dtype=np.uint8)
    images, labels = table[:, :-1].reshape(-1, 8, 8), table[:, -1]
    test = balanced_choice(labels, DIGITS_TEST_COUNT, SEED)
    return {
        "train-images": images[~test],
        "train-labels": labels[~test],
        "test-images": images[test],
        "test-labels": labels[test],
    }


def installed_digits() -> Path:
    """Return the digits file of the installed scikit-learn."""
    spec = importlib.util.find_spec("sklearn")
    if spec is None or spec.origin is None:
        raise DataError(explain("make_embedded_data", "scikit-learn to be installed", "none", "or give --digits FILE"))
    return Path(spec.origin).parent / "datasets" / "data" / "digits.csv.gz"


def main(arguments: list[str] | None = None) -> int:
    """Write or compare the files; return 0 when all is well."""
    parser = argparse.ArgumentParser(description="Make the data files that the package carries.")
    parser.add_argument("--from", dest="source", type=Path, required=True, help="folder with Fashion-MNIST's files")
    parser.add_argument("--digits", type=Path, help="digits.csv.gz (default: that of the installed scikit-learn)")
    parser.add_argument("--out", type=Path, required=True, help="folder of the files made")
    parser.add_argument("--check", action="store_true", help="compare with the files in --out, write nothing")
    options = parser.parse_args(arguments)

    files: dict[str, bytes] = {}
    for made, parts in (
        (FASHION_MINI, fashion_parts(options.source)),
        (DIGITS_8X8, digits_parts(options.digits or installed_digits())),
    ):
        for part, array in parts.items():
            contents = encode_idx(array)
            files[made.file_name(part)] = bz2.compress(contents, 9)
            print(f"{made.file_name(part)} {array.shape} contents {hashlib.sha256(contents).hexdigest()}")

    if options.check:
        different = [name for name, data in files.items() if _stored(options.out / name) != data]
        for name in different:
            print(f"DIFFERENT: {options.out / name}", file=sys.stderr)
        print(f"{len(files) - len(different)} of {len(files)} files are the same, byte for byte")
        return 1 if different else 0

    options.out.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        temporary = options.out / f".{name}.part"
        temporary.write_bytes(data)
        os.replace(temporary, options.out / name)
    print(f"{len(files)} files, {sum(map(len, files.values()))} bytes, written to {options.out}")
    return 0


def _stored(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


if __name__ == "__main__":
    try:
        sys.exit(main())
    except DataError as error:
        sys.exit(f"error: {error}")
