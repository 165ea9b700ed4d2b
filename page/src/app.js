/** The page as a whole: what the reader has chosen, and the parts that show it. */

import { changesOf } from "./changes.js";
import { Diff } from "./diff.js";
import { DiffBar } from "./diffbar.js";
import { html, svg } from "./dom.js";
import { READABLE, columnsFor, firstLook } from "./firstlook.js";
import { readFragment, writeFragment } from "./fragment.js";
import { help } from "./help.js";
import { Hover } from "./hover.js";
import { listenToKeys } from "./keyboard.js";
import { Layouts } from "./layout.js";
import { Legend } from "./legend.js";
import { Graph } from "./model.js";
import { neighbour } from "./neighbours.js";
import { Painter } from "./painter.js";
import { Pane } from "./pane.js";
import { panelOf } from "./panel.js";
import { sceneOf } from "./scene.js";
import { Search } from "./search.js";
import { Store } from "./store.js";
import { measurer } from "./text.js";
import { Timeline } from "./timeline.js";
import { Toolbar } from "./toolbar.js";
import { smallValuesIn } from "./values.js";
import { openTo, visible } from "./visible.js";

const DARK = matchMedia("(prefers-color-scheme: dark)");

export class App {
  /**
   * @param {HTMLElement} host
   * @param {import("./types.js").Document} document_
   * @param {import("@viz-js/viz").Viz} viz
   */
  constructor(host, document_, viz) {
    this.host = host;
    this.document = document_;
    this.graphs = document_.graphs.map((data) => new Graph(data));
    this.diff = document_.diff ? new Diff(document_.diff, this.graphs) : null;
    this.layouts = new Layouts(viz);
    this.measure = measurer();
    this.store = new Store({
      tab: this.firstTab(),
      beside: this.diff ? [this.diff.firstGraph, this.diff.secondGraph] : [0, Math.min(1, this.graphs.length - 1)],
      open: new Set(),
      // What was measured differs from one repeat to the next.
      unrolled: this.framesOf().length ? null : new Set(),
      backward: true,
      compact: false,
      direction: "TB",
      columns: false,
      colouring: "role",
      strip: "none",
      frame: Math.max(0, this.framesOf().length - 1),
      selected: null,
      graph: 0,
      theme: DARK.matches ? "dark" : "light",
      query: "",
      listed: innerWidth >= 1100,
    });
    /** @type {Pane[]} */
    this.panes = [];
    /** Whether the reader has zoomed, moved or opened anything. */
    this.touched = false;
    /** Whether the reader has chosen dark or light; until then it is as the system has it. */
    this.themeChosen = false;
    /** Whether the reader has chosen how many columns; until then, whatever makes most of the window. */
    this.columnsChosen = false;
    /** @type {?Set<string>} what the address or a search asked for */
    this.extra = null;
  }

  get state() {
    return this.store.state;
  }

  framesOf() {
    return this.graphs.map((graph) => graph.frames).reduce((longest, frames) => (frames.length > longest.length ? frames : longest), []);
  }

  firstTab() {
    if (this.diff) return "diff";
    return this.graphs.length > 1 && innerWidth >= 900 ? "beside" : "0";
  }

  /** Which graphs are on the screen, by number. */
  shownGraphs() {
    const { tab } = this.state;
    if (tab === "beside") return this.state.beside;
    if (tab === "diff") return [this.diff.firstGraph, this.diff.secondGraph];
    return [Number(tab)];
  }

