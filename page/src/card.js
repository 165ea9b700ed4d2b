/**
 * What stands in a node, and where: a card is a size and a list of parts, measured but not yet drawn.
 *
 * @typedef {{kind: "text", text: string, style: string, x: number, y: number, anchor: string, faint: boolean}
 *   | {kind: "chip", text: string, role: string, x: number, y: number, w: number, h: number}
 *   | {kind: "glyph", id: ?number, role: string, text: string, title: string, x: number, y: number, w: number, h: number}
 *   | {kind: "strip" | "values", x: number, y: number, w: number, h: number}} Part
 * @typedef {{key: string, role: string, form: "card" | "stack" | "round" | "leaf", w: number, h: number,
 *   round: boolean, backward: boolean, parts: Part[], label: string}} Card
 */

import { isTensor } from "./model.js";
import * as numbers from "./numbers.js";
import { shortened } from "./text.js";
import { CELL } from "./values.js";

const PADDING = 11;
const LEAST = 128;
const MOST = 284;
const STRIP = 11;
const GLYPHS = 40;
/** Attributes whose value says enough by itself. */
const EVIDENT = new Set(["kernel", "uses"]);
/** Attributes that hardly ever differ: the panel tells them. */
const DULL = new Set(["eps", "momentum"]);

/**
 * @param {import("./types.js").Item} item
 * @param {(text: string, style: string) => number} measure
 * @param {{strip: boolean, values: ?{rows: number, columns: number}, compact: boolean}} options whether a strip of
 *   channels is shown in it, how many numbers, and whether all else stands in one row
 * @returns {Card}
 */
export function cardOf(item, measure, options) {
  if (item.group) return groupCard(item, measure, options);
  const node = item.node;
  if (node.role === "arithmetic") return signCard(item, measure, options);
  if (isTensor(node.role)) return tensorCard(item, measure, options);
  return operationCard(item, measure, options);
}

/** The name inside the box that it is drawn in. */
export function nameInside(name, box) {
  return box?.name && name.startsWith(`${box.name}.`) ? name.slice(box.name.length + 1) : name;
}

function attributesOf(attributes) {
  return attributes.filter(([name]) => !DULL.has(name)).map(([name, value]) => (EVIDENT.has(name) ? value : `${name} ${value}`));
}

const times = (repeat) => (repeat > 1 ? ` \u00d7${repeat}` : "");

/** Lays rows out below each other; each row gives the parts for a width, and the least width that it needs. */
class Rows {
  constructor(measure) {
    this.measure = measure;
    this.y = 7;
    this.need = LEAST;
    this.rows = [];
  }

  /** What it is and what it is called on the left, its shape on the right. */
  title(title, name, shape) {
    const { measure } = this;
    const right = shape ? measure(shape, "shape") + 14 : 0;
    const needed = measure(title, "title") + (name ? measure(name, "name") + 7 : 0) + right;
    this.add(17, needed, (y, w) => {
      const first = shortened(title, "title", w - right, measure);
      const parts = [text(first, "title", PADDING, y + 12.5)];
      const start = measure(first, "title") + 7;
      const second = name ? shortened(name, "name", w - right - start, measure) : "";
      if (second && second !== "\u2026") parts.push(text(second, "name", PADDING + start, y + 12.5, "start", true));
      if (shape) parts.push(text(shape, "shape", PADDING + w, y + 12.5, "end", true));
      return parts;
    });
  }

  line(words, style) {
    if (!words) return;
    this.add(15, this.measure(words, style), (y, w) => [
      text(shortened(words, style, w, this.measure), style, PADDING, y + 10.5, "start", true),
    ]);
  }

  chips(chips) {
    if (!chips.length) return;
    const widths = chips.map((chip) => this.measure(chip.text, "chip") + 12);
    const all = widths.reduce((total, width) => total + width + 5, -5);
    this.add(20, all, (y, w) => {
      const parts = [];
      let x = 0;
      for (const [index, chip] of chips.entries()) {
        const width = Math.min(widths[index], w - x);
        if (width < 24) break;
        const words = shortened(chip.text, "chip", width - 12, this.measure);
        parts.push({ kind: "chip", text: words, role: chip.role, x: PADDING + x, y: y + 3, w: width, h: 15 });
        x += width + 5;
      }
      return parts;
    });
  }

