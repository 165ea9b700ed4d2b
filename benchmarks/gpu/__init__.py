"""Everything there is to find out on a GPU, in one run without a network: `make gpu-check`, told in docs/gpu.md.

The driver (`python -m benchmarks.gpu`) needs no GPU itself: what needs one runs in processes of their own, so that one
that dies takes nothing along. All of them use the interpreter that runs the driver.
"""
