import assert from "node:assert/strict";
import { test } from "node:test";

import { toDot } from "../src/dot.js";
import { Graph } from "../src/model.js";
import { openTo, visible } from "../src/visible.js";
import { chain, edge, node } from "./samples.js";

const OPTIONS = { direction: "TB", compact: false };

function dotOf(data, options = OPTIONS) {
  const graph = new Graph(data);
  const view = visible(graph, openTo(graph, graph.levels), true);
  const sizes = new Map([...view.items.keys()].map((key) => [key, { w: 144, h: 36, round: false }]));
  const headings = new Map(view.boxes.map((box) => [box.key, { w: 99.5, h: 18 }]));
  return toDot(view, sizes, headings, options);
}

test("no text of the document gets into DOT", () => {
  const data = chain();
  const hostile = '"]; evil [label="<b>';
  for (const each of data.nodes) Object.assign(each, { label: hostile, name: hostile, key: hostile + each.id });
  for (const each of data.clusters) Object.assign(each, { label: hostile, name: hostile, path: hostile });
  for (const each of data.edges) each.argument = hostile;
  assert.ok(!dotOf(data).includes("evil"));
});

test("sizes are inches, boxes nest, headings have their room", () => {
  const dot = dotOf(chain());
  assert.match(dot, /n0 \[width=2\.0000, height=0\.5000\]/);
  assert.match(dot, /subgraph cluster_0 \{[\s\S]*subgraph cluster_1 \{[\s\S]*n1 [\s\S]*\}[\s\S]*\}/);
  assert.match(dot, /WIDTH="100" HEIGHT="18"/);
  assert.match(dot, /n0 -> n1 \[id=e0, weight=4\]/);
  assert.equal(dot, dotOf(chain()));
  assert.match(dotOf(chain(), { direction: "LR", compact: true }), /rankdir=LR/);
});

test("a derivative lies beside its operation, and gradients run against the computation", () => {
  const data = chain();
  data.nodes.push(node(6, "tanh", 2, { key: "dtanh", derivative_of: 3 }), node(7, "norm", 2, { key: "dnorm", derivative_of: 2 }));
  data.edges.push(edge(6, 7, "gradient"), edge(3, 6, "kept"));
  const dot = dotOf(data);
  assert.match(dot, /n7 -> n6 \[id=e5, dir=back\]/);
  assert.match(dot, /n3 -> n6 \[id=e6, constraint=false\]/);
  assert.match(dot, /n3 -> n6 \[style=invis, minlen=0, weight=2\]/);
});
