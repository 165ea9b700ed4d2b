"""What a config's words do: parameter groups, optimisers, initialisations, augmentation."""

from __future__ import annotations

import numpy as np
import pytest

from tinygrad_bn import data, manual_seed, nn
from tinygrad_bn.lab.config import RunConfig
from tinygrad_bn.lab.recipes import AUGMENTATIONS, INITIALIZATIONS, OPTIMIZERS, SCHEDULES, parameter_groups


def groups_of(**settings: float) -> dict[str, dict[str, object]]:
    config = RunConfig(weight_decay=0.1, **settings)  # type: ignore[arg-type]
    optimizer = OPTIMIZERS[config.optimizer](parameter_groups(nn.SmallCNN(width=2), config), config)
    return {group["name"]: group for group in optimizer.param_groups}


def test_batch_norm_decays_as_it_is_told() -> None:
    assert {name: group["weight_decay"] for name, group in groups_of().items()} == {"all": 0.1}
    decays = {name: group["weight_decay"] for name, group in groups_of(beta_weight_decay=0.0).items()}
    assert decays == {"weights": 0.1, "gamma": 0.1, "beta": 0.0}
    groups = groups_of(gamma_weight_decay=0.3, beta_weight_decay=0.2)
    assert {name: group["weight_decay"] for name, group in groups.items()} == {
        "weights": 0.1,
        "gamma": 0.3,
        "beta": 0.2,
    }
    sizes = {name: len(group["params"]) for name, group in groups.items()}  # type: ignore[arg-type]
    # Four convolutions and two fully connected layers with biases; five BatchNorms.
    assert sizes == {"weights": 12, "gamma": 5, "beta": 5}


@pytest.mark.parametrize("word", [word for word in INITIALIZATIONS if word != "default"])
def test_initialisations_draw_the_same_weights_in_every_order(word: str) -> None:
    weights = []
    for order in ("convention", "swap"):
        manual_seed(3)
        model = nn.SmallCNN(width=2, order=order)
        before = model.state_dict()["features.0.conv.weight"].numpy().copy()
        INITIALIZATIONS[word](model)
        state = model.state_dict()
        weights.append(state["features.0.conv.weight"].numpy())
        assert not np.array_equal(weights[-1], before)
        assert not state["features.0.conv.bias"].numpy().any()
    np.testing.assert_array_equal(*weights)


def test_crops_and_flips_keep_the_shape_and_change_the_images() -> None:
    dataset = data.load("digits", "train")
    images, _ = dataset.batch(np.arange(16))
    generator = np.random.default_rng(0)
    changed = images
    for transform in AUGMENTATIONS["crop-flip"](dataset):
        changed = transform(changed, generator)
    assert changed.shape == images.shape
    assert not np.array_equal(changed, images)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_every_schedule_goes_with_every_optimiser(optimizer: str, schedule: str) -> None:
    config = RunConfig(optimizer=optimizer, schedule=schedule)
    made = OPTIMIZERS[optimizer](parameter_groups(nn.MLP(4, (3,)), config), config)
    rates = []
    steps = SCHEDULES[schedule](made, 8)
    for _ in range(8):
        rates.append(made.param_groups[0]["lr"])
        steps.step()
    assert max(rates) <= config.learning_rate * (1 + 1e-12)
    assert rates[0] == rates[-1] if schedule == "constant" else rates[-1] < max(rates) / 5
