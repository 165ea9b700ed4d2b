/** The view of two graphs in one, with its slider from the first to the second. */

import { SIGNS } from "./diff.js";
import { html, svg } from "./dom.js";
import { drawBox, drawCard, drawCurves } from "./draw.js";
import { moment, placeAll, play } from "./motion.js";

const MILLISECONDS = 1800;

export class DiffBar {
  /** @param {import("./app.js").App} app */
  constructor(app) {
    this.app = app;
    this.diff = app.diff;
    this.time = 0;
    this.stop = null;
    this.tracks = [];
    this.button = html("button", { class: "play", title: "play (space)", onclick: () => this.toggle() });
    this.slider = html("input", {
      type: "range",
      min: 0,
      max: 1,
      step: 0.005,
      value: 0,
      "aria-label": "from the first graph to the second",
      oninput: () => {
        this.halt();
        this.go(Number(this.slider.value));
      },
    });
    const end = (name, time) => html("button", { class: "end", onclick: () => this.playTo(time) }, name);
    this.ends = [end(this.diff?.data.first ?? "", 0), end(this.diff?.data.second ?? "", 1)];
    this.summary = html("p", { class: "summary" }, this.diff?.data.summary ?? "");
    this.element = html("div", { class: "diffbar", hidden: true }, this.button, this.ends[0], html("div", { class: "track" }, this.slider), this.ends[1], this.summary);
    this.update();
  }

  /** Draw both graphs into the one pane. */
  show(anchor) {
    const { app, diff } = this;
    const [pane] = app.panes;
    const scenes = [diff.first, diff.second].map((graph) => app.sceneFor(graph));
    const matches = diff.match(scenes[0].view, scenes[1].view);
    const layouts = aligned(scenes, matches);
    pane.stop();
    for (const layer of Object.values(pane.layers)) layer.replaceChildren();
    pane.items = new Map();
    pane.boxes = new Map();
    this.tracks = [...this.curves(pane, scenes, layouts), ...this.boxes(pane, scenes, layouts), ...this.items(pane, matches, scenes, layouts)];
    const before = pane.scene;
    pane.scene = {
      view: {
        items: new Map(matches.map((match) => [match.key, match.first ?? match.second])),
        boxes: [...scenes[0].view.boxes, ...scenes[1].view.boxes],
        links: [...scenes[0].view.links, ...scenes[1].view.links],
      },
      layout: { width: layouts.width, height: layouts.height, items: new Map(), boxes: new Map() },
    };
    this.go(this.time);
    if (before && anchor) pane.keepInPlace(before, pane.scene, anchor);
  }

  curves(pane, scenes, layouts) {
    return layouts.pair.map((layout, side) => {
      const drawn = drawCurves(layout.curves);
      pane.layers.curves.append(drawn.element);
      return { drawn, from: null, to: null, fade: side === 0 ? "out" : "in" };
    });
  }

  boxes(pane, scenes, layouts) {
    const tracks = [];
    const [first, second] = layouts.pair;
    scenes.forEach((scene, side) => {
      for (const box of scene.view.boxes) {
        if (side === 1 && first.boxes.has(box.key)) continue;
        const drawn = drawBox(box, scene.headings.get(box.key));
        pane.boxes.set(box.key, drawn);
        pane.addBox(drawn);
        const [from, to] = [first.boxes.get(box.key) ?? null, second.boxes.get(box.key) ?? null];
        tracks.push({ drawn, key: box.key, from, to, fade: from && to ? "" : from ? "out" : "in", isBox: true });
      }
    });
    return tracks;
  }

  items(pane, matches, scenes, layouts) {
    const tracks = [];
    const onTop = [];
    for (const match of matches) {
      const from = match.first && layouts.pair[0].items.get(match.first.key);
      const to = match.second && layouts.pair[1].items.get(match.second.key);
      const cards = [match.first && scenes[0].cards.get(match.first.key), match.second && scenes[1].cards.get(match.second.key)];
      const moves = match.first?.node && match.marks.some(({ status }) => status === "moved");
      const bend = moves ? Math.max(from.w, to.w) * 0.75 + 40 : 0;
      const same = cards[0] && cards[1] && JSON.stringify(cards[0].parts) === JSON.stringify(cards[1].parts);
      cards.forEach((card, side) => {
        if (!card || (side === 1 && same)) return;
        const drawn = { ...drawCard({ ...card, key: match.key }), item: side === 0 ? match.first : match.second };
        drawn.graph = side === 0 ? this.diff.firstGraph : this.diff.secondGraph;
        mark(drawn, match.marks);
        if (moves) onTop.push(drawn.element);
        else pane.layers.items.append(drawn.element);
        if (side === 0 || !cards[0]) pane.items.set(match.key, drawn);
        const alone = side === 0 ? "out" : "in";
        tracks.push({ drawn, key: match.key, from, to, fade: same ? "" : alone, bend });
      });
      if (moves && from && to) pane.layers.marks.append(wayArrow(from, to));
    }
    pane.layers.items.append(...onTop);
    return tracks;
  }

