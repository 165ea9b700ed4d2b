"""What threads that share memory need, for compiled code: atomic operations on integers at an address, and waiting."""

from __future__ import annotations

import platform
import sys
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

_INT = ir.IntType(64)
_ORDER = "seq_cst"
_PAUSES = {"x86_64": "llvm.x86.sse2.pause", "amd64": "llvm.x86.sse2.pause"}  # LLVM's names; elsewhere nothing is done


def _atomic_load(typing_context: Any, address: Any) -> Any:
    """Return the integer at an address."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.load_atomic(_pointer(builder, arguments[0]), _ORDER, 8)

    return types.int64(types.int64), generate


def _atomic_store(typing_context: Any, address: Any, value: Any) -> Any:
    """Write an integer to an address."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        builder.store_atomic(arguments[1], _pointer(builder, arguments[0]), _ORDER, 8)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), generate


def _atomic_add(typing_context: Any, address: Any, value: Any) -> Any:
    """Add to the integer at an address, and return what was there before."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.atomic_rmw("add", _pointer(builder, arguments[0]), arguments[1], _ORDER)

    return types.int64(types.int64, types.int64), generate


def _pause(typing_context: Any) -> Any:
    """Tell the core that this is a waiting loop."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        name = _PAUSES.get(platform.machine().lower())
        if name:
            builder.call(_outside(builder.module, name, ir.VoidType()), [])
        return context.get_dummy_value()

    return types.void(), generate


def _give_way(typing_context: Any) -> Any:
    """Let another thread have the core, where more threads than cores are at work."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        if sys.platform != "win32":
            builder.call(_outside(builder.module, "sched_yield", ir.IntType(32)), [])
        return context.get_dummy_value()

    return types.void(), generate


def _call_part(typing_context: Any, function: Any, part: Any, first: Any, last: Any, block: Any) -> Any:
    """Call the function at an address with three integers and the address of its arguments."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = ir.FunctionType(ir.VoidType(), [_INT] * 4).as_pointer()
        builder.call(builder.inttoptr(arguments[0], kind), arguments[1:])
        return context.get_dummy_value()

    return types.void(*[types.int64] * 5), generate


def _outside(module: Any, name: str, result: Any) -> Any:
    """Return a function without arguments that is defined outside this module."""
    return module.globals.get(name) or ir.Function(module, ir.FunctionType(result, []), name)


def _pointer(builder: Any, address: Any) -> Any:
    return builder.inttoptr(address, _INT.as_pointer())


atomic_load: Any = intrinsic(_atomic_load)
atomic_store: Any = intrinsic(_atomic_store)
atomic_add: Any = intrinsic(_atomic_add)
pause: Any = intrinsic(_pause)
give_way: Any = intrinsic(_give_way)
call_part: Any = intrinsic(_call_part)
