import assert from "node:assert/strict";
import { test } from "node:test";

import { Diff } from "../src/diff.js";
import { Graph } from "../src/model.js";
import { openTo, visible } from "../src/visible.js";
import { chain, edge, node } from "./samples.js";

function swapped() {
  const data = { ...chain(), name: "swap" };
  data.edges = [edge(0, 1), edge(1, 3), edge(3, 2), edge(2, 4), edge(4, 5)];
  data.nodes.push(node(6, "dropout", null));
  return data;
}

function diffOf() {
  const graphs = [new Graph(chain()), new Graph(swapped())];
  const pairs = [0, 1, 2, 3, 4].map((id) => ({ first: id, second: id, status: "same", moved: false, changes: [] }));
  pairs[2] = { ...pairs[2], status: "moved", moved: true };
  pairs[4] = { ...pairs[4], status: "changed", changes: [["eps", "1", "2"]] };
  return { graphs, diff: new Diff({ first: "convention", second: "swap", summary: "", pairs, removed: [5], added: [6, 5] }, graphs) };
}

test("nodes are matched by their pairs, and marked", () => {
  const { graphs, diff } = diffOf();
  const views = graphs.map((graph) => visible(graph, openTo(graph, 2), true));
  const matches = new Map(diff.match(...views).map((match) => [match.key, match]));
  assert.deepEqual(matches.get("batch_norm2").marks, [{ status: "moved", count: 1 }]);
  assert.equal(matches.get("batch_norm2").second.key, "batch_norm2");
  assert.deepEqual(matches.get("linear4").marks.map(({ status }) => status), ["changed"]);
  assert.equal(matches.get("output5").second, null);
  assert.deepEqual(matches.get("output5").marks.map(({ status }) => status), ["removed"]);
  // Another node of the second graph that happens to have the key of one in the first.
  assert.deepEqual(matches.get("output5 (swap)").marks.map(({ status }) => status), ["added"]);
  assert.deepEqual(matches.get("conv2d1").marks, []);
});

test("a closed group tells how much in it differs", () => {
  const { graphs, diff } = diffOf();
  const views = graphs.map((graph) => visible(graph, openTo(graph, 1), true));
  const match = diff.match(...views).find(({ key }) => key === "2::Block");
  assert.equal(match.second.key, "2::Block");
  assert.deepEqual(match.marks, [{ status: "moved", count: 1 }]);
});

test("derivatives follow their operations: they travel, and nothing is said of them", () => {
  const graphs = [chain(), swapped()].map((data) => {
    const derivative = node(20, "batch_norm", 2, { role: "norm", derivative_of: 2 });
    return new Graph({ ...data, nodes: [...data.nodes, derivative], edges: [...data.edges, edge(4, 20, "gradient")] });
  });
  const pair = (id) => ({ first: id, second: id, status: "moved", moved: true, changes: [["eps", "1", "2"]] });
  const diff = new Diff({ first: "convention", second: "swap", summary: "", pairs: [pair(2), pair(20)], removed: [], added: [6] }, graphs);
  assert.deepEqual(diff.all.map(({ key }) => key), ["batch_norm2", "dropout6"]);
  assert.deepEqual(diff.linesOn(0, "batch_norm20"), []);
  assert.ok(diff.moves(graphs[0].nodes.get(20)));
  assert.ok(!diff.moves(graphs[0].nodes.get(1)));
  const views = graphs.map((graph) => visible(graph, openTo(graph, 1), true));
  const marks = diff.match(...views).find(({ key }) => key === "2::Block").marks;
  assert.deepEqual(marks.map(({ status, count }) => [status, count]), [["moved", 1], ["changed", 1]]);
});

test("differences can be read", () => {
  const { diff } = diffOf();
  assert.deepEqual(diff.linesOn(0, "batch_norm2"), ["\u21c5 moved: after conv2d (convention) \u2192 after tanh (swap)"]);
  assert.deepEqual(diff.linesOn(1, "linear4"), ["\u2260 eps: 1 \u2192 2"]);
  assert.deepEqual(diff.linesOn(0, "conv2d1"), []);
  assert.deepEqual(diff.all.map(({ key }) => key), ["batch_norm2", "linear4", "output5", "dropout6", "output5"]);
  assert.deepEqual([...diff.statuses].sort(), ["added", "changed", "moved", "removed"]);
});
