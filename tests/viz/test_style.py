"""Both themes: text that can be read, and one that can be turned into the other."""

from __future__ import annotations

import pytest

from tinygrad_bn.viz.records import Role
from tinygrad_bn.viz.scale import contrast
from tinygrad_bn.viz.style import DARK, LIGHT, Theme
from tinygrad_bn.viz.svg import themes_as_pairs


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_all_text_can_be_read(theme: Theme) -> None:
    grounds = [theme.paper, *theme.cluster_fills, theme.norm_cluster_fill]
    pairs = [(text, ground) for text in (theme.ink, theme.faint) for ground in grounds]
    for role in Role:
        for look in (theme.looks[role], theme.derivative_look(role)):
            pairs += [(look.text, look.fill), (look.faint, look.fill)]
    assert min(contrast(text, ground) for text, ground in pairs) >= 4.5


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_lines_can_be_seen_on_what_they_lie_on(theme: Theme) -> None:
    lines = [theme.line, *theme.flows.values(), *(look.line for look in theme.looks.values())]
    assert min(contrast(line, theme.paper) for line in lines) >= 2.5


def test_batch_norm_stands_out_without_colours() -> None:
    for theme in (LIGHT, DARK):
        others = [look.width for role, look in theme.looks.items() if role is not Role.NORM]
        assert theme.looks[Role.NORM].width > 1.5 * max(others)
        fills = [look.fill for role, look in theme.looks.items() if role not in (Role.NORM, Role.LOSS)]
        norm = theme.looks[Role.NORM].fill
        assert min(contrast(norm, fill) for fill in fills) > 1.25


def test_every_light_colour_has_one_dark_colour() -> None:
    from tinygrad_bn.viz import svg

    for colours in (svg._shape_colours, svg._text_colours):
        assert len(dict.fromkeys(zip(colours(LIGHT), colours(DARK), strict=True))) == len(set(colours(LIGHT)))
    shapes, texts = themes_as_pairs()
    assert shapes[LIGHT.paper] == DARK.paper
    assert texts[LIGHT.ink] == DARK.ink
