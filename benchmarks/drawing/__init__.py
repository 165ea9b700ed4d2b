"""Drawings of networks, ours beside those of other tools: `make bench-graphs`, told in docs/graphs.md.

The driver (`python -m benchmarks.drawing`) runs where tinygrad_bn is installed. The other tools share an environment,
and each runs in processes of its own; the workers' modules need nothing but NumPy and their tool.
"""
