// Softmax and cross-entropy, both ways.
