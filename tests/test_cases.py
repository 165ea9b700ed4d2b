"""The table of cases itself."""

from __future__ import annotations

from collections import Counter

from cases import EVERYTHING, FUNCTIONAL

from tinygrad_bn import functional as F


def test_each_case_has_a_name_of_its_own() -> None:
    assert [name for name, count in Counter(case.name for case in EVERYTHING).items() if count > 1] == []


def test_every_function_but_the_random_and_the_integer_ones_is_in_the_table() -> None:
    untested = set(F.__all__) - {case.name.partition("(")[0] for case in FUNCTIONAL}
    # dropout is random, one_hot has no gradient; the others are no functions of tensors.
    assert untested == {"dropout", "one_hot", "ACTIVATIONS", "Activation", "get_activation"}
