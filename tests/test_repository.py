"""The repository itself: nothing dangerous, nothing from a machine, and documents that tell the truth."""

from __future__ import annotations

import ast
import functools
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import tinygrad_bn

ROOT = Path(__file__).resolve().parent.parent
EMBEDDED_DATA = "tinygrad_bn/data/files/"

# Written so that no pattern matches its own text.
FROM_A_MACHINE = re.compile(
    r"/wor[k]/|/far[m]/|/roo[t]/|/hom[e]/\w|/User[s]/\w|https?://[^ \"]*(py[p]i|pythonhost[e]d|npm[j]s)"
)


@functools.cache
def tracked_files() -> tuple[str, ...]:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout, so there is no list of tracked files")
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    return tuple(name for name in done.stdout.split("\0") if name and (ROOT / name).is_file())


def tracked_texts(*endings: str) -> Iterator[tuple[str, str]]:
    for name in tracked_files():
        if not endings or name.endswith(endings):
            try:
                yield name, (ROOT / name).read_text(encoding="utf-8")
            except UnicodeDecodeError:
                assert not endings, f"{name} is not UTF-8"


@functools.cache
def pyproject() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


# -- what no file may contain -----------------------------------------------------------------------------


def test_no_file_names_a_path_of_a_machine_or_a_registry_host() -> None:
    found = [
        f"{name}:{number}: {line.strip()[:100]}"
        for name, text in tracked_texts()
        for number, line in enumerate(text.splitlines(), start=1)
        if FROM_A_MACHINE.search(line)
    ]
    assert found == []


def test_files_are_small() -> None:
    sizes = {name: (ROOT / name).stat().st_size for name in tracked_files()}
    embedded = sum(size for name, size in sizes.items() if name.startswith(EMBEDDED_DATA))
    large = {name for name, size in sizes.items() if size > 1_000_000 and not name.startswith(EMBEDDED_DATA)}
    assert large == set()
    assert embedded < 5_000_000


def test_no_generated_file_is_tracked() -> None:
    generated = ("__pycache__/", ".venv/", "dist/", "runs/", ".egg-info/", "_cache/", ".hypothesis/")
    assert [name for name in tracked_files() if any(part in f"{name}/" for part in generated)] == []


# -- what no code may do ----------------------------------------------------------------------------------

PICKLES = {"cloudpickle", "dill", "joblib", "marshal", "pickle", "shelve"}
DANGEROUS_CALLS = {"eval", "exec", "compile", "__import__", "os.system", "os.popen"}
DANGEROUS_ARGUMENTS = {"shell", "allow_pickle"}


def dangers(source: str) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            found += [f"import {name}" for name in names if name.partition(".")[0] in PICKLES]
        elif isinstance(node, ast.Call):
            if ast.unparse(node.func) in DANGEROUS_CALLS:
                found.append(ast.unparse(node.func))
            for keyword in node.keywords:
                harmless = isinstance(keyword.value, ast.Constant) and keyword.value.value is False
                if keyword.arg in DANGEROUS_ARGUMENTS and not harmless:
                    found.append(f"{keyword.arg}={ast.unparse(keyword.value)}")
        elif isinstance(node, ast.ExceptHandler) and node.type is None:
            found.append("bare except")
    return found


@pytest.mark.parametrize(
    ("source", "danger"),
    [
        ("import pickle", "import pickle"),
        ("def f():\n    from joblib import load", "import joblib"),
        ("eval('1')", "eval"),
        ("exec('x = 1')", "exec"),
        ("import os\nos.system('ls')", "os.system"),
        ("run('ls', shell=True)", "shell=True"),
        ("np.load(f, allow_pickle=flag)", "allow_pickle=flag"),
        ("try:\n    f()\nexcept:\n    pass", "bare except"),
    ],
)
def test_a_dangerous_construction_is_found(source: str, danger: str) -> None:
    assert dangers(source) == [danger]


def test_a_harmless_construction_is_not_a_danger() -> None:
    assert dangers("model.eval()\nre.compile('x')\nnp.load(f, allow_pickle=False)\n") == []


def test_no_code_unpickles_evaluates_text_or_calls_a_shell() -> None:
    found = {name: dangers(text) for name, text in tracked_texts(".py") if not name.startswith("tests/")}
    assert len(found) > 20  # the list of files is not empty by mistake
    assert {name: list_ for name, list_ in found.items() if list_} == {}


# -- documents that tell the truth ------------------------------------------------------------------------


def test_the_version_is_the_same_everywhere() -> None:
    version = pyproject()["project"]["version"]
    assert tinygrad_bn.__version__ == version
    assert f"\n## {version}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def requirement_name(requirement: str) -> str:
    match = re.match(r"[A-Za-z0-9_.-]+", requirement)
    assert match, requirement
    return match.group()


def test_each_dependency_is_explained_under_its_extra() -> None:
    project = pyproject()["project"]
    required: dict[str, set[str]] = defaultdict(set)
    for extra, requirements in {"core": project["dependencies"], **project["optional-dependencies"]}.items():
        for requirement in requirements:
            if requirement_name(requirement) != project["name"]:
                required[requirement_name(requirement)].add(extra)
    explained: dict[str, set[str]] = {}
    text = (ROOT / "docs/dependencies.md").read_text(encoding="utf-8")
    costs = text.partition("## What each costs")[2]
    for package, extras in re.findall(r"^\| `([^`]+)` +\| ([^|]+?) +\|", costs, flags=re.MULTILINE):
        assert package not in explained, f"{package} is explained twice"
        explained[package] = set(extras.split(", "))
    assert explained == required
    for extra in project["optional-dependencies"]:
        assert f"`{extra}`" in text


def test_links_between_documents_lead_somewhere() -> None:
    broken = [
        f"{name}: {link}"
        for name, text in tracked_texts(".md")
        for link in re.findall(r"\]\(([^)#\s]+)", text)
        if not re.match(r"[a-z]+:", link) and not (ROOT / name).parent.joinpath(link).exists()
    ]
    assert broken == []


def test_each_make_target_that_a_document_names_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    named = {
        (name, target)
        for name, text in tracked_texts(".md")
        for target in re.findall(r"(?:`|^ *\$? *)make ([a-z-]+)", text, flags=re.MULTILINE)
    }
    assert {("CONTRIBUTING.md", "test")} <= named
    assert {(name, target) for name, target in named if target not in targets} == set()


# -- what is handed out -----------------------------------------------------------------------------------


def package_files() -> set[str]:
    return {name for name in tracked_files() if name.startswith("tinygrad_bn/")}


def build(target: str, folder: Path) -> Path:
    """Build the wheel or the source archive, without a network, with the hatchling that is installed."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", target, "--directory", str(folder)]
    subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    (built,) = folder.iterdir()
    return built


def test_the_wheel_holds_the_package_and_nothing_else(tmp_path: Path) -> None:
    with zipfile.ZipFile(build("wheel", tmp_path)) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert "tinygrad_bn/py.typed" in names
    assert package_files() <= names
    assert {name for name in names if not name.startswith("tinygrad_bn/")} == set()


def test_the_source_archive_holds_tracked_files_alone(tmp_path: Path) -> None:
    with tarfile.open(build("sdist", tmp_path)) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {*package_files(), "LICENSE", "pyproject.toml", "Makefile", "tests/test_repository.py"} <= names
    assert {name for name in names - {"PKG-INFO", ".gitignore"} if not (ROOT / name).is_file()} == set()
    assert not [name for name in names if name.startswith((".venv", "runs", ".git/", "dist"))]
