/**
 * Boxes for what has none: where hundreds of things follow each other without any module around them, some dozens at a
 * time become one box, "part 3 of 25", so that a graph of any length can be looked at.
 */

/** @typedef {import("./types.js").Group} Group */
/** @typedef {import("./types.js").GraphNode} GraphNode */

const MOST = 150;
const SIZE = 40;

/**
 * @param {Group[]} groups those that the document has
 * @param {GraphNode[]} nodes
 * @param {string} title what to call the outermost parts
 * @returns {Group[]} those and the parts; `outer` and `group` lead from each to the one around it
 */
export function withParts(groups, nodes, title) {
  const all = [...groups];
  const first = new Map();
  for (const node of nodes) {
    for (let group = node.group; group; group = group.outer) if (!first.has(group)) first.set(group, node.id);
  }
  for (const around of [null, ...groups]) {
    let inside = [
      ...nodes.filter((node) => node.group === around).map((node) => ({ id: node.id, put: (part) => (node.group = part) })),
      ...groups.filter((group) => group.outer === around).map((group) => ({ id: first.get(group) ?? 0, put: (part) => (group.outer = part) })),
    ].sort((a, b) => a.id - b.id);
    for (let round = 1; inside.length > MOST; round += 1) {
      const count = Math.ceil(inside.length / SIZE);
      const parts = Array.from({ length: count }, (_, number) => part(around, title, round, number, count));
      inside.forEach((thing, index) => thing.put(parts[Math.floor((index * count) / inside.length)]));
      all.push(...parts);
      inside = parts.map((group, number) => ({ id: number, put: (outer) => (group.outer = outer) }));
    }
  }
  return all;
}

/** @returns {Group} */
function part(around, title, round, number, count) {
  const label = `part ${number + 1} of ${count}`;
  return {
    id: -1,
    parent: null,
    path: around?.path ?? "",
    name: around?.name ?? "",
    label,
    role: "module",
    attributes: [],
    repeat: 1,
    equation: null,
    key: `${around?.key ?? title}::${label}${round > 1 ? ` (${round})` : ""}`,
    outer: around,
    level: 0,
    groups: [],
    members: [],
    summary: null,
  };
}
