"""Models: each takes the order of its blocks and their activation."""

from .small_cnn import SmallCNN

__all__ = ["SmallCNN"]
