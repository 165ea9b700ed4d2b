"""Compiling kernels with Numba, and keeping the machine code between processes.

Machine code is kept in a folder of the user, one folder per state of these sources: code that was compiled with one
version of a file never meets another. One process compiles at a time, so several that start together do the work once.
Where the folder cannot be used, everything is compiled anew, with one warning.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numba
from numba.core.caching import CompileResultCacheImpl, FunctionCache, _CacheLocator
from numba.core.ccallback import CFunc
from numba.core.compiler import Flags, compile_internal
from numba.core.compiler_lock import global_compiler_lock
from numba.core.cpu_options import FastMathOptions
from numba.core.sigutils import normalize_signature

CACHE_VARIABLE = "TINYGRAD_BN_CACHE"

_MESSAGE_AFTER = 1.0  # seconds
_LONGEST_WAIT = 120.0  # seconds
_KEPT_FOR = 30 * 24 * 3600.0  # seconds

# Sums may be reordered and multiplications joined with additions. NaN and infinities stay values like any other.
_OPTIONS: dict[str, Any] = {"error_model": "numpy", "fastmath": {"contract", "reassoc", "nsz"}}


def compiled(function: Callable[..., Any]) -> Any:
    """Make a kernel that is compiled on its first call with each set of argument types.

    It runs without the interpreter lock.
    """
    return _kept(function)


def compiled_entry(function: Callable[..., Any], kernel: Any) -> Any:
    """Make the function through which a kernel is called; its machine code holds the kernel's."""
    return _kept(function, f"{kernel.__module__}.{kernel.__qualname__}")


def _kept(function: Callable[..., Any], variant: str = "") -> Any:
    dispatcher = numba.njit(nogil=True, **_OPTIONS)(function)
    dispatcher._cache = _KernelCache(function, variant)
    compile_or_load = dispatcher.compile

    def compile_and_let_go(signature: Any) -> Any:
        with _compiling.until_done():
            return compile_or_load(signature)

    dispatcher.compile = compile_and_let_go
    return dispatcher


def compile_into(context: Any, kernel: Any, signature: Any) -> Any:
    """Add a kernel's code to what is being compiled, rather than compile it by itself first; return its description."""
    flags = Flags()
    flags.nrt = flags.no_compile = flags.no_cpython_wrapper = flags.no_cfunc_wrapper = flags.forceinline = True
    flags.error_model, flags.fastmath = _OPTIONS["error_model"], FastMathOptions(_OPTIONS["fastmath"])
    made = compile_internal(
        context.typing_context,
        context,
        context.active_code_library,
        kernel.py_func,
        signature.args,
        signature.return_type,
        flags,
        {},
    )
    return made.fndesc


def compiled_part(function: Callable[..., Any]) -> Any:
    """Make a function that is compiled into every kernel that calls it."""
    return numba.njit(nogil=True, forceinline=True, no_cpython_wrapper=True, no_cfunc_wrapper=True, **_OPTIONS)(
        function
    )


def compiled_address(signature: Any, function: Callable[..., Any], variant: str) -> int:
    """Compile a function for one signature and return its address.

    Kernels that call it through the address share one copy of its machine code, where they would each get their own.

    Args:
        signature: its Numba signature.
        function: what to compile.
        variant: tells functions of one name apart that close over different values.
    """
    made: Any = CFunc(function, normalize_signature(signature), {}, _OPTIONS)
    made._cache = _KernelCache(function, variant)
    with _compiling.until_done():
        made.compile()
    _addressed.append(made)
    return int(made.address)


_addressed: list[Any] = []  # their machine code lives as long as they do


@cache
def cache_folder() -> Path:
    """Return where machine code is kept: below TINYGRAD_BN_CACHE, or below the user's cache folder."""
    named = os.environ.get(CACHE_VARIABLE)
    digest = hashlib.sha256()
    for source in sorted(Path(__file__).parent.parent.rglob("*.py")):  # formulas take constants from the reference
        digest.update(source.read_bytes())
    base = Path(named).expanduser() if named else _user_cache_folder()
    return base / f"kernels-{digest.hexdigest()[:16]}"


def _user_cache_folder() -> Path:
    if sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    elif sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA", Path.home()))
    else:
        named = os.environ.get("XDG_CACHE_HOME", "")
        # The specification says that a relative path is to be ignored.
        base = Path(named) if Path(named).is_absolute() else Path.home() / ".cache"
    return base / "tinygrad_bn"


