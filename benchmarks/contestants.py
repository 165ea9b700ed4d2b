"""Who takes part: a framework with its settings, and how its worker is started."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from . import environments
from .protocol import Worker


@dataclass(frozen=True)
class Contestant:
    """A framework in one of its forms.

    Args:
        name: for the command line and the tables.
        peer: whose environment it runs in; "" is this project's own.
        module: the worker, and its arguments.
        variables: environment variables of its worker alone.
    """

    name: str
    peer: str
    module: tuple[str, ...]
    variables: dict[str, str] = field(default_factory=dict)


def _known_coretype() -> dict[str, str]:
    """Return a setting for the OpenBLAS of 2022 in the old NumPy, which takes newer processors for very old ones."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return {}
    features = next((line.split() for line in text.splitlines() if line.startswith("flags")), [])
    best = [core for feature, core in (("avx512dq", "SkylakeX"), ("avx2", "Haswell")) if feature in features]
    return {"OPENBLAS_CORETYPE": best[0]} if best else {}


OURS = Contestant("ours", "", ("benchmarks.worker_ours",))

EAGER = ("torch-eager", "torch-channels-last")
"""PyTorch's two memory layouts, of which the better one counts."""

PEERS: tuple[Contestant, ...] = (
    Contestant("torch-eager", "torch", ("benchmarks.worker_torch", "eager")),
    Contestant("torch-channels-last", "torch", ("benchmarks.worker_torch", "channels-last")),
    Contestant("torch-compile", "torch", ("benchmarks.worker_torch", "compile")),
    Contestant("jax", "jax", ("benchmarks.worker_jax",)),
    Contestant("chainer", "chainer", ("benchmarks.worker_chainer",), _known_coretype()),
    Contestant("dezero", "dezero", ("benchmarks.worker_dezero",), _known_coretype()),
)


def ours_with(coretype: str) -> Contestant:
    """Return this project with OpenBLAS told which processor it runs on."""
    return Contestant(f"ours-{coretype}", OURS.peer, OURS.module, {"OPENBLAS_CORETYPE": coretype})


def chosen_peers(names: str | None) -> list[Contestant]:
    """Return the peers of a comma-separated list of names or environments ("torch" is all three); None means all.

    Raises:
        ValueError: an unknown name.
    """
    if names is None:
        return list(PEERS)
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    known = {word for peer in PEERS for word in (peer.name, peer.peer)}
    for name in wanted:
        if name not in known:
            raise ValueError(f"unknown peer {name!r}; known are {', '.join(sorted(known))}")
    return [peer for peer in PEERS if peer.name in wanted or peer.peer in wanted]


def start(contestant: Contestant, threads: int, log: Path, tell: Callable[[str], None]) -> Worker:
    """Start a contestant's worker; its environment is made first if it is not there.

    Raises:
        PeerMissingError: its environment cannot be made.
    """
    python = Path(sys.executable)
    variables = {name: value for name, value in os.environ.items() if name != "OPENBLAS_CORETYPE"}
    if contestant.peer:
        python = environments.install(contestant.peer, tell)
        cache = environments.cache_of(contestant.peer)
        variables |= {"TORCHINDUCTOR_CACHE_DIR": str(cache), "JAX_COMPILATION_CACHE_DIR": str(cache)}
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "TINYGRAD_BN_THREADS"):
        variables[name] = str(threads)
    command = [str(python), "-m", *contestant.module]
    return Worker(command, variables | contestant.variables, environments.ROOT, log)
