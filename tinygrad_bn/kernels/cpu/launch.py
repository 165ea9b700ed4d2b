"""Sharing a kernel's work among a team of threads.

The threads are ordinary Python threads that live as long as the process and spend it inside compiled code, without the
interpreter lock: they look at a piece of memory, the noticeboard, for work, for some milliseconds, and only
then go to sleep. To put up a notice takes a microsecond, where waking a sleeping thread takes fifty and more; the
operations of a training step follow each other faster than that.

The caller takes part in its own work and depends on nobody: who comes in time helps. While one Python thread uses
the team, another computes alone. Below a kernel everything is single-threaded, so no two pools fight for the cores.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ...backend import get_num_threads, renew_in_children
from .atomics import atomic_add, atomic_load, atomic_store, call_part, give_way, pause
from .compiler import compile_into, compiled, compiled_entry

_WORTH_SHARING = 15_000.0
"""Nanoseconds of work below which sharing costs more than it saves."""

_PARTS_PER_THREAD = 4
"""More parts than threads, so that a thread whose core is taken away for a while holds nobody up."""

_LOOKS = 100_000
"""How often a thread looks at the noticeboard before it goes to sleep: some milliseconds.

To go to sleep it needs the interpreter lock, so that in the pauses between the kernels of a training step it would
get in the caller's way.
"""

_PATIENCE = 8_000
"""How often the caller looks whether the others are done before it offers them its core."""


def number_of_parts(count: int, nanoseconds: float, most: int | None = None) -> int:
    """Return into how many parts to cut `count` equal pieces of work that take one thread `nanoseconds` in all.

    Args:
        most: the largest number, where every part costs something; by default a few for each thread.
    """
    threads = get_num_threads()
    if threads == 1 or nanoseconds < _WORTH_SHARING:
        return 1
    fair = threads * _PARTS_PER_THREAD if most is None else most
    return max(1, min(count, fair, int(nanoseconds / (_WORTH_SHARING / 4))))


def launch(kernel: Any, count: int, parts: int, *arguments: Any) -> None:
    """Call kernel(part, first, last, *arguments) for each part of range(count), on all threads.

    Args:
        kernel: compiled; it handles the pieces first <= i < last and writes nothing that another part touches.
        count: how many pieces there are.
        parts: how many parts to cut them into; from `number_of_parts`.
    """
    _launch(kernel, count, parts, number_of_seats(parts), 0, arguments)


def number_of_seats(parts: int) -> int:
    """Return how many threads will work on so many parts."""
    return min(parts, get_num_threads())


def launch_seated(kernel: Any, count: int, parts: int, seats: int, *arguments: Any) -> None:
    """As `launch`, but call kernel(seat, first, last, *arguments): each thread has a seat, numbered from 0.

    For kernels that need memory to work in but leave nothing there: one piece for each seat does for all parts.

    Args:
        seats: the largest number of threads; from `number_of_seats`.
    """
    _launch(kernel, count, parts, seats, 1, arguments)


def _launch(kernel: Any, count: int, parts: int, threads: int, seated: int, arguments: tuple[Any, ...]) -> None:
    entry = kernel.__dict__.get("entry") or _make_entry(kernel)
    if threads < 2 or not _team.taken.acquire(blocking=False):
        entry(0, count, parts, threads, seated, arguments)
        return
    try:
        _team.call(threads - 1)
        entry(_team.address, count, parts, threads, seated, arguments)
    finally:
        _team.taken.release()


_NAP = 0.002  # seconds

# The noticeboard: integers, each group on a cache line of its own.
_NUMBER, _FUNCTION, _BLOCK, _COUNT, _PARTS, _THREADS, _SEATED = 0, 8, 9, 10, 11, 12, 13
_NEXT, _SEATS, _ENDED, _READERS, _LINES = 16, 17, 24, 32, 40
_WORD = 8


@compiled
def _take_parts(board: int) -> None:
    """Do parts of the work on the noticeboard until none is left, if there is a seat."""
    seat = atomic_add(board + _SEATS * _WORD, 1)
    if seat >= atomic_load(board + _THREADS * _WORD):
        return
    seated = atomic_load(board + _SEATED * _WORD)
    parts, count = atomic_load(board + _PARTS * _WORD), atomic_load(board + _COUNT * _WORD)
    function, block = atomic_load(board + _FUNCTION * _WORD), atomic_load(board + _BLOCK * _WORD)
    while True:
        part = atomic_add(board + _NEXT * _WORD, 1)
        if part >= parts:
            break
        call_part(function, seat if seated else part, count * part // parts, count * (part + 1) // parts, block)
        atomic_add(board + _ENDED * _WORD, 1)


@compiled
def _share(board: int, function: int, block: int, count: int, parts: int, threads: int, seated: int) -> None:
    """Put work on the noticeboard, take part in it, and take it down when all of it is done."""
    atomic_store(board + _FUNCTION * _WORD, function)
    atomic_store(board + _BLOCK * _WORD, block)
    atomic_store(board + _COUNT * _WORD, count)
    atomic_store(board + _PARTS * _WORD, parts)
    atomic_store(board + _THREADS * _WORD, threads)
    atomic_store(board + _SEATED * _WORD, seated)
    atomic_store(board + _SEATS * _WORD, 0)
    atomic_store(board + _NEXT * _WORD, 0)
    atomic_store(board + _ENDED * _WORD, 0)
    atomic_add(board + _NUMBER * _WORD, 1)  # odd: there is work
    _take_parts(board)
    _await(board + _ENDED * _WORD, parts)
    atomic_add(board + _NUMBER * _WORD, 1)  # even: none
    _await(board + _READERS * _WORD, 0)  # who came late must not read a block that is gone


@compiled
def _await(address: int, value: int) -> None:
    looks = 0
    while atomic_load(address) != value:
        pause()
        looks += 1
        if looks > _PATIENCE:
            give_way()


@compiled
def _serve(board: int) -> None:
    """Help with whatever comes up on the noticeboard; return when nothing has for a while."""
    seen = 0
    looks = 0
    while looks < _LOOKS:
        number = atomic_load(board + _NUMBER * _WORD)
        if number % 2 == 0 or number == seen:
            pause()
            looks += 1
            continue
        atomic_add(board + _READERS * _WORD, 1)
        if atomic_load(board + _NUMBER * _WORD) == number:
            _take_parts(board)
        atomic_add(board + _READERS * _WORD, -1)
        seen = number
        looks = 0


class _Team:
    """The threads that help, and their noticeboard."""

    def __init__(self) -> None:
        self.taken = threading.Lock()
        self._board = np.zeros(_LINES + 8, dtype=np.int64)
        self.address = int(self._board.ctypes.data + -self._board.ctypes.data % 64)
        self._asleep = threading.Semaphore(0)
        self._counting = threading.Lock()
        self._sleepers = 0
        self._members = 0

    def call(self, helpers: int) -> None:
        """Make sure that so many threads are there and none is asleep."""
        while self._members < helpers:
            threading.Thread(target=self._live, name="tinygrad_bn", daemon=True).start()
            self._members += 1
        if self._sleepers:
            with self._counting:
                sleepers, self._sleepers = self._sleepers, 0
            self._asleep.release(sleepers)

    def _live(self) -> None:
        while True:
            _serve(self.address)
            with self._counting:
                self._sleepers += 1
            # A notice that goes up just now was put there by somebody who took us for awake: look again, once.
            if not self._asleep.acquire(timeout=_NAP):
                _serve(self.address)
                self._asleep.acquire()


_team = _Team()


def _start_afresh() -> None:
    """Make a new team in a forked child, where the parent's threads do not exist."""
    global _team
    _team = _Team()


