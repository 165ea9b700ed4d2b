import assert from "node:assert/strict";
import { test } from "node:test";

import { broken, joined } from "../src/fold.js";
import { Graph } from "../src/model.js";
import { neighbour } from "../src/neighbours.js";
import { openTo, visible } from "../src/visible.js";
import { chain, edge, node } from "./samples.js";

/** Everything of a view below each other, each box close around what is in it. */
function column(view) {
  const items = new Map([...view.items.keys()].map((key, index) => [key, { x: 50, y: 20 + 40 * index, w: 80, h: 30 }]));
  const boxes = new Map(
    view.boxes.map((box) => {
      const inside = [...view.items.values()].filter((item) => [item.box, item.box?.outer, item.box?.outer?.outer].includes(box));
      const ys = inside.map(({ key }) => items.get(key).y);
      return [box.key, { x: 50, y: (Math.min(...ys) + Math.max(...ys)) / 2, w: 90, h: Math.max(...ys) - Math.min(...ys) + 34 }];
    }),
  );
  return { width: 100, height: 40 * items.size, items, boxes, curves: [] };
}

function shown(more = []) {
  const data = chain();
  data.edges.push(...more);
  return visible(new Graph(data), openTo(new Graph(data), 3), true);
}

test("a chain is broken between modules, and those around the break are continued", () => {
  const view = shown();
  const [first, second] = broken(view, column(view), "TB");
  assert.deepEqual([...first.items.keys()], ["input0", "conv2d1", "batch_norm2", "tanh3"]);
  assert.deepEqual([...second.items.keys()], ["linear4", "output5"]);
  const keys = (boxes) => boxes.map(({ key }) => key);
  assert.ok(keys(first.boxes).includes("2::Block"));
  assert.ok(!keys(second.boxes).some((key) => key.startsWith("2::Block")));
  for (const box of second.boxes) {
    assert.equal(box.key, `${box.original} (continued)`);
    assert.ok(first.boxes.some(({ key }) => key === box.original));
  }
  assert.deepEqual(second.links.map(({ tail, head }) => [tail, head]), [["linear4", "output5"]]);
});

test("edges between the columns end at their nodes, with arrows at the right end", () => {
  const view = shown([edge(4, 3, "gradient")]);
  for (const direction of ["TB", "LR"]) {
    const flip = (layout) => ({
      ...layout,
      width: layout.height,
      height: layout.width,
      items: new Map([...layout.items].map(([key, { x, y, w, h }]) => [key, { x: y, y: x, w: h, h: w }])),
      boxes: new Map([...layout.boxes].map(([key, { x, y, w, h }]) => [key, { x: y, y: x, w: h, h: w }])),
    });
    const place = direction === "TB" ? column : (part) => flip(column(part));
    const parts = broken(view, place(view), direction);
    const { layout } = joined(view, parts, parts.map(place), direction);
    assert.equal(layout.items.size, view.items.size);
    const [onward, back] = ["value", "gradient"].map((flow) => layout.curves.find(({ link }) => link.flow === flow));
    const touches = ([x, y], key) => {
      const rect = layout.items.get(key);
      return Math.abs(x - rect.x) <= rect.w / 2 && Math.abs(y - rect.y) <= rect.h / 2;
    };
    assert.ok(touches(onward.points[0], "tanh3") && touches(onward.tip, "linear4"));
    assert.ok(touches(back.points[0], "linear4") && touches(back.tip, "tanh3"));
    for (const { points } of [onward, back]) assert.equal(points.length % 3, 1);
    // The arrow keys lead over the break.
    const scene = { view, layout };
    assert.equal(neighbour(scene, "tanh3", direction === "TB" ? "down" : "right"), "linear4");
    assert.equal(neighbour(scene, "linear4", direction === "TB" ? "up" : "left"), "tanh3");
  }
});

test("what has no place for a break stays whole", () => {
  const data = chain();
  const graph = new Graph({ ...data, nodes: [node(0, "input", null)], edges: [], clusters: [] });
  const view = visible(graph, new Set(), true);
  assert.equal(broken(view, column(view), "TB"), null);
});
