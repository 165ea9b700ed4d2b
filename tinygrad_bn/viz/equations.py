"""What each operation computes, and its derivative, as one line of text."""

from __future__ import annotations


def equation_of(label: str) -> dict[str, str] | None:
    """Return the operation's own equation and that of its derivative, under "forward" and "backward"."""
    return EQUATIONS.get(label)


EQUATIONS: dict[str, dict[str, str]] = {}
