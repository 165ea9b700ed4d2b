"""A module that stands in for cuDNN's frontend: graphs of one convolution, strict about how they are built and run.

Convolutions are computed tap by tap, from cuDNN's own definition of padding, so not by the code under test.
"""

from __future__ import annotations

import enum
import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from .memory_views import array_at, do_or_record, rounded_to_tf32


class cudnnGraphNotSupportedError(Exception):  # noqa: N801 - the frontend's name
    """cuDNN has nothing for a graph."""


class _Words(enum.Enum):
    """Base of the frontend's enumerations."""


data_type = _Words("data_type", ["NOT_SET", "HALF", "BFLOAT16", "FLOAT", "DOUBLE"])
heur_mode = _Words("heur_mode", ["A", "B", "FALLBACK"])
numerical_note = _Words(
    "numerical_note",
    ["TENSOR_CORE", "DOWN_CONVERT_INPUTS", "REDUCED_PRECISION_REDUCTION", "FFT", "NONDETERMINISTIC", "WINOGRAD"],
)

DTYPES = {"HALF": "float16", "BFLOAT16": "bfloat16", "FLOAT": "float32", "DOUBLE": "float64"}


class Engine(NamedTuple):
    """One way to compute: what its notes say, its workspace, and what goes wrong with it."""

    name: str
    notes: frozenset[str] = frozenset()
    workspace: int = 0
    cannot_be_built: bool = False


ENGINES = (
    Engine("eng0_k2=1", frozenset({"NONDETERMINISTIC"}), 512),
    Engine("eng1", cannot_be_built=True),
    Engine("eng2", frozenset({"TENSOR_CORE", "DOWN_CONVERT_INPUTS"}), 131),
    Engine("eng3", frozenset({"REDUCED_PRECISION_REDUCTION"})),
    Engine("eng4_k3=0", workspace=1000),
    Engine("eng5", workspace=0),
    Engine("eng6", workspace=1 << 40),
)

_handles = itertools.count(100)
_streams: dict[int, int] = {}


