"""Compiles CUDA C++ for the CPU: the source as it is, below a header that stands in for the GPU."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
HEADER = FOLDER / "cuda_on_cpu.h"
FIBERS = (FOLDER / "switching.h", FOLDER / "fibers.cpp")
CHECKED = ["-fsanitize=alignment,bounds", "-fno-sanitize-recover=all"]
COMMON = ["-O1", "-fPIC", "-shared", "-w", "-fno-strict-aliasing", "-fno-math-errno"]
BEFORE, BEHIND = (rf"(?:__launch_bounds__\s*\((?P<{group}>.*?)\)\s*)?" for group in ("before", "behind"))
KERNEL = rf'extern\s+"C"\s+__global__\s+{BEFORE}void\s+{BEHIND}(?P<name>\w+)\s*\('
STRUCTURE = re.compile(rf'{KERNEL}|namespace\s+(?P<opened>\w+)\s*{{|(?P<brace>[{{}}])|"(?:[^"\\]|\\.)*"')
DYNAMIC = re.compile(r"extern\s+__shared__\s+([^;\[\]]+?)\s*\b(\w+)\s*\[\s*\]\s*;")


class CompileError(Exception):
    """What the compiler said."""


@functools.cache
def compiler() -> str | None:
    """Return the C++ compiler, if there is one."""
    return next((found for name in (os.environ.get("CXX", "g++"), "g++", "c++") if (found := shutil.which(name))), None)


def unavailable_reason() -> str | None:
    """Return why kernels cannot run here, or None when they can."""
    if sys.platform != "linux":
        return f"kernels run on Linux' CPUs, not on {sys.platform}"
    return None if compiler() else "no C++ compiler is installed, which makes kernels run on the CPU"


@functools.cache
def _version() -> str:
    return subprocess.run([str(compiler()), "--version"], capture_output=True, text=True, check=True).stdout


@functools.cache
def _fused() -> list[str]:
    """Return what makes the compiler join a product and a sum, as it does for GPUs, where the CPU can do so."""
    processor = Path("/proc/cpuinfo")
    if processor.exists() and re.search(r"^flags.* fma ", processor.read_text(), re.MULTILINE):
        return ["-mfma", "-ffp-contract=fast"]
    return []


@functools.cache
def _cache() -> Path:
    folder = Path(tempfile.gettempdir()) / f"tinygrad_bn-stand-in-gpu-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise RuntimeError(f"{folder} belongs to somebody else")
    return folder


def _built(code: str, flags: list[str], complete: Callable[[str, list[str]], str] = lambda code, _: code) -> Path:
    """Compile what `complete` makes of code, unless that was done before; of several processes one does so."""
    import fcntl  # not everywhere

    command = [str(compiler()), "-x", "c++", *COMMON, *_fused(), *flags]
    ours = "".join(path.read_text(encoding="utf-8") for path in (HEADER, Path(__file__)))
    parts = [code, ours, _version(), platform.machine(), *command]
    library = _cache() / f"{hashlib.sha256('|'.join(parts).encode()).hexdigest()[:32]}.so"
    if library.exists():
        return library
    with library.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not library.exists():
            with tempfile.TemporaryDirectory(dir=_cache()) as folder:
                made = Path(folder) / "made.so"
                _run([*command, "-o", str(made), "-"], complete(code, flags))
                made.rename(library)
    return library


def _run(command: list[str], code: str) -> str:
    done = subprocess.run(command, input=code, capture_output=True, text=True)
    if done.returncode != 0:
        raise CompileError(done.stderr)
    return done.stdout


def _kernels(plain: str) -> Iterator[tuple[list[str], str, str]]:
    """Yield each kernel's namespaces, its name, and how many threads a block may have at most."""
    scopes: list[str | None] = []  # for each open brace, the namespace that it began
    for found in STRUCTURE.finditer(plain):
        if found["name"]:
            yield [scope for scope in scopes if scope], found["name"], found["before"] or found["behind"] or "1024"
        elif found["opened"]:
            scopes.append(found["opened"])
        elif found["brace"] == "{":
            scopes.append(None)
        elif found["brace"] == "}" and scopes:
            scopes.pop()


