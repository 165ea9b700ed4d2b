/** Closed modules that are built alike and follow each other in a straight chain become one, "ConvBlock ×3". */

/** @typedef {import("./types.js").View} View */

/**
 * @param {View} view
 * @param {Set<string>} unrolled keys of first ones that stay as they are
 * @returns {View}
 */
export function rolled(view, unrolled) {
  const next = successors(view);
  const items = new Map();
  const rolledIn = new Map();
  const single = new Set();
  // The first of a run comes before the others, because it is computed before them.
  for (const [key, item] of view.items) {
    if (rolledIn.has(key)) continue;
    const run = [item];
    if (!single.has(key)) for (let at = next.get(key); at !== undefined; at = next.get(at)) run.push(view.items.get(at));
    if (unrolled.has(key)) for (const each of run) single.add(each.key);
    if (run.length === 1 || unrolled.has(key)) {
      items.set(key, item);
      continue;
    }
    items.set(key, { ...item, run: run.map(({ group }) => group) });
    for (const each of run.slice(1)) rolledIn.set(each.key, key);
  }
  const keyOf = (key) => rolledIn.get(key) ?? key;
  const links = new Map();
  for (const link of view.links) {
    const [tail, head] = [keyOf(link.tail), keyOf(link.head)];
    if (tail === head) continue;
    const name = JSON.stringify([tail, head, link.flow]);
    const edges = [...(links.get(name)?.edges ?? []), ...link.edges];
    links.set(name, { ...link, tail, head, edges });
  }
  return { ...view, items, links: [...links.values()], rolledIn };
}

/** For each closed group, the one alike that alone reads it, and reads nothing else. */
function successors(view) {
  const [out, into] = [new Map(), new Map()];
  for (const { tail, head, flow } of view.links) {
    if (flow !== "value") continue;
    out.set(tail, [...(out.get(tail) ?? []), head]);
    into.set(head, [...(into.get(head) ?? []), tail]);
  }
  const next = new Map();
  for (const [key, item] of view.items) {
    const [head, ...others] = out.get(key) ?? [];
    const other = view.items.get(head);
    if (!item.group || !other?.group || others.length || into.get(head).length > 1) continue;
    if (item.group.outer === other.group.outer && signature(item.group) === signature(other.group)) next.set(key, head);
  }
  return next;
}

const signatures = new WeakMap();

/** What a module is built of; equal for those that are alike. */
function signature(group) {
  if (!signatures.has(group)) {
    const first = group.members[0]?.id ?? 0;
    const parts = group.members.map((node) => [
      node.id - first,
      node.label,
      node.shape,
      node.attributes,
      node.parameters.map(({ shape }) => shape),
    ]);
    signatures.set(group, JSON.stringify([group.label, group.attributes, parts]));
  }
  return signatures.get(group);
}
