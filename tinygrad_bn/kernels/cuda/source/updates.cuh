// Optimisers: one launch changes all parameters.
