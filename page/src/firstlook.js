/** How much is open when the page is opened. */

import { firstLevels, openTo } from "./visible.js";

const MOST_AT_FIRST = 60;
const FEWEST_AT_FIRST = 8;
/** The zoom below which a first picture is hard to read. */
export const READABLE = 0.56;
/** The zoom below which a first picture cannot be read at all. */
const LEGIBLE = 0.42;

/**
 * As many levels as can be read at once: with all details if there is room, else in one row each.
 *
 * @param {import("./app.js").App} app
 * @returns {{levels: number, compact: boolean}}
 */
export function firstLook(app) {
  const [pane] = app.panes;
  const graph = app.graphs[pane.graph];
  const found = [];
  for (let levels = firstLevels(graph, MOST_AT_FIRST, app.state.backward); levels >= 0; levels -= 1) {
    for (const compact of [false, true]) {
      const { view, layout } = app.sceneFor(graph, { open: openTo(graph, levels), compact });
      const look = { levels, compact, zoom: pane.zoomFor(layout), enough: view.items.size >= FEWEST_AT_FIRST };
      if (look.zoom >= READABLE && look.enough) return look;
      found.push(look);
    }
  }
  const legible = found.find(({ zoom, compact, enough }) => enough && compact && zoom >= LEGIBLE);
  return legible ?? found.reduce((best, each) => (each.zoom > best.zoom ? each : best));
}
