/** Finding nodes and modules by what they are called, their attributes and shapes. */

import { html } from "./dom.js";
import { shape } from "./numbers.js";

/** What can be found about a node or a group, in lower case. */
function wordsOf(thing, extra) {
  const attributes = thing.attributes.map(([name, value]) => `${name} ${value}`);
  return [thing.key, thing.name, thing.path, thing.label, thing.role, ...attributes, ...extra].join("\n").toLowerCase();
}

/**
 * Keys of nodes and groups that contain every word.
 *
 * @param {import("./model.js").Graph} graph
 * @param {string} query
 * @returns {string[]}
 */
export function find(graph, query) {
  const wanted = query.toLowerCase().split(/\s+/).filter(Boolean);
  if (!wanted.length) return [];
  const matches = (text) => wanted.every((word) => text.includes(word));
  const groups = graph.groups.filter((group) => matches(wordsOf(group, [])));
  const nodes = [...graph.nodes.values()].filter((node) =>
    matches(wordsOf(node, [node.module, node.dtype, shape(node.shape), node.shape.join("x"), ...node.parameters.map(({ name }) => name)])),
  );
  return [...nodes, ...groups].map(({ key }) => key);
}

export class Search {
  /** @param {import("./app.js").App} app */
  constructor(app) {
    this.app = app;
    this.input = html("input", {
      type: "search",
      placeholder: "Search",
      "aria-label": "search by name, operation, attribute or shape",
      title: "search by name, operation, attribute or shape (/)",
      spellcheck: "false",
      oninput: () => this.asked(),
      onkeydown: (event) => this.pressed(event),
    });
    this.count = html("output", { class: "count" });
    this.element = html("div", { class: "search" }, this.input, this.count);
    /** @type {string[]} */
    this.found = [];
    this.current = -1;
  }

  focus() {
    this.input.focus();
    this.input.select();
  }

  asked() {
    this.app.store.set({ query: this.input.value });
  }

  pressed(event) {
    if (event.key === "Enter") {
      this.step(event.shiftKey ? -1 : 1);
      event.preventDefault();
    } else if (event.key === "Escape") {
      this.clear();
      event.stopPropagation();
    }
  }

  clear() {
    this.input.value = "";
    this.asked();
    this.input.blur();
  }

  step(by) {
    if (!this.found.length) return;
    this.current = (this.current + by + this.found.length) % this.found.length;
    if (this.current < 0) this.current = 0;
    this.tell();
    this.app.goTo([this.found[this.current]]);
  }

  update(changed) {
    if (!changed.has("query") && !changed.has("tab")) return;
    const keys = this.app.shownGraphs().flatMap((number) => find(this.app.graphs[number], this.app.state.query));
    this.found = [...new Set(keys)];
    this.current = -1;
    this.tell();
    this.app.repaint();
  }

  tell() {
    if (!this.app.state.query.trim()) this.count.value = "";
    else if (this.current < 0) this.count.value = `${this.found.length} found`;
    else this.count.value = `${this.current + 1} of ${this.found.length}`;
  }

  /** Keys of the items in a pane that were found, or that hold what was found; null when nothing is looked for. */
  hitsIn(pane) {
    if (!this.app.state.query.trim()) return null;
    return new Set(this.found.map((key) => this.app.itemKeyOf(pane, key)));
  }

  currentKey(pane) {
    return this.current < 0 ? null : this.app.itemKeyOf(pane, this.found[this.current]);
  }
}
