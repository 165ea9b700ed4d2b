/** What differs between two graphs, seen from what is shown of them. */

/** @typedef {import("./types.js").Item} Item */

/**
 * What is shown of both graphs, matched.
 * @typedef {{key: string, first: ?Item, second: ?Item, marks: Mark[]}} Match
 * @typedef {{status: "moved" | "changed" | "added" | "removed", count: number}} Mark
 */

export const SIGNS = { moved: "\u21c5", changed: "\u2260", added: "+", removed: "\u2212" };

export class Diff {
  /**
   * @param {import("./types.js").Diff} data
   * @param {import("./model.js").Graph[]} graphs
   */
  constructor(data, graphs) {
    this.data = data;
    const numberOf = (name, otherwise) => {
      const found = graphs.findIndex((graph) => graph.name === name);
      return found < 0 ? otherwise : found;
    };
    this.firstGraph = numberOf(data.first, 0);
    this.secondGraph = numberOf(data.second, Math.min(1, graphs.length - 1));
    this.first = graphs[this.firstGraph];
    this.second = graphs[this.secondGraph];
    this.ofFirst = new Map(data.pairs.map((pair) => [pair.first, pair]));
    this.ofSecond = new Map(data.pairs.map((pair) => [pair.second, pair]));
    this.removed = new Set(data.removed);
    this.added = new Set(data.added);
    /** Every difference: the graph that it is found in, the key there, and what there is to say. */
    this.all = [
      ...data.pairs.map((pair) => this.entry(pair.first, true)),
      ...data.removed.map((id) => this.entry(id, true)),
      ...data.added.map((id) => this.entry(id, false)),
    ].filter(Boolean);
    this.statuses = new Set(this.all.flatMap(({ statuses }) => statuses));
  }

  /**
   * @param {import("./types.js").View} first
   * @param {import("./types.js").View} second
   * @returns {Match[]}
   */
  match(first, second) {
    const taken = new Set();
    const itemOfNode = new Map();
    for (const item of second.items.values()) if (item.node) itemOfNode.set(item.node.id, item);
    const matches = [];
    for (const item of first.items.values()) {
      const other = this.otherOf(item, itemOfNode, second);
      const free = other && !taken.has(other.key) ? other : null;
      if (free) taken.add(free.key);
      matches.push({ key: item.key, first: item, second: free, marks: this.marksOn(item, free, true) });
    }
    for (const item of second.items.values()) {
      if (taken.has(item.key)) continue;
      const key = first.items.has(item.key) ? `${item.key} (${this.data.second})` : item.key;
      matches.push({ key, first: null, second: item, marks: this.marksOn(item, null, false) });
    }
    return matches;
  }

  otherOf(item, itemOfNode, second) {
    if (item.node) return itemOfNode.get(this.ofFirst.get(item.node.id)?.second) ?? null;
    if (second.items.has(item.key)) return second.items.get(item.key);
    const votes = new Map();
    for (const member of item.group.members) {
      const partner = this.second.nodes.get(this.ofFirst.get(member.id)?.second);
      for (let group = partner?.group; group; group = group.outer) {
        const other = second.items.get(group.key);
        if (other) votes.set(other, (votes.get(other) ?? 0) + 1);
      }
    }
    return [...votes].sort(([, a], [, b]) => b - a)[0]?.[0] ?? null;
  }

  marksOn(item, other, isFirst) {
    if (item.node) {
      const status = this.statusOf(item.node, isFirst);
      return status.map((each) => ({ status: each, count: 1 }));
    }
    const counts = new Map();
    const count = (nodes, first) => {
      for (const node of nodes) for (const status of this.statusOf(node, first)) counts.set(status, (counts.get(status) ?? 0) + 1);
    };
    count(item.group.members, isFirst);
    if (other?.group) {
      const added = other.group.members.filter((node) => this.added.has(node.id));
      count(added, false);
    }
    return Object.keys(SIGNS).filter((status) => counts.has(status)).map((status) => ({ status, count: counts.get(status) }));
  }

  /** What differs about an operation; derivatives follow theirs, so that nothing is said of them. */
  statusOf(node, isFirst) {
    if (node.backward) return [];
    const pair = (isFirst ? this.ofFirst : this.ofSecond).get(node.id);
    if (!pair) return (isFirst ? this.removed : this.added).has(node.id) ? [isFirst ? "removed" : "added"] : [];
    const found = [];
    if (hasMoved(pair)) found.push("moved");
    if (pair.status === "changed" || pair.changes.length) found.push("changed");
    return found;
  }

  /** Whether a node of the first graph has its place elsewhere in the second; derivatives travel, too. */
  moves(node) {
    const pair = this.ofFirst.get(node?.id);
    return pair !== undefined && hasMoved(pair);
  }

  /** The node of the other graph that a node is paired with; null where there is none, or these are not its graphs. */
  partnerOf(number, other, node) {
    if (number === this.firstGraph && other === this.secondGraph) return this.second.nodes.get(this.ofFirst.get(node.id)?.second) ?? null;
    if (number === this.secondGraph && other === this.firstGraph) return this.first.nodes.get(this.ofSecond.get(node.id)?.first) ?? null;
    return null;
  }

  /** What there is to say about a key of one of the graphs, line by line. */
  linesOn(graph, key) {
    const isFirst = graph === this.firstGraph;
    if (!isFirst && graph !== this.secondGraph) return [];
    const side = isFirst ? this.first : this.second;
    const node = side.byKey.get(key);
    if (node) return this.linesOnNode(node, isFirst);
    const group = side.groupByKey.get(key);
    return (group?.members ?? []).flatMap((member) => this.linesOnNode(member, isFirst).map((line) => `${member.key}: ${line}`));
  }

  linesOnNode(node, isFirst) {
    if (node.backward) return [];
    if (isFirst && this.removed.has(node.id)) return [`${SIGNS.removed} only in ${this.data.first}`];
    if (!isFirst && this.added.has(node.id)) return [`${SIGNS.added} only in ${this.data.second}`];
    const pair = (isFirst ? this.ofFirst : this.ofSecond).get(node.id);
    if (!pair) return [];
    const lines = pair.changes.map(([what, before, after]) => `${SIGNS.changed} ${what}: ${before || "\u2013"} \u2192 ${after || "\u2013"}`);
    if (hasMoved(pair)) lines.unshift(`${SIGNS.moved} moved: ${this.way(pair)}`);
    return lines;
  }

  /** "after conv2d (convention) \u2192 after tanh (swap)" */
  way(pair) {
    const after = (graph, id) => {
      const names = graph.edges.filter((edge) => edge.head === id && edge.flow === "value").map((edge) => graph.nodes.get(edge.tail).label);
      return names.length ? `after ${[...new Set(names)].join(", ")}` : "first";
    };
    return `${after(this.first, pair.first)} (${this.data.first}) \u2192 ${after(this.second, pair.second)} (${this.data.second})`;
  }

  entry(id, isFirst) {
    const node = (isFirst ? this.first : this.second).nodes.get(id);
    const statuses = node ? this.statusOf(node, isFirst) : [];
    if (!statuses.length) return null;
    return { graph: isFirst ? this.firstGraph : this.secondGraph, key: node.key, statuses, lines: this.linesOnNode(node, isFirst) };
  }
}

const hasMoved = (pair) => pair.moved || pair.status === "moved";
