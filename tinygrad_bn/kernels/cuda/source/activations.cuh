// The value and the slope of every activation: what `kernels/reference/activations.py` says, for one element.
