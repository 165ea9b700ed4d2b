/** Numbers, strips, motion and search. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { Graph } from "../src/model.js";
import { moment } from "../src/motion.js";
import * as numbers from "../src/numbers.js";
import { find } from "../src/search.js";
import { channelAt, grid } from "../src/strips.js";
import { shortened } from "../src/text.js";
import { chain } from "./samples.js";

test("numbers are written for people", () => {
  assert.equal(numbers.plain(0.012345), "0.0123");
  assert.equal(numbers.plain(-3.2e-7), "\u22123.2\u00d710\u207b\u2077");
  assert.equal(numbers.plain(123456), "1.23\u00d710\u2075");
  assert.equal(numbers.plain(0), "0");
  assert.equal(numbers.plain(null), "\u2013");
  assert.equal(numbers.count(3228170), "3.23\u2009M");
  assert.equal(numbers.count(999999), "1.00\u2009M");
  assert.equal(numbers.bytes(2048), "2.05\u2009kB");
  assert.equal(numbers.seconds(0.00123), "1.23\u2009ms");
  assert.equal(numbers.shape([]), "scalar");
  assert.deepEqual([0, 1, 0.001, -0.0069, 0.456, -1.254, 1.004, 123.4, null].map(numbers.cell), ["0", "1", "0.00", "\u22120.01", "0.46", "\u22121.25", "1.00", "123", "\u2013"]);
  assert.equal(numbers.exact(3228170), "3\u2009228\u2009170");
});

test("every channel has its cell", () => {
  for (const channels of [1, 3, 64, 512, 1024]) {
    const { rows, columns } = grid(channels, 160);
    assert.ok(rows * columns >= channels);
    assert.equal(channelAt(channels, 160, 0, 0), 0);
    const last = channels - 1;
    const [across, down] = [((last % columns) + 0.5) / columns, (Math.floor(last / columns) + 0.5) / rows];
    assert.equal(channelAt(channels, 160, across, down), last);
  }
  assert.equal(channelAt(3, 160, 1.2, 0), null);
});

test("a motion starts here, ends there, and bends only between", () => {
  const [from, to] = [{ x: 0, y: 0, w: 10, h: 10 }, { x: 100, y: 50, w: 20, h: 10 }];
  const track = { drawn: null, from, to, fade: "", bend: [40, 0] };
  assert.deepEqual(moment(track, 0), { rect: from, opacity: 1 });
  const end = moment(track, 1).rect;
  assert.ok(Math.abs(end.x - 100) < 1e-9 && end.y === 50 && end.w === 20);
  assert.equal(moment(track, 0.5).rect.x, 90);
  assert.deepEqual([0, 1].map((time) => moment({ from, to: null, fade: "out" }, time).opacity), [1, 0]);
  assert.deepEqual([0, 1].map((time) => moment({ from: null, to, fade: "in" }, time).opacity), [0, 1]);
});

test("a search needs every word, in any of the places", () => {
  const data = chain();
  data.nodes[1].attributes = [["kernel", "3\u00d73"]];
  const graph = new Graph(data);
  assert.deepEqual(find(graph, "KERNEL conv"), ["conv2d1"]);
  assert.deepEqual(find(graph, "2x3 tanh"), ["tanh3"]);
  assert.deepEqual(find(graph, "block"), ["2::Block"]);
  assert.deepEqual(find(graph, "  "), []);
  assert.deepEqual(find(graph, "tanh nothing"), []);
});

test("text is shortened to the width there is", () => {
  const measure = (text) => [...text].length * 10;
  assert.equal(shortened("abcdef", "name", 60, measure), "abcdef");
  assert.equal(shortened("abcdefg", "name", 60, measure), "abcde\u2026");
  assert.equal(shortened("abc", "name", 5, measure), "\u2026");
});
