"""Parts of arrays inside kernels, without what a slice costs there: two atomic counts of its owner's references."""

from __future__ import annotations

from typing import Any

from numba import types
from numba.core import cgutils
from numba.extending import intrinsic


def _stretch(typing_context: Any, array: Any, start: Any, end: Any) -> Any:
    """Return array[start:end] of a one-dimensional C-contiguous array, 0 <= start <= end <= size; checks nothing.

    It does not keep the array alive.
    """
    signature = array(array, types.int64, types.int64)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        whole = context.make_array(array)(context, builder, arguments[0])
        start, end = arguments[1:]
        size = builder.sub(end, start)
        part = context.make_array(array)(context, builder)
        context.populate_array(
            part,
            data=builder.gep(whole.data, [start]),
            shape=cgutils.pack_array(builder, [size]),
            strides=cgutils.pack_array(builder, [whole.itemsize]),
            itemsize=whole.itemsize,
            meminfo=None,
        )
        return part._getvalue()

    return signature, generate


stretch: Any = intrinsic(_stretch)
