"""The page's style and script, as they lie beside this file."""

from __future__ import annotations

import re
from importlib import resources

DARK = "@media screen and (prefers-color-scheme: dark)"


def asset(name: str) -> str:
    """The text of a file of this package."""
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def palette(scheme: str) -> dict[str, str]:
    """The colours of the page by the name of their custom property.

    Args:
        scheme: "light" or "dark".
    """
    light, dark = asset("style.css").split(DARK, 2)[:2]
    text = light if scheme == "light" else light + dark[: dark.index("}")]
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", text))
