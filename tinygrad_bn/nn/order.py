"""The order of weight, normalisation and activation in a block: the question that this package is about."""

from __future__ import annotations

from ..errors import ArgumentError, explain, unknown_choice

OrderLike = str | tuple[str, ...]

PARTS = ("weight", "norm", "act")

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


def parse_order(order: OrderLike) -> tuple[str, ...]:
    """Return the parts of an order ("weight", "norm", "act"), first one first.

    Args:
        order: a word of `ORDERS`; or the parts themselves, "weight" once and the others at most once, for a block that
            does without one of them.

    >>> parse_order("swap"), parse_order(("weight", "norm"))
    (('weight', 'act', 'norm'), ('weight', 'norm'))

    Raises:
        ArgumentError: it is no order; the message lists them.
    """
    if isinstance(order, tuple):
        parts = tuple(part for part in PARTS if part in order)
        if "weight" not in parts or len(parts) != len(order):
            raise ArgumentError(explain("order", "'weight' once, 'norm' and 'act' at most once", repr(order)))
        return order
    if not isinstance(order, str) or order not in ORDERS:
        raise unknown_choice("order", "the order", order, ORDERS)
    return ORDERS[order]


def split_orders(orders: str) -> list[OrderLike]:
    """Return the orders of several blocks from one word, in which a plus stands between them.

    >>> split_orders("swap+no-norm")
    ['swap', 'no-norm']

    Raises:
        ArgumentError: one of them is no order; the message lists them.
    """
    words: list[OrderLike] = [*orders.split("+")]
    for word in words:
        parse_order(word)
    return words


def canonical_order(order: OrderLike) -> str:
    """Return the one full word for an order.

    >>> canonical_order("convention")
    'weight-norm-act'
    """
    return "-".join(parse_order(order))