  go(time) {
    this.time = time;
    placeAll(this.tracks, time);
    const [pane] = this.app.panes;
    for (const track of this.tracks) {
      if (track.key) (track.isBox ? pane.scene.layout.boxes : pane.scene.layout.items).set(track.key, moment(track, time).rect);
    }
    this.update();
  }

  toggle() {
    if (!this.diff) return;
    if (this.stop) this.halt();
    else this.playTo(this.time > 0.5 ? 0 : 1);
  }

  playTo(end) {
    this.halt();
    this.stop = () => {};
    const began = this.time;
    this.stop = play((time) => this.go(time), MILLISECONDS * Math.max(Math.abs(end - began), 0.2), () => this.halt(), began, end);
    this.update();
  }

  halt() {
    this.stop?.();
    this.stop = null;
    this.update();
  }

  legend() {
    const texts = { moved: "moved", changed: "changed", added: `only in ${this.diff.data.second}`, removed: `only in ${this.diff.data.first}` };
    return html(
      "ul",
      { class: "marks-legend" },
      Object.entries(texts).map(([status, text]) => html("li", { class: `diff-${status}` }, html("b", {}, SIGNS[status]), text)),
    );
  }

  update() {
    this.element.hidden = this.app.state?.tab !== "diff";
    this.slider.value = this.time;
    this.button.textContent = this.stop ? "\u275a\u275a" : "\u25b6";
    this.button.setAttribute("aria-label", this.stop ? "stop" : "play the difference");
    this.ends.forEach((end, side) => end.classList.toggle("now", Math.abs(this.time - side) < 0.5));
  }
}

/** Both layouts with what is the same at the same place, as far as that goes. */
function aligned(scenes, matches) {
  const [first, second] = scenes.map((scene) => scene.layout);
  const steps = matches
    .filter((match) => match.first && match.second && !match.marks.length)
    .map((match) => [first.items.get(match.first.key), second.items.get(match.second.key)]);
  const shift = ["x", "y"].map((axis) => median(steps.map(([a, b]) => a[axis] - b[axis])));
  const origin = shift.map((step) => Math.min(step, 0));
  const pair = [moved(first, -origin[0], -origin[1]), moved(second, shift[0] - origin[0], shift[1] - origin[1])];
  return {
    pair,
    width: Math.max(first.width - origin[0], second.width + shift[0] - origin[0]),
    height: Math.max(first.height - origin[1], second.height + shift[1] - origin[1]),
  };
}

function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted.length ? sorted[Math.floor(sorted.length / 2)] : 0;
}

function moved(layout, dx, dy) {
  const rects = (map) => new Map([...map].map(([key, rect]) => [key, { ...rect, x: rect.x + dx, y: rect.y + dy }]));
  const point = ([x, y]) => [x + dx, y + dy];
  return {
    items: rects(layout.items),
    boxes: rects(layout.boxes),
    curves: layout.curves.map((curve) => ({ ...curve, points: curve.points.map(point), tip: point(curve.tip) })),
  };
}

/** A ring around the card and a badge with a sign for each kind of difference. */
function mark(drawn, marks) {
  if (!marks.length) return;
  const { card, element } = drawn;
  element.classList.add("marked", `diff-${marks[0].status}`);
  const ring = svg("rect", { class: "ring", x: -5, y: -5, width: card.w + 10, height: card.h + 10, rx: card.form === "leaf" ? 3 : 12 });
  const badges = marks.map(({ status, count }, index) => {
    const words = count > 1 ? `${SIGNS[status]}${count}` : SIGNS[status];
    const w = 12 + 7 * words.length;
    return svg(
      "g",
      { class: `badge diff-${status}`, transform: `translate(${-9 + index * 26} -13)` },
      svg("rect", { width: w, height: 18, rx: 9 }),
      svg("text", { x: w / 2, y: 13, "text-anchor": "middle", "font-size": 11.5, "font-weight": 700 }, words),
    );
  });
  element.append(ring, ...badges);
}

function wayArrow(from, to) {
  const [x1, x2] = [from.x + from.w / 2 + 7, to.x + to.w / 2 + 7];
  const out = Math.max(x1, x2) + 34;
  const path = `M${x1} ${from.y}C${out} ${from.y} ${out} ${to.y} ${x2 + 6} ${to.y}`;
  const head = `M${x2} ${to.y}l8 -4v8z`;
  return svg("g", { class: "way" }, svg("path", { class: "line", d: path }), svg("path", { class: "head", d: head }));
}
