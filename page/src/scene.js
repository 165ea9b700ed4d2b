/** A view with its cards measured and laid out: what a pane shows. */

import { cardOf } from "./card.js";
import { broken, joined } from "./fold.js";
import { shortened } from "./text.js";

/** Operations whose arguments may not be exchanged: their edges say which argument they are. */
const EXCHANGEABLE = new Set(["add", "mul", "maximum", "minimum"]);

/**
 * @param {import("./types.js").View} view
 * @param {import("./layout.js").Layouts} layouts
 * @param {(text: string, style: string) => number} measure
 * @param {{strip: (item: import("./types.js").Item) => boolean,
 *   values: (item: import("./types.js").Item) => ?{rows: number, columns: number},
 *   compact: boolean, direction: "TB" | "LR", columns: boolean}} options   columns: two of them instead of one
 * @returns {import("./pane.js").Scene}
 */
export function sceneOf(view, layouts, measure, options) {
  const cards = new Map();
  for (const item of view.items.values()) {
    const shown = { strip: options.strip(item), values: options.values(item), compact: options.compact };
    cards.set(item.key, cardOf(item, measure, shown));
  }
  const headings = new Map(view.boxes.map((box) => [box.key, headingOf(box, measure)]));
  nameArguments(view);
  const layout = layouts.of(view, cards, headings, options);
  const parts = options.columns ? broken(view, layout, options.direction) : null;
  if (!parts) return { view, cards, headings, layout };
  for (const box of parts[1].boxes) headings.set(box.key, headingOf(box, measure));
  const beside = parts.map((part) => layouts.of(part, cards, headings, options));
  return { cards, headings, ...joined(view, parts, beside, options.direction) };
}

function headingOf(box, measure) {
  const title = shortened((box.continues ? "\u2026 " : "") + box.label + (box.repeat > 1 ? ` \u00d7${box.repeat}` : ""), "heading", 200, measure);
  const inner = box.outer?.name && box.name.startsWith(`${box.outer.name}.`) ? box.name.slice(box.outer.name.length + 1) : box.name;
  const name = shortened(inner, "name", 140, measure);
  const titleWidth = measure(title, "heading");
  return { title, name, titleWidth, w: titleWidth + measure(name, "name") + 34, h: 18 };
}

/** Edges are named where the order of the arguments matters, as in a − b. */
function nameArguments(view) {
  const into = new Map();
  for (const link of view.links) into.set(link.head, [...(into.get(link.head) ?? []), link]);
  for (const [head, links] of into) {
    const node = view.items.get(head).node;
    const named = node?.role === "arithmetic" && links.length > 1 && !EXCHANGEABLE.has(node.label);
    for (const link of links) link.namesArgument = Boolean(named && link.argument);
  }
}
