/** One graph on the screen: its SVG, zoom and pan, and what the pointer does in it. */

import svgPanZoom from "svg-pan-zoom";

import { svg } from "./dom.js";
import { drawBox, drawCard, drawCurves } from "./draw.js";
import { placeAll, play } from "./motion.js";
import { pinchZoom } from "./pinch.js";

/**
 * Everything that is drawn of one graph at one time.
 * @typedef {{view: import("./types.js").View, layout: import("./types.js").Layout,
 *   cards: Map<string, import("./card.js").Card>,
 *   headings: Map<string, {title: string, name: string, titleWidth: number, w: number, h: number}>}} Scene
 */

const MILLISECONDS = 320;
const MARGIN = 26;
const NEAREST = 1.35;
/** Pixels that a pane's title, or the switches, take on top, and the width of the switches; see page.css. */
const [TITLE, SWITCHES, NARROW] = [30, 420, 860];

export class Pane {
  /**
   * @param {HTMLElement} host
   * @param {object} hooks what to call: item(key), box(key), heading(key), background(), hover(key, event), moved(pane)
   */
  constructor(host, hooks) {
    this.host = host;
    this.hooks = hooks;
    this.layers = Object.fromEntries(["boxes", "curves", "headings", "marks", "items"].map((name) => [name, svg("g", { class: name })]));
    this.viewport = svg("g", { class: "viewport" }, ...Object.values(this.layers));
    this.svg = svg("svg", { class: "graph", width: "100%", height: "100%", "aria-label": "graph" }, this.viewport);
    // Otherwise svg-pan-zoom sets it as an attribute, which the page's policy forbids.
    this.svg.style.overflow = "hidden";
    host.append(this.svg);
    /** @type {?Scene} */
    this.scene = null;
    /** @type {Map<string, ReturnType<typeof drawCard>>} */
    this.items = new Map();
    this.boxes = new Map();
    this.curves = null;
    this.stop = () => {};
    this.panZoom = svgPanZoom(this.svg, {
      viewportSelector: this.viewport,
      controlIconsEnabled: false,
      dblClickZoomEnabled: false,
      fit: false,
      center: false,
      minZoom: 0.02,
      maxZoom: 8,
      zoomScaleSensitivity: 0.22,
      onUpdatedCTM: () => hooks.moved?.(this),
    });
    pinchZoom(this.svg, this.panZoom);
    this.listen();
  }

  listen() {
    let pressed = null;
    this.svg.addEventListener("pointerdown", (event) => {
      pressed = [event.clientX, event.clientY];
      document.activeElement?.blur();
      this.hooks.touched();
    });
    this.svg.addEventListener("wheel", () => this.hooks.touched(), { passive: true });
    this.svg.addEventListener("click", (event) => {
      if (pressed && Math.hypot(event.clientX - pressed[0], event.clientY - pressed[1]) > 5) return;
      const item = event.target.closest("[data-key]");
      const heading = event.target.closest("[data-heading]");
      const box = event.target.closest("[data-box]");
      if (item) this.hooks.item(item.dataset.key, this);
      else if (heading) this.hooks.heading(heading.dataset.heading, this);
      else if (box) this.hooks.box(box.dataset.box, this);
      else this.hooks.background();
    });
    this.svg.addEventListener("pointermove", (event) => this.hooks.hover(event, this));
    this.svg.addEventListener("pointerleave", () => this.hooks.leave(this));
  }

  /**
   * Draw a scene, moving from the one before.
   *
   * @param {Scene} scene
   * @param {?string} anchor key of what stays where it is on the screen; null fits everything into the pane
   * @param {boolean} animate
   */
  show(scene, anchor, animate) {
    this.stop();
    const before = this.scene && { scene: this.scene, items: this.items, boxes: this.boxes, curves: this.curves };
    for (const layer of Object.values(this.layers)) layer.replaceChildren();
    this.scene = scene;
    this.draw(scene);
    const tracks = this.tracksFrom(before);
    if (before) this.keepInPlace(before.scene, scene, anchor);
    if (!before || !animate) {
      placeAll(tracks, 1);
      this.tidy(tracks);
      return;
    }
    placeAll(tracks, 0);
    this.stop = play((time) => placeAll(tracks, time), MILLISECONDS, () => this.tidy(tracks));
  }

