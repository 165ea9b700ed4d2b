/** Colours, strips and marks on what is drawn: everything that changes while the layout stays. */

import { inkOn } from "./colours.js";
import { COLOURINGS, STRIPS, occurs, scaleOf } from "./quantities.js";
import { paintStrip } from "./strips.js";
import { paintValues, smallValues } from "./values.js";

export class Painter {
  /** @param {import("./app.js").App} app */
  constructor(app) {
    this.app = app;
    this.scales = new Map();
    /** Those for which the document has any number. */
    this.colourings = COLOURINGS.filter((colouring) => occurs(colouring, app.graphs));
    this.strips = STRIPS.filter((strip) => occurs(strip, app.graphs));
  }

  /** Made when it is first needed: a training of a large network has millions of values. */
  scaled(quantity) {
    if (!quantity) return null;
    if (!this.scales.has(quantity)) this.scales.set(quantity, scaleOf(quantity, this.app.graphs));
    return { ...quantity, scale: this.scales.get(quantity) };
  }

  /** What nodes are coloured by, with its scale; null for their role. */
  get colouring() {
    return this.scaled(this.colourings.find(({ name }) => name === this.app.state.colouring));
  }

  get strip() {
    return this.scaled(this.strips.find(({ name }) => name === this.app.state.strip));
  }

  frameOf(graph) {
    return graph.frames[Math.min(this.app.state.frame, graph.frames.length - 1)] ?? null;
  }

  /** Whether an item of a graph has a strip, at any moment and of any statistic: so the layout does not change. */
  hasStrip(graph) {
    if (this.app.state.strip === "none") return () => false;
    return (item) => this.strips.some((strip) => graph.frames.some((frame) => strip.of(item, frame)));
  }

  /** @param {import("./pane.js").Pane} pane */
  paint(pane) {
    const { state, graphs, search, extra } = this.app;
    const { colouring, strip } = this;
    const selected = this.app.itemKeyOf(pane, state.selected);
    const hits = search.hitsIn(pane);
    for (const [key, drawn] of pane.items) {
      const graph = graphs[drawn.graph ?? pane.graph];
      const frame = this.frameOf(graph);
      const item = drawn.item ?? pane.scene.view.items.get(key);
      const value = colouring ? colouring.of(item, frame) : null;
      tint(drawn.element, colouring ? (colouring.scale?.colour(value, state.theme) ?? "") : null);
      const cells = drawn.element.querySelector(".strip");
      if (cells) paintStrip(cells, strip?.of(item, frame) ?? null, strip?.scale, state.theme);
      const numbers = drawn.element.querySelector(".heat-map");
      if (numbers) paintValues(numbers, smallValues(item, frame, graph), state.theme);
      const classes = drawn.element.classList;
      classes.toggle("selected", key === selected && (pane.graph === state.graph || state.tab === "diff"));
      classes.toggle("also", Boolean(extra?.size > 1 && extra.has(key)));
      classes.toggle("hit", hits?.has(key) ?? false);
      classes.toggle("missed", hits ? !hits.has(key) : false);
      classes.toggle("current", search.currentKey(pane) === key);
    }
    for (const [key, drawn] of pane.boxes) {
      drawn.element.classList.toggle("selected", key === selected);
      drawn.element.classList.toggle("hit", hits?.has(key) ?? false);
    }
  }
}

/** Fill with a colour; null for that of the role, "" for "has no value". */
function tint(element, colour) {
  element.classList.toggle("tinted", Boolean(colour));
  element.classList.toggle("untinted", colour === "");
  if (colour) {
    element.style.setProperty("--tint", colour);
    element.style.setProperty("--tint-ink", inkOn(colour));
  }
}
