"""A convolution, or one of its gradients, as a graph of cuDNN; and the plans that cuDNN has for computing it.

All arrays are channels-last in memory, weights (O, C/groups, KH, KW) too, so shapes say everything of a layout. What a
plan may do is decided here: none may give other bits when it is run again, and where float32 is to be multiplied in
float32, none may round its factors for the tensor cores.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from ..shapes import output_length

Pair = tuple[int, int]
Shape = tuple[int, int, int, int]

FORWARD, INPUT_GRAD, WEIGHT_GRAD = "forward", "input_grad", "weight_grad"

# How a graph's arrays are called when it is executed.
INPUT, WEIGHT, OUTPUT, BIAS = 1, 2, 3, 4
_RESULTS = {FORWARD: (OUTPUT, "output"), INPUT_GRAD: (INPUT, "input"), WEIGHT_GRAD: (WEIGHT, "weight")}

_DTYPES = {"float16": "HALF", "bfloat16": "BFLOAT16", "float32": "FLOAT", "float64": "DOUBLE"}
_ROUNDING = ("TENSOR_CORE", "DOWN_CONVERT_INPUTS")  # of float32 factors


class Convolution(NamedTuple):
    """What there is to compute: all that a plan depends on, except for the GPU.

    Attributes:
        kind: FORWARD, INPUT_GRAD or WEIGHT_GRAD.
        dtype: of all arrays.
        strict: whether float32 is multiplied in float32; False for other dtypes.
        has_bias: whether one is added; FORWARD only.
        input, weight, output: shapes (N, C, H, W), (O, C/groups, KH, KW), (N, O, OH, OW) of the convolution or of the
            arrays' gradients.
        stride, dilation: vertical and horizontal.
        before, after: zeros above and left, and below and right.
    """

    kind: str
    dtype: str
    strict: bool
    has_bias: bool
    input: Shape
    weight: Shape
    output: Shape
    stride: Pair
    dilation: Pair
    before: Pair
    after: Pair

    def __str__(self) -> str:
        dtype = f"strict {self.dtype}" if self.strict else self.dtype
        return f"conv2d {self.kind}, {dtype}, {self.input} with {self.weight}, stride {self.stride}"


def padding_after(length: int, kernel: int, stride: int, padding: Pair, dilation: int, positions: int) -> int | None:
    """Return zeros after one axis with which there are as many positions: as many as before, where that will do.

    The last rows that no position reads may as well be there or not, and cuDNN has more plans where both sides are
    alike. None if only a negative number would do, which cuDNN does not know.
    """
    for after in (padding[0], padding[1], 0):
        if after >= 0 and output_length(length, kernel, stride, (padding[0], after), dilation) == positions:
            return after
    return None


def result_of(convolution: Convolution) -> tuple[int, Shape]:
    """Return the number and the shape of what a convolution gives."""
    number, name = _RESULTS[convolution.kind]
    return number, getattr(convolution, name)


def build(cudnn: Any, convolution: Convolution, **where: Any) -> Any:
    """Return the graph of a convolution, with cuDNN's plans for it, of which none is built yet.

    Args:
        cudnn: what `load_cudnn` returns.
        convolution: what to compute.
        where: for which GPU: `handle`, or `device_property` where there is none to be had.

    Raises:
        cudnn.cudnnGraphNotSupportedError, RuntimeError: cuDNN refuses.
    """
    dtype = getattr(cudnn.data_type, _DTYPES[convolution.dtype])
    computing = cudnn.data_type.DOUBLE if convolution.dtype == "float64" else cudnn.data_type.FLOAT
    graph = cudnn.pygraph(io_data_type=dtype, intermediate_data_type=computing, compute_data_type=computing, **where)
    result = _operation(graph, convolution, dtype)
    uid, shape = result_of(convolution)
    # A gradient's shape cannot be inferred, and a result's strides are ours to choose.
    result.set_uid(uid).set_dim(list(shape)).set_stride(_strides(shape)).set_data_type(dtype).set_output(True)
    graph.validate()
    graph.build_operation_graph()
    graph.create_execution_plans([cudnn.heur_mode.A, cudnn.heur_mode.FALLBACK])
    unwanted = ("NONDETERMINISTIC", "REDUCED_PRECISION_REDUCTION", *(_ROUNDING if convolution.strict else ()))
    graph.deselect_numeric_notes([getattr(cudnn.numerical_note, name) for name in unwanted])
    return graph


def _operation(graph: Any, convolution: Convolution, dtype: Any) -> Any:
    """Add the convolution to the graph and return its result."""

    def tensor(uid: int, shape: Shape) -> Any:
        return graph.tensor(uid=uid, dim=list(shape), stride=_strides(shape), data_type=dtype)

    window = {
        "pre_padding": list(convolution.before),
        "post_padding": list(convolution.after),
        "stride": list(convolution.stride),
        "dilation": list(convolution.dilation),
    }
    if convolution.kind == WEIGHT_GRAD:
        image, loss = tensor(INPUT, convolution.input), tensor(OUTPUT, convolution.output)
        return graph.conv_wgrad(image=image, loss=loss, **window)
    weight = tensor(WEIGHT, convolution.weight)
    if convolution.kind == INPUT_GRAD:
        return graph.conv_dgrad(loss=tensor(OUTPUT, convolution.output), filter=weight, **window)
    result = graph.conv_fprop(image=tensor(INPUT, convolution.input), weight=weight, **window)
    if not convolution.has_bias:
        return result
    return graph.add(a=result, b=tensor(BIAS, (1, convolution.weight[0], 1, 1)))


def _strides(shape: Shape) -> list[int]:
    """Return the strides, in elements, of a channels-last array of shape (N, C, H, W)."""
    _, channels, height, width = shape
    return [height * width * channels, 1, width * channels, channels]


def buildable(cudnn: Any, graph: Any) -> Iterator[tuple[int, int]]:
    """Yield the index of each plan that can be used and the bytes of its workspace, cuDNN's favourite first."""
    for index in range(graph.get_execution_plan_count()):
        try:
            graph.build_plan_at_index(index)
        except (cudnn.cudnnGraphNotSupportedError, RuntimeError):
            continue  # deselected above, or not for this GPU
        yield index, graph.get_workspace_size_plan_at_index(index)
