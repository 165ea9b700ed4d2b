/** The side panel: everything that is known of one node or module. */

import { nameInside } from "./card.js";
import { html, svg } from "./dom.js";
import { Graph } from "./model.js";
import * as numbers from "./numbers.js";
import { heatMaps, histogramPicture, linePicture } from "./pictures.js";
import { MEANINGS } from "./roles.js";
import { paintStrip } from "./strips.js";

const STATISTICS = [
  ["mean", "mean"],
  ["variance", "variance"],
  ["minimum", "minimum"],
  ["maximum", "maximum"],
  ["saturation", "saturation"],
  ["skewness", "skewness"],
  ["zeros", "share of zeros"],
  ["norm", "norm"],
];
/** Those of them that are told of both graphs. */
const COMPARED = STATISTICS.filter(([name]) => ["mean", "variance", "saturation", "skewness", "zeros"].includes(name));
const MOST_CELLS = 400;
const STRIP = { w: 300, h: 13 };

/**
 * @param {object} subject
 * @param {import("./types.js").Item} subject.item
 * @param {Graph} subject.graph
 * @param {number} subject.frame
 * @param {"light" | "dark"} subject.theme
 * @param {object[]} subject.strips what is known of channels, with scales
 * @param {?string[]} subject.changes lines on how it differs in the other graph
 * @param {{name: string, observation: object}[]} subject.both what was measured of it in both graphs that are shown
 * @param {object} hooks what to call: close(), select(key), toggle(key)
 * @returns {HTMLElement[]}
 */
export function panelOf(subject, hooks) {
  return subject.item.group ? moduleSections(subject, hooks) : nodeSections(subject, hooks);
}

function head(title, role, key, graph, hooks) {
  return html(
    "header",
    {},
    html("span", { class: `swatch role-${role}` }),
    html("h2", {}, title),
    html("span", { class: "kind" }, [MEANINGS[role] ?? role, graph.name].filter(Boolean).join(" \u00b7 ")),
    html("button", { class: "close", "aria-label": "close the panel", title: "close (Esc)", onclick: hooks.close }, "\u00d7"),
    html(
      "div",
      { class: "key" },
      html("code", {}, key),
      html("button", { class: "quiet", title: "copy this key", onclick: (event) => copied(key, event.currentTarget) }, "copy"),
    ),
  );
}

/** Copies a text; where the browser does not allow that, selects it, ready to be copied. */
async function copied(text, button) {
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "copied";
  } catch {
    getSelection().selectAllChildren(button.previousElementSibling);
    button.textContent = "selected";
  }
  setTimeout(() => (button.textContent = "copy"), 1200);
}

const section = (title, ...content) => {
  const inside = content.flat().filter(Boolean);
  return inside.length ? html("section", {}, title ? html("h3", {}, title) : null, inside) : null;
};

/** Pairs of what and how much; those without a value are left out. */
function facts(pairs) {
  const known = pairs.filter(([, value]) => value !== null && value !== undefined && value !== "");
  if (!known.length) return null;
  return html("dl", {}, known.flatMap(([name, value]) => [html("dt", {}, name), html("dd", {}, value)]));
}

function changesSection(changes) {
  return changes?.length ? section("Difference", html("ul", { class: "changes" }, changes.map((line) => html("li", {}, line)))) : null;
}

/** The statistics of a node in both graphs; means over the seeds where there are several. */
function bothSection(both) {
  if (!both.length) return null;
  const value = ({ observation }, name) => observation.seeds?.[name]?.[0] ?? observation.value[name];
  const gradient = ({ observation }) => observation.seeds?.gradient?.[0] ?? observation.gradient?.norm ?? null;
  const rows = [
    ...COMPARED.map(([name, label]) => [label, both.map((each) => value(each, name))]),
    ["gradient\u2019s norm", both.map(gradient)],
  ].filter(([, values]) => values.some(Boolean));
  if (!rows.length) return null;
  const names = both.map(({ name }) => html("th", { scope: "col" }, name));
  return section(
    "In both",
    html(
      "table",
      { class: "parameters both" },
      html("thead", {}, html("tr", {}, html("th"), names)),
      html("tbody", {}, rows.map(([label, values]) => html("tr", {}, html("th", { scope: "row" }, label), values.map((number) => html("td", {}, numbers.plain(number)))))),
    ),
    both.some(({ observation }) => observation.seeds) ? html("p", { class: "note" }, "means over the seeds") : null,
  );
}

