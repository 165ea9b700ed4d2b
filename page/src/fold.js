/** A long picture broken into two columns, so that it uses a wide window. */

/** @typedef {import("./types.js").View} View */
/** @typedef {import("./types.js").Layout} Layout */

/** Shares of the length between which it may be broken. */
const [EARLIEST, LATEST] = [0.34, 0.66];
/** What a box that is broken in two counts, and the distance from the middle, against an edge between the columns. */
const [BROKEN_BOX, ASIDE] = [6, 20];
/** Between the columns, between edges there, and how far these swing out below the first column and above the second. */
const [GUTTER, STEP, SWING, ARROW] = [40, 9, 44, 7];

/**
 * What comes before a break and what comes after it, as views of their own. Boxes around the break are in both.
 *
 * @param {View} view
 * @param {Layout} layout in one column
 * @param {"TB" | "LR"} direction
 * @returns {?[View, View]} null where there is no place for a break
 */
export function broken(view, layout, direction) {
  const [along, size, length] = direction === "TB" ? ["y", "h", layout.height] : ["x", "w", layout.width];
  const spans = (rects) => [...rects.values()].map((rect) => [rect[along] - rect[size] / 2, rect[along] + rect[size] / 2]);
  const place = (key) => layout.items.get(key)[along];
  const at = bestBreak(spans(layout.items), spans(layout.boxes), view.links.map(({ tail, head }) => [place(tail), place(head)]), length);
  if (at === null) return null;
  const begun = new Set();
  for (const { key, box } of view.items.values()) {
    if (place(key) < at) for (let around = box; around; around = around.outer) begun.add(around);
  }
  const copies = new Map();
  const copyOf = (box) => {
    if (box && !copies.has(box)) {
      const continues = begun.has(box);
      const key = continues ? `${box.key} (continued)` : box.key;
      copies.set(box, { ...box, key, continues, original: box.key, outer: copyOf(box.outer) });
    }
    return copies.get(box) ?? null;
  };
  const part = (isIn, boxOf) => ({
    ...view,
    items: new Map([...view.items].filter(([key]) => isIn(key)).map(([key, item]) => [key, { ...item, box: boxOf(item.box) }])),
    links: view.links.filter(({ tail, head }) => isIn(tail) && isIn(head)),
  });
  const first = part((key) => place(key) < at, (box) => box);
  const second = part((key) => place(key) > at, copyOf);
  return [
    { ...first, boxes: view.boxes.filter((box) => begun.has(box)) },
    { ...second, boxes: view.boxes.filter((box) => copies.has(box)).map(copyOf) },
  ];
}

/** Where between the items the fewest edges and boxes are cut, not far from the middle. */
function bestBreak(items, boxes, links, length) {
  const cuts = (spans, at) => spans.filter(([start, end]) => Math.min(start, end) < at && at < Math.max(start, end)).length;
  let best = null;
  for (const [, end] of [...items, ...boxes]) {
    const at = end + 1;
    if (at < EARLIEST * length || at > LATEST * length || cuts(items, at)) continue;
    const cost = cuts(links, at) + BROKEN_BOX * cuts(boxes, at) + ASIDE * Math.abs(at / length - 0.5);
    if (!best || cost < best.cost) best = { at, cost };
  }
  return best?.at ?? null;
}

/**
 * Both parts beside each other, with the edges between them in the gutter.
 *
 * @param {View} view the whole
 * @param {[View, View]} parts
 * @param {[Layout, Layout]} layouts of the parts
 * @param {"TB" | "LR"} direction
 * @returns {{view: View, layout: Layout}}
 */
export function joined(view, parts, layouts, direction) {
  const down = direction === "TB";
  const [first, second] = layouts;
  const inFirst = (key) => parts[0].items.has(key);
  const between = view.links.filter(({ tail, head }) => inFirst(tail) !== inFirst(head));
  const gutter = GUTTER + Math.min(between.length * STEP, 2 * GUTTER);
  const moved = shifted(second, ...(down ? [first.width + gutter, 0] : [0, first.height + gutter]));
  const items = new Map([...first.items, ...moved.items]);
  const step = Math.min(STEP, (2 * GUTTER) / between.length);
  const curves = between.map((link, index) => {
    const [upper, lower] = inFirst(link.tail) ? [link.head, link.tail] : [link.tail, link.head];
    const aside = (index - (between.length - 1) / 2) * step;
    const middle = (down ? first.width : first.height) + gutter / 2 + aside;
    const points = swing(items.get(lower), items.get(upper), middle, aside, down);
    if (upper === link.tail) points.reverse();
    const [[x, y], tip] = [points.at(-2), points.at(-1)];
    const far = Math.hypot(tip[0] - x, tip[1] - y) || 1;
    const base = [tip[0] - ((tip[0] - x) / far) * ARROW, tip[1] - ((tip[1] - y) / far) * ARROW];
    return { link, points: [...points.slice(0, -1), base], tip };
  });
  return {
    view: { ...view, items: new Map([...parts[0].items, ...parts[1].items]), boxes: [...parts[0].boxes, ...parts[1].boxes] },
    layout: {
      width: down ? first.width + gutter + second.width : Math.max(first.width, second.width),
      height: down ? Math.max(first.height, second.height) : first.height + gutter + second.height,
      items,
      between,
      onward: down ? "down" : "right",
      back: down ? "up" : "left",
      boxes: new Map([...first.boxes, ...moved.boxes]),
      curves: [...first.curves, ...moved.curves, ...curves],
    },
  };
}

/** From below what is in the first column, up through the gutter, to above what is in the second: Bézier points. */
function swing(lower, upper, middle, aside, down) {
  const [across, along, size] = down ? ["x", "y", "h"] : ["y", "x", "w"];
  // The one that is outermost below has the shortest way above.
  const [from, to] = [lower[across] - aside, upper[across] - aside];
  const [bottom, top] = [lower[along] + lower[size] / 2, upper[along] - upper[size] / 2];
  const [deep, high] = [bottom + SWING + aside, top - SWING + aside];
  const [start, end] = [bottom - SWING / 2, Math.min(top + SWING / 2, bottom - SWING / 2)];
  const points = [
    [from, bottom], [from, deep], [middle, deep], [middle, start],
    [middle, start], [middle, end], [middle, end],
    [middle, high], [to, high], [to, top],
  ];
  return down ? points : points.map(([x, y]) => [y, x]);
}

/** A layout elsewhere. */
export function shifted(layout, dx, dy) {
  const rects = (map) => new Map([...map].map(([key, rect]) => [key, { ...rect, x: rect.x + dx, y: rect.y + dy }]));
  const point = ([x, y]) => [x + dx, y + dy];
  return {
    ...layout,
    items: rects(layout.items),
    boxes: rects(layout.boxes),
    curves: layout.curves.map((curve) => ({ ...curve, points: curve.points.map(point), tip: point(curve.tip) })),
  };
}