def _translation_unit(code: str, flags: list[str]) -> str:
    """Return the source in a nameless namespace, and behind it a table of its kernels."""
    defines = [flag for flag in flags if flag.startswith(("-D", "-I", "-std="))]
    plain = _run([str(compiler()), "-E", "-P", "-x", "c++", *defines, "-"], code)
    kernels = list(_kernels(plain))
    bounds = "".join(
        f"{''.join(f'namespace {part} {{ ' for part in scope)}"
        f"constexpr int most_threads_of_{name} = cuda_on_cpu::first({most});{' }' * len(scope)}\n"
        for scope, name, most in kernels
    )
    rows = ""
    for scope, name, _ in kernels:
        path = "".join(f"{part}::" for part in scope)
        launcher = f"cuda_on_cpu::launcher<{path}{name}>"
        members = f"{launcher}::run, {launcher}::parameters, {launcher}::count, {path}most_threads_of_{name}"
        rows += f'  {{"{name}", {members}}},\n'
    dynamic = {name: type_ for type_, name in DYNAMIC.findall(plain)}
    variables = "".join(
        f"thread_local {type_} {name}[(227 << 10) / sizeof({type_})];\n" for name, type_ in dynamic.items()
    )
    return f"""{HEADER.read_text(encoding="utf-8")}
namespace {{
#line 1 "source.cu"
{code}
{variables}thread_local char in_shared_memory;
{bounds}const cuda_on_cpu::Kernel kernels[] = {{
{rows}  {{}}}};
}}
#define EXPORTED extern "C" __attribute__((visibility("default")))
EXPORTED const cuda_on_cpu::Kernel* cuda_on_cpu_kernels() {{ return kernels; }}
EXPORTED const char* cuda_on_cpu_shared() {{ return &in_shared_memory; }}
"""


class Parameter(ctypes.Structure):
    """One of a kernel's parameters, see cuda_on_cpu.h."""

    _fields_ = (("kind", ctypes.c_char), ("of", ctypes.c_char), ("size", ctypes.c_int), ("of_size", ctypes.c_int))


class _Kernel(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("run", ctypes.c_void_p),
        ("parameters", ctypes.POINTER(Parameter)),
        ("count", ctypes.c_int),
        ("most_threads", ctypes.c_int),
    )


_one_launch_at_a_time = threading.Lock()
_launches = 0


@functools.cache
def _fibers() -> Any:
    library = ctypes.CDLL(
        str(_built("".join(part.read_text(encoding="utf-8") for part in FIBERS), [])), mode=ctypes.RTLD_GLOBAL
    )
    library.cuda_on_cpu_launch.argtypes = [
        ctypes.c_void_p,
        ctypes.c_void_p,
        ctypes.c_void_p,
        ctypes.c_void_p,
        ctypes.c_uint64,
        ctypes.c_void_p,
        ctypes.c_int,
        ctypes.c_char_p,
        ctypes.c_size_t,
    ]
    return library


class Kernel:
    """A kernel as machine code of the CPU.

    Attributes:
        parameters: what it takes.
        most_threads: how many threads a block may have.
    """

    def __init__(self, library: Any, entry: _Kernel, flush: bool) -> None:
        self.name = entry.name.decode()
        self.parameters = [entry.parameters[i] for i in range(entry.count)]
        self.most_threads = entry.most_threads
        self._library = library
        self._flush = flush
        self._run = entry.run

    def launch(self, grid: tuple[int, int, int], block: tuple[int, int, int], values: list[Any]) -> None:
        """Run all blocks; the values are objects of ctypes, one for each parameter."""
        global _launches
        addresses = (ctypes.c_void_p * len(values))(*(ctypes.addressof(value) for value in values))
        message = ctypes.create_string_buffer(500)
        with _one_launch_at_a_time:
            _launches += 1
            failed = _fibers().cuda_on_cpu_launch(
                self._run,
                addresses,
                (ctypes.c_uint * 3)(*grid),
                (ctypes.c_uint * 3)(*block),
                _launches,
                self._library.cuda_on_cpu_shared(),
                self._flush,
                message,
                len(message),
            )
        if failed:
            raise RuntimeError(f"kernel {self.name}: {message.value.decode(errors='replace')}")


@functools.cache
def compiled(code: str, options: tuple[str, ...]) -> dict[str, Kernel]:
    """Return the kernels of a source by name.

    Args:
        options: what the compiler is told, in NVRTC's words; only -D, -I and -std are understood.
    """
    flags = [option.replace("--std=", "-std=") for option in options]
    unknown = [flag for flag in flags if not flag.startswith(("-D", "-I", "-std="))]
    if unknown:
        raise CompileError(f"options that the stand-in does not know: {unknown}")
    _fibers()
    library = ctypes.CDLL(str(_built(code, [*flags, *CHECKED, "-fvisibility=hidden"], _translation_unit)))
    library.cuda_on_cpu_kernels.restype = ctypes.POINTER(_Kernel)
    library.cuda_on_cpu_shared.restype = ctypes.c_void_p
    found = {}
    entries = library.cuda_on_cpu_kernels()
    i = 0
    while entries[i].name:
        found[entries[i].name.decode()] = Kernel(
            library, entries[i], not any(option.endswith("=double") for option in options)
        )
        i += 1
    return found
