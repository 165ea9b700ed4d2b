"""An environment for each peer, made when first needed; a peer that cannot be had is named with the reason."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from tinygrad_bn.files import atomic_writer

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / ".venv-bench"

# NumPy 1.23 is the last that still has the names `np.bool` and `np.int`, which Chainer and DeZero use.
OLD_NUMPY = "numpy==1.23.5"

INSTALLATIONS: dict[str, tuple[tuple[str, ...], ...]] = {
    "torch": (("torch==2.13.0", "numpy>=2.0", "setuptools", "threadpoolctl"),),
    "jax": (("jax==0.10.2", "threadpoolctl"),),
    # Chainer's setup.py needs a setuptools that still has pkg_resources, and so does Chainer itself.
    "chainer": ((OLD_NUMPY, "setuptools<70", "wheel", "threadpoolctl"), ("--no-build-isolation", "chainer==7.8.1")),
    "dezero": ((OLD_NUMPY, "dezero==0.0.13", "matplotlib", "threadpoolctl"),),
}
"""What pip is asked to install, call by call, for each peer."""


class PeerMissingError(Exception):
    """A peer that cannot be installed or started here, and why."""


def python_of(peer: str) -> Path:
    """Return the interpreter of a peer's environment."""
    return FOLDER / peer / "bin" / "python"


def cache_of(peer: str) -> Path:
    """Return the folder for what a peer compiles and keeps."""
    return FOLDER / peer / "cache"


def install(peer: str, tell: Callable[[str], None]) -> Path:
    """Return the interpreter of a peer's environment, which is made and filled if it is not there yet.

    Raises:
        PeerMissingError: it cannot be had; the message has the last line of what pip said.
    """
    return make(peer, INSTALLATIONS[peer], tell)


def make(name: str, calls: Sequence[Sequence[str]], tell: Callable[[str], None]) -> Path:
    """Return the interpreter of an environment, made anew unless pip was asked for just this with this Python.

    Raises:
        PeerMissingError: it cannot be had; the message has the last line of what pip said.
    """
    stamp = FOLDER / name / "installed.json"
    wanted = {"python": sys.version.split()[0], "calls": [list(call) for call in calls]}
    if stamp.exists() and json.loads(stamp.read_text(encoding="utf-8")) == wanted:
        return python_of(name)
    tell(f"installing {name} into {stamp.parent.relative_to(ROOT)} (once; needs the network)")
    _run(name, [sys.executable, "-m", "venv", "--clear", str(stamp.parent)])
    for call in calls:
        add(name, call)
    with atomic_writer(stamp) as file:
        file.write(json.dumps(wanted, indent=2).encode())
    return python_of(name)


def add(name: str, call: Sequence[str]) -> None:
    """Ask pip for something in an environment; nothing happens, and no network is needed, where it is there.

    Raises:
        PeerMissingError: it cannot be had.
    """
    _run(name, [str(python_of(name)), "-m", "pip", "--disable-pip-version-check", "install", "--quiet", *call])


def _run(peer: str, command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        errors = [line for line in said if line.lower().startswith("error")] or said or ["no message"]
        raise PeerMissingError(f"{peer} cannot be installed: {errors[-1].strip()}")
