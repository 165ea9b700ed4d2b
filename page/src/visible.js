/** What is shown when some groups are open and the others closed. */

import { isBelonging } from "./model.js";
import { rolled } from "./roll.js";

/** @typedef {import("./types.js").View} View */

/**
 * @param {import("./model.js").Graph} graph
 * @param {Set<string>} open keys of the open groups; a group counts only when those around it are open, too
 * @param {boolean} backward whether the part that computes derivatives is shown
 * @param {?Set<string>} unrolled keys of the first ones of repeats that are shown one by one nevertheless; null shows
 *   all repeats so
 * @returns {View}
 */
export function visible(graph, open, backward, unrolled = null) {
  const closed = closedAround(graph, open);
  const shown = [...graph.nodes.values()].filter((node) => backward || !node.backward);
  const owner = owners(graph, shown, closed);
  /** @type {View["items"]} */
  const items = new Map();
  const keyOf = new Map();
  const boxes = new Set();
  for (const node of shown) {
    const group = owner.get(node.id);
    const key = group ? group.key : node.key;
    const box = openAround(group ? group.outer : node.group, closed);
    keyOf.set(node.id, key);
    if (!items.has(key)) items.set(key, { key, node: group ? null : node, group, box });
    for (let around = box; around; around = around.outer) boxes.add(around);
  }
  const view = { items, boxes: graph.groups.filter((group) => boxes.has(group)), links: linksBetween(graph, keyOf), rolledIn: new Map() };
  return unrolled ? rolled(view, unrolled) : view;
}

/** For each group, the outermost closed one that it is or lies in. */
function closedAround(graph, open) {
  const closed = new Map();
  for (const group of graph.groups) {
    const outer = group.outer ? closed.get(group.outer) : null;
    closed.set(group, outer ?? (open.has(group.key) ? null : group));
  }
  return closed;
}

function openAround(group, closed) {
  while (group && closed.get(group)) group = group.outer;
  return group;
}

/** For each node, the closed group that stands for it; a closed group takes in the tensors that it alone reads. */
function owners(graph, shown, closed) {
  const owner = new Map(shown.map((node) => [node.id, node.group ? closed.get(node.group) : null]));
  const readers = new Map();
  for (const edge of graph.edges) {
    if (!owner.has(edge.head)) continue;
    readers.set(edge.tail, (readers.get(edge.tail) ?? new Set()).add(owner.get(edge.head)));
  }
  for (const node of shown) {
    if (!isBelonging(node.role)) continue;
    const groups = [...(readers.get(node.id) ?? [])];
    owner.set(node.id, groups.length === 1 ? groups[0] : null);
  }
  return owner;
}

function linksBetween(graph, keyOf) {
  const links = new Map();
  for (const edge of graph.edges) {
    const [tail, head] = [keyOf.get(edge.tail), keyOf.get(edge.head)];
    if (tail === undefined || head === undefined || tail === head) continue;
    const name = JSON.stringify([tail, head, edge.flow]);
    const link = links.get(name) ?? { tail, head, flow: edge.flow, argument: edge.argument, edges: [] };
    link.edges.push(edge);
    links.set(name, link);
  }
  return [...links.values()];
}

/** Keys of the groups that are open when this many levels are. */
export function openTo(graph, levels) {
  return new Set(graph.groups.filter((group) => group.level < levels).map((group) => group.key));
}

/**
 * How many levels to open at first: as many as leave no more than `most` things to look at.
 *
 * @param {import("./model.js").Graph} graph
 * @param {number} most
 * @param {boolean} backward
 */
export function firstLevels(graph, most, backward) {
  let levels = graph.levels;
  while (levels > 0 && visible(graph, openTo(graph, levels), backward).items.size > most) levels -= 1;
  // One closed box says nothing.
  while (levels < graph.levels && visible(graph, openTo(graph, levels), backward).items.size < 5) levels += 1;
  return levels;
}
