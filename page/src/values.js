/** The numbers of a small tensor, shown in its node on a coloured ground. */

import { inkOn, scaleOver } from "./colours.js";
import { svg } from "./dom.js";
import { isTensor } from "./model.js";
import { cell } from "./numbers.js";

const MOST = 36;
const LONGEST = 8;
export const CELL = { w: 31, h: 16 };

/** The values of a tensor that fits into a node, or null; those of a gradient's node are the gradient's. */
export function smallValues(item, frame, graph) {
  const { node } = item;
  const original = isTensor(node.role) ? graph.nodes.get(node.derivative_of ?? -1) : null;
  const values = original ? frame?.nodes[original.key]?.gradient?.values : frame?.nodes[node.key]?.value?.values;
  if (!values || values.numbers.length > MOST || values.numbers.length < 2) return null;
  const columns = values.shape.at(-1) ?? 1;
  const rows = values.numbers.length / columns;
  return columns > LONGEST || rows > LONGEST ? null : { rows, columns, numbers: values.numbers };
}

/** Says of an item how many rows and columns are shown in it, at any moment; null for most. */
export function smallValuesIn(graph) {
  return (item) => {
    if (!item.node) return null;
    for (const frame of graph.frames) {
      const found = smallValues(item, frame, graph);
      if (found) return found;
    }
    return null;
  };
}

/**
 * Draws the numbers anew.
 *
 * @param {SVGGElement} element
 * @param {?{rows: number, columns: number, numbers: (?number)[]}} values
 * @param {"light" | "dark"} theme
 */
export function paintValues(element, values, theme) {
  element.replaceChildren();
  if (!values) return;
  const scale = scaleOver(values.numbers, { signed: values.numbers.some((number) => number !== null && number < 0) });
  values.numbers.forEach((number, index) => {
    const [x, y] = [(index % values.columns) * CELL.w, Math.floor(index / values.columns) * CELL.h];
    const colour = scale?.colour(number, theme) || "none";
    const text = svg("text", { x: x + CELL.w / 2, y: y + 11, fill: colour === "none" ? null : inkOn(colour) }, cell(number));
    element.append(svg("rect", { x, y, width: CELL.w, height: CELL.h, fill: colour }), text);
  });
}
