"""cuDNN's plans for the convolutions of one GPU: made once for each shape, kept, and chosen by rule or by the clock.

By default a plan is the one that cuDNN's heuristics put first: the same shapes give the same bits in every run. With
`set_cudnn_benchmark(True)` its first ten are timed when a shape is first met, and the fastest is kept.
"""

from __future__ import annotations

import itertools
import math
import statistics
import threading
from typing import Any, NamedTuple

import numpy as np

from ...backend import Device, get_cudnn_benchmark, once, recording
from .cudnn_graphs import Convolution, build, buildable

_LARGEST_WORKSPACE = 256 << 20
"""Bytes; plans that need more are not timed, except for cuDNN's favourite."""

_MOST_TIMED = 10
"""Plans for a convolution: cuDNN lists them by what it expects of them, and has up to 40."""

_ROUNDS, _RUNS = 3, 10
"""How often a plan is timed, and how many runs of it are timed as one, so that the host does not count."""


class RefusedError(Exception):
    """cuDNN has no plan for a convolution."""


class Plan(NamedTuple):
    """One of the plans of a graph: its number there, and the bytes of its workspace."""

    graph: Any
    number: int
    workspace: int


class Plans:
    """A handle of cuDNN for the GPU that is current when it is made, and the plans made with it.

    Plans are never dropped: a captured step goes on running the code of those that it was recorded with.

    Args:
        cudnn: what `load_cudnn` returns.
        device: the GPU.
    """

    def __init__(self, cudnn: Any, device: Device) -> None:
        self._cudnn = cudnn
        self._device = device
        self._handle = cudnn.create_handle()
        self._stream: int | None = None
        self._lock = threading.Lock()  # between choosing a stream and using it
        self._chosen: dict[Convolution, Plan] = {}
        self._fastest: dict[Convolution, Plan] = {}
        self._refused: dict[Convolution, str] = {}

    def execute(self, convolution: Convolution, arrays: dict[int, Any]) -> None:
        """Compute a convolution on the current stream.

        Args:
            convolution: what to compute.
            arrays: the operands and the result by their numbers, see `cudnn_graphs`; aligned to 16 bytes.

        Raises:
            RefusedError: cuDNN cannot; nothing was computed.
        """
        if convolution in self._refused:
            raise RefusedError(self._refused[convolution])
        pointers = {number: array.data.ptr for number, array in arrays.items()}
        with self._lock:
            self._use_current_stream()
            self._run(self._plan(convolution, pointers), pointers)

    def names(self) -> dict[Convolution, str]:
        """Return what cuDNN calls the plans that are in use, which tells their engines."""
        chosen = self._chosen | self._fastest
        return {convolution: plan.graph.get_plan_name_at_index(plan.number) for convolution, plan in chosen.items()}

    def _use_current_stream(self) -> None:
        stream = self._device.xp.cuda.get_current_stream().ptr
        if stream != self._stream:
            self._cudnn.set_stream(handle=self._handle, stream=stream)
            self._stream = stream

    def _plan(self, convolution: Convolution, pointers: dict[int, int]) -> Plan:
        if get_cudnn_benchmark():
            plan = self._fastest.get(convolution)
            if plan is not None:
                return plan
            if recording() is None:  # a captured step cannot wait for the clock
                plan = self._fastest[convolution] = self._timed(self._plans(convolution, _MOST_TIMED), pointers)
                return plan
        plan = self._chosen.get(convolution)
        if plan is None:
            plan = self._chosen[convolution] = self._plans(convolution, 1)[0]
        return plan

    def _plans(self, convolution: Convolution, at_most: int) -> list[Plan]:
        """Return plans for a convolution, cuDNN's favourite first."""
        try:
            with once():
                graph = build(self._cudnn, convolution, handle=self._handle)
                plans = [Plan(graph, *found) for found in itertools.islice(buildable(self._cudnn, graph), at_most)]
        except (self._cudnn.cudnnGraphNotSupportedError, RuntimeError) as error:
            raise self._refusal(convolution, str(error)) from error
        if not plans:
            raise self._refusal(convolution, "no plan for it is as precise as is asked and repeats its bits")
        return plans

    def _refusal(self, convolution: Convolution, reason: str) -> RefusedError:
        self._refused[convolution] = reason
        return RefusedError(reason)

    def _timed(self, plans: list[Plan], pointers: dict[int, int]) -> Plan:
        """Return the fastest of several plans; each computes the result anew."""
        small = [plan for plan in plans[1:] if plan.workspace <= _LARGEST_WORKSPACE]
        times = [self._milliseconds(plan, pointers) for plan in (plans[0], *small)]
        return (plans[0], *small)[times.index(min(times))]

    def _milliseconds(self, plan: Plan, pointers: dict[int, int]) -> float:
        cuda = self._device.xp.cuda
        try:
            self._run(plan, pointers)  # loads the code
        except (RuntimeError, MemoryError):
            return math.inf  # it can be built, and not be run
        times: list[float] = []
        for _ in range(_ROUNDS):
            before, after = cuda.Event(), cuda.Event()
            before.record()
            for _ in range(_RUNS):
                self._run(plan, pointers)
            after.record()
            after.synchronize()
            times.append(cuda.get_elapsed_time(before, after))
        return statistics.median(times)

    def _run(self, plan: Plan, pointers: dict[int, int]) -> None:
        # What is given back is not used again before the plan is done with it: the pool gives it to this stream only.
        workspace = self._device.memory.workspace((max(plan.workspace, 1),), np.uint8)
        plan.graph.execute_plan_at_index(pointers, workspace.data.ptr, plan.number, self._handle)
