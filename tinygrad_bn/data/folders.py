"""Where data files lie on this machine, and where fetched ones are put."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

ENVIRONMENT_VARIABLE = "TINYGRAD_BN_DATA"
DEBIAN_FOLDER = Path("/usr/share/datasets")
"""Where Debian's packages `dataset-*` install their files."""


def search_folders() -> list[Path]:
    """Return the folders that may hold data sets, the user's own first."""
    named = _named_folder()
    return [*([named] if named else []), DEBIAN_FOLDER, cache_folder()]


def download_folder() -> Path:
    """Return the folder that fetched files go to: the one the user named, else the cache."""
    return _named_folder() or cache_folder()


def cache_folder() -> Path:
    """Return the user's cache folder for this package (XDG base directory specification)."""
    named = os.environ.get("XDG_CACHE_HOME", "")
    # The specification says that a relative path is to be ignored.
    base = Path(named) if Path(named).is_absolute() else Path.home() / ".cache"
    return base / "tinygrad_bn"


def find_file(folders: Sequence[str], names: Sequence[str]) -> Path | None:
    """Return the first existing file of these names, in these folders below each of the search folders."""
    for root in search_folders():
        for folder in folders:
            for name in names:
                path = root / folder / name
                if path.is_file():
                    return path
    return None


def _named_folder() -> Path | None:
    named = os.environ.get(ENVIRONMENT_VARIABLE)
    return Path(named).expanduser() if named else None
