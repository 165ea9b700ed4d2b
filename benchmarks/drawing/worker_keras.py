"""Draws Keras' networks with `plot_model`; Keras runs on PyTorch, and no network is run for it."""

from __future__ import annotations

import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import keras
import torch
from keras import layers

from .networks import HOSTILE, SHAPES, VGG16
from .serving import serve

sys.modules["IPython"] = None  # type: ignore[assignment]  # where it is found, plot_model hands it the SVG, and it refuses


class Keras:
    """The picture with shapes, names and activations."""

    def versions(self) -> dict[str, str]:
        """Return the versions of the packages that draw."""
        return {package: metadata.version(package) for package in ("keras", "pydot")}

    def network(self, name: str, blocks: int) -> tuple[Any, Any]:
        """Return a network; it needs no input to be drawn."""
        keras.utils.clear_session()
        keras.utils.set_random_seed(0)
        channels, *sides = SHAPES[name]
        image = keras.Input((*sides, channels))
        result = BUILDERS[name](image, blocks)
        return keras.Model(image, result), None

    def state(self, model: Any) -> dict[str, Any]:
        """Return what a drawing should leave alone, by kind."""
        return {
            "parameters": {weight.path: weight.numpy().tobytes() for weight in model.trainable_weights},
            "statistics": {weight.path: weight.numpy().tobytes() for weight in model.non_trainable_weights},
            "random state": torch.random.get_rng_state().numpy().tobytes(),
        }

    def draw(self, model: Any, input: Any, stem: Path) -> Path:
        """Write an SVG."""
        path = stem.with_suffix(".svg")
        keras.utils.plot_model(model, str(path), show_shapes=True, show_layer_names=True, show_layer_activations=True)
        return path


def _block(tensor: Any, layer: Any) -> Any:
    return layers.BatchNormalization(epsilon=1e-5, momentum=0.9)(layers.Activation("tanh")(layer(tensor)))


def _small_cnn(tensor: Any, blocks: int) -> Any:
    for width in (32, 64):
        for _ in range(2):
            tensor = _block(tensor, layers.Conv2D(width, 3, padding="same"))
        tensor = layers.MaxPooling2D(2)(tensor)
    return layers.Dense(10)(_block(layers.Flatten()(tensor), layers.Dense(128)))


def _vgg16(tensor: Any, blocks: int) -> Any:
    for count, width in VGG16:
        for _ in range(count):
            tensor = _block(tensor, layers.Conv2D(width, 3, padding="same"))
        tensor = layers.MaxPooling2D(2)(tensor)
    return layers.Dense(10)(layers.GlobalAveragePooling2D()(tensor))


def _chain(tensor: Any, blocks: int) -> Any:
    for _ in range(blocks):
        inside = layers.Dense(8)(layers.Activation("tanh")(layers.Dense(8)(tensor)))
        tensor = layers.Add()([tensor, inside])
    return tensor


def _hostile(tensor: Any, blocks: int) -> Any:
    first, second = (name.replace("</", "<|") for name in HOSTILE)  # Keras refuses a slash in a name
    return layers.BatchNormalization(name=second)(layers.Conv2D(4, 3, name=first)(tensor))


def _watched(tensor: Any, blocks: int) -> Any:
    return layers.Dropout(0.5)(_small_cnn(tensor, blocks))


BUILDERS = {"smallcnn": _small_cnn, "vgg16": _vgg16, "chain": _chain, "hostile": _hostile, "watched": _watched}

if __name__ == "__main__":
    torch.set_num_threads(1)
    serve(Keras())
