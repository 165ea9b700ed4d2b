/** Small pictures of numbers: a histogram, a line over the epochs, a heat map with its numbers. */

import { scaleOver, inkOn } from "./colours.js";
import { svg, html } from "./dom.js";
import { plain } from "./numbers.js";

const WIDTH = 300;

/** @param {import("./types.js").Histogram} histogram */
export function histogramPicture(histogram, title, height = 64) {
  const { counts, low, high } = histogram;
  const most = Math.max(...counts, 1);
  const w = WIDTH / Math.max(counts.length, 1);
  const total = counts.reduce((sum, count) => sum + count, 0);
  const bars = counts.map((count, index) => {
    const h = count === 0 ? 0 : Math.max((count / most) * height, 1);
    const [from, to] = [index, index + 1].map((at) => low + ((high - low) * at) / counts.length);
    return svg(
      "rect",
      { class: "bar", x: (index * w).toFixed(2), y: height - h, width: Math.max(w - 0.8, 0.6).toFixed(2), height: h },
      svg("title", {}, `${plain(from)} to ${plain(to)}: ${count} of ${total}`),
    );
  });
  const marks = [svg("text", { x: 0, y: height + 13, class: "tick" }, plain(low))];
  marks.push(svg("text", { x: WIDTH, y: height + 13, class: "tick", "text-anchor": "end" }, plain(high)));
  if (low < 0 && high > 0) {
    const zero = (-low / (high - low)) * WIDTH;
    marks.push(svg("line", { class: "zero", x1: zero, x2: zero, y1: 0, y2: height }));
    if (zero > 60 && zero < WIDTH - 60) {
      marks.push(svg("text", { x: zero, y: height + 13, class: "tick", "text-anchor": "middle" }, "0"));
    }
  }
  const axis = svg("line", { class: "axis", x1: 0, x2: WIDTH, y1: height + 0.5, y2: height + 0.5 });
  return svg(
    "svg",
    { class: "histogram", viewBox: `0 0 ${WIDTH} ${height + 17}`, role: "img", "aria-label": title },
    ...bars,
    axis,
    ...marks,
  );
}

/**
 * A statistic over the moments that were recorded, with the seeds' interval around it where there is one.
 *
 * @param {(?number)[]} values
 * @param {(?[number, number])[]} bands
 * @param {string[]} names of the moments
 * @param {number} now which of them is shown
 */
export function linePicture(values, bands, names, now, title) {
  const known = [...values, ...bands.flatMap((band) => band ?? [])].filter((value) => value !== null);
  if (known.length < 2) return null;
  const [least, most] = [Math.min(...known), Math.max(...known)];
  const [height, left] = [46, 4];
  const x = (index) => left + (index / Math.max(values.length - 1, 1)) * (WIDTH - 2 * left);
  const y = (value) => (most === least ? height / 2 : 4 + (1 - (value - least) / (most - least)) * (height - 8));
  const point = (index, value) => `${x(index).toFixed(1)} ${y(value).toFixed(1)}`;
  const parts = [];
  const banded = bands.map((band, index) => [band, index]).filter(([band]) => band && band.every((end) => end !== null));
  if (banded.length > 1) {
    const top = banded.map(([band, index]) => point(index, band[1]));
    const bottom = banded.map(([band, index]) => point(index, band[0])).reverse();
    parts.push(svg("path", { class: "band", d: `M${[...top, ...bottom].join("L")}Z` }));
  }
  const line = values.map((value, index) => (value === null ? null : point(index, value))).filter(Boolean);
  parts.push(svg("path", { class: "line", d: `M${line.join("L")}` }));
  if (values[now] !== null && values[now] !== undefined) {
    parts.push(svg("line", { class: "now", x1: x(now), x2: x(now), y1: 0, y2: height }));
    parts.push(svg("circle", { class: "dot", cx: x(now), cy: y(values[now]), r: 3.2 }));
  }
  parts.push(svg("text", { class: "tick", x: left, y: height + 12 }, names[0]));
  parts.push(svg("text", { class: "tick", x: WIDTH - left, y: height + 12, "text-anchor": "end" }, names.at(-1)));
  return svg("svg", { class: "sparkline", viewBox: `0 0 ${WIDTH} ${height + 16}`, role: "img", "aria-label": title }, ...parts);
}

/**
 * The numbers of a small tensor on a coloured ground: its last two axes as a table, one table for each of the others.
 *
 * @param {{shape: number[], numbers: (?number)[]}} values
 * @param {"light" | "dark"} theme
 */
export function heatMaps(values, theme) {
  const { shape, numbers } = values;
  const columns = shape.at(-1) ?? 1;
  const rows = shape.length > 1 ? shape.at(-2) : 1;
  const scale = scaleOver(numbers, { signed: numbers.some((number) => number !== null && number < 0) });
  const tables = [];
  for (let start = 0; start < numbers.length; start += rows * columns) {
    const table = html("table", { class: "heat" });
    for (let row = 0; row < rows; row += 1) {
      const cells = numbers.slice(start + row * columns, start + (row + 1) * columns).map((number) => {
        const cell = html("td", {}, plain(number, 2));
        const colour = scale?.colour(number, theme);
        if (colour) {
          cell.style.backgroundColor = colour;
          cell.style.color = inkOn(colour);
        }
        return cell;
      });
      table.append(html("tr", {}, cells));
    }
    tables.push(table);
  }
  return tables;
}
