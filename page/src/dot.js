/** The small DOT text that Graphviz lays out: boxes of given sizes, without any text of the document. */

/** @typedef {import("./types.js").View} View */

const POINTS = 72;
const inches = (pixels) => (pixels / POINTS).toFixed(4);

/**
 * Names in the text are numbers that are made here: n3 is the fourth item, cluster_2 the third box, e5 the sixth link.
 *
 * @param {View} view
 * @param {Map<string, {w: number, h: number, round: boolean}>} sizes of the items
 * @param {Map<string, {w: number, h: number}>} headings sizes of the boxes' headings
 * @param {{direction: "TB" | "LR", compact: boolean}} options
 */
export function toDot(view, sizes, headings, { direction, compact }) {
  const number = new Map([...view.items.keys()].map((key, index) => [key, index]));
  const lines = [
    "digraph {",
    `graph [rankdir=${direction}, nodesep=${direction === "TB" ? 0.32 : 0.2}, ranksep=${compact ? 0.21 : 0.3}, newrank=true]`,
    "node [shape=box, fixedsize=true, label=\"\"]",
    "edge [arrowsize=0.7]",
  ];
  lines.push(...nested(view, number, sizes, headings, compact));
  view.links.forEach((link, index) => {
    // A gradient flows against the computation: drawn beside it, not below.
    const against = link.flow === "gradient";
    const [from, to] = against ? [link.head, link.tail] : [link.tail, link.head];
    const attributes = [`id=e${index}`];
    if (against) attributes.push("dir=back");
    if (link.flow === "kept") attributes.push("constraint=false");
    else if (link.flow === "value") attributes.push("weight=4");
    lines.push(`n${number.get(from)} -> n${number.get(to)} [${attributes.join(", ")}]`);
  });
  const keyOf = new Map([...view.items.values()].map((item) => [item.node?.id, item.key]));
  for (const item of view.items.values()) {
    const forward = keyOf.get(item.node?.derivative_of ?? null);
    if (forward === undefined) continue;
    lines.push(`n${number.get(forward)} -> n${number.get(item.key)} [style=invis, minlen=0, weight=2]`);
  }
  return `${lines.join("\n")}\n}\n`;
}

function nested(view, number, sizes, headings, compact) {
  const inside = new Map();
  const put = (box, line) => inside.set(box, [...(inside.get(box) ?? []), line]);
  for (const item of view.items.values()) {
    const { w, h, round } = sizes.get(item.key);
    const shape = round ? ", shape=ellipse" : "";
    put(item.box, `n${number.get(item.key)} [width=${inches(w)}, height=${inches(h)}${shape}]`);
  }
  // Inner boxes first, so that each is complete when it is put into the one around it.
  view.boxes.toReversed().forEach((box) => {
    const { w, h } = headings.get(box.key);
    const heading = `<<TABLE BORDER="0" FIXEDSIZE="TRUE" WIDTH="${Math.ceil(w)}" HEIGHT="${Math.ceil(h)}"><TR><TD></TD></TR></TABLE>>`;
    const name = `cluster_${view.boxes.indexOf(box)}`;
    const lines = [`subgraph ${name} {`, `graph [label=${heading}, margin=${compact ? 9 : 12}]`, ...(inside.get(box) ?? []), "}"];
    put(box.outer, lines.join("\n"));
  });
  return inside.get(null) ?? [];
}