renew_in_children(_start_afresh)


def _make_entry(kernel: Any) -> Any:
    """Return the compiled function that shares a kernel's work, and remember it."""

    def put_down(typing_context: Any, arguments: Any) -> Any:
        """Put the arguments into memory; return the address of a function that finds them there, and theirs."""
        part_signature = types.void(types.int64, types.int64, types.int64, *arguments)

        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            integer = ir.IntType(64)
            kind = ir.FunctionType(ir.VoidType(), [integer] * 4)
            function = ir.Function(builder.module, kind, f"unpack_{kernel.__name__}")
            function.linkage = "internal"
            inside = ir.IRBuilder(function.append_basic_block())
            *piece, block = function.args
            unpacked = inside.load(inside.inttoptr(block, values[0].type.as_pointer()))
            description = compile_into(context, kernel, part_signature)
            operands = [*piece, *cgutils.unpack_tuple(inside, unpacked)]
            context.call_internal_no_propagate(inside, description, part_signature, operands)
            inside.ret_void()
            block = builder.ptrtoint(cgutils.alloca_once_value(builder, values[0]), integer)
            return context.make_tuple(builder, signature.return_type, [builder.ptrtoint(function, integer), block])

        return types.UniTuple(types.int64, 2)(arguments), generate

    put_down_arguments: Any = intrinsic(put_down)

    def entry(board: int, count: int, parts: int, threads: int, seated: int, arguments: Any) -> None:
        function, block = put_down_arguments(arguments)
        if board == 0:
            for part in range(parts):
                seat_or_part = 0 if seated else part
                call_part(function, seat_or_part, count * part // parts, count * (part + 1) // parts, block)
        else:
            _share(board, function, block, count, parts, threads, seated)

    kernel.entry = compiled_entry(entry, kernel)
    return kernel.entry
