/** What nodes and channels can be coloured by: where each number comes from, and how it is written. */

import { scaleOver } from "./colours.js";
import { product } from "./model.js";
import * as numbers from "./numbers.js";

/** @typedef {import("./types.js").Item} Item */
/** @typedef {import("./types.js").Frame} Frame */

/** The node whose measurements stand for an item: itself, or the last operation of a closed group. */
export const measuredNode = (item) => item.node ?? item.group.summary.output;

/** @param {Item} item @param {?Frame} frame */
export function observationOf(item, frame) {
  const node = measuredNode(item);
  return (node && frame?.nodes[node.key]) ?? null;
}

function secondsOf(item, frame) {
  const nodes = item.node ? [item.node] : (item.run ?? [item.group]).flatMap((group) => group.members);
  const known = nodes.map((node) => frame?.nodes[node.key]?.seconds ?? null).filter((value) => value !== null);
  return known.length ? known.reduce((total, value) => total + value, 0) : null;
}

/** What was measured of many numbers; how labels or a single loss are distributed says nothing. */
function factsOf(item, frame) {
  const node = measuredNode(item);
  const many = node && node.dtype.includes("float") && product(node.shape) > 1;
  return (many && observationOf(item, frame)?.value) || null;
}

const factOf = (name) => (item, frame) => factsOf(item, frame)?.[name] ?? null;
/** How many alike a closed group stands for. */
const repeats = (item) => item.run?.length ?? 1;
const positive = (value) => (value > 0 ? value : null);

/** How an item can be coloured. */
export const COLOURINGS = [
  {
    name: "seconds",
    title: "time",
    kind: { logarithmic: true },
    of: secondsOf,
    write: numbers.seconds,
  },
  {
    name: "kept_bytes",
    title: "memory kept",
    kind: { logarithmic: true },
    of: (item) => positive(item.node ? item.node.kept_bytes : item.group.summary.keptBytes * repeats(item)),
    write: numbers.bytes,
  },
  {
    name: "flops",
    title: "FLOPs",
    kind: { logarithmic: true },
    of: (item) => positive(item.node ? item.node.flops : item.group.summary.flops * repeats(item)),
    write: numbers.flops,
  },
  { name: "saturation", title: "saturation", kind: { fromZero: true }, of: factOf("saturation"), write: numbers.plain },
  { name: "skewness", title: "skewness", kind: { fromZero: true }, of: factOf("skewness"), write: numbers.plain },
  { name: "zeros", title: "share of zeros", kind: { fromZero: true }, of: factOf("zeros"), write: numbers.plain },
  { name: "mean", title: "mean", kind: { signed: true }, of: factOf("mean"), write: numbers.plain },
  { name: "variance", title: "variance", kind: { logarithmic: true }, of: factOf("variance"), write: numbers.plain },
  {
    name: "gradient",
    title: "gradient\u2019s norm",
    kind: { logarithmic: true },
    of: (item, frame) => observationOf(item, frame)?.gradient?.norm ?? null,
    write: numbers.plain,
  },
];

const channelsOf = (name) => (item, frame) => factsOf(item, frame)?.channels?.[name] ?? null;

/** What a strip of channels can show. */
export const STRIPS = [
  { name: "saturation", title: "saturation", kind: { fromZero: true }, of: channelsOf("saturation") },
  { name: "skewness", title: "skewness", kind: { signed: true }, of: channelsOf("skewness") },
  { name: "zeros", title: "share of zeros", kind: { fromZero: true }, of: channelsOf("zeros") },
  { name: "mean", title: "mean", kind: { signed: true }, of: channelsOf("mean") },
  { name: "variance", title: "variance", kind: { logarithmic: true }, of: channelsOf("variance") },
  {
    name: "gradient",
    title: "gradient\u2019s norm",
    kind: { logarithmic: true },
    of: (item, frame) => observationOf(item, frame)?.gradient?.channels?.norm ?? null,
  },
].map((strip) => ({ ...strip, write: numbers.plain }));

/** Every value of a colouring or a strip: over the graphs, all their items and frames; closed groups count, too. */
function* everywhere(quantity, graphs) {
  for (const graph of graphs) {
    const items = [
      ...[...graph.nodes.values()].map((node) => ({ node, group: null })),
      ...graph.groups.map((group) => ({ node: null, group })),
    ];
    for (const frame of graph.frames.length ? graph.frames : [null]) {
      for (const item of items) {
        const found = quantity.of(item, frame);
        if (found !== null) yield found;
      }
    }
  }
}

/** Whether there is anything to show. */
export const occurs = (quantity, graphs) => !everywhere(quantity, graphs).next().done;

/** The scale over everything that the page can show of a colouring or a strip. */
export const scaleOf = (quantity, graphs) => scaleOver([...everywhere(quantity, graphs)].flat(), quantity.kind);