  start() {
    this.painter = new Painter(this);
    this.panesHost = html("div", { class: "panes" });
    this.panel = html("aside", { class: "panel", "aria-label": "details", hidden: true });
    this.toolbar = new Toolbar(this);
    this.legend = new Legend(this);
    this.timeline = new Timeline(this);
    this.diffBar = new DiffBar(this);
    this.search = new Search(this);
    this.hover = new Hover(this);
    this.help = help();
    this.announcer = html("p", { class: "unseen", role: "status", "aria-live": "polite" });
    this.stage = html("div", { class: "stage" }, this.panesHost, this.zoomButtons(), this.hover.element);
    this.toolbar.searchHost.append(this.search.element);
    const bars = html("footer", {}, this.diffBar.element, this.timeline.element);
    this.host.append(this.toolbar.element, html("main", {}, this.stage, this.legend.element), this.panel, bars, this.help, this.announcer);
    document.documentElement.dataset.theme = this.state.theme;
    this.makePanes();
    this.showPanel();
    Object.assign(this.state, this.openAll(firstLook(this)));
    this.refresh(null, false);
    this.toolbar.update();
    this.store.listen((changed, extra) => this.changed(changed, extra));
    listenToKeys(this);
    new ResizeObserver(() => this.resized()).observe(this.panesHost);
    addEventListener("beforeprint", () => this.print(true));
    addEventListener("afterprint", () => this.print(false));
    addEventListener("hashchange", () => this.goTo(readFragment()));
    DARK.addEventListener("change", () => this.followSystem());
    this.goTo(readFragment());
  }

  /** The groups of all graphs that are open when so many levels are, and whether nodes are one row each. */
  openAll({ levels, compact, columns }) {
    const keys = this.graphs.flatMap((graph) => [...openTo(graph, levels)]);
    return { open: new Set(keys), compact, columns };
  }

  makePanes() {
    for (const pane of this.panes) pane.destroy();
    const numbers = this.state.tab === "diff" ? [this.diff.firstGraph] : this.shownGraphs();
    // Before the panes are measured.
    this.panesHost.dataset.count = numbers.length;
    this.panes = numbers.map((number, place) => {
      const host = html("div", { class: "pane", "data-graph": number }, this.paneTitle(number, place));
      this.panesHost.append(host);
      const pane = new Pane(host, this.hooksOf());
      pane.graph = number;
      return pane;
    });
  }

  /** What is shown in a pane; a choice where there are more graphs than panes, nothing where a tab says it. */
  paneTitle(number, place) {
    const { tab } = this.state;
    const name = (graph) => graph.name || graph.data.title;
    if (tab === "diff" || (this.graphs.length < 3 && tab !== "beside")) return null;
    if (this.graphs.length < 3) return html("h2", { class: "pane-title" }, name(this.graphs[number]));
    const options = this.graphs.map((graph, index) => html("option", { value: index, selected: index === number }, name(graph)));
    const title = `which network is shown${tab === "beside" ? [" on the left", " on the right"][place] : ""}`;
    return html("select", { class: "pane-title", title, "aria-label": title, onchange: (event) => this.showInPane(place, Number(event.target.value)) }, options);
  }

  /** Show another graph in a pane; two that are beside each other change places rather than being the same. */
  showInPane(place, number) {
    const key = this.state.selected;
    const kept = { graph: number, selected: this.graphs[number].byKey.has(key) || this.graphs[number].groupByKey.has(key) ? key : null };
    if (this.state.tab !== "beside") {
      this.store.set({ tab: String(number), ...kept });
      return;
    }
    const beside = [...this.state.beside];
    if (beside[1 - place] === number) beside[1 - place] = beside[place];
    beside[place] = number;
    this.store.set({ beside, ...kept });
  }

  /** Show one graph ("one", or its number), two beside each other, or how they differ. */
  showTab(tab) {
    const [current] = this.shownGraphs();
    const changes = { tab: tab === "one" ? String(current) : tab, selected: null };
    if (tab === "beside" && !this.state.beside.includes(current)) {
      const other = current + 1 < this.graphs.length ? current + 1 : current - 1;
      changes.beside = [Math.min(current, other), Math.max(current, other)];
    }
    this.store.set(changes);
  }

  hooksOf() {
    return {
      item: (key, pane) => {
        const { group, run } = pane.scene.view.items.get(key);
        if (run) this.unroll(key, pane);
        else if (group) this.toggle(key, pane);
        else this.select(key, pane);
      },
      box: (key, pane) => this.select(key, pane),
      heading: (key, pane) => this.toggle(key, pane),
      background: () => this.select(null),
      hover: (event, pane) => this.hover.moved(event, pane),
      leave: () => this.hover.left(),
      touched: () => (this.touched = true),
      moved: (pane) => this.follow(pane),
    };
  }

