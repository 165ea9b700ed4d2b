"""Softmax, its logarithm, and cross-entropy, along one axis and without overflow."""

from __future__ import annotations

from typing import Any

from .precision import in_float32


class LossKernels:
    """The maximum is taken out before the exponential, so that large logits do not overflow."""

    xp: Any

    @in_float32
    def softmax(self, x: Any, axis: int) -> Any:
        exponential = self.xp.exp(x - x.max(axis=axis, keepdims=True))
        return exponential / exponential.sum(axis=axis, keepdims=True)

    @in_float32
    def softmax_grad(self, grad: Any, output: Any, axis: int) -> Any:
        """Return p * (grad - sum(grad * p))."""
        return output * (grad - (grad * output).sum(axis=axis, keepdims=True))

    @in_float32
    def log_softmax(self, x: Any, axis: int) -> Any:
        shifted = x - x.max(axis=axis, keepdims=True)
        return shifted - self.xp.log(self.xp.exp(shifted).sum(axis=axis, keepdims=True))

    @in_float32
    def log_softmax_grad(self, grad: Any, output: Any, axis: int) -> Any:
        """Return grad - softmax * sum(grad)."""
        return grad - self.xp.exp(output) * grad.sum(axis=axis, keepdims=True)

    @in_float32
    def logsumexp(self, x: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
        """Return log(sum(exp(x))); a slice whose maximum is infinite gives that maximum."""
        highest = x.max(axis=axes, keepdims=True)
        finite = self.xp.where(self.xp.isfinite(highest), highest, 0.0).astype(x.dtype)
        result = self.xp.log(self.xp.exp(x - finite).sum(axis=axes, keepdims=True)) + finite
        return result if keepdims else result.reshape([n for d, n in enumerate(x.shape) if d not in axes])

    def class_weights(
        self, target: Any, classes: int, weight: Any, ignore_index: int, smoothing: float, dtype: Any
    ) -> tuple[Any, Any]:
        """Return what multiplies each class's -log p, (N, C, ...), and the weight of each target, (N, ...).

        A target y contributes (1 - smoothing) w[y] to its own class and smoothing / C * w[c] to every class c;
        nothing where it equals ignore_index (PyTorch's definition).
        """
        xp = self.xp
        shape = (1, classes) + (1,) * (target.ndim - 1)
        one_hot = xp.arange(classes).reshape(shape) == xp.expand_dims(target, 1)
        per_class = xp.ones(shape, dtype=dtype) if weight is None else weight.reshape(shape)
        counted = xp.expand_dims(target != ignore_index, 1)
        own = xp.where(one_hot & counted, per_class, 0.0)
        spread = own
        if smoothing:
            spread = (1.0 - smoothing) * own + (smoothing / classes) * xp.where(counted, per_class, 0.0)
        return spread.astype(dtype), own.sum(axis=1).astype(dtype)

    @in_float32
    def class_cross_entropy(self, x: Any, target: Any, ignore_index: int, reduction: str) -> Any:
        """Return -log_softmax(x) at the class that each target (N, ...) names, or their "mean" or "sum".

        A target equal to ignore_index counts nothing.
        """
        xp = self.xp
        counted = target != ignore_index
        index = xp.expand_dims(xp.where(counted, target, 0), 1).astype("int64")
        losses = xp.where(counted, -xp.take_along_axis(self.log_softmax(x, 1), index, 1)[:, 0], 0.0)
        if reduction == "none":
            return losses
        return (losses.sum() / counted.sum()).astype(x.dtype) if reduction == "mean" else losses.sum()

    @in_float32
    def class_cross_entropy_grad(self, grad: Any, x: Any, target: Any, ignore_index: int, reduction: str) -> Any:
        """Return (softmax(x) - one_hot(target)) * grad, divided by the number of targets for "mean"."""
        xp = self.xp
        counted = target != ignore_index
        # The mean of no targets at all divides by 0, but nothing gets a gradient then.
        share = xp.where(counted, grad / counted.sum() if reduction == "mean" else grad, 0.0).astype(x.dtype)
        classes = xp.arange(x.shape[1]).reshape((1, -1) + (1,) * (x.ndim - 2))
        return (self.softmax(x, 1) - (classes == xp.expand_dims(target, 1))) * xp.expand_dims(share, 1)

    @in_float32
    def cross_entropy(self, x: Any, target: Any) -> Any:
        """Return -sum over axis 1 of target * log_softmax(x); a target of 0 counts nothing, even of -inf."""
        return -self._weighted(target, self.log_softmax(x, 1)).sum(axis=1)

    @in_float32
    def cross_entropy_grad(self, grad: Any, x: Any, target: Any) -> tuple[Any, Any]:
        """Return the gradients of x, (softmax * sum(target) - target) * grad, and of target, -log p * grad."""
        log_probability = self.log_softmax(x, 1)
        spread = self.xp.expand_dims(grad, 1)
        total = target.sum(axis=1, keepdims=True)
        # A target that counts nothing gets no gradient, also where the mean over no targets at all divides by 0.
        counted = self.xp.where((target != 0).any(axis=1, keepdims=True), spread, 0.0)
        return (self.xp.exp(log_probability) * total - target) * counted, -log_probability * counted

    def _weighted(self, target: Any, log_probability: Any) -> Any:
        return self.xp.where(target == 0, 0.0, target * log_probability)
