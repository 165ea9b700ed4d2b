"""Changes to a batch of images on its way to the network: random crops and flips, normalisation.

A transform is called with a float32 batch (N, C, H, W) and a NumPy generator, and returns a new batch. It
draws from that generator alone, so a batch repeats when the generator does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ..checks import as_index, check_probability
from ..errors import ArgumentError, DTypeError, ShapeError, explain

Transform = Callable[[np.ndarray, np.random.Generator], np.ndarray]


class RandomCrop:
    """Shift each image by up to `padding` pixels in each direction; what moves in from outside is `fill`.

    The image is padded on all sides and cut back to its own size at a random place, as is usual for CIFAR
    (He et al. 2016, section 4.2, with padding 4).
    """

    def __init__(self, padding: int, fill: float = 0.0) -> None:
        self.padding = as_index("RandomCrop", "padding", padding, minimum=0)
        self.fill = float(fill)

    def __call__(self, images: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """Return the shifted images, same shape."""
        count, _, height, width = _image_shape("RandomCrop", images)
        pad = self.padding
        borders = ((0, 0), (0, 0), (pad, pad), (pad, pad))
        padded = np.pad(images, borders, constant_values=self.fill)
        windows = np.lib.stride_tricks.sliding_window_view(padded, (height, width), axis=(2, 3))
        top, left = generator.integers(0, 2 * pad + 1, size=(2, count))
        return windows[np.arange(count), :, top, left]

    def __repr__(self) -> str:
        return f"RandomCrop(padding={self.padding}, fill={self.fill})"


class RandomHorizontalFlip:
    """Mirror each image left to right with probability `p`."""

    def __init__(self, p: float = 0.5) -> None:
        self.p = check_probability("RandomHorizontalFlip", "p", p)

    def __call__(self, images: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """Return the images, some of them mirrored."""
        count = _image_shape("RandomHorizontalFlip", images)[0]
        mirrored = generator.random(count) < self.p
        return np.where(mirrored[:, None, None, None], images[..., ::-1], images)

    def __repr__(self) -> str:
        return f"RandomHorizontalFlip(p={self.p})"


class Normalize:
    """Subtract `mean` and divide by `std`, per channel; usually the constants of the training set.

    >>> batch = np.array([0.5, 1.0], dtype=np.float32).reshape(2, 1, 1, 1)
    >>> Normalize((0.5,), (0.25,))(batch, np.random.default_rng(0)).ravel().tolist()
    [0.0, 2.0]
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        self.mean = tuple(float(value) for value in mean)
        self.std = tuple(float(value) for value in std)
        if not self.mean or len(self.mean) != len(self.std):
            raise ShapeError(
                explain("Normalize", "one mean and one std per channel", f"{len(self.mean)} and {len(self.std)}")
            )
        if not all(value > 0 for value in self.std):
            raise ArgumentError(explain("Normalize", "std > 0", f"{self.std}"))

    def __call__(self, images: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """Return the normalised images, same shape and dtype."""
        if images.ndim < 2 or images.shape[1] != len(self.mean):
            raise ShapeError(
                explain("Normalize", f"images of {len(self.mean)} channels", f"a batch of shape {images.shape}")
            )
        shape = (-1,) + (1,) * (images.ndim - 2)
        mean = np.array(self.mean, dtype=images.dtype).reshape(shape)
        std = np.array(self.std, dtype=images.dtype).reshape(shape)
        return np.asarray((images - mean) / std)

    def __repr__(self) -> str:
        return f"Normalize(mean={self.mean}, std={self.std})"


class Compose:
    """Apply transforms one after the other."""

    def __init__(self, transforms: Sequence[Transform]) -> None:
        self.transforms = tuple(transforms)
        for transform in self.transforms:
            if not callable(transform):
                raise DTypeError(explain("Compose", "transforms that can be called", repr(transform)))

    def __call__(self, images: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """Return what the last transform returns."""
        for transform in self.transforms:
            images = transform(images, generator)
        return images

    def __repr__(self) -> str:
        return f"Compose([{', '.join(map(repr, self.transforms))}])"


def _image_shape(where: str, images: np.ndarray) -> tuple[int, ...]:
    if images.ndim != 4:
        raise ShapeError(explain(where, "a batch of images (N, C, H, W)", f"shape {images.shape}"))
    return images.shape