  /** Two panes beside each other show the same part. */
  follow(leader) {
    for (const pane of this.panes) if (pane !== leader) pane.showLike(leader);
  }

  /** @param {Graph} graph @param {Partial<import("./store.js").State>} instead of what is chosen */
  sceneFor(graph, instead = {}) {
    const { open, backward, compact, direction, columns, unrolled, tab } = { ...this.state, ...instead };
    const view = visible(graph, open, backward, tab === "diff" ? null : unrolled);
    const options = { strip: this.painter.hasStrip(graph), values: smallValuesIn(graph), compact, direction, columns };
    return sceneOf(view, this.layouts, this.measure, options);
  }

  /** Draw everything anew. */
  refresh(anchor, animate) {
    if (this.state.tab === "diff") this.diffBar.show(anchor, animate);
    else for (const pane of this.panes) pane.show(this.sceneFor(this.graphs[pane.graph]), anchor, animate);
    if (!anchor) this.fit();
    this.repaint();
  }

  /** Only colours, strips, marks and the panel: nothing moves. */
  repaint() {
    for (const pane of this.panes) this.painter.paint(pane);
    this.legend.update();
    this.showPanel();
  }

  changed(changed, { anchor = null }) {
    const has = (...names) => names.some((name) => changed.has(name));
    if (has("theme")) document.documentElement.dataset.theme = this.state.theme;
    if (has("tab", "beside")) {
      this.makePanes();
      this.state.columns = this.columnsWith({}).columns;
      this.refresh(null, false);
    } else if (has("open", "unrolled", "backward", "compact", "direction", "columns") || (has("strip") && this.stripRowsChange())) {
      // What is opened or closed by itself changes no columns.
      if (!anchor && !has("open", "columns")) this.state.columns = this.columnsWith({}).columns;
      this.refresh(anchor ?? this.middleKey(), true);
    } else {
      this.repaint();
    }
    this.search.update(changed);
    this.toolbar.update();
    this.timeline.update();
    this.diffBar.update();
    if (has("selected")) writeFragment(this.state.selected);
  }

  stripRowsChange() {
    const rows = this.state.strip !== "none";
    const before = this.rows ?? false;
    this.rows = rows;
    return rows !== before;
  }

  /** What stays in its place when nothing else is said: what is selected, or nothing. */
  middleKey() {
    return this.state.selected;
  }

  toggle(key, pane = this.panes[0]) {
    this.touched = true;
    const open = new Set(this.state.open);
    if (!open.delete(key)) open.add(key);
    this.store.set({ open, selected: this.state.selected && key, graph: pane.graph }, { anchor: key });
    this.announce(`${open.has(key) ? "opened" : "closed"} ${key}`);
  }

  /** Show one by one what is alike. */
  unroll(key, pane) {
    this.touched = true;
    const unrolled = new Set([...this.state.unrolled, key]);
    this.store.set({ unrolled, selected: this.state.selected && key, graph: pane.graph }, { anchor: key });
    this.announce(`unrolled ${key}`);
  }

  /** Open so many levels; with all details in the nodes only where that can still be read. */
  setLevels(levels) {
    const { open } = this.openAll({ levels });
    const { zoom } = this.columnsWith({ open, compact: false });
    const compact = zoom < READABLE;
    const { columns } = this.columnsWith({ open, compact });
    this.store.set({ open, compact, columns, selected: null });
  }

  /** One column or two, as the reader has chosen, or as makes most of the window. */
  columnsWith(instead) {
    if (!this.columnsChosen) return columnsFor(this, instead);
    const [pane] = this.panes;
    return { columns: this.state.columns, zoom: pane.zoomFor(this.sceneFor(this.graphs[pane.graph], instead).layout) };
  }

  toggleColumns() {
    this.columnsChosen = true;
    this.store.set({ columns: !this.state.columns });
  }

