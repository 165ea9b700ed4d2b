/** The row of controls on top. */

import { html } from "./dom.js";
import * as numbers from "./numbers.js";

export class Toolbar {
  /** @param {import("./app.js").App} app */
  constructor(app) {
    this.app = app;
    const { document: document_, graphs } = app;
    const { totals, mode } = document_.graphs[0];
    const facts = [
      mode,
      totals.parameters ? `${numbers.count(totals.parameters)} parameters` : "",
      totals.flops ? numbers.flops(totals.flops) : "",
      totals.kept_bytes ? `${numbers.bytes(totals.kept_bytes)} kept` : "",
    ];
    this.searchHost = html("div", { class: "search-host" });
    this.tabs = this.makeTabs();
    this.controls = this.makeControls();
    this.element = html(
      "header",
      { class: "toolbar" },
      html("div", { class: "title" }, html("h1", { title: document_.title }, document_.title), html("p", {}, facts.filter(Boolean).join(" \u00b7 "))),
      graphs.length > 1 ? html("div", { class: "tabs", role: "tablist" }, this.tabs) : null,
      this.searchHost,
      html("details", { class: "more", open: innerWidth > 860 }, html("summary", { "aria-label": "options" }, "\u2630"), html("div", { class: "controls" }, this.controls)),
      this.themeButton,
      html("button", { class: "icon", title: "keys and help (?)", "aria-label": "help", onclick: () => app.help.showModal() }, "?"),
    );
    this.update();
  }

  makeTabs() {
    const { app } = this;
    // More names than two would take the whole row: panes have a choice then.
    const alone = app.graphs.map((graph, index) => [String(index), graph.name || graph.data.title]);
    const tabs = alone.length > 2 ? [["one", "one network"]] : alone;
    if (app.graphs.length > 1) tabs.push(["beside", "side by side"]);
    if (app.diff) tabs.push(["diff", "difference"]);
    return tabs.map(([tab, name]) =>
      html("button", { role: "tab", "data-tab": tab, onclick: () => app.showTab(tab) }, name),
    );
  }

  makeControls() {
    const { app } = this;
    this.levels = html(
      "select",
      { name: "levels", "aria-label": "modules", title: "how many levels of modules are open", onchange: () => app.setLevels(Number(this.levels.value)) },
      Array.from({ length: Math.max(...app.graphs.map((graph) => graph.levels)) + 1 }, (_, level) => level).map((level, _, all) =>
        html("option", { value: level }, level === 0 ? "modules: closed" : level === all.length - 1 ? "modules: all open" : `modules: ${level} open`),
      ),
      html("option", { value: "", hidden: true }, "modules: some open"),
    );
    const choice = (name, title, options) => {
      const select = html(
        "select",
        { name, "aria-label": title, onchange: () => app.store.set({ [name]: select.value }) },
        options.map(([value, text]) => html("option", { value }, `${title}: ${text}`)),
      );
      this[name] = select;
      return options.length > 1 ? select : null;
    };
    const switched = (name, title, on, off, hint) => {
      this[name] = html("button", { class: "switch", title: hint, onclick: () => app.store.set({ [name]: app.state[name] === on ? off : on }) }, title);
      return this[name];
    };
    this.themeButton = html("button", { class: "icon theme", title: "dark or light (d)", "aria-label": "dark or light", onclick: () => app.toggleTheme() }, "\u25d0");
    this.switches = html(
      "div",
      { class: "switches" },
      switched("compact", "details", false, true, "show attributes, parameters and sums in the nodes"),
      switched("direction", "sideways", "LR", "TB", "draw from left to right"),
      (this.columns = html("button", { class: "switch", title: "break what is long into two columns", onclick: () => app.toggleColumns() }, "columns")),
      (this.repeats = html(
        "button",
        {
          class: "switch",
          title: "show alike modules that follow each other as one",
          onclick: () => app.store.set({ unrolled: app.state.unrolled?.size === 0 ? null : new Set() }),
        },
        "repeats \u00d7",
      )),
      app.graphs.some((graph) => graph.hasBackward) ? switched("backward", "backward", true, false, "show the part that computes derivatives") : null,
    );
    return [
      this.switches,
      app.graphs.some((graph) => graph.levels > 0) ? this.levels : null,
      choice("colouring", "colour", [["role", "role"], ...app.painter.colourings.map(({ name, title }) => [name, title])]),
      choice("strip", "channels", [["none", "none"], ...app.painter.strips.map(({ name, title }) => [name, title])]),
    ];
  }

  update() {
    const { state, graphs } = this.app;
    const shown = graphs.length > 2 && !["beside", "diff"].includes(state.tab) ? "one" : state.tab;
    for (const tab of this.tabs) tab.setAttribute("aria-selected", tab.dataset.tab === shown);
    this.colouring.value = state.colouring;
    this.strip.value = state.strip;
    this.compact.setAttribute("aria-pressed", !state.compact);
    this.direction.setAttribute("aria-pressed", state.direction === "LR");
    this.columns.setAttribute("aria-pressed", state.columns);
    this.repeats.hidden = state.tab === "diff" || !graphs.some((graph) => graph.groups.length > 1);
    this.repeats.setAttribute("aria-pressed", state.unrolled !== null);
    this.backward?.setAttribute("aria-pressed", state.backward);
    const level = this.levelOf(graphs[this.app.shownGraphs()[0]]);
    this.levels.value = level ?? "";
  }

  /** The number of open levels, where it is the same everywhere. */
  levelOf(graph) {
    const { open } = this.app.state;
    const levels = Array.from({ length: graph.levels + 1 }, (_, level) => level);
    return levels.find((level) => graph.groups.every((group) => open.has(group.key) === group.level < level)) ?? null;
  }
}