function moduleSections({ item, graph, changes }, hooks) {
  const { group } = item;
  const { summary } = group;
  const counts = new Map();
  for (const { label } of summary.contents) counts.set(label, (counts.get(label) ?? 0) + 1);
  return [
    head(group.label, group.role, group.key, graph, hooks),
    section("", html("button", { class: "wide", onclick: () => hooks.toggle(group.key) }, hooks.isOpen(group.key) ? "close this module" : "open this module")),
    changesSection(changes),
    equationSection(group.equation),
    section(
      "Module",
      facts([
        ["path", group.path],
        ...group.attributes,
        ["repeated", group.repeat > 1 ? `${group.repeat} times` : ""],
        ["parameters", summary.parameters ? numbers.exact(summary.parameters) : ""],
        ["FLOPs", summary.flops ? numbers.flops(summary.flops) : ""],
        ["kept for backward", summary.keptBytes ? numbers.bytes(summary.keptBytes) : ""],
        ["output", summary.output ? `${numbers.shape(summary.output.shape)} ${summary.output.dtype}` : ""],
      ]),
    ),
    section("Contents", html("ul", { class: "contents" }, [...counts].map(([label, count]) => html("li", {}, `${count} \u00d7 ${label}`)))),
    section("Parameters", parameterTable(Graph.parametersIn(group.members), null, group.name)),
  ].filter(Boolean);
}

function nodeSections({ item, graph, frame, theme, changes, strips, both }, hooks) {
  const { node } = item;
  const frames = graph.frames;
  const observation = frames[frame]?.nodes[node.key] ?? null;
  return [
    head((node.derivative_of === null ? "" : "\u2202") + (node.module || node.label), node.role, node.key, graph, hooks),
    changesSection(changes),
    bothSection(both),
    equationSection(node.equation),
    section(
      "Operation",
      facts([
        ["operation", node.module ? node.label : ""],
        ["path", node.path],
        ["shape", numbers.shape(node.shape)],
        ["dtype", node.dtype],
        ...node.attributes,
        ["repeated", node.repeat > 1 ? `${node.repeat} times` : ""],
        ["FLOPs", node.flops ? numbers.flops(node.flops) : ""],
        ["kept for backward", node.kept_bytes ? numbers.bytes(node.kept_bytes) : ""],
        ["time", observation?.seconds === null || !observation ? "" : numbers.seconds(observation.seconds)],
      ]),
      gradientCheck(observation),
    ),
    section("", derivativeLinks(node, graph, hooks)),
    section("Parameters", parameterTable(node.parameters, frames[frame], node.name, node.role === "norm")),
    observation ? tensorSections("Value", observation.value, observation, { frames, node, frame, theme, strips }) : null,
    observation?.gradient ? tensorSections("Gradient", observation.gradient, null, { frames, node, frame, theme, strips }) : null,
  ].filter(Boolean);
}

function equationSection(equation) {
  if (!equation) return null;
  const block = (name, text) => (text ? [html("h4", {}, name), html("div", { class: "equation" }, text.split("; ").flatMap(formula))] : []);
  return section("Equation", block("forward", equation.forward), block("backward", equation.backward));
}

/** One formula, below the words that say when it holds: "with running statistics: dx = ...". */
function formula(text) {
  const [, when, rest] = text.match(/^(with [^:=]*): (.*)$/s) ?? [null, "", text];
  return [when && html("p", { class: "when" }, when), html("p", {}, rest)].filter(Boolean);
}

function gradientCheck(observation) {
  if (observation?.gradient_error === null || observation?.gradient_error === undefined) return null;
  const good = observation.gradient_error < 1e-4;
  return html(
    "p",
    { class: good ? "check good" : "check bad" },
    `${good ? "\u2713 derivative checked" : "\u2717 derivative differs from finite differences"}: relative error ${numbers.plain(observation.gradient_error, 2)}`,
  );
}

function derivativeLinks(node, graph, hooks) {
  const forward = node.derivative_of === null ? null : graph.nodes.get(node.derivative_of);
  const backward = graph.derivatives.get(node.id) ?? [];
  const link = (text, other) => html("button", { class: "link", onclick: () => hooks.select(other.key) }, text);
  return [
    forward && html("p", {}, "derivative of ", link(forward.key, forward)),
    backward.length && html("p", {}, "derivative: ", backward.map((other) => link(other.key, other))),
  ].filter(Boolean);
}

/** What BatchNorm's parameters are called in its equation. */
const SYMBOLS = { weight: " \u03b3", bias: " \u03b2", running_mean: " \u03bc", running_var: " \u03c3\u00b2" };

