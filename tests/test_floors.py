"""The floors hold: imports go down only, and each package from outside is imported where it belongs."""

from __future__ import annotations

from pathlib import Path

import pytest

from draw_floors import FLOORS, PACKAGE, ROOT, draw, read_imports, violations


def test_every_import_of_the_package_goes_down() -> None:
    imports = read_imports(ROOT / PACKAGE)
    assert len(imports) > 100  # the reader has found the package
    assert violations(imports) == []


def test_the_table_names_each_module_of_the_package_once() -> None:
    units = [unit for _, row in FLOORS for unit in row]
    modules = {path.parent.name for path in (ROOT / PACKAGE).glob("*/__init__.py")}
    modules |= {path.stem for path in (ROOT / PACKAGE).glob("*.py")} - {"__init__", "__main__"}
    assert sorted(units) == sorted(modules)


@pytest.mark.parametrize(
    ("module", "source", "complaint"),
    [
        (
            "kernels/reference.py",
            "from ..tensor import Tensor",
            "kernels (F1) imports tensor (F4): an arrow going up",
        ),
        (
            "ops/core.py",
            "def f():\n    from tinygrad_bn import nn",
            "ops (F3) imports nn (F6): an arrow going up",
        ),
        ("ops/core.py", "import tinygrad_bn.nn.module", "ops (F3) imports nn (F6): an arrow going up"),
        (
            "autograd/core.py",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from ..ops import Op",
            "autograd (F2) imports ops (F3): an arrow going up",
        ),
        (
            "autograd/core.py",
            "import importlib\nimportlib.import_module('tinygrad_bn.ops')",
            "an arrow going up",
        ),
        ("nn/core.py", "from ..optim import SGD", "nn (F6) imports optim (F6): its neighbour"),
        ("viz/core.py", "from .. import interop", "viz (F7) imports interop (F7): its neighbour"),
        ("lab/core.py", "from tinygrad_bn import Tensor", "the roof"),
        ("lab/core.py", "import tinygrad_bn as tg", "the roof"),
        ("cellar/core.py", "from ..errors import ShapeError", "cellar stands on no floor"),
        ("nn/core.py", "def f():\n    import graphviz", "imports graphviz, which belongs to viz alone"),
        ("nn/core.py", "def f():\n    from scipy import stats", "imports scipy, which belongs to lab alone"),
        (
            "kernels/cuda_like.py",
            "import cupy",
            "imports cupy, which belongs to backend and kernels.cuda alone",
        ),
        ("lab/core.py", "import scipy.stats", "imports scipy as the module is loaded"),
        (
            "interop/core.py",
            "def f():\n    import torch",
            "imports torch, which has no place in this package",
        ),
    ],
)
def test_a_forbidden_import_is_found(tmp_path: Path, module: str, source: str, complaint: str) -> None:
    found = violations(read_imports(_package_with(tmp_path, module, source)))
    assert len(found) == 1
    assert complaint in found[0]
    assert found[0].startswith(f"{PACKAGE}.{module.removesuffix('.py').replace('/', '.')}, line ")


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("lab/core.py", "from ..nn import Module\nfrom .other import x\nimport numpy as np"),
        ("lab/core.py", "def f():\n    import scipy.stats"),
        ("viz/core.py", "import graphviz"),
        ("kernels/cpu/conv.py", "import numba"),
        ("kernels/cuda/conv.py", "def f():\n    import cupy"),
        ("__init__.py", "from . import nn\nfrom .cli import main"),
        (
            "__init__.py",
            "from importlib import import_module\ndef __getattr__(name):\n    import_module(f'.{name}')",
        ),
    ],
)
def test_an_allowed_import_passes(tmp_path: Path, module: str, source: str) -> None:
    assert violations(read_imports(_package_with(tmp_path, module, source))) == []


def test_the_drawing_shows_a_forbidden_arrow_in_red(tmp_path: Path) -> None:
    package = _package_with(tmp_path, "ops/core.py", "from ..nn import Module\nfrom ..kernels import get")
    arrows = [line.strip() for line in draw(read_imports(package)).splitlines() if "ops ->" in line]
    assert arrows == ['ops -> kernels [color="#5b6b82"]', 'ops -> nn [color="#d62728"]']


def _package_with(folder: Path, module: str, source: str) -> Path:
    package = folder / PACKAGE
    for name in ("kernels", "ops", "nn", "interop", "optim"):
        (package / name).mkdir(parents=True)
        (package / name / "__init__.py").touch()
    (package / "__init__.py").touch()
    (package / module).parent.mkdir(parents=True, exist_ok=True)
    (package / module).write_text(source, encoding="utf-8")
    return package
