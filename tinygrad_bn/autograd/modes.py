"""Whether operations are recorded. A context variable, so each thread and each async task has its own."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar, Token
from functools import wraps
from typing import Any, TypeVar

from ..backend.capturing import depends_on
from ..errors import DTypeError, explain

_Function = TypeVar("_Function", bound=Callable[..., Any])

Watch = Callable[[Any, list[Any]], None]
"""Called with the result of a traced operation and the arrays (or Python scalars) that it was computed from."""

grad_mode: ContextVar[bool] = ContextVar("tinygrad_bn.grad_mode", default=True)
trace_mode: ContextVar[bool | Watch] = ContextVar("tinygrad_bn.trace_mode", default=False)
_SLASH = "\N{DIVISION SLASH}"
_scope: ContextVar[str] = ContextVar("tinygrad_bn.scope", default="")

depends_on(grad_mode.get)


class _GradMode:
    """Context manager and decorator that sets the grad mode and puts the old one back."""

    enabled: bool

    def __new__(cls, function: Any = None) -> Any:
        # `@no_grad` without parentheses decorates, too.
        return super().__new__(cls) if function is None else cls()(function)

    def __init__(self) -> None:
        self._tokens: list[Token[bool]] = []

    def __enter__(self) -> None:
        self._tokens.append(grad_mode.set(self.enabled))

    def __exit__(self, *_: object) -> None:
        grad_mode.reset(self._tokens.pop())

    def __call__(self, function: _Function) -> _Function:
        return inside(type(self), type(self).__name__, function)


def inside(make: Callable[[], AbstractContextManager[None]], name: str, function: _Function) -> _Function:
    """Return a function whose calls run inside a context of their own, as a decorator of that name does it.

    Raises:
        DTypeError: a generator or coroutine, whose body runs after the call has returned, outside of the context.
    """
    if inspect.isgeneratorfunction(function) or inspect.iscoroutinefunction(function):
        remedy = "use a with block inside it"
        raise DTypeError(explain(f"@{name}()", "an ordinary function", f"{function.__name__!r}", remedy))

    @wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        with make():
            return function(*args, **kwargs)

    return wrapped  # type: ignore[return-value]


class no_grad(_GradMode):  # noqa: N801 - used like a keyword, and PyTorch's name
    """Record nothing inside: results need no gradient. Also a decorator.

    This is not evaluation mode: BatchNorm still uses batch statistics inside unless the module is in `eval()`.

    >>> import tinygrad_bn as tg
    >>> x = tg.tensor([1.0], requires_grad=True)
    >>> with tg.no_grad():
    ...     (x * 2).requires_grad
    False
    """

    enabled = False


class enable_grad(_GradMode):  # noqa: N801
    """Record again, inside `no_grad`. Also a decorator."""

    enabled = True


def is_grad_enabled() -> bool:
    """Return whether operations are being recorded here."""
    return grad_mode.get()


@contextmanager
def trace(watch: Watch | None = None) -> Iterator[None]:
    """Record every operation, whether or not a gradient can flow through it: for drawing and counting.

    Traced results carry a graph that keeps no values for a backward pass that needs none.

    Args:
        watch: called with each result and the arrays it was computed from, as soon as it is computed.
    """
    token = trace_mode.set(watch or True)
    try:
        yield
    finally:
        trace_mode.reset(token)


@contextmanager
def scope(name: str) -> Iterator[None]:
    """Give every operation recorded inside a place in the module tree, such as "features/0/conv"."""
    token = enter_scope(name)
    try:
        yield
    finally:
        leave_scope(token)


def as_scope(name: str) -> str:
    """Return a module's name as one part of a scope: a slash in it is not the one between two parts."""
    return name.replace("/", _SLASH)


def as_name(part: str) -> str:
    """Return the name that `as_scope` was given."""
    return part.replace(_SLASH, "/")


def enter_scope(name: str) -> Token[str]:
    """Open a scope without a `with` block; modules call this once per forward call."""
    outer = _scope.get()
    return _scope.set(f"{outer}/{name}" if outer else name)


def leave_scope(token: Token[str]) -> None:
    """Close the scope that `enter_scope` opened."""
    _scope.reset(token)


def current_scope() -> str:
    """Return the scope in force here, "" outside every module."""
    return _scope.get()
