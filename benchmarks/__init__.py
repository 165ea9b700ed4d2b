"""Side-by-side benchmarks against other frameworks: `make bench`, told in docs/benchmarks.md.

The driver (`python -m benchmarks`) runs where tinygrad_bn is installed. Each framework runs in an environment and a
process of its own; the workers' modules, and what they import, need nothing but NumPy and their framework.
"""
