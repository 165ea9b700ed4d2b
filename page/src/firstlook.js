/** How much is open when the page is opened. */

import { firstLevels, openTo, visible } from "./visible.js";

const MOST_AT_FIRST = 60;
const FEWEST_AT_FIRST = 8;
/** The zoom below which a first picture is hard to read. */
export const READABLE = 0.56;
/** The zoom below which a first picture cannot be read at all. */
const LEGIBLE = 0.42;
/** How much larger everything gets where it is worth to break what is long into two columns. */
const CLEARLY = 1.25;
/** More edges than these between two columns are a tangle. */
const MOST_BETWEEN = 4;

/**
 * As many levels as can be read at once: with all details if there is room, else in one row each.
 *
 * @param {import("./app.js").App} app
 * @returns {{levels: number, compact: boolean, columns: boolean}}
 */
export function firstLook(app) {
  const [pane] = app.panes;
  const graph = app.graphs[pane.graph];
  const found = [];
  for (let levels = firstLevels(graph, MOST_AT_FIRST, app.state.backward); levels >= 0; levels -= 1) {
    for (const compact of [false, true]) {
      const open = openTo(graph, levels);
      const view = visible(graph, open, app.state.backward);
      const look = { levels, compact, ...columnsFor(app, { open, compact }), enough: view.items.size >= FEWEST_AT_FIRST };
      if (look.zoom >= READABLE && look.enough) return look;
      found.push(look);
    }
  }
  const legible = found.find(({ zoom, compact, enough }) => enough && compact && zoom >= LEGIBLE);
  return legible ?? found.reduce((best, each) => (each.zoom > best.zoom ? each : best));
}

/**
 * Whether two columns make everything clearly larger, and the zoom that all of it can then be seen with.
 *
 * @param {import("./app.js").App} app
 * @param {Partial<import("./store.js").State>} instead of what is chosen
 * @returns {{columns: boolean, zoom: number}}
 */
export function columnsFor(app, instead = {}) {
  const [pane] = app.panes;
  const layoutWith = (columns) => app.sceneFor(app.graphs[pane.graph], { ...instead, columns }).layout;
  const zoom = pane.zoomFor(layoutWith(false));
  if (zoom >= 1) return { columns: false, zoom };
  const beside = layoutWith(true);
  const columns = beside.between?.length <= MOST_BETWEEN && pane.zoomFor(beside) > CLEARLY * zoom;
  return { columns, zoom: columns ? pane.zoomFor(beside) : zoom };
}
