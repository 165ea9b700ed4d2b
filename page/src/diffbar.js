/** The view of two graphs in one, with its slider from the first to the second. */

import { SIGNS } from "./diff.js";
import { html, svg } from "./dom.js";
import { drawBox, drawCard, drawCurves, drawGlyph } from "./draw.js";
import { shifted } from "./fold.js";
import { moment, placeAll, play } from "./motion.js";

const MILLISECONDS = 1800;
/** How far the badge of what moved sticks out on the left. */
const BADGE = 25;

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
        const time = Number(this.slider.value);
        this.halt();
        this.go(time);
      },
    });
    const end = (name, time) => html("button", { class: "end", onclick: () => this.playTo(time) }, name);
    this.ends = [end(this.diff?.data.first ?? "", 0), end(this.diff?.data.second ?? "", 1)];
    this.summary = html("p", { class: "summary", title: this.diff?.data.summary }, this.diff?.data.summary ?? "");
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
      const moves = Boolean(from && to && this.diff.moves(match.first.node));
      // On the left of what it passes, a derivative on the right, so that the two do not meet.
      const bend = moves ? [(Math.max(from.w, to.w) * 0.35 + 20) * (match.first.node.backward ? 1 : -1), 0] : null;
      const glyphs = match.first?.group && match.second?.group ? this.glyphs(cards, from, to) : [];
      const shown = glyphs.length ? cards.map(withoutGlyphs) : cards;
      const same = cards[0] && cards[1] && JSON.stringify(written(shown[0])) === JSON.stringify(written(shown[1]));
      shown.forEach((card, side) => {
        if (!card || (side === 1 && same)) return;
        const drawn = { ...drawCard({ ...card, key: match.key }), item: side === 0 ? match.first : match.second };
        drawn.card = cards[side];
        drawn.graph = side === 0 ? this.diff.firstGraph : this.diff.secondGraph;
        mark(drawn, match.marks);
        if (moves) onTop.push(drawn.element);
        else pane.layers.items.append(drawn.element);
        const keep = side === 0 || !cards[0];
        if (keep) pane.items.set(match.key, drawn);
        tracks.push({ drawn, key: keep ? match.key : null, from, to, fade: same ? "" : side === 0 ? "out" : "in", bend });
      });
      pane.layers.items.append(...glyphs.map(({ drawn }) => drawn.element));
      tracks.push(...glyphs);
      if (moves && match.marks.length) pane.layers.marks.append(wayArrow(from, to));
    }
    pane.layers.items.append(...onTop);
    return tracks;
  }

  /** What is inside a module that is closed in both graphs, each glyph on its own way. */
  glyphs(cards, from, to) {
    const places = cards.map((card, side) => {
      const rect = side === 0 ? from : to;
      const [left, top] = [rect.x - card.w / 2, rect.y - card.h / 2];
      const at = (part) => ({ x: left + part.x + part.w / 2, y: top + part.y + part.h / 2, w: part.w, h: part.h });
      return card.parts.filter((part) => part.kind === "glyph").map((part) => ({ part, rect: at(part) }));
    });
    const second = new Map(places[1].map((place) => [place.part.id, place]));
    const tracks = [];
    for (const { part, rect } of places[0]) {
      const pair = this.diff.ofFirst.get(part.id);
      const other = second.get(pair?.second);
      second.delete(pair?.second);
      const same = other && other.part.text === part.text && other.part.role === part.role;
      const bend = pair?.moved ? [0, -part.h * 1.3] : null;
      const ends = { from: rect, to: other?.rect ?? null, bend };
      tracks.push({ drawn: drawGlyph(part), ...ends, fade: same ? "" : "out", moved: pair?.moved });
      if (other && !same) tracks.push({ drawn: drawGlyph(other.part), ...ends, fade: "in" });
    }
    for (const { part, rect } of second.values()) tracks.push({ drawn: drawGlyph(part), from: null, to: rect, fade: "in" });
    return tracks.sort((a, b) => Boolean(a.moved) - Boolean(b.moved));
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
      Object.entries(texts).filter(([status]) => this.diff.statuses.has(status)).map(([status, text]) => html("li", { class: `diff-${status}` }, html("b", {}, SIGNS[status]), text)),
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
  const pair = [shifted(first, -origin[0], -origin[1]), shifted(second, shift[0] - origin[0], shift[1] - origin[1])];
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

/** A badge with a sign for each kind of difference; a single operation has a ring around it, too. */
function mark(drawn, marks) {
  if (!marks.length) return;
  const { card, element } = drawn;
  element.classList.add("marked", `diff-${marks[0].status}`);
  if (card.form !== "stack") {
    const radius = { leaf: 3, round: card.h / 2 + 4, pill: card.h / 2 + 4 }[card.form] ?? 12;
    element.append(svg("rect", { class: "ring", x: -4, y: -4, width: card.w + 8, height: card.h + 8, rx: radius }));
  }
  let x = -2;
  for (const { status, count } of marks) {
    const words = count > 1 ? `${SIGNS[status]}${count}` : SIGNS[status];
    const w = 12 + 7 * words.length;
    x -= w + 2;
    element.append(
      svg(
        "g",
        { class: `badge diff-${status}`, transform: `translate(${x} ${card.h / 2 - 9})` },
        svg("rect", { width: w, height: 18, rx: 9 }),
        svg("text", { x: w / 2, y: 13, "text-anchor": "middle", "font-size": 11.5, "font-weight": 700 }, words),
      ),
    );
  }
}

const withoutGlyphs = (card) => card && { ...card, parts: card.parts.filter((part) => part.kind !== "glyph") };

/** What can be seen of a card, whatever its key. */
const written = ({ w, h, parts }) => ({ w, h, parts: parts.map((part) => ({ ...part, id: null })) });

/** From the badge on the left of the old place to the new one. */
function wayArrow(from, to) {
  const [x1, x2] = [from.x - from.w / 2 - BADGE, to.x - to.w / 2 - 7];
  const out = Math.min(x1, x2) - 26;
  const path = `M${x1} ${from.y}C${out} ${from.y} ${out} ${to.y} ${x2 - 6} ${to.y}`;
  const head = `M${x2} ${to.y}l-8 -4v8z`;
  return svg("g", { class: "way" }, svg("path", { class: "line", d: path }), svg("path", { class: "head", d: head }));
}
