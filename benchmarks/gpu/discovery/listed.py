"""All items, in the order in which they are found out."""

from __future__ import annotations

from . import Item, convolution, exchange, kernels, machine, products, speed, steps

_FIRST = (*machine.ITEMS, *speed.ITEMS, *convolution.ITEMS[:1])
_THEN = (*steps.ITEMS, *kernels.ITEMS, *exchange.ITEMS, *products.ITEMS, *convolution.ITEMS[1:])

ITEMS: dict[str, Item] = {item.name: item for item in (*_FIRST, *_THEN)}
"""By name."""