class _Locator(_CacheLocator):
    """Tells Numba's cache the folder, whose name stands for the state of the sources."""

    def __init__(self, line: int) -> None:
        self._line = line

    def get_cache_path(self) -> str:
        return str(cache_folder())

    def get_source_stamp(self) -> str:
        return cache_folder().name

    def get_disambiguator(self) -> str:
        return str(self._line)

    @classmethod
    def from_function(cls, py_func: Any, py_file: str) -> _Locator:
        return cls(py_func.__code__.co_firstlineno)


class _CacheImpl(CompileResultCacheImpl):
    _locator_classes = (_Locator,)


class _KernelCache(FunctionCache):
    """Numba's cache of one function, behind the folder's lock, and forgiving."""

    _impl_class = _CacheImpl

    def __init__(self, function: Any, variant: str = "") -> None:
        super().__init__(function)
        self._variant = variant

    def _index_key(self, sig: Any, codegen: Any) -> Any:
        # Numba's key holds what the function closes over, in a form that differs between processes.
        return sig, codegen.magic_tuple(), self._variant

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        found = self._load(sig, target_context)
        if found is None:
            _compiling.begin()
            found = self._load(sig, target_context)  # another process may have compiled it while we waited
        return found

    def _load(self, sig: Any, target_context: Any) -> Any:
        with _problems_warned("read", "they are compiled again"):
            try:
                return super().load_overload(sig, target_context)
            except Exception:
                with contextlib.suppress(OSError):
                    self.flush()  # the next process finds an empty index in the place of a broken one
                raise
        return None

    def save_overload(self, sig: Any, data: Any) -> None:
        with _problems_warned("kept", "they are compiled again in every process"):
            super().save_overload(sig, data)


class _Compiling:
    """What is being compiled now. Keeps the folder's lock meanwhile, and tells the user when it takes long."""

    def __init__(self) -> None:
        self._under_way = False
        self._depth = 0
        self._seconds = 0.0
        self._started = 0.0
        self._message: threading.Timer | None = None
        self._lock = contextlib.ExitStack()

    def begin(self) -> None:
        """Say that something must be compiled; within `until_done`."""
        if self._under_way:
            return
        self._under_way = True
        self._lock.enter_context(_folder_locked())
        self._started = time.monotonic()
        if self._seconds < _MESSAGE_AFTER:
            self._message = threading.Timer(_MESSAGE_AFTER - self._seconds, _tell)
            self._message.daemon = True
            self._message.start()

    @contextlib.contextmanager
    def until_done(self) -> Iterator[None]:
        """End what begins inside, whether it succeeds, fails or is interrupted: for callers and what they call."""
        with global_compiler_lock:  # Numba's, which lets the same thread in again
            self._depth += 1
            try:
                yield
            finally:
                self._depth -= 1
                if self._depth == 0 and self._under_way:
                    self._end()

    def _end(self) -> None:
        self._under_way = False
        self._seconds += time.monotonic() - self._started
        if self._message is not None:
            self._message.cancel()
        self._lock.close()


_compiling = _Compiling()


def _tell() -> None:
    print("tinygrad_bn: compiling the fast kernels for this machine, once", file=sys.stderr, flush=True)


_warned = False


@contextlib.contextmanager
def _problems_warned(what_failed: str, therefore: str) -> Iterator[None]:
    """Let the cache folder's failures pass, whatever they are, with one warning."""
    global _warned
    try:
        yield
    except Exception as error:  # noqa: BLE001 - a broken file raises whatever its bytes happen to mean
        if not _warned:
            _warned = True
            problem = f"{type(error).__name__}: {error}"
            warnings.warn(
                f"compiled kernels could not be {what_failed} in {cache_folder()} ({problem}); {therefore}. If this "
                f"comes again: make the folder writable, delete it, or name another one in {CACHE_VARIABLE}.",
                RuntimeWarning,
                stacklevel=2,
            )


def _remove_old_folders() -> None:
    """Remove the machine code of other states of these sources to which nothing was added for a long time."""
    oldest = time.time() - _KEPT_FOR
    for folder in cache_folder().parent.glob("kernels-*"):
        with contextlib.suppress(OSError):
            if folder.stat().st_mtime < oldest:
                shutil.rmtree(folder)


@contextlib.contextmanager
def _folder_locked() -> Iterator[None]:
    """Hold the folder's lock; go on without it where there is none, or where its holder does not come to an end."""
    try:
        import fcntl

        if not cache_folder().exists():
            cache_folder().mkdir(parents=True, exist_ok=True)
            _remove_old_folders()
        file = open(cache_folder() / "lock", "a")  # noqa: SIM115 - closed below
    except (ImportError, OSError):
        yield  # where the folder cannot be written, saving warns
        return
    with file:
        deadline = time.monotonic() + _LONGEST_WAIT
        while time.monotonic() < deadline:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                time.sleep(0.02)
        yield
