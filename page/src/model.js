/** A graph of the document with everything that is asked of it often: boxes worth drawing, members, sums. */

import { withParts } from "./parts.js";

/** @typedef {import("./types.js").GraphData} GraphData */
/** @typedef {import("./types.js").GraphNode} GraphNode */
/** @typedef {import("./types.js").Group} Group */

const TENSORS = new Set(["input", "constant", "parameter", "buffer", "output"]);
/** Tensors that a closed module takes in when it alone reads them. */
const BELONGINGS = new Set(["parameter", "buffer", "constant"]);

export class Graph {
  /** @param {GraphData} data */
  constructor(data) {
    this.data = data;
    this.name = data.name;
    this.frames = data.frames;
    /** @type {Map<number, GraphNode>} */
    this.nodes = new Map(data.nodes.map((node) => [node.id, { ...node, group: null, backward: false }]));
    this.edges = data.edges.filter((edge) => this.nodes.has(edge.tail) && this.nodes.has(edge.head));
    markBackward(this.nodes, this.edges);
    /** @type {Group[]} outer ones before inner ones */
    this.groups = groupsWorthDrawing(data, this.nodes);
    for (const group of this.groups) group.summary = summaryOf(group);
    this.byKey = new Map([...this.nodes.values()].map((node) => [node.key, node]));
    this.groupByKey = new Map(this.groups.map((group) => [group.key, group]));
    this.hasBackward = [...this.nodes.values()].some((node) => node.backward);
    /** @type {Map<number, GraphNode[]>} */
    this.derivatives = new Map();
    for (const node of this.nodes.values()) {
      if (node.derivative_of === null) continue;
      this.derivatives.set(node.derivative_of, [...(this.derivatives.get(node.derivative_of) ?? []), node]);
    }
  }

  /** Levels of boxes: 0 where there is none. */
  get levels() {
    return this.groups.reduce((most, group) => Math.max(most, group.level + 1), 0);
  }

  /** The parameters that nodes of the forward pass hold or are, each once. */
  static parametersIn(nodes) {
    const found = new Map();
    for (const node of nodes) {
      if (node.backward) continue;
      for (const parameter of node.parameters) found.set(parameter.key, parameter);
      if (node.role === "parameter") found.set(node.key, { key: node.key, role: node.role, size: product(node.shape) });
    }
    return [...found.values()].filter((parameter) => parameter.role === "parameter");
  }
}

/** @param {string} role */
export const isTensor = (role) => TENSORS.has(role);

/** @param {string} role */
export const isBelonging = (role) => BELONGINGS.has(role);

/** @param {number[]} numbers */
export const product = (numbers) => numbers.reduce((result, number) => result * number, 1);

/** What computes derivatives: it says so itself, or only gradients lead to it. */
function markBackward(nodes, edges) {
  const flows = new Map();
  for (const edge of edges) flows.set(edge.head, (flows.get(edge.head) ?? true) && edge.flow !== "value");
  for (const node of nodes.values()) {
    node.backward = node.derivative_of !== null || flows.get(node.id) === true;
  }
}

/**
 * The clusters that hold more than one thing, or are an opened operation. A module of one operation is shown as that
 * operation, and the model itself has no box around everything.
 */
function groupsWorthDrawing(data, nodes) {
  const held = new Map();
  const add = (id, number) => held.set(id, (held.get(id) ?? 0) + number);
  for (const cluster of data.clusters) add(cluster.parent, 1);
  for (const node of nodes.values()) if (!isTensor(node.role) && !node.backward) add(node.cluster, 1);
  const kept = new Set();
  for (const cluster of data.clusters.toReversed()) {
    const count = held.get(cluster.id) ?? 0;
    const whole = cluster.parent === null && held.get(null) === 1;
    if (count === 0) add(cluster.parent, -1);
    else if (cluster.role !== "module" || (count > 1 && !whole)) kept.add(cluster.id);
  }
  /** @type {Map<?number, ?Group>} for each cluster, the group that it is or lies in */
  const groupOf = new Map([[null, null]]);
  const groups = [];
  const seen = new Map();
  for (const cluster of data.clusters) {
    const outer = groupOf.get(cluster.parent) ?? null;
    if (!kept.has(cluster.id)) {
      groupOf.set(cluster.id, outer);
      continue;
    }
    const name = `${cluster.name || data.title}::${cluster.label}`;
    seen.set(name, (seen.get(name) ?? 0) + 1);
    const group = {
      ...cluster,
      key: seen.get(name) === 1 ? name : `${name}#${seen.get(name)}`,
      outer,
      level: 0,
      groups: [],
      members: [],
      summary: null,
    };
    groups.push(group);
    groupOf.set(cluster.id, group);
  }
  for (const node of nodes.values()) {
    node.group = groupOf.get(node.cluster) ?? null;
    const alone = node.cluster !== null && !kept.has(node.cluster) && !isTensor(node.role) && node.role !== "module";
    if (alone && !node.module) node.module = data.clusters[node.cluster].label;
  }
  return connected(withParts(groups, [...nodes.values()], data.title), nodes);
}

/** Outer groups before inner ones, each with its level and what is in it. */
function connected(groups, nodes) {
  for (const group of groups) {
    group.level = 0;
    for (let around = group.outer; around; around = around.outer) group.level += 1;
    group.outer?.groups.push(group);
  }
  for (const node of nodes.values()) for (let group = node.group; group; group = group.outer) group.members.push(node);
  return groups.sort((a, b) => a.level - b.level);
}

/** Sums over what is in a group, and its operations in their order; an opened operation counts as one. */
function summaryOf(group) {
  const forward = group.members.filter((node) => !node.backward);
  const operations = forward.filter((node) => !isTensor(node.role));
  const contents = [];
  const counted = new Set();
  for (const node of operations) {
    const opened = outermostOperation(node, group);
    if (opened && counted.has(opened)) continue;
    if (opened) counted.add(opened);
    contents.push({ role: (opened ?? node).role, label: (opened ?? node).label, id: node.id });
  }
  const sizes = Graph.parametersIn(group.members).map((parameter) => parameter.size);
  const sum = (numbers) => numbers.reduce((total, number) => total + number, 0);
  return {
    parameters: sum(sizes) + sum(group.members.map((node) => node.parameter_count)),
    flops: sum(forward.map((node) => node.flops)),
    keptBytes: sum(forward.map((node) => node.kept_bytes)),
    repeat: group.repeat,
    output: operations.at(-1) ?? null,
    contents,
  };
}

/** The outermost opened operation around a node, inside a group. */
function outermostOperation(node, group) {
  let found = null;
  for (let around = node.group; around && around !== group; around = around.outer) {
    if (around.role !== "module") found = around;
  }
  return found;
}