  draw(scene) {
    this.boxes = new Map(scene.view.boxes.map((box) => [box.key, drawBox(box, scene.headings.get(box.key))]));
    this.items = new Map([...scene.cards.values()].map((card) => [card.key, drawCard(card)]));
    this.curves = drawCurves(scene.layout.curves);
    for (const drawn of this.boxes.values()) this.addBox(drawn);
    this.layers.curves.append(this.curves.element);
    this.layers.items.append(...[...this.items.values()].map((drawn) => drawn.element));
  }

  addBox(drawn) {
    this.layers.boxes.append(drawn.element);
    this.layers.headings.append(drawn.heading);
  }

  tracksFrom(before) {
    const now = this.scene.layout;
    const then = before?.scene.layout;
    const tracks = [{ drawn: this.curves, from: null, to: null, fade: "in" }];
    const fresh = (name, drawn, key, group) => {
      const to = now[name].get(key);
      const from = then?.[name].get(key);
      const origin = then && (from ?? this.placeOfClosed(before.scene, group, then));
      tracks.push({ drawn, from: origin ?? to, to, fade: from ? "" : "in" });
    };
    for (const [key, drawn] of this.items) fresh("items", drawn, key, this.scene.view.items.get(key).box);
    for (const [key, drawn] of this.boxes) fresh("boxes", drawn, key, this.scene.view.boxes.find((box) => box.key === key));
    if (!before) return tracks;
    for (const name of ["items", "boxes"]) {
      for (const [key, drawn] of before[name]) {
        if (now[name].has(key)) continue;
        const group = name === "items" ? before.scene.view.items.get(key).box : before.scene.view.boxes.find((box) => box.key === key);
        const from = then[name].get(key);
        tracks.push({ drawn, from, to: this.placeOfClosed(this.scene, group, now) ?? from, fade: "out" });
        this.layers[name].prepend(drawn.element);
      }
    }
    tracks.push({ drawn: before.curves, from: null, to: null, fade: "out" });
    this.layers.curves.prepend(before.curves.element);
    return tracks;
  }

  /** Where a group, or the outermost closed one around it, stood as an item. */
  placeOfClosed(scene, group, layout) {
    for (let around = group; around; around = around.outer) {
      const key = around.original ?? around.key;
      if (layout.items.has(key)) return layout.items.get(key);
    }
    return null;
  }

  tidy(tracks) {
    for (const track of tracks) if (track.fade === "out") track.drawn.element.remove();
  }

  keepInPlace(old, scene, anchor) {
    const then = anchor && (old.layout.items.get(anchor) ?? topOf(old.layout.boxes.get(anchor)));
    const now = anchor && (scene.layout.items.get(anchor) ?? topOf(scene.layout.boxes.get(anchor)));
    if (!then || !now) return;
    const zoom = this.zoom;
    this.panZoom.panBy({ x: (then.x - now.x) * zoom, y: (then.y - now.y) * zoom });
  }

  /** Pixels on the screen for one of the layout. */
  get zoom() {
    return this.panZoom.getSizes().realZoom;
  }

  set zoom(zoom) {
    this.panZoom.zoomBy(zoom / this.zoom);
  }

  /** The zoom with which a layout just fits; never so near that few nodes look huge. */
  zoomFor(size) {
    return this.fitting(size).zoom;
  }

