"""The floors of the package: which module may import which, checked by a test and drawn by this script.

Every import counts, also one inside a function or under TYPE_CHECKING: an arrow is an arrow.

    python scripts/draw_floors.py docs/images/floors.svg     (or .dot, .png, .pdf; `make floors` does this)
"""

from __future__ import annotations

import argparse
import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PACKAGE = "tinygrad_bn"
ROOT = Path(__file__).resolve().parent.parent

FLOORS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("F0", ("errors", "files")),
    ("F0", ("checks", "dtypes")),
    ("F0", ("backend",)),
    ("F1", ("kernels", "cuda")),
    ("F2", ("autograd",)),
    ("F3", ("ops",)),
    ("F4", ("conversion", "indexing")),
    ("F4", ("tensor",)),
    ("F4", ("creation", "combining", "function", "captured")),
    ("F5", ("functional", "testing")),
    ("F6", ("nn", "optim", "data")),
    ("F7", ("viz", "interop")),
    ("F8", ("lab",)),
    ("F9", ("cli",)),
)
"""Lowest row first. A unit (a module or a package) imports only from lower rows and from itself."""

EVERYBODYS = ("errors", "checks", "dtypes", "files")
"""Units that the drawing shows without their arrows."""

ROOF = "the package's own __init__"


@dataclass(frozen=True)
class Outside:
    """Where a package from outside may be imported, and whether a module may do so as it is loaded."""

    homes: tuple[str, ...]
    at_load: bool = False


OUTSIDE: dict[str, Outside] = {
    "numpy": Outside(("",), at_load=True),
    "graphviz": Outside(("viz",), at_load=True),
    "pygraphviz": Outside(("viz",)),
    "ml_dtypes": Outside(("dtypes",)),
    "safetensors": Outside(("interop",)),
    "scipy": Outside(("lab",)),
    "matplotlib": Outside(("lab",)),
    "rich": Outside(("lab", "cli")),
    "dask": Outside(("lab",)),
    "distributed": Outside(("lab",)),
    "tensorboardX": Outside(("lab",)),
    "numba": Outside(("kernels.cpu",), at_load=True),
    "llvmlite": Outside(("kernels.cpu",), at_load=True),
    "threadpoolctl": Outside(("backend", "lab")),
    "cupy": Outside(("backend", "kernels.cuda")),
    "cuda": Outside(("kernels.cuda",)),
    "cudnn": Outside(("kernels.cuda",)),
}
"""A package that is not listed (torch, say) may be imported nowhere; "" stands for everywhere."""


@dataclass(frozen=True)
class Import:
    """One import statement: who imports what, and where it stands."""

    importer: str  # dotted, without the package's name: "viz.records"; "" is the roof
    target: str  # dotted; starts with "tinygrad_bn" when it lies inside the package
    line: int
    at_load: bool  # runs when the module is loaded

    @property
    def inside(self) -> bool:
        """Whether the target lies in this package."""
        return self.target.partition(".")[0] == PACKAGE

    @property
    def unit(self) -> str:
        """The importer's unit, as the table of floors names it; "" for the roof and the front door."""
        return self.importer.partition(".")[0].removeprefix("__main__")

    @property
    def target_unit(self) -> str:
        """The target's unit; the roof for a name that only the package's __init__ has."""
        return self.target.removeprefix(PACKAGE).lstrip(".").partition(".")[0] or ROOF


def read_imports(package: Path) -> list[Import]:
    """Return every import of every module below the package's folder."""
    modules = {_module_name(package, path): path for path in sorted(package.rglob("*.py"))}
    return [found for name, path in modules.items() for found in _imports_of(name, path, frozenset(modules))]


def violations(imports: list[Import]) -> list[str]:
    """Return one sentence for each import that the floors forbid."""
    return [f"{_place(found)}: {reason}" for found in imports if (reason := _objection(found))]


def _objection(found: Import) -> str | None:
    top = found.target.partition(".")[0]
    if found.inside:
        return _inside_objection(found)
    if top in sys.stdlib_module_names:
        return None
    rule = OUTSIDE.get(top)
    if rule is None:
        return f"imports {top}, which has no place in this package"
    if not any(_lies_in(found.importer, home) for home in rule.homes):
        return f"imports {top}, which belongs to {' and '.join(rule.homes)} alone"
    if found.at_load and not rule.at_load:
        return f"imports {top} as the module is loaded; import it inside the function that needs it"
    return None