  glyphs(contents) {
    if (!contents.length) return;
    const words = contents.map(({ label }) => this.measure(label, "glyph") + 10);
    const all = words.reduce((total, width) => total + width + 3, -3);
    if (contents.length <= 5 && all <= MOST - 2 * PADDING) {
      this.add(21, all, (y) => {
        let x = PADDING;
        return contents.map(({ role, label, id }, index) => {
          const part = { kind: "glyph", id, role, text: label, title: label, x, y: y + 4, w: words[index], h: 14 };
          x += words[index] + 3;
          return part;
        });
      });
      return;
    }
    const shown = contents.slice(0, contents.length > GLYPHS ? GLYPHS - 6 : GLYPHS);
    const [cell, gap] = [9, 2];
    this.add(0, Math.min(shown.length, 20) * (cell + gap), (y, w) => {
      const columns = Math.max(1, Math.floor((w + gap) / (cell + gap)));
      const parts = shown.map(({ role, label, id }, index) => ({
        kind: "glyph",
        id,
        role,
        text: "",
        title: label,
        x: PADDING + (index % columns) * (cell + gap),
        y: y + 4 + Math.floor(index / columns) * (cell + gap),
        w: cell,
        h: cell,
      }));
      if (contents.length > shown.length) {
        const last = parts.at(-1);
        parts.push(text(`+${contents.length - shown.length}`, "glyph", last.x + cell + 4, last.y + 8, "start", true));
      }
      return parts;
    }, (w) => 6 + Math.ceil(shown.length / Math.max(1, Math.floor((w + gap) / (cell + gap)))) * (cell + gap));
  }

  strip() {
    this.add(STRIP + 7, 0, (y, w) => [{ kind: "strip", x: PADDING, y: y + 4, w, h: STRIP }]);
  }

  values({ rows, columns }) {
    const [w, h] = [columns * CELL.w, rows * CELL.h];
    this.add(h + 7, w, (y, room) => [{ kind: "values", x: PADDING + (room - w) / 2, y: y + 4, w, h }]);
  }

  add(height, need, make, heightFor = () => height) {
    this.need = Math.max(this.need, Math.min(need, MOST - 2 * PADDING) + 2 * PADDING);
    this.rows.push({ make, heightFor });
  }

  done() {
    const width = this.need - 2 * PADDING;
    const parts = [];
    let y = this.y;
    for (const { make, heightFor } of this.rows) {
      parts.push(...make(y, width));
      y += heightFor(width);
    }
    return { w: Math.ceil(this.need), h: Math.ceil(y + 7), parts };
  }
}

function text(words, style, x, y, anchor = "start", faint = false) {
  return { kind: "text", text: words, style, x, y, anchor, faint };
}

function operationCard(item, measure, options) {
  const node = item.node;
  const rows = new Rows(measure);
  const title = `${node.derivative_of === null ? "" : "\u2202"}${node.module || node.label}${times(node.repeat)}`;
  const name = node.module && !options.compact ? nameInside(node.name, item.box) : "";
  rows.title(title, name, numbers.shape(node.shape));
  if (options.strip && options.compact) rows.strip();
  if (options.compact) return { ...rows.done(), ...common(item, node.role), form: "card", round: false, label: title };
  rows.line(attributesOf(node.attributes).join(" \u00b7 "), "name");
  rows.chips(
    node.parameters.map((parameter) => ({
      text: `${node.backward ? "\u2202" : ""}${nameInside(parameter.name, { name: node.name })} ${numbers.shape(parameter.shape)}`,
      role: parameter.role,
    })),
  );
  if (node.role === "module") rows.glyphs(node.contents.flatMap(({ role, label, count }) => Array(Math.min(count, GLYPHS)).fill({ role, label })));
  if (options.values) rows.values(options.values);
  if (options.strip) rows.strip();
  return { ...rows.done(), ...common(item, node.role), form: "card", round: false, label: title };
}

function groupCard(item, measure, options) {
  const { group } = item;
  const many = item.run?.length ?? 1;
  const { summary } = item.run?.at(-1) ?? group;
  const rows = new Rows(measure);
  const title = `${group.label}${times(group.repeat * many)}`;
  if (options.compact) return compactGroupCard(item, measure, options, title);
  rows.title(title, namesOf(item), summary.output ? numbers.shape(summary.output.shape) : "");
  rows.glyphs(summary.contents);
  if (options.strip) rows.strip();
  const sums = [
    summary.parameters ? `${numbers.count(summary.parameters * many)} parameters` : "",
    summary.flops ? numbers.flops(summary.flops * many) : "",
    summary.keptBytes ? `${numbers.bytes(summary.keptBytes * many)} kept` : "",
  ].filter(Boolean);
  rows.line(sums.join(" \u00b7 "), "figures");
  return { ...rows.done(), ...common(item, group.role), form: "stack", round: false, label: title };
}

