"""The laboratory's steps on a GPU are replays of one graph, and give what plain steps give."""

from __future__ import annotations

import dataclasses
from types import ModuleType
from typing import Any

import numpy as np
from sweeps import TINY

from tinygrad_bn.lab.training import Training, take_step

CONFIG = dataclasses.replace(TINY, epochs=2, batch_size=100, device="cuda", landscape=1, step_probes=7)


def trained(captured: bool) -> tuple[list[dict[str, float]], dict[str, np.ndarray], Any]:
    training = Training(CONFIG)
    step = training._take_step
    if not captured:
        training._take_step = take_step
    while not training.is_over:
        training.run_epoch()
    state = {name: tensor.numpy() for name, tensor in training.model.state_dict().items()}
    return [{k: v for k, v in line.items() if k != "seconds"} for line in training.metrics], state, step


def test_a_run_is_the_same_to_the_last_bit(emulated_gpu: ModuleType) -> None:
    metrics, state, step = trained(captured=True)
    expected, expected_state, _ = trained(captured=False)
    assert metrics == expected
    for name, values in expected_state.items():
        np.testing.assert_array_equal(state[name], values)
    (graph,) = step.graphs
    assert graph.inputs[0][0][0] == CONFIG.batch_size
    assert graph.replays >= 3  # also after an evaluation, a look around the weights, and plain steps with a probe
