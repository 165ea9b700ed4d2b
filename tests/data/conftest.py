"""Tests of data sets never leave this machine and never see the user's own files."""

from __future__ import annotations

from pathlib import Path

import pytest

from tinygrad_bn.data import folders, full_sets


@pytest.fixture(autouse=True)
def data_folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder in place of the user's, Debian's and the cache; nothing can be fetched."""
    home = tmp_path_factory.mktemp("home")
    folder = home / "data"
    folder.mkdir()
    monkeypatch.setenv("TINYGRAD_BN_DATA", str(folder))
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "cache"))
    # A proxy that the machine may be set to use does not reach the tests' own server.
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(folders, "DEBIAN_FOLDER", home / "debian")

    def refuse(urls: object, destination: object, check: object) -> None:
        raise AssertionError(f"a test tried to fetch {urls}")

    monkeypatch.setattr(full_sets, "download", refuse)
    return folder
