// Maximum and average pooling of channels-last images, both ways.
