"""The order of weight, normalisation and activation in a block: the question that this package is about."""

from __future__ import annotations

from ..errors import unknown_choice

ALIASES: dict[str, str] = {
    "convention": "weight-norm-act",
    "swap": "weight-act-norm",
    "preact": "norm-act-weight",
    "no-norm": "weight-act",
}
"""Short names of the orders that are talked about most."""

ORDERS: dict[str, tuple[str, ...]] = {
    word: tuple(ALIASES.get(word, word).split("-"))
    for word in (
        *ALIASES,
        "weight-norm-act",
        "weight-act-norm",
        "norm-act-weight",
        "norm-weight-act",
        "act-norm-weight",
        "act-weight-norm",
        "weight-act",
        "act-weight",
    )
}
"""Every word for an order, and the parts it stands for, first one first."""


def parse_order(order: str) -> tuple[str, ...]:
    """Return the parts of an order ("weight", "norm", "act"), first one first.

    >>> parse_order("swap")
    ('weight', 'act', 'norm')

    Raises:
        ArgumentError: it is no order; the message lists them.
    """
    if not isinstance(order, str) or order not in ORDERS:
        raise unknown_choice("order", "the order", order, ORDERS)
    return ORDERS[order]


def canonical_order(order: str) -> str:
    """Return the one full word for an order.

    >>> canonical_order("convention")
    'weight-norm-act'
    """
    return "-".join(parse_order(order))
