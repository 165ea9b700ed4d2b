"""What is compared: an order, or an order together with settings that belong to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..nn import ORDERS, canonical_order

#: Words beside those of `nn.ORDERS`, and what they set in a run.
OTHERS: dict[str, dict[str, Any]] = {
    # Convention without weight decay on BatchNorm's affine parameters (Kim, Kim & Kim 2023).
    "nwdbn": {"order": "convention", "gamma_weight_decay": 0.0, "beta_weight_decay": 0.0},
}


def words() -> Sequence[str]:
    """Everything that can be compared."""
    return [*ORDERS, *OTHERS]


def settings_of(word: str) -> dict[str, Any]:
    """The settings of a run that a word stands for."""
    return OTHERS.get(word, {"order": word})


def meaning(word: str) -> str:
    """The same text for two words that mean the same.

    >>> meaning("convention") == meaning("weight-norm-act"), meaning("swap+no-norm")
    (True, 'weight-act-norm+weight-act')
    """
    if word in OTHERS:
        return word
    return "+".join(canonical_order(part) for part in word.split("+"))