function parameterTable(parameters, frame, around, isNorm = false) {
  if (!parameters.length) return null;
  const rows = parameters.flatMap((parameter) => {
    const value = frame?.nodes[parameter.key]?.value;
    const name = nameInside(parameter.name ?? parameter.key, { name: around });
    const row = html(
      "tr",
      {},
      html("th", { scope: "row" }, html("span", { class: `swatch role-${parameter.role}` }), name + ((isNorm && SYMBOLS[name]) || "")),
      html("td", {}, parameter.shape ? numbers.shape(parameter.shape) : numbers.exact(parameter.size)),
      frame ? html("td", {}, value ? numbers.plain(value.mean) : "") : null,
      frame ? html("td", {}, value ? numbers.plain(value.variance) : "") : null,
    );
    if (!value || value.variance === 0) return [row];
    return [row, html("tr", { class: "mini" }, html("td", { colspan: 4 }, histogramPicture(value.histogram, `histogram of ${name}`, 26)))];
  });
  const titles = ["name", "shape", ...(frame ? ["mean", "variance"] : [])];
  return html(
    "table",
    { class: "parameters" },
    html("thead", {}, html("tr", {}, titles.map((title) => html("th", { scope: "col" }, title)))),
    html("tbody", {}, rows),
  );
}

function tensorSections(title, facts_, observation, { frames, node, frame, theme, strips }) {
  const seeds = observation?.seeds ?? {};
  const rows = STATISTICS.filter(([name]) => facts_[name] !== null).map(([name, label]) => {
    const interval = seeds[name];
    return [label, interval ? `${numbers.plain(interval[0])}  [${numbers.plain(interval[1])}, ${numbers.plain(interval[2])}]` : numbers.plain(facts_[name])];
  });
  const read = title === "Value" ? (moment) => moment?.value : (moment) => moment?.gradient;
  return section(
    title,
    histogramPicture(facts_.histogram, `histogram of the ${title.toLowerCase()}`),
    facts([...rows, ["not finite", facts_.not_finite ? numbers.exact(facts_.not_finite) : ""]]),
    Object.keys(seeds).length ? html("p", { class: "note" }, "mean over seeds, with its 95\u2009% interval") : null,
    title === "Value" ? channelStrips(node, frames[frame], strips, theme) : null,
    frames.length > 1 ? overTime(frames, node, frame, read, title === "Value") : null,
    facts_.values && facts_.values.numbers.length <= MOST_CELLS ? heatMaps(facts_.values, theme) : null,
  );
}

/** Every statistic of the channels, each on the scale that it has in the graph. */
function channelStrips(node, frame, strips, theme) {
  const item = { node, group: null };
  const rows = strips.flatMap((strip) => {
    const values = strip.of(item, frame);
    if (!values || values.length < 2) return [];
    const cells = svg("g", { class: "strip", "data-width": STRIP.w, "data-height": STRIP.h });
    paintStrip(cells, values, strip.scale, theme);
    const known = values.filter((value) => value !== null);
    const range = known.length ? `${strip.write(Math.min(...known))} to ${strip.write(Math.max(...known))}` : "";
    return [
      html("h4", {}, strip.title, html("span", { class: "range" }, range)),
      svg("svg", { class: "channels", viewBox: `0 0 ${STRIP.w} ${STRIP.h}`, preserveAspectRatio: "none", role: "img", "aria-label": `${strip.title} of ${values.length} channels` }, cells),
    ];
  });
  return rows.length ? html("details", { class: "channel-strips", open: true }, html("summary", {}, "Channels"), rows) : null;
}

function overTime(frames, node, frame, read, withSeeds) {
  const moments = frames.map((moment) => moment.nodes[node.key] ?? null);
  const names = frames.map((moment) => moment.name);
  return ["saturation", "skewness", "mean", "variance", "norm"].flatMap((name) => {
    const seeds = moments.map((moment) => (withSeeds && moment?.seeds?.[name]) || null);
    const values = moments.map((moment, index) => seeds[index]?.[0] ?? read(moment)?.[name] ?? null);
    const bands = seeds.map((seed) => (seed ? [seed[1], seed[2]] : null));
    const picture = linePicture(values, bands, names, frame, `${name} over time`);
    const known = values.filter((value) => value !== null);
    const range = `${numbers.plain(Math.min(...known))} to ${numbers.plain(Math.max(...known))}`;
    return picture ? [html("h4", {}, name, html("span", { class: "range" }, range)), picture] : [];
  });
}
