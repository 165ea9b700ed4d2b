/** Small documents for the tests. */

export function node(id, label, cluster, more = {}) {
  return {
    id,
    key: `${label}${id}`,
    role: "weight",
    label,
    sign: label,
    path: "",
    name: "",
    shape: [2, 3],
    dtype: "float32",
    attributes: [],
    cluster,
    module: "",
    contents: [],
    parameters: [],
    parameter_count: 0,
    flops: 10,
    kept_bytes: 4,
    derivative_of: null,
    repeat: 1,
    equation: null,
    ...more,
  };
}

export const edge = (tail, head, flow = "value") => ({ tail, head, argument: "x", shape: [2, 3], dtype: "float32", flow });

export const cluster = (id, parent, label, more = {}) => ({
  id,
  parent,
  path: `Net/${id}`,
  name: String(id),
  label,
  role: "module",
  attributes: [],
  repeat: 1,
  equation: null,
  ...more,
});

/** input -> [Net: [Block: conv -> norm -> act] -> [Linear: linear]] -> output */
export function chain() {
  const weight = { key: "w", name: "0.weight", role: "parameter", shape: [3, 3], dtype: "float32", size: 9 };
  return {
    name: "convention",
    title: "Net",
    mode: "training",
    root: "Net",
    totals: { parameters: 9, flops: 40, kept_bytes: 16 },
    nodes: [
      node(0, "input", null, { role: "input", flops: 0, kept_bytes: 0 }),
      node(1, "conv2d", 2, { parameters: [weight] }),
      node(2, "batch_norm", 2, { role: "norm" }),
      node(3, "tanh", 2, { role: "activation" }),
      node(4, "linear", 3),
      node(5, "output", null, { role: "output", flops: 0, kept_bytes: 0 }),
    ],
    edges: [edge(0, 1), edge(1, 2), edge(2, 3), edge(3, 4), edge(4, 5)],
    clusters: [cluster(0, null, "Net"), cluster(1, 0, "Sequential"), cluster(2, 1, "Block"), cluster(3, 1, "Linear")],
    frames: [],
  };
}
