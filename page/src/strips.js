/** A strip of channels: one cell each, coloured by a statistic. */

import { STEPS } from "./colours.js";
import { svg } from "./dom.js";

const NARROWEST = 1.6;

/**
 * How many columns and rows cells are arranged in, row by row.
 *
 * @param {number} channels
 * @param {number} width of the strip, in pixels
 */
export function grid(channels, width) {
  const rows = Math.max(1, Math.ceil((channels * NARROWEST) / width));
  return { rows, columns: Math.ceil(channels / rows) };
}

/** The channel at a place from 0 to 1 in both directions, or null. */
export function channelAt(channels, width, across, down) {
  const { rows, columns } = grid(channels, width);
  const channel = Math.floor(down * rows) * columns + Math.floor(across * columns);
  return across >= 0 && across < 1 && down >= 0 && down < 1 && channel < channels ? channel : null;
}

/**
 * Draws a strip anew. Cells of one colour are one path, so that hundreds of channels are a few dozen elements.
 *
 * @param {SVGGElement} element
 * @param {?(?number)[]} values
 * @param {import("./colours.js").Scale} scale
 * @param {"light" | "dark"} theme
 */
export function paintStrip(element, values, scale, theme) {
  for (const old of element.querySelectorAll("path")) old.remove();
  if (!values?.length || !scale) return;
  const [width, height] = [Number(element.dataset.width), Number(element.dataset.height)];
  const { rows, columns } = grid(values.length, width);
  const [w, h] = [width / columns, height / rows];
  const paths = new Array(STEPS).fill("");
  values.forEach((value, channel) => {
    const step = scale.step(value);
    if (step === null) return;
    const [x, y] = [(channel % columns) * w, Math.floor(channel / columns) * h];
    paths[step] += `M${x.toFixed(2)} ${y.toFixed(2)}h${w.toFixed(2)}v${h.toFixed(2)}h-${w.toFixed(2)}z`;
  });
  paths.forEach((path, step) => {
    if (path) element.append(svg("path", { d: path, fill: scale.stepColour(step, theme) }));
  });
}
