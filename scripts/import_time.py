"""Measure what `import tinygrad_bn` costs over `import numpy`.

Fresh interpreters run the two in turn, so that a slow moment of the machine hits both; the medians are
compared. The goal is at most 0.15 s. A figure, not a test: a busy machine may miss it and nobody is at fault.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys

CLOCK = "import time; start = time.perf_counter(); import {module}; print(time.perf_counter() - start)"


def seconds_to_import(module: str) -> float:
    """Return how long a fresh interpreter takes over `import module`, in seconds."""
    done = subprocess.run(
        [sys.executable, "-c", CLOCK.format(module=module)], capture_output=True, text=True, check=True
    )
    return float(done.stdout)


def main() -> None:
    """Print the two medians and their difference."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, default=21, help="interpreters per module (default 21)")
    runs: int = parser.parse_args().runs
    modules = ("numpy", "tinygrad_bn")
    for module in modules:
        seconds_to_import(module)  # writes the byte code and warms the disk cache
    times: dict[str, list[float]] = {module: [] for module in modules}
    for _ in range(runs):
        for module in modules:
            times[module].append(seconds_to_import(module))
    median = {module: statistics.median(times[module]) for module in modules}
    for module in modules:
        print(f"import {module:<12} {median[module]:.3f} s  (median of {runs} interpreters)")
    print(f"added by tinygrad_bn {median['tinygrad_bn'] - median['numpy']:.3f} s  (goal: at most 0.150 s)")


if __name__ == "__main__":
    main()