def _inside_objection(found: Import) -> str | None:
    unit, target = found.unit, found.target_unit
    if unit in ("", target):
        return None
    if target == ROOF:
        return f"imports from {ROOF}, the roof; import from the module that defines the name"
    for name in (unit, target):
        if name not in _ROW_OF:
            return f"{name} stands on no floor; give it one in FLOORS"
    if _ROW_OF[target] < _ROW_OF[unit]:
        return None
    way = "its neighbour" if _ROW_OF[target] == _ROW_OF[unit] else "an arrow going up"
    return f"{unit} ({FLOORS[_ROW_OF[unit]][0]}) imports {target} ({FLOORS[_ROW_OF[target]][0]}): {way}"


_ROW_OF = {unit: row for row, (_, units) in enumerate(FLOORS) for unit in units}


def _place(found: Import) -> str:
    return f"{PACKAGE}.{found.importer or '__init__'}, line {found.line}"


def _lies_in(module: str, home: str) -> bool:
    return home == "" or module == home or module.startswith(f"{home}.")


def _module_name(package: Path, path: Path) -> str:
    parts = path.relative_to(package).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imports_of(importer: str, path: Path, modules: frozenset[str]) -> Iterator[Import]:
    """Yield the imports of one file; `from . import x` means the module x where there is one."""
    is_package = path.name == "__init__.py"
    base = [PACKAGE, *(importer.split(".") if importer else [])]
    for node, at_load in _walk(ast.parse(path.read_text(encoding="utf-8")), at_load=True):
        for target in _targets(node, base if is_package else base[:-1], modules):
            yield Import(importer, target, getattr(node, "lineno", 0), at_load)


def _walk(node: ast.AST, at_load: bool) -> Iterator[tuple[ast.AST, bool]]:
    yield node, at_load
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) or _is_type_checking(node):
        at_load = False
    for child in ast.iter_child_nodes(node):
        yield from _walk(child, at_load)


def _is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")


def _targets(node: ast.AST, here: list[str], modules: frozenset[str]) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        above = here[: len(here) - node.level + 1] if node.level else []
        source = ".".join([*above, *([node.module] if node.module else [])])
        if source.partition(".")[0] != PACKAGE:
            return [source]
        inner = source.removeprefix(PACKAGE).lstrip(".")
        return [
            f"{source}.{alias.name}" if f"{inner}.{alias.name}".lstrip(".") in modules else source
            for alias in node.names
        ]
    if isinstance(node, ast.Call) and ast.unparse(node.func) in ("importlib.import_module", "import_module"):
        name = node.args[0] if node.args else None
        if isinstance(name, ast.Constant) and isinstance(name.value, str):
            dots = len(name.value) - len(name.value.lstrip("."))
            above = here[: len(here) - dots + 1] if dots else []
            return [".".join([*above, name.value.lstrip(".")])]
    return []


def draw(imports: list[Import], name: str = "floors") -> str:
    """Return the drawing as DOT text: one arrow per pair of units, red where the floors forbid it.

    Allowed arrows to the errors and checks are left out: they come from everywhere and would hide the others.
    """
    import graphviz

    forbidden = {(found.unit, found.target_unit) for found in imports if _objection(found)}
    pairs = {(found.unit, found.target_unit) for found in imports if found.inside and found.unit}
    shown = {pair for pair in pairs if pair[0] != pair[1] and pair[1] not in EVERYBODYS} | forbidden
    graph = graphviz.Digraph(name)
    graph.attr(ranksep="0.45", nodesep="0.5", newrank="true")
    graph.attr(
        "node",
        shape="box",
        style="rounded,filled",
        fillcolor="#eef3fb",
        color="#5b6b82",
        fontname="Helvetica",
    )
    graph.attr("edge", arrowsize="0.7")
    for row, (label, units) in enumerate(FLOORS):
        with graph.subgraph() as rank:
            rank.attr(rank="same")
            rank.node(f"row {row}", label=label, shape="plaintext", style="", fontcolor="#8a94a3")
            for unit in units:
                rank.node(unit, label=unit)
        if row:
            graph.edge(f"row {row}", f"row {row - 1}", style="invis")
    for unit, target in sorted(shown):
        graph.edge(unit, target, color="#d62728" if (unit, target) in forbidden else "#5b6b82")
    return str(graph.source)


def main() -> int:
    """Draw the floors into a file; the exit code says whether any arrow goes up."""
    parser = argparse.ArgumentParser(description="Draw the package's imports, floor by floor.")
    parser.add_argument("file", type=Path, help="what to write: .dot, .svg, .png or .pdf")
    file: Path = parser.parse_args().file
    imports = read_imports(ROOT / PACKAGE)
    text = draw(imports)
    if file.suffix == ".dot":
        file.write_text(text, encoding="utf-8")
    else:
        import pygraphviz

        pygraphviz.AGraph(string=text).draw(file, format=file.suffix[1:], prog="dot")
    wrong = violations(imports)
    print(*wrong, f"{file}: {len(imports)} imports drawn, {len(wrong)} against the floors", sep="\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