  select(key, pane = this.panes[0]) {
    this.extra = null;
    this.store.set({ selected: key, graph: pane.graph });
    if (key) this.announce(`selected ${key}`);
  }

  /** Show some keys, wherever they are: open what is around the first, and bring it into the middle. */
  goTo(keys) {
    const known = keys.filter((key) => this.graphs.some((graph) => graph.byKey.has(key) || graph.groupByKey.has(key)));
    if (!known.length) return;
    const order = [...this.panes.map((pane) => pane.graph), ...this.graphs.keys()];
    const number = order.find((index) => this.graphs[index].byKey.has(known[0]) || this.graphs[index].groupByKey.has(known[0]));
    if (!this.shownGraphs().includes(number)) this.store.set({ tab: String(number) });
    const open = new Set(this.state.open);
    for (const key of known) {
      const node = this.graphs[number].byKey.get(key);
      const around = node ? node.group : this.graphs[number].groupByKey.get(key)?.outer;
      for (let group = around; group; group = group.outer) open.add(group.key);
    }
    const changes = { selected: known[0], graph: number };
    if (this.state.unrolled) changes.unrolled = this.unrolledAround(number, known);
    if ([...open].some((key) => !this.state.open.has(key))) changes.open = open;
    this.touched = true;
    this.extra = new Set(known);
    this.store.set(changes);
    this.paneOf(number).centre(known[0]);
    this.repaint();
  }

  /** What is unrolled already, and whatever hides some keys among others that are alike. */
  unrolledAround(number, keys) {
    const pane = this.paneOf(number);
    const first = keys.map((key) => this.itemKeyOf(pane, key)).filter((key) => pane.scene.view.items.get(key)?.run);
    const hidden = first.filter((key) => !keys.includes(key));
    return hidden.length ? new Set([...this.state.unrolled, ...hidden]) : this.state.unrolled;
  }

  paneOf(number) {
    return this.panes.find((pane) => pane.graph === number) ?? this.panes[0];
  }

  /** The key of the item that a node is shown as. */
  itemKeyOf(pane, key) {
    const { view } = pane.scene;
    if (view.rolledIn?.has(key)) return view.rolledIn.get(key);
    if (!key || view.items.has(key) || pane.scene.layout.boxes.has(key)) return key;
    const graph = this.graphs[pane.graph];
    const node = graph.byKey.get(key);
    for (let group = node?.group ?? graph.groupByKey.get(key)?.outer; group; group = group.outer) {
      if (view.items.has(group.key)) return group.key;
      if (view.rolledIn?.has(group.key)) return view.rolledIn.get(group.key);
    }
    return null;
  }

  /** Walk with the arrow keys. */
  walk(direction) {
    const pane = this.paneOf(this.state.graph);
    const key = neighbour(pane.scene, this.itemKeyOf(pane, this.state.selected), direction);
    if (!key) return;
    this.select(key, pane);
    pane.bringIntoView(key);
  }

  /** Enter: open what is closed, close the module around what is selected if it is one. */
  toggleSelected() {
    const { selected } = this.state;
    const graph = this.graphs[this.state.graph];
    const pane = this.paneOf(this.state.graph);
    if (pane.scene.view.items.get(selected)?.run) this.unroll(selected, pane);
    else if (selected && graph.groupByKey.has(selected)) this.toggle(selected, pane);
  }

  /** Backspace: close the module around what is selected. */
  closeAround() {
    const graph = this.graphs[this.state.graph];
    const { selected } = this.state;
    const group = graph.byKey.get(selected)?.group ?? graph.groupByKey.get(selected)?.outer;
    if (!group || !this.state.open.has(group.key)) return;
    const open = new Set(this.state.open);
    open.delete(group.key);
    this.store.set({ open, selected: group.key }, { anchor: group.key });
  }

