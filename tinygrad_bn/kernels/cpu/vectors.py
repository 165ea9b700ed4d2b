"""Vectors in compiled kernels: as many channels of one pixel as fit into a register.

A compiler makes vectors of a plain loop over channels, but loads and stores around it what should stay in registers,
such as the weights or the sums of a depthwise convolution. Kernels that work on vectors say so themselves.

Positions are counted in elements from the beginning of an array, whose memory has no gaps. A mask says which lanes
take part: the others are read as 0 and not written, and their memory is not touched.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, register_model

from .tile import VECTOR_BYTES

_INT32, _BIT = ir.IntType(32), ir.IntType(1)


class _Vector(types.Type):
    """Numba's type of a vector; its elements are bits if it is a mask."""

    def __init__(self, scalar: Any, lanes: int) -> None:
        self.scalar = scalar
        self.lanes = lanes
        super().__init__(f"Vector({scalar}, {lanes})")


@register_model(_Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        element = _BIT if kind.scalar == types.boolean else manager.lookup(kind.scalar).get_value_type()
        super().__init__(manager, kind, ir.VectorType(element, kind.lanes))


def _first_lanes(typing_context: Any, array: Any, count: Any) -> Any:
    """Return the mask of the first `count` lanes of a vector of the array's dtype; all of them if there are fewer."""
    lanes = VECTOR_BYTES * 8 // array.dtype.bitwidth

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        many = ir.Constant(arguments[1].type, lanes)
        few = builder.select(builder.icmp_signed("<", arguments[1], many), arguments[1], many)
        numbers = ir.Constant(ir.VectorType(_INT32, lanes), list(range(lanes)))
        return builder.icmp_signed("<", numbers, _spread(builder, builder.trunc(few, _INT32), lanes))

    return _Vector(types.boolean, lanes)(array, types.int64), generate


def _load(typing_context: Any, array: Any, position: Any, mask: Any) -> Any:
    """Read a vector."""
    result = _Vector(array.dtype, mask.lanes)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        vector = context.get_value_type(result)
        place = _place(context, builder, signature.args[0], arguments, vector)
        return _masked_load(builder, place, arguments[2], vector)

    return result(array, types.int64, mask), generate


def _store(typing_context: Any, array: Any, position: Any, mask: Any, vector: Any) -> Any:
    """Write a vector of the array's dtype."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        *_, mask, value = arguments
        _masked_store(builder, _place(context, builder, signature.args[0], arguments, value.type), mask, value)
        return context.get_dummy_value()

    return types.void(array, types.int64, mask, _Vector(array.dtype, mask.lanes)), generate


def _add_into(typing_context: Any, array: Any, position: Any, mask: Any, vector: Any) -> Any:
    """Add a vector to what the array, perhaps of a wider dtype, holds."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        wide = ir.VectorType(context.get_value_type(array.dtype), mask.lanes)
        place = _place(context, builder, signature.args[0], arguments, wide)
        value = arguments[3] if vector.scalar == array.dtype else builder.fpext(arguments[3], wide)
        total = builder.fadd(_masked_load(builder, place, arguments[2], wide), value)
        _masked_store(builder, place, arguments[2], total)
        return context.get_dummy_value()

    return types.void(array, types.int64, mask, vector), generate


def _filled(typing_context: Any, array: Any, mask: Any, value: Any) -> Any:
    """Return a vector of the array's dtype with the value in every lane."""
    result = _Vector(array.dtype, mask.lanes)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _spread(builder, context.cast(builder, arguments[2], value, array.dtype), mask.lanes)

    return result(array, mask, value), generate


def _plus(typing_context: Any, a: Any, b: Any) -> Any:
    """Return a + b."""
    return a(a, b), lambda context, builder, signature, arguments: builder.fadd(*arguments)


def _times(typing_context: Any, a: Any, b: Any) -> Any:
    """Return a * b."""
    return a(a, b), lambda context, builder, signature, arguments: builder.fmul(*arguments)


def _fma(typing_context: Any, a: Any, b: Any, c: Any) -> Any:
    """Return a * b + c."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _call(builder, "fma", arguments[0].type, arguments, arguments[0].type)

    return a(a, b, c), generate


def _larger_or_nan(typing_context: Any, a: Any, b: Any) -> Any:
    """Return the mask of the lanes where a > b or a is not a number."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        a, b = arguments
        return builder.or_(builder.fcmp_ordered(">", a, b), builder.fcmp_unordered("uno", a, a))

    return _Vector(types.boolean, a.lanes)(a, b), generate


def _equal(typing_context: Any, a: Any, b: Any) -> Any:
    """Return the mask of the lanes where two vectors of integers are equal."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.icmp_unsigned("==", *arguments)

    return _Vector(types.boolean, a.lanes)(a, b), generate


def _select(typing_context: Any, mask: Any, a: Any, b: Any) -> Any:
    """Return a in the lanes of the mask, and b elsewhere."""
    return a(mask, a, b), lambda context, builder, signature, arguments: builder.select(*arguments)


def _prefetch(typing_context: Any, array: Any, position: Any) -> Any:
    """Ask for the cache line at a position, which need not lie in the array."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        byte = ir.IntType(8).as_pointer()
        place = _place(context, builder, signature.args[0], arguments, ir.IntType(8))
        kind = ir.FunctionType(ir.VoidType(), [byte, _INT32, _INT32, _INT32])
        function = _declared(builder, kind, "llvm.prefetch.p0")
        builder.call(function, [place, *(ir.Constant(_INT32, number) for number in (0, 3, 1))])
        return context.get_dummy_value()

    return types.void(array, types.int64), generate


def _place(context: Any, builder: Any, kind: Any, arguments: Any, vector: Any) -> Any:
    data = context.make_array(kind)(context, builder, arguments[0]).data
    return builder.bitcast(builder.gep(data, [arguments[1]]), vector.as_pointer())


def _masked_load(builder: Any, place: Any, mask: Any, vector: Any) -> Any:
    zero = ir.Constant(vector, [0] * vector.count)
    return _call(builder, "masked.load", vector, [place, _alignment(vector), mask, zero], vector)


def _masked_store(builder: Any, place: Any, mask: Any, value: Any) -> None:
    _call(builder, "masked.store", value.type, [value, place, _alignment(value.type), mask], ir.VoidType())


def _alignment(vector: Any) -> Any:
    return ir.Constant(_INT32, _bits(vector.element) // 8)


def _bits(element: Any) -> int:
    return {ir.FloatType(): 32, ir.DoubleType(): 64}.get(element) or int(element.width)


def _call(builder: Any, operation: str, vector: Any, arguments: Any, result: Any) -> Any:
    """Call LLVM's own function of that name for a kind of vector."""
    letter = "i" if isinstance(vector.element, ir.IntType) else "f"
    ending = ".p0" if operation.startswith("masked") else ""
    name = f"llvm.{operation}.v{vector.count}{letter}{_bits(vector.element)}{ending}"
    kind = ir.FunctionType(result, [argument.type for argument in arguments])
    return builder.call(_declared(builder, kind, name), arguments)


def _declared(builder: Any, kind: Any, name: str) -> Any:
    return cgutils.get_or_insert_function(builder.module, kind, name)


def _spread(builder: Any, element: Any, lanes: int) -> Any:
    """Return a vector with the element in every lane."""
    undefined = ir.Constant(ir.VectorType(element.type, lanes), ir.Undefined)
    first = builder.insert_element(undefined, element, ir.Constant(_INT32, 0))
    return builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(_INT32, lanes), [0] * lanes))


first_lanes: Any = intrinsic(_first_lanes)
load: Any = intrinsic(_load)
store: Any = intrinsic(_store)
add_into: Any = intrinsic(_add_into)
filled: Any = intrinsic(_filled)
plus: Any = intrinsic(_plus)
times: Any = intrinsic(_times)
fma: Any = intrinsic(_fma)
larger_or_nan: Any = intrinsic(_larger_or_nan)
equal: Any = intrinsic(_equal)
select: Any = intrinsic(_select)
prefetch: Any = intrinsic(_prefetch)
