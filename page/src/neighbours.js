/** Where the arrow keys lead. */

/**
 * The nearest item in a direction; what is connected counts as nearer.
 *
 * @param {import("./pane.js").Scene} scene
 * @param {?string} key
 * @param {"up" | "down" | "left" | "right"} direction
 * @returns {?string}
 */
export function neighbour(scene, key, direction) {
  const { items, boxes } = scene.layout;
  if (!key || !(items.has(key) || boxes.has(key))) return items.keys().next().value ?? null;
  const here = items.get(key) ?? boxes.get(key);
  const leap = overTheBreak(scene, key, direction);
  if (leap) return leap;
  const connected = new Set();
  for (const link of scene.view.links) {
    if (link.tail === key) connected.add(link.head);
    if (link.head === key) connected.add(link.tail);
  }
  let best = null;
  for (const [other, rect] of items) {
    if (other === key) continue;
    const [dx, dy] = [rect.x - here.x, rect.y - here.y];
    const [along, across] = { up: [-dy, dx], down: [dy, dx], left: [-dx, dy], right: [dx, dy] }[direction];
    if (along < 4) continue;
    const distance = (along + 2.5 * Math.abs(across)) * (connected.has(other) ? 0.4 : 1);
    if (!best || distance < best.distance) best = { distance, other };
  }
  return best?.other ?? null;
}

/** From the end of the first column to the start of the second, and back. */
function overTheBreak({ layout }, key, direction) {
  const [near, far] = { [layout.onward]: ["tail", "head"], [layout.back]: ["head", "tail"] }[direction] ?? [];
  return layout.between?.find((link) => link.flow === "value" && link[near] === key)?.[far] ?? null;
}