class State:
    """What the tests set and read.

    Attributes:
        refuses: graphs of these operations are refused when plans are asked for.
        built: the engines of the plans that were built.
        executed: (operation, engine, dtype) of what was computed.
        milliseconds: makes an engine slow, when plans are timed: calls of `spend`.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.refuses: set[str] = set()
        self.built: list[str] = []
        self.executed: list[tuple[str, str, str]] = []
        self.slow: dict[str, Any] = {}


state = State()


def backend_version() -> int:
    return 91901


def create_handle() -> int:
    handle = next(_handles)
    _streams[handle] = 0
    return handle


def set_stream(handle: int, stream: int) -> None:
    assert type(stream) is int
    _streams[handle] = stream


class tensor:  # noqa: N801 - the frontend's name
    """An array of a graph."""

    def __init__(self, uid: int, dim: Sequence[int], stride: Sequence[int], kind: Any) -> None:
        self.uid = uid
        self.dim = list(dim)
        self.stride = list(stride)
        self.kind = kind
        self.is_output = False

    def set_uid(self, uid: int) -> tensor:
        self.uid = uid
        return self

    def set_dim(self, dim: list[int]) -> tensor:
        assert isinstance(dim, list)
        self.dim = dim
        return self

    def set_stride(self, stride: list[int]) -> tensor:
        assert isinstance(stride, list)
        self.stride = stride
        return self

    def set_data_type(self, kind: Any) -> tensor:
        self.kind = kind
        return self

    def set_output(self, is_output: bool) -> tensor:
        self.is_output = is_output
        return self


class pygraph:  # noqa: N801 - the frontend's name
    """A graph of one convolution, perhaps with a bias."""

    def __init__(
        self,
        name: str = "test_graph",
        io_data_type: Any = data_type.NOT_SET,
        intermediate_data_type: Any = data_type.NOT_SET,
        compute_data_type: Any = data_type.NOT_SET,
        handle: int | None = None,
    ) -> None:
        assert handle in _streams
        self._handle = handle
        self._io = io_data_type
        wide = data_type.DOUBLE if io_data_type is data_type.DOUBLE else data_type.FLOAT
        assert intermediate_data_type is compute_data_type is wide
        self._tensors: list[tensor] = []
        self._operation = ""
        self._bias: tensor | None = None
        self._steps: list[str] = []
        self._unwanted: set[str] = set()
        self._ready: set[int] = set()

    def tensor(self, dim: Sequence[int], stride: Sequence[int], data_type: Any, uid: int = -1) -> tensor:
        assert len(dim) == len(stride) == 4
        assert data_type is self._io
        made = tensor(uid, dim, stride, data_type)
        self._tensors.append(made)
        return made

    def conv_fprop(self, image: tensor, weight: tensor, **window: list[int]) -> tensor:
        return self._convolution("fprop", image, weight, window)

    def conv_dgrad(self, loss: tensor, filter: tensor, **window: list[int]) -> tensor:
        return self._convolution("dgrad", loss, filter, window)

    def conv_wgrad(self, image: tensor, loss: tensor, **window: list[int]) -> tensor:
        return self._convolution("wgrad", image, loss, window)

    def add(self, a: tensor, b: tensor) -> tensor:
        assert a is self._result
        self._bias = b
        self._result = tensor(-1, [], [], None)
        self._tensors.append(self._result)
        return self._result

    def _convolution(self, operation: str, first: tensor, second: tensor, window: dict[str, list[int]]) -> tensor:
        assert not self._operation
        assert set(window) == {"pre_padding", "post_padding", "stride", "dilation"}
        assert all(isinstance(pair, list) and len(pair) == 2 for pair in window.values())
        if min(window["pre_padding"] + window["post_padding"]) < 0:
            raise RuntimeError("CUDNN_STATUS_BAD_PARAM: padding")
        self._operation, self._inputs, self._window = operation, (first, second), window
        self._result = tensor(-1, [], [], None)
        return self._result

    def validate(self) -> None:
        self._step("validate", 0)
        assert self._result.is_output
        uids = [part.uid for part in {*self._tensors, self._result}]
        assert len(set(uids)) == len(uids)
        assert min(uids) > 0
        for part in {*self._tensors, self._result}:
            assert part.kind is self._io
            _, channels, height, width = part.dim
            assert min(part.dim) > 0
            assert part.stride == [height * width * channels, 1, width * channels, channels], "not channels-last"
        assert self._shapes_fit(), "CUDNN_STATUS_BAD_PARAM: shapes"

    def _shapes_fit(self) -> bool:
        image, weight, loss = self._roles()
        size = [
            (
                image.dim[2 + d]
                + self._window["pre_padding"][d]
                + self._window["post_padding"][d]
                - self._window["dilation"][d] * (weight.dim[2 + d] - 1)
                - 1
            )
            // self._window["stride"][d]
            + 1
            for d in (0, 1)
        ]
        fits = loss.dim == [image.dim[0], weight.dim[0], *size] and image.dim[1] % weight.dim[1] == 0
        return fits and (self._bias is None or self._bias.dim == [1, weight.dim[0], 1, 1])

    def _roles(self) -> tuple[tensor, tensor, tensor]:
        """Return image, weight and what the convolution gives, or its gradient."""
        first, second = self._inputs
        if self._operation == "fprop":
            return first, second, self._result
        return (self._result, second, first) if self._operation == "dgrad" else (first, self._result, second)

    def build_operation_graph(self) -> None:
        self._step("build_operation_graph", 1)

    def create_execution_plans(self, modes: list[Any]) -> None:
        self._step("create_execution_plans", 2)
        assert modes
        assert set(modes) <= set(heur_mode)
        if self._operation in state.refuses:
            raise cudnnGraphNotSupportedError(f"No valid engine configs for {self._operation}")

    def deselect_numeric_notes(self, notes: list[Any]) -> None:
        assert self._steps[-1] == "create_execution_plans", "notes of plans, so after these and before they are built"
        self._unwanted |= {note.name for note in notes}

    def get_execution_plan_count(self) -> int:
        return len(ENGINES)

    def build_plan_at_index(self, index: int) -> None:
        engine = ENGINES[index]
        if engine.notes & self._unwanted:
            raise RuntimeError("Deselecting execution plan")
        if engine.cannot_be_built:
            raise cudnnGraphNotSupportedError("CUDNN_STATUS_NOT_SUPPORTED")
        state.built.append(engine.name)
        self._ready.add(index)

    def get_workspace_size_plan_at_index(self, index: int) -> int:
        return ENGINES[index].workspace if index in self._ready else 0

    def get_plan_name_at_index(self, index: int) -> str:
        return ENGINES[index].name

    def execute_plan_at_index(self, pointers: dict[int, int], workspace: int, index: int, handle: int) -> None:
        assert handle == self._handle
        if index not in self._ready:
            raise RuntimeError(f"Plan index {index} did not build.")
        used = {part.uid: part for part in (*self._tensors, self._result)}
        assert pointers.keys() == used.keys()
        assert all(type(value) is int for value in (*pointers, *pointers.values(), workspace))
        assert all(pointer % 16 == 0 for pointer in pointers.values())
        engine = ENGINES[index]
        arrays = {
            uid: array_at(pointers[uid], DTYPES[self._io.name], part.dim, part.stride) for uid, part in used.items()
        }
        scratch = array_at(workspace, "uint8", (max(engine.workspace, 1),), (1,))

        def work() -> None:
            scratch.fill(0xFF)
            state.slow.get(engine.name, lambda: None)()
            wide = "float64" if self._io is data_type.DOUBLE else "float32"
            image, weight, loss = (arrays[part.uid].astype(wide) for part in self._roles())
            if "TENSOR_CORE" in engine.notes and self._io is data_type.FLOAT:
                image, weight, loss = map(rounded_to_tf32, (image, weight, loss))
            with np.errstate(all="ignore"):
                result = _taps(self._operation, image, weight, loss, self._window)
                if self._bias is not None:
                    result += arrays[self._bias.uid].astype(wide)
                arrays[self._result.uid][...] = result.astype(DTYPES[self._io.name])

        state.executed.append((self._operation, engine.name, DTYPES[self._io.name]))
        do_or_record(_streams[handle], work)

    def _step(self, name: str, number: int) -> None:
        assert len(self._steps) == number, f"{name} after {self._steps}"
        self._steps.append(name)


def _taps(operation: str, image: Any, weight: Any, loss: Any, window: dict[str, list[int]]) -> Any:
    """Return what one of the three convolutions gives, as sums over the kernel's elements.

    Of what it gives, among image, weight and loss, only the shape counts.
    """
    pre, post = window["pre_padding"], window["post_padding"]
    groups = image.shape[1] // weight.shape[1]
    around = ((0, 0), (0, 0), (pre[0], post[0]), (pre[1], post[1]))
    padded = np.zeros_like(np.pad(image, around)) if operation == "dgrad" else np.pad(image, around)
    grouped = padded.reshape(len(padded), groups, -1, *padded.shape[2:])
    result = np.zeros_like(loss if operation == "fprop" else weight)
    for i, j in np.ndindex(*weight.shape[2:]):
        rows, columns = (slice(k * window["dilation"][d], None, window["stride"][d]) for d, k in enumerate((i, j)))
        under = grouped[:, :, :, rows, columns][..., : loss.shape[2], : loss.shape[3]]
        taps = weight[:, :, i, j].reshape(groups, -1, weight.shape[1])
        below = loss.reshape(len(loss), groups, -1, *loss.shape[2:])
        if operation == "fprop":
            result += np.einsum("ngchw,goc->ngohw", under, taps).reshape(result.shape)
        elif operation == "dgrad":
            under += np.einsum("ngohw,goc->ngchw", below, taps)
        else:
            result[:, :, i, j] = np.einsum("ngchw,ngohw->goc", under, below).reshape(result.shape[:2])
    if operation != "dgrad":
        return result
    return padded[:, :, pre[0] : pre[0] + image.shape[2], pre[1] : pre[1] + image.shape[3]]
