"""One self-contained page from a comparison's folder: no network, no server, light and dark, and fit to print."""

from __future__ import annotations

from .page import build_page, write_report

__all__ = ["build_page", "write_report"]
