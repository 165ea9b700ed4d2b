"""A table of a module: shapes, parameters, operations and memory, measured by one forward pass that leaves no trace."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ..autograd import Node, Saved, current_scope, enable_grad, trace
from ..errors import unknown_choice
from ..tensor import Tensor
from .module import Module
from .undisturbed import example_inputs, undisturbed

Shape = tuple[int, ...]


@dataclass
class ModuleRow:
    """One module of a summary. All numbers include those of the modules inside.

    Attributes:
        name: dotted name; "" for the whole.
        kind: the class's name.
        input_shape, output_shape: of its last call; None where it was not called or took or returned no tensor.
        parameters: number of parameter elements, each counted once.
        trainable: of those, how many require a gradient.
        flops: floating-point operations of a forward pass (a multiplication and an addition are two).
        saved_bytes: memory kept for the backward pass, without parameters, buffers and the input.
        calls: how often it was called.
    """

    name: str
    kind: str
    input_shape: Shape | None = None
    output_shape: Shape | None = None
    parameters: int = 0
    trainable: int = 0
    flops: int = 0
    saved_bytes: int = 0
    calls: int = 0

    @property
    def depth(self) -> int:
        """How many modules it lies inside of."""
        return self.name.count(".") + 1 if self.name else 0


@dataclass
class Summary:
    """The rows of all modules, the whole first; printing it shows a table."""

    rows: list[ModuleRow]

    def __getitem__(self, name: str) -> ModuleRow:
        """Return the row of a module by its dotted name."""
        rows = {row.name: row for row in self.rows}
        if name not in rows:
            raise unknown_choice("Summary", "the module's name", name, rows)
        return rows[name]

    def __str__(self) -> str:
        header = ("module", "output shape", "parameters", "FLOPs", "kept for backward")
        lines = [
            (
                "  " * row.depth + (f"{row.name.rpartition('.')[2]}: {row.kind}" if row.name else row.kind),
                "-" if row.output_shape is None else str(row.output_shape),
                f"{row.parameters:,}",
                f"{row.flops:,}",
                _readable(row.saved_bytes),
            )
            for row in self.rows
        ]
        widths = [max(len(line[i]) for line in [header, *lines]) for i in range(len(header))]
        left = 2  # the numbers are aligned to the right
        text = [
            "  ".join(
                cell.ljust(w) if i < left else cell.rjust(w)
                for i, (cell, w) in enumerate(zip(line, widths, strict=True))
            ).rstrip()
            for line in [header, *lines]
        ]
        return "\n".join([text[0], "-" * (sum(widths) + 2 * (len(widths) - 1)), *text[1:]])

    __repr__ = __str__


def summarize(module: Module, input: Tensor | tuple[Any, ...]) -> Summary:
    """Return the summary of a module; see `Module.summary`."""
    inputs = example_inputs("summary", module, input)
    # A module that is used in two places has one row, under its first name.
    rows = {name: ModuleRow(name, type(part).__name__) for name, part in module.named_modules()}
    row_of_scope: dict[str, ModuleRow] = {}
    with undisturbed(module), trace(), enable_grad():
        for name, part in module.named_modules():
            _watch(part, rows[name], row_of_scope)
        output = module(*inputs)
    constant = {id(_owner(t.data)) for t in (*module.parameters(), *module.buffers(), *_tensors(inputs))}
    for node in _nodes_below(output):
        shapes = [() if edge is None else edge.shape for edge in node.edges]
        flops, kept = node.op.flops(shapes, node.shape), _kept_bytes(node, constant)
        for row in (rows[name] for name in _names_of_scope(node.scope, row_of_scope)):
            row.flops += flops
            row.saved_bytes += kept
    for name, part in module.named_modules():
        rows[name].parameters = sum(p.size for p in part.parameters())
        rows[name].trainable = sum(p.size for p in part.parameters() if p.requires_grad)
    return Summary(list(rows.values()))


def _watch(part: Module, row: ModuleRow, row_of_scope: dict[str, ModuleRow]) -> None:
    def before(_: Any, args: tuple[Any, ...]) -> None:
        row_of_scope[current_scope()] = row
        row.calls += 1
        if args and isinstance(args[0], Tensor):
            row.input_shape = args[0].shape

    def after(_: Any, args: tuple[Any, ...], output: Any) -> None:
        if isinstance(output, Tensor):
            row.output_shape = output.shape

    part.register_forward_pre_hook(before)
    part.register_forward_hook(after)


def _nodes_below(output: Any) -> list[Node]:
    """Return every operation that an output (a tensor, or several in a tuple, list or mapping) was computed by."""
    values = output.values() if isinstance(output, dict) else output if isinstance(output, tuple | list) else (output,)
    pending = [tensor._node for tensor in _tensors(values) if tensor._node is not None]
    found = {node.index: node for node in pending}
    while pending:
        for edge in pending.pop().edges:
            if isinstance(edge, Node) and edge.index not in found:
                found[edge.index] = edge
                pending.append(edge)
    return [found[index] for index in sorted(found)]


def _tensors(values: Iterable[Any]) -> list[Tensor]:
    return [value for value in values if isinstance(value, Tensor)]


def _kept_bytes(node: Node, counted: set[int]) -> int:
    """Return the bytes of memory that a node keeps for the backward pass and that is not counted yet; count it."""
    kept = node.op.kept if isinstance(node.op.kept, tuple) else (node.op.kept,)
    arrays = [saved.array for saved in (*node.saved, node.output) if isinstance(saved, Saved)]
    total = 0
    for array in (*arrays, *kept):
        owner = _owner(array)
        if hasattr(owner, "nbytes") and id(owner) not in counted:
            counted.add(id(owner))
            total += int(owner.nbytes)
    return total


def _owner(array: Any) -> Any:
    """Return the array whose memory an array looks at; several views of it are one piece of memory."""
    while hasattr(getattr(array, "base", None), "nbytes"):
        array = array.base
    return array


def _names_of_scope(scope: str, row_of_scope: dict[str, ModuleRow]) -> Iterable[str]:
    """Yield the dotted names of the modules that a scope lies inside of, the innermost first, the whole ("") last.

    Modules that are no children, as those in a plain Python list, have no row, so their scopes are unknown and belong
    to the next scope outside. What lies outside of the whole was computed before the pass and counts nowhere.
    """
    while scope and scope not in row_of_scope:
        scope = scope.rpartition("/")[0]
    if not scope:
        return
    name = row_of_scope[scope].name
    while name:
        yield name
        name = name.rpartition(".")[0]
    yield ""


def _readable(size: int) -> str:
    """Return a number of bytes in a unit that people read: 4,096 B, 12.3 MB (10^6 bytes)."""
    if size < 10_000:
        return f"{size:,} B"
    return f"{size / 1e3:,.1f} kB" if size < 10_000_000 else f"{size / 1e6:,.1f} MB"
