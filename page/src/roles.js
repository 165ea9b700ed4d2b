/** What the roles are called in the legend, as in tinygrad_bn/viz/style.py. */
export const MEANINGS = {
  weight: "weights",
  norm: "BatchNorm",
  activation: "activation",
  pool: "pooling",
  loss: "loss",
  arithmetic: "arithmetic",
  shape: "shape",
  module: "closed module",
  input: "input",
  output: "output",
  constant: "constant",
  parameter: "parameter (trained)",
  buffer: "buffer (not trained)",
};
