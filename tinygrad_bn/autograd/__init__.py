"""The autograd engine: recording, the graph, the backward pass. Knows what an operation promises, not which exist."""

from .apply import apply, check_in_place, check_writable, edge_of
from .autocast import autocast, autocast_operands, is_autocast_enabled
from .engine import backward, grad, sum_to
from .fused import FusedOp
from .hooks import HookHandle
from .modes import (
    as_name,
    as_scope,
    current_scope,
    enable_grad,
    enter_scope,
    is_grad_enabled,
    leave_scope,
    no_grad,
    scope,
    trace,
)
from .node import InputVersion, Leaf, Node, Saved, Version
from .op import Op
from .value import Value

__all__ = [
    "FusedOp",
    "HookHandle",
    "InputVersion",
    "Leaf",
    "Node",
    "Op",
    "Saved",
    "Value",
    "Version",
    "apply",
    "as_name",
    "as_scope",
    "autocast",
    "autocast_operands",
    "backward",
    "check_in_place",
    "check_writable",
    "current_scope",
    "edge_of",
    "enable_grad",
    "enter_scope",
    "grad",
    "is_autocast_enabled",
    "is_grad_enabled",
    "leave_scope",
    "no_grad",
    "scope",
    "sum_to",
    "trace",
]