  showPanel() {
    const { selected, graph: number, frame, theme } = this.state;
    const graph = this.graphs[number];
    const node = graph.byKey.get(selected) ?? null;
    const group = graph.groupByKey.get(selected) ?? null;
    const listed = this.state.tab === "diff" && this.state.listed && !node && !group;
    this.panel.hidden = !node && !group && !listed;
    if (listed) {
      const hooks = { close: () => this.store.set({ listed: false }), select: (key) => this.goTo([key]) };
      this.panel.replaceChildren(...changesOf(this.diff, hooks));
    }
    if (this.panel.hidden || listed) return;
    const { scrollTop } = this.panel;
    const changes = this.diff?.linesOn(number, selected) ?? null;
    const hooks = {
      close: () => this.select(null),
      select: (key) => this.goTo([key]),
      toggle: (key) => this.toggle(key, this.paneOf(number)),
      isOpen: (key) => this.state.open.has(key),
    };
    const strips = this.painter.strips.map((strip) => this.painter.scaled(strip));
    const item = { key: selected, node, group, box: null };
    const both = node ? this.bothOf(number, node) : [];
    this.panel.replaceChildren(...panelOf({ item, graph, frame, theme, changes, strips, both }, hooks));
    this.panel.scrollTop = this.shownInPanel === selected ? scrollTop : 0;
    this.shownInPanel = selected;
  }

  /** A node and its counterpart in the other graph on the screen, with what was measured of them; or nothing. */
  bothOf(number, node) {
    const shown = this.shownGraphs();
    const otherNumber = shown.find((each) => each !== number);
    if (otherNumber === undefined || !shown.includes(number)) return [];
    const other = this.graphs[otherNumber];
    const twin = this.diff?.partnerOf(number, otherNumber, node) ?? other.byKey.get(node.key);
    if (!twin) return [];
    const each = (index, { key }) => ({ name: this.graphs[index].name, observation: this.painter.frameOf(this.graphs[index])?.nodes[key] ?? null });
    const both = shown.map((index) => each(index, index === number ? node : twin));
    return both.every(({ observation }) => observation) ? both : [];
  }

  zoomButtons() {
    const button = (label, title, act) => html("button", { title, "aria-label": title, onclick: act }, label);
    return html(
      "div",
      { class: "zoom" },
      button("+", "zoom in (+)", () => this.zoom(1.3)),
      button("\u2212", "zoom out (\u2212)", () => this.zoom(1 / 1.3)),
      button(svg("svg", { width: 14, height: 14, viewBox: "0 0 14 14" }, svg("path", { class: "icon-line", d: "M1 5V1h4M9 1h4v4M13 9v4H9M5 13H1V9" })), "fit everything (0)", () => this.fit()),
    );
  }

  zoom(factor) {
    this.touched = true;
    this.panes[0].zoomBy(factor);
  }

  fit() {
    const layouts = this.panes.map((pane) => pane.scene.layout);
    const most = (name) => Math.max(...layouts.map((layout) => layout[name]));
    for (const pane of this.panes) pane.fit({ width: most("width"), height: most("height") });
    this.touched = false;
  }

  /** Everything stays in view until the reader has chosen what to look at. */
  resized() {
    for (const pane of this.panes) pane.resized();
    if (!this.touched) this.fit();
    else if (this.state.selected) this.paneOf(this.state.graph).bringIntoView(this.state.selected);
  }

  toggleTheme() {
    this.themeChosen = true;
    this.store.set({ theme: this.state.theme === "dark" ? "light" : "dark" });
  }

  followSystem() {
    if (!this.themeChosen) this.store.set({ theme: DARK.matches ? "dark" : "light" });
  }

  escape() {
    if (this.state.query) this.search.clear();
    else this.select(null);
  }

  /** On paper: light, and everything. */
  print(begins) {
    const { theme } = this.state;
    document.documentElement.dataset.theme = begins ? "light" : theme;
    this.state.theme = begins ? "light" : theme;
    for (const pane of this.panes) {
      this.painter.paint(pane);
      if (begins) pane.beginPrint();
      else pane.endPrint();
    }
    this.legend.update();
    this.state.theme = theme;
  }

  announce(text) {
    this.announcer.textContent = text;
  }
}
