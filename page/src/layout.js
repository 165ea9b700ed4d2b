/** Positions from Graphviz, which runs in the page as WebAssembly. */

import Module from "../node_modules/@viz-js/viz/lib/backend.js";
import Viz from "../node_modules/@viz-js/viz/src/viz.js";
import { toDot } from "./dot.js";

/** @typedef {import("./types.js").Layout} Layout */

/** @param {Uint8Array} wasmBinary */
export async function graphviz(wasmBinary) {
  return new Viz(await Module({ wasmBinary }));
}

/** Remembers each layout by its DOT text, so that going back is immediate and always gives the same picture. */
export class Layouts {
  constructor(viz) {
    this.viz = viz;
    /** @type {Map<string, object>} */
    this.found = new Map();
  }

  /** @returns {Layout} */
  of(view, sizes, headings, options) {
    const dot = toDot(view, sizes, headings, options);
    let answer = this.found.get(dot);
    if (!answer) {
      answer = JSON.parse(this.viz.renderString(dot, { format: "json0", yInvert: true }));
      this.found.set(dot, answer);
    }
    return readLayout(answer, view);
  }
}

const numbers = (text) => text.split(",").map(Number);

/**
 * @param {object} answer Graphviz's JSON
 * @param {import("./types.js").View} view
 * @returns {Layout}
 */
export function readLayout(answer, view) {
  const keys = [...view.items.keys()];
  const items = new Map();
  const boxes = new Map();
  for (const object of answer.objects ?? []) {
    const index = Number(object.name.match(/\d+$/)[0]);
    if (object.name.startsWith("cluster_")) boxes.set(view.boxes[index].key, corners(numbers(object.bb)));
    else {
      const [x, y] = numbers(object.pos);
      items.set(keys[index], { x, y, w: Number(object.width) * 72, h: Number(object.height) * 72 });
    }
  }
  const curves = (answer.edges ?? []).filter((edge) => edge.id).map((edge) => {
    const link = view.links[Number(edge.id.slice(1))];
    return { link, ...curve(edge.pos) };
  });
  const { w, h } = corners(numbers(answer.bb));
  return { width: w, height: h, items, boxes, curves };
}

function corners([left, first, right, second]) {
  return { x: (left + right) / 2, y: (first + second) / 2, w: Math.abs(right - left), h: Math.abs(second - first) };
}

/** Points of a spline from tail to head, and where its arrow ends: Graphviz writes "e,x,y x,y x,y ...". */
function curve(text) {
  const points = [];
  let tip = null;
  let reversed = false;
  for (const part of text.split(";")[0].split(" ")) {
    if (part.startsWith("e,")) tip = numbers(part.slice(2));
    else if (part.startsWith("s,")) [tip, reversed] = [numbers(part.slice(2)), true];
    else points.push(numbers(part));
  }
  if (reversed) points.reverse();
  return { points, tip: tip ?? points.at(-1) };
}
