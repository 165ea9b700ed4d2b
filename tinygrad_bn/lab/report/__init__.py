"""One self-contained page from comparisons' folders: no network, no server, light and dark, and fit to print."""

from __future__ import annotations

from .page import build_page, comparison_chapter, write_report

__all__ = ["build_page", "comparison_chapter", "write_report"]
