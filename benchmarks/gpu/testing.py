"""The part "tests": the project's own test bodies with the GPU as the default device, folder by folder."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

from ..environments import ROOT
from .budget import Budget
from .plan import Task
from .record import Record

FOLDERS = (
    *("kernels", "backend", "captured", "functional", "autograd", "tensor", "ops", "nn", "optim"),
    *("traps", "data", "interop", "viz", "lab"),
)
"""Of the tests, those that mean the most first."""

# Other releases than those of the project's own environment may warn of what is to come.
_LENIENT = (
    "-W",
    "default::DeprecationWarning",
    "-W",
    "default::PendingDeprecationWarning",
    "-W",
    "default::FutureWarning",
)

_PROCESSES = 8
_TIMEOUT = 400.0
_KEPT = 40  # failures whose text is kept


def tasks(device: str, budget: Budget, rehearsal: bool) -> list[Task]:
    """Return one task for each folder of tests."""
    if rehearsal:
        return [_task("backend/test_random.py", device, budget, 1)]
    return [_task(folder, device, budget, 2) for folder in FOLDERS]


def _task(folder: str, device: str, budget: Budget, priority: int) -> Task:
    title = f"tests/{folder}"
    return Task("tests", folder, title, lambda: _run(folder, device, budget), 30.0, priority, "tests")


def _run(folder: str, device: str, budget: Budget) -> Record:
    title = f"tests/{folder}"
    for package in ("pytest", "hypothesis"):
        if importlib.util.find_spec(package) is None:
            return Record("tests", folder, title, "skip", f"the package {package} is not installed")
    with tempfile.TemporaryDirectory(prefix="tinygrad_bn-tests-") as scratch:
        report = Path(scratch) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", "--tb=short", "-p", "no:cacheprovider", "-m", "not slow"]
        command += ["--device", device, f"--junitxml={report}", *_LENIENT, title]
        if importlib.util.find_spec("xdist") is not None:
            command += ["-n", str(min(_PROCESSES, os.cpu_count() or 1))]
        timeout = budget.at_most(_TIMEOUT)
        try:
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=timeout)
        except subprocess.TimeoutExpired as expired:
            said = (expired.stdout or b"").decode(errors="replace")[-4000:]
            return Record("tests", folder, title, "fail", f"not done after {timeout:.0f} s", trace=said)
        if not report.exists():
            return Record(
                "tests", folder, title, "fail", "pytest wrote no report", trace=(done.stdout + done.stderr)[-4000:]
            )
        return _told(folder, title, report)


def _told(folder: str, title: str, report: Path) -> Record:
    """Return what pytest's report says."""
    cases = list(ElementTree.parse(report).iter("testcase"))
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    failures: list[dict[str, str]] = []
    reasons: dict[str, int] = {}
    for case in cases:
        bad = case.find("failure") if case.find("failure") is not None else case.find("error")
        skipped = case.find("skipped")
        if bad is not None:
            counts["failed"] += 1
            name = f"{case.get('classname')}::{case.get('name')}"
            failures.append({"test": name, "message": bad.get("message") or "", "text": (bad.text or "")[-3000:]})
        elif skipped is not None:
            counts["skipped"] += 1
            reason = skipped.get("message") or ""
            reasons[reason] = reasons.get(reason, 0) + 1
        else:
            counts["passed"] += 1
    data: dict[str, Any] = {"counts": counts, "failures": failures[:_KEPT], "skipped": reasons}
    status = "fail" if counts["failed"] else "pass" if counts["passed"] else "skip"
    line = ", ".join(f"{count} {what}" for what, count in counts.items())
    if status == "skip" and reasons:
        line += f": {max(reasons, key=lambda reason: reasons[reason])}"
    return Record("tests", folder, title, status, line, data=data)
