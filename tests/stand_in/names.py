"""What CuPy has of NumPy's functions, methods and constants, of those that an engine like this could want."""

from __future__ import annotations

_ufuncs = """
abs absolute add arccos arccosh arcsin arcsinh arctan arctan2 arctanh bitwise_and bitwise_or bitwise_xor ceil
copysign cos cosh equal exp expm1 floor floor_divide greater greater_equal invert isfinite isinf isnan less
less_equal log log1p logical_and logical_not logical_or maximum minimum multiply negative not_equal power
remainder rint sign sin sinh sqrt square subtract tan tanh true_divide
"""
UFUNCS = frozenset(_ufuncs.split())
UFUNC_PARAMETERS = "out where dtype casting"

# By name: the names of their parameters in CuPy, which are fewer than in NumPy.
FUNCTIONS = {
    "all": "a axis out keepdims",
    "any": "a axis out keepdims",
    "arange": "start stop step dtype",
    "argmax": "a axis dtype out keepdims",
    "argmin": "a axis dtype out keepdims",
    "argsort": "a axis kind",
    "array": "obj dtype copy order subok ndmin blocking",
    "asarray": "a dtype order copy blocking",
    "ascontiguousarray": "a dtype",
    "bincount": "x weights minlength",
    "broadcast_to": "array shape",
    "clip": "a a_min a_max out",
    "concatenate": "tup axis out dtype casting",
    "cumsum": "a axis dtype out",
    "dot": "a b out",
    "einsum": "operands kwargs",
    "empty": "shape dtype order",
    "empty_like": "prototype dtype order subok shape",
    "expand_dims": "a axis",
    "eye": "N M k dtype order",
    "flatnonzero": "a",
    "full": "shape fill_value dtype order",
    "full_like": "a fill_value dtype order subok shape",
    "linspace": "start stop num endpoint retstep dtype axis",
    "matmul": "args axes axis keepdims casting dtype signature order out",
    "max": "a axis out keepdims",
    "mean": "a axis dtype out keepdims",
    "min": "a axis out keepdims",
    "moveaxis": "a source destination",
    "nonzero": "a",
    "ones": "shape dtype order",
    "ones_like": "a dtype order subok shape",
    "outer": "a b out",
    "prod": "a axis dtype out keepdims",
    "ravel": "a order",
    "repeat": "a repeats axis",
    "reshape": "a newshape order copy",
    "searchsorted": "a v side sorter",
    "shares_memory": "a b max_work",
    "sort": "a axis kind",
    "split": "ary indices_or_sections axis",
    "squeeze": "a axis",
    "stack": "tup axis out dtype casting",
    "sum": "a axis dtype out keepdims",
    "swapaxes": "a axis1 axis2",
    "take": "a indices axis out",
    "take_along_axis": "a indices axis",
    "tensordot": "a b axes",
    "transpose": "a axes",
    "tril": "m k",
    "triu": "m k",
    "unique": "ar return_index return_inverse return_counts axis equal_nan",
    "var": "a axis dtype out ddof keepdims",
    "where": "condition x y",
    "zeros": "shape dtype order",
    "zeros_like": "a dtype order subok shape",
}

METHODS = {
    "all": "axis out keepdims",
    "any": "axis out keepdims",
    "argmax": "axis out dtype keepdims",
    "argmin": "axis out dtype keepdims",
    "argsort": "axis kind",
    "astype": "dtype order casting subok copy",
    "clip": "min max out",
    "copy": "order",
    "cumsum": "axis dtype out",
    "dot": "b out",
    "fill": "value",
    "flatten": "order",
    "max": "axis out keepdims",
    "mean": "axis dtype out keepdims",
    "min": "axis out keepdims",
    "nonzero": "",
    "prod": "axis dtype out keepdims",
    "ravel": "order",
    "repeat": "repeats axis",
    "reshape": "shape order copy",
    "round": "decimals out",
    "squeeze": "axis",
    "std": "axis dtype out ddof keepdims",
    "sum": "axis dtype out keepdims",
    "swapaxes": "axis1 axis2",
    "take": "indices axis out",
    "transpose": "axes",
    "var": "axis dtype out ddof keepdims",
    "view": "dtype type",
}

_constants = """
bool_ e finfo float16 float32 float64 iinfo inf int16 int32 int64 int8 intp nan newaxis pi uint8
"""
CONSTANTS = frozenset(_constants.split())
