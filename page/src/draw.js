/** Cards, boxes and curves as SVG elements that can be placed and faded. */

import { svg } from "./dom.js";
import { STYLES } from "./text.js";

/** @typedef {import("./card.js").Card} Card */

/**
 * Something drawn that a motion moves.
 * @typedef {{element: SVGElement, place: (rect: ?import("./types.js").Rect, opacity: number) => void}} Drawn
 */

function words(part) {
  const { size, weight } = STYLES[part.style];
  return svg(
    "text",
    {
      x: part.x,
      y: part.y,
      "font-size": size,
      "font-weight": weight,
      "text-anchor": part.anchor,
      class: part.faint ? "faint" : null,
    },
    part.text,
  );
}

const DRAWERS = {
  text: words,
  chip: (part) =>
    svg(
      "g",
      { class: `chip role-${part.role}` },
      svg("rect", { x: part.x, y: part.y, width: part.w, height: part.h, rx: part.role === "parameter" ? 2 : 7 }),
      words({ text: part.text, style: "chip", x: part.x + part.w / 2, y: part.y + 11, anchor: "middle" }),
    ),
  glyph: (part) =>
    svg(
      "g",
      { class: `glyph role-${part.role}` },
      svg("rect", { x: part.x, y: part.y, width: part.w, height: part.h, rx: part.text ? 4 : 2 }),
      part.text
        ? words({ text: part.text, style: "glyph", x: part.x + part.w / 2, y: part.y + 10.3, anchor: "middle" })
        : svg("title", {}, part.title),
    ),
  values: (part) => svg("g", { class: "heat-map", transform: `translate(${part.x} ${part.y})` }),
  strip: (part) =>
    svg(
      "g",
      { class: "strip", transform: `translate(${part.x} ${part.y})`, "data-width": part.w, "data-height": part.h },
      svg("rect", { class: "empty", width: part.w, height: part.h, rx: 1.5 }),
    ),
};

function outline(card) {
  const { w, h } = card;
  if (card.form === "round") {
    return [svg("ellipse", { class: "body", cx: w / 2, cy: h / 2, rx: w / 2, ry: h / 2 })];
  }
  const radius = { leaf: 0, pill: Math.min(h / 2, 16), card: 8, stack: 8 }[card.form];
  const body = svg("rect", { class: "body", width: w, height: h, rx: radius });
  if (card.form !== "stack") return [body];
  return [svg("rect", { class: "behind", x: 4, y: 4, width: w, height: h, rx: radius }), body];
}

/** @param {Card} card @returns {Drawn & {card: Card}} */
export function drawCard(card) {
  const element = svg(
    "g",
    {
      class: `item role-${card.role} form-${card.form}${card.backward ? " backward" : ""}`,
      "data-key": card.key,
      role: "button",
      "aria-label": card.label,
    },
    ...outline(card),
    ...card.parts.map((part) => DRAWERS[part.kind](part)),
  );
  const place = ({ x, y }, opacity) => {
    element.setAttribute("transform", `translate(${(x - card.w / 2).toFixed(2)} ${(y - card.h / 2).toFixed(2)})`);
    fade(element, opacity);
  };
  return { element, place, card };
}

/** A glyph by itself, for when what is inside a closed module moves there. @returns {Drawn} */
export function drawGlyph(part) {
  const element = svg("g", { class: "apart" }, DRAWERS.glyph({ ...part, x: 0, y: 0 }));
  const place = ({ x, y }, opacity) => {
    element.setAttribute("transform", `translate(${(x - part.w / 2).toFixed(2)} ${(y - part.h / 2).toFixed(2)})`);
    fade(element, opacity);
  };
  return { element, place };
}

/** @returns {Drawn & {heading: SVGElement}} an open group: a frame, and above the edges a heading that closes it */
export function drawBox(box, heading) {
  const frame = svg("rect", { class: "frame", rx: 10 });
  const bar = svg("rect", { class: "bar", height: 22, rx: 10 });
  const title = svg(
    "g",
    { class: "heading", "data-heading": box.original ?? box.key, role: "button", "aria-label": `close ${box.label}` },
    bar,
    svg("rect", { class: "plate", x: 5, y: 2, width: heading.w, height: 18, rx: 5 }),
    svg("path", { class: "closer", d: "M9 11h7" }),
    words({ text: heading.title, style: "heading", x: 22, y: 15 }),
    words({ text: heading.name, style: "name", x: 22 + heading.titleWidth + 8, y: 15, faint: true }),
  );
  const shade = box.role === "module" ? `shade-${box.level % 2}` : `role-${box.role}`;
  const element = svg("g", { class: `box ${shade}`, "data-box": box.original ?? box.key }, frame);
  title.classList.add(shade);
  const place = ({ x, y, w, h }, opacity) => {
    frame.setAttribute("x", x - w / 2);
    frame.setAttribute("y", y - h / 2);
    frame.setAttribute("width", Math.max(w, 0));
    frame.setAttribute("height", Math.max(h, 0));
    bar.setAttribute("width", Math.max(w, 0));
    title.setAttribute("transform", `translate(${x - w / 2} ${y - h / 2})`);
    fade(element, opacity);
    fade(title, opacity);
  };
  return { element, heading: title, place };
}

/** @param {import("./types.js").Curve[]} curves @returns {Drawn} */
export function drawCurves(curves) {
  const element = svg("g", { class: "curves" }, ...curves.map(drawCurve));
  return { element, place: (_, opacity) => fade(element, opacity) };
}

const at = ([x, y]) => `${x.toFixed(1)} ${y.toFixed(1)}`;

function drawCurve({ link, points, tip }) {
  const [first, ...rest] = points;
  let path = `M${at(first)}`;
  for (let index = 0; index + 2 < rest.length; index += 3) path += `C${rest.slice(index, index + 3).map(at).join(" ")}`;
  path += `L${at(tip)}`;
  const arrow = arrowHead(points.at(-1), tip);
  const parts = [svg("path", { class: "hit", d: path }), svg("path", { class: "line", d: path }), arrow];
  if (link.namesArgument) {
    const [x, y] = points.at(-1);
    parts.push(words({ text: link.argument, style: "glyph", x: x + 5, y: y - 1, anchor: "start", faint: true }));
  }
  return svg("g", { class: `curve flow-${link.flow}`, "data-tail": link.tail, "data-head": link.head }, ...parts);
}

function arrowHead(base, tip) {
  const angle = Math.atan2(tip[1] - base[1], tip[0] - base[0]);
  const [length, half] = [7, 3];
  const corner = (side) => [
    tip[0] - length * Math.cos(angle) - side * half * Math.sin(angle),
    tip[1] - length * Math.sin(angle) + side * half * Math.cos(angle),
  ];
  return svg("path", { class: "head", d: `M${at(tip)}L${at(corner(1))}L${at(corner(-1))}Z` });
}

function fade(element, opacity) {
  if (opacity === 1) element.removeAttribute("opacity");
  else element.setAttribute("opacity", opacity.toFixed(3));
  element.classList.toggle("gone", opacity < 0.02);
}