/** "0", or "7–11" for several that are alike. */
function namesOf(item) {
  const first = nameInside(item.group.name, item.box);
  return item.run && first ? `${first}\u2013${nameInside(item.run.at(-1).name, item.box)}` : first;
}

/** Name, what is inside and the shape, all in one row. */
function compactGroupCard(item, measure, options, title) {
  const { group } = item;
  const { contents } = group.summary;
  const { output } = (item.run?.at(-1) ?? group).summary;
  const repeat = times(group.repeat * (item.run?.length ?? 1));
  const name = shortened((namesOf(item) || group.label) + repeat, "title", 120, measure);
  const size = output ? numbers.shape(output.shape) : "";
  const row = glyphRow(contents, PADDING + Math.max(measure(name, "title"), 20) + 9, 6, measure);
  const w = Math.ceil(row.end + (size ? measure(size, "shape") + 12 : 0) + PADDING);
  const strip = options.strip ? STRIP + 5 : 0;
  const parts = [text(name, "title", PADDING, 18.5), ...row.parts];
  if (size) parts.push(text(size, "shape", w - PADDING, 18.5, "end", true));
  if (strip) parts.push({ kind: "strip", x: PADDING, y: 27, w: w - 2 * PADDING, h: STRIP });
  return { w, h: 28 + strip, parts, ...common(item, group.role), form: "stack", round: false, label: title };
}

/** One row of what is inside: with words where there are few, as small squares where there are many. */
function glyphRow(contents, x, y, measure) {
  const words = contents.length <= 4;
  const parts = contents.slice(0, GLYPHS).map(({ role, label, id }) => {
    const w = words ? measure(label, "glyph") + 10 : 8;
    const part = { kind: "glyph", id, role, text: words ? label : "", title: label, x, y: words ? y + 1 : y + 4, w, h: words ? 14 : 8 };
    x += w + (words ? 3 : 2);
    return part;
  });
  if (contents.length > GLYPHS) {
    const more = `+${contents.length - GLYPHS}`;
    parts.push(text(more, "glyph", x + 2, y + 11.5, "start", true));
    x += measure(more, "glyph") + 4;
  }
  return { parts, end: x };
}

function signCard(item, measure, options) {
  const { sign } = item.node;
  const short = measure(sign, "sign") < 22;
  const width = short ? 38 : measure(sign, "title") + 30;
  const below = [];
  let h = 34;
  let w = Math.ceil(width);
  const values = options.compact ? null : options.values;
  if (values) {
    w = Math.max(w, values.columns * CELL.w + 24);
    below.push({ kind: "values", x: (w - values.columns * CELL.w) / 2, y: 31, w: values.columns * CELL.w, h: values.rows * CELL.h });
    h += values.rows * CELL.h + 6;
  }
  if (options.strip) {
    w = Math.max(w, 110);
    below.push({ kind: "strip", x: 14, y: h - 3, w: w - 28, h: STRIP });
    h += STRIP + 7;
  }
  const parts = [text(sign, short ? "sign" : "title", w / 2, short ? 22.5 : 21.5, "middle"), ...below];
  return { w, h, parts, ...common(item, "arithmetic"), form: below.length ? "card" : "round", round: !below.length, label: sign };
}

function tensorCard(item, measure, options) {
  const node = item.node;
  const stored = node.role === "parameter" || node.role === "buffer";
  const plain = nameInside(node.label, item.box);
  const name = shortened(node.derivative_of === null ? plain : `\u2202${plain}`, "title", 170, measure);
  const size = numbers.shape(node.shape);
  const values = options.compact ? null : options.values;
  const strip = options.strip ? STRIP + 8 : 0;
  const numbersHeight = values ? values.rows * CELL.h + 8 : 0;
  const written = measure(name, "title") + measure(size, "shape") + 10 + 2 * 15;
  const w = Math.ceil(Math.max(written, strip ? 120 : 76, values ? values.columns * CELL.w + 30 : 0));
  const parts = [
    text(name, "title", 15, 20),
    text(size, "shape", w - 15, 20, "end", true),
  ];
  if (values) {
    const width = values.columns * CELL.w;
    parts.push({ kind: "values", x: (w - width) / 2, y: 29, w: width, h: values.rows * CELL.h });
  }
  if (strip) parts.push({ kind: "strip", x: 15, y: 28 + numbersHeight, w: w - 30, h: STRIP });
  const form = stored ? "leaf" : "pill";
  return { w, h: 31 + numbersHeight + strip, parts, ...common(item, node.role), form, round: false, label: node.label };
}

function common(item, role) {
  return { key: item.key, role, backward: item.node?.backward ?? false };
}