  /** How a layout fits into the pane: below a title, and below the switches where they would lie over it. */
  fitting({ width, height }) {
    const room = this.room();
    const below = (top) => {
      const zoom = Math.min((room.width - 2 * MARGIN) / width, (room.height - top - 2 * MARGIN) / height, NEAREST);
      return { zoom, top };
    };
    const whole = below(0);
    const free = (room.width + width * whole.zoom) / 2 < room.width - (innerWidth > NARROW ? SWITCHES : 0);
    return free && !this.host.querySelector(".pane-title") ? whole : below(TITLE);
  }

  room() {
    const { clientWidth, clientHeight } = this.host;
    return { width: clientWidth, height: clientHeight };
  }

  /** Bring a picture of this size into the middle of the pane, whole. */
  fit({ width, height }) {
    const room = this.room();
    // A pane that is not shown just now has no size to fit into.
    if (room.width < 50 || room.height < 50) return;
    const { zoom, top } = this.fitting({ width, height });
    this.zoom = Math.max(zoom, 0.02);
    this.panZoom.pan({
      x: (room.width - width * this.zoom) / 2,
      y: top + (room.height - top - height * this.zoom) / 2,
    });
  }

  /** Move as little as is needed for an item to be seen. */
  bringIntoView(key) {
    const rect = this.scene?.layout.items.get(key);
    if (!rect) return;
    const { zoom } = this;
    const pan = this.panZoom.getPan();
    const room = this.room();
    const by = (centre, length, offset, size) => {
      const [start, end] = [(centre - length / 2) * zoom + offset, (centre + length / 2) * zoom + offset];
      if (start < MARGIN) return MARGIN - start;
      return end > size - MARGIN ? size - MARGIN - end : 0;
    };
    const step = { x: by(rect.x, rect.w, pan.x, room.width), y: by(rect.y, rect.h, pan.y, room.height) };
    if (step.x || step.y) this.panZoom.panBy(step);
  }

  /** Bring an item or a box into the middle, near enough to read. */
  centre(key) {
    const rect = this.scene?.layout.items.get(key) ?? this.scene?.layout.boxes.get(key);
    if (!rect) return;
    if (this.zoom < 0.7) this.zoom = 0.9;
    const { zoom } = this;
    const room = this.room();
    this.panZoom.pan({ x: room.width / 2 - rect.x * zoom, y: room.height / 2 - rect.y * zoom });
  }

  /** Show the same part as another pane. */
  showLike(other) {
    const [mine, wanted] = [this.panZoom.getPan(), other.panZoom.getPan()];
    const differs = (a, b) => Math.abs(a - b) > 0.01;
    if (differs(this.zoom * 1000, other.zoom * 1000)) this.zoom = other.zoom;
    else if (!differs(mine.x, wanted.x) && !differs(mine.y, wanted.y)) return;
    this.panZoom.pan(wanted);
  }

  /** The whole picture, as large as the paper allows, until `endPrint`. */
  beginPrint() {
    const { width, height } = this.scene.layout;
    this.svg.setAttribute("viewBox", `-8 -8 ${width + 16} ${height + 16}`);
    this.unprinted = this.viewport.getAttribute("transform");
    this.viewport.setAttribute("transform", "");
    this.viewport.style.transform = "none";
  }

  endPrint() {
    this.svg.removeAttribute("viewBox");
    this.viewport.setAttribute("transform", this.unprinted);
    this.viewport.style.transform = "";
    this.panZoom.panBy({ x: 0, y: 0 });
  }

  zoomBy(factor) {
    this.panZoom.zoomBy(factor);
  }

  /** svg-pan-zoom takes the zoom at this moment for the one that all others, and their limits, are relative to. */
  resized() {
    const { zoom } = this;
    const pan = this.panZoom.getPan();
    this.zoom = 1;
    this.panZoom.resize();
    this.zoom = zoom;
    this.panZoom.pan(pan);
  }

  destroy() {
    this.stop();
    this.panZoom.destroy();
    this.host.remove();
  }
}

const topOf = (rect) => rect && { x: rect.x, y: rect.y - rect.h / 2 };
