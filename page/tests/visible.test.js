import assert from "node:assert/strict";
import { test } from "node:test";

import { Graph } from "../src/model.js";
import { firstLevels, openTo, visible } from "../src/visible.js";
import { chain, edge, node } from "./samples.js";

test("a box is drawn around several things only", () => {
  const graph = new Graph(chain());
  // The model itself and its Sequential hold everything there is; Linear is one operation.
  assert.deepEqual(graph.groups.map(({ key }) => key), ["1::Sequential", "2::Block"]);
  assert.equal(graph.byKey.get("linear4").module, "Linear");
  assert.equal(graph.levels, 2);
});

test("a closed group stands for what is in it, with sums", () => {
  const graph = new Graph(chain());
  const view = visible(graph, openTo(graph, 1), true);
  assert.deepEqual([...view.items.keys()], ["input0", "2::Block", "linear4", "output5"]);
  assert.deepEqual(view.links.map(({ tail, head }) => [tail, head]), [
    ["input0", "2::Block"],
    ["2::Block", "linear4"],
    ["linear4", "output5"],
  ]);
  const { summary } = view.items.get("2::Block").group;
  assert.deepEqual(summary.contents.map(({ label }) => label), ["conv2d", "batch_norm", "tanh"]);
  assert.deepEqual([summary.parameters, summary.flops, summary.keptBytes], [9, 30, 12]);
  assert.equal(summary.output.label, "tanh");
});

test("an inner group stays hidden in a closed outer one", () => {
  const graph = new Graph(chain());
  const view = visible(graph, new Set(["2::Block"]), true);
  assert.deepEqual([...view.items.keys()], ["input0", "1::Sequential", "output5"]);
  assert.deepEqual(view.boxes, []);
});

test("a parameter is taken in by the closed group that alone reads it", () => {
  const data = chain();
  data.nodes.push(node(6, "shared", null, { role: "parameter" }), node(7, "both", null, { role: "parameter" }));
  data.edges.push(edge(6, 1), edge(6, 2), edge(7, 1), edge(7, 5));
  const graph = new Graph(data);
  const keys = [...visible(graph, new Set(), true).items.keys()];
  assert.ok(!keys.includes("shared6"));
  assert.ok(keys.includes("both7"));
});

test("derivatives can be left out, with the edges that lead to them", () => {
  const data = chain();
  data.nodes.push(node(6, "tanh", 2, { key: "dtanh", derivative_of: 3, flops: 0 }));
  data.edges.push(edge(3, 6, "kept"), edge(5, 6, "gradient"));
  const graph = new Graph(data);
  assert.ok(graph.hasBackward);
  assert.ok(visible(graph, openTo(graph, 2), true).items.has("dtanh"));
  const without = visible(graph, openTo(graph, 2), false);
  assert.ok(!without.items.has("dtanh"));
  assert.ok(without.links.every(({ flow }) => flow === "value"));
  // What a derivative adds to a box is not counted as one of its operations.
  assert.equal(graph.groupByKey.get("2::Block").summary.contents.length, 3);
});

test("as many levels are opened at first as can be looked at", () => {
  const graph = new Graph(chain());
  assert.equal(firstLevels(graph, 60, true), 2);
  assert.equal(firstLevels(graph, 5, true), 2);
  const wide = chain();
  for (let id = 10; id < 40; id += 1) wide.nodes.push(node(id, "add", 2));
  assert.equal(firstLevels(new Graph(wide), 20, true), 2);
  for (let id = 40; id < 50; id += 1) wide.nodes.push(node(id, "add", null));
  assert.equal(firstLevels(new Graph(wide), 20, true), 1);
});

test("a module that is called twice has two keys", () => {
  const data = chain();
  data.clusters.push({ ...data.clusters[2], id: 4 });
  data.nodes.push(node(6, "add", 4), node(7, "add", 4));
  assert.deepEqual(new Graph(data).groups.map(({ key }) => key).slice(1), ["2::Block", "2::Block#2"]);
});

test("thousands of operations without modules become parts, in their order", () => {
  const data = { ...chain(), clusters: [], edges: [], nodes: [] };
  for (let id = 0; id < 10_000; id += 1) {
    data.nodes.push(node(id, "add", null));
    if (id) data.edges.push(edge(id - 1, id));
  }
  const graph = new Graph(data);
  const view = visible(graph, new Set(), true);
  assert.ok(view.items.size <= 150);
  // Each part leads to the next, and to nothing else.
  const keys = [...view.items.keys()];
  assert.deepEqual(view.links.map(({ tail, head }) => [tail, head]), keys.slice(1).map((key, index) => [keys[index], key]));
  assert.equal(visible(graph, openTo(graph, graph.levels), true).items.size, 10_000);
});

test("alike modules in a row are rolled up until they are unrolled", () => {
  const data = { ...chain(), clusters: [], edges: [], nodes: [node(0, "input", null, { role: "input" })] };
  for (let block = 0; block < 4; block += 1) {
    const shape = block === 3 ? [9, 9] : [2, 3];
    const id = 1 + 2 * block;
    data.clusters.push({ ...chain().clusters[2], id: block, parent: null, name: `b${block}` });
    data.nodes.push(node(id, "conv2d", block, { shape }), node(id + 1, "tanh", block, { shape }));
    data.edges.push(edge(id - 1, id), edge(id, id + 1));
  }
  const graph = new Graph(data);
  const view = visible(graph, new Set(), true, new Set());
  assert.deepEqual([...view.items.keys()], ["input0", "b0::Block", "b3::Block"]);
  assert.deepEqual(view.items.get("b0::Block").run.map(({ name }) => name), ["b0", "b1", "b2"]);
  assert.equal(view.rolledIn.get("b2::Block"), "b0::Block");
  assert.deepEqual(view.links.map(({ tail, head }) => [tail, head]), [
    ["input0", "b0::Block"],
    ["b0::Block", "b3::Block"],
  ]);
  assert.equal(visible(graph, new Set(), true, new Set(["b0::Block"])).items.size, 5);
  assert.equal(visible(graph, new Set(), true, null).items.size, 5);
  assert.equal(visible(graph, new Set(["b1::Block"]), true, new Set()).items.size, 6);
});
