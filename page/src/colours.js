/**
 * Scales from numbers to colours that colour-blind readers can order, too. They are those of the static drawings
 * (tinygrad_bn/viz/scale.py, even steps in Oklab): from the ground's lightness to its opposite for what has a size, blue
 * to orange for what has a sign.
 */

const PALE_TO_BLUE = [
  "#f8f4af", "#dfeaa7", "#c5e0a1", "#acd59d", "#93ca9b", "#7abe99", "#63b298", "#4da596",
  "#389794", "#278991", "#197b8d", "#146c88", "#165e81", "#1b4f78", "#1f406e", "#223262",
];
const SEQUENTIAL = { light: PALE_TO_BLUE.map(parse), dark: PALE_TO_BLUE.toReversed().map(parse) };
const DIVERGING = {
  light: ["#2969b7", "#5f8dca", "#92b1db", "#c5d5eb", "#fafafa", "#e8cdc5", "#d5a191", "#bf755f", "#a6482b"].map(parse),
  dark: ["#74b8f3", "#5d8db9", "#466582", "#303f50", "#1b1d22", "#4b3935", "#805648", "#b9745c", "#f5946f"].map(parse),
};
/** Colours of a strip, so that cells of one colour can be drawn together. */
export const STEPS = 48;

/** @param {string} text "#rrggbb" */
export function parse(text) {
  return [1, 3, 5].map((at) => parseInt(text.slice(at, at + 2), 16));
}

function between(stops, share) {
  const place = Math.min(Math.max(share, 0), 1) * (stops.length - 1);
  const low = Math.min(Math.floor(place), stops.length - 2);
  return stops[low].map((value, index) => Math.round(value + (stops[low + 1][index] - value) * (place - low)));
}

const text = (colour) => `#${colour.map((value) => value.toString(16).padStart(2, "0")).join("")}`;

/**
 * A scale over all values that it will be asked for.
 *
 * @param {(?number)[]} values those that are shown anywhere, at any moment
 * @param {{signed?: boolean, logarithmic?: boolean, fromZero?: boolean}} kind
 */
export function scaleOver(values, { signed = false, logarithmic = false, fromZero = false } = {}) {
  const sorted = Float64Array.from(values.filter((value) => value !== null && Number.isFinite(value))).sort();
  if (!sorted.length) return null;
  let [low, high] = [sorted[0], sorted.at(-1)];
  if (signed) {
    const most = withoutOutliers(sorted.map(Math.abs).sort()) || 1;
    return new Scale(-most, most, true, false, Math.max(-low, high) > most);
  }
  const least = sorted.find((value) => value > 0);
  if (logarithmic && least !== undefined && high / least > 20) {
    return new Scale(Math.max(least, high * 1e-8), high, false, true);
  }
  const most = withoutOutliers(sorted);
  const clipped = most < high;
  high = most;
  if (fromZero || logarithmic) low = Math.min(low, 0);
  if (low === high) [low, high] = low === 0 ? [0, 1] : [Math.min(low, 0), Math.max(high, 0)];
  return new Scale(low, high, false, false, clipped);
}

/** The largest value, or where a few are far above all others, the one that 1 % exceed. */
function withoutOutliers(sorted) {
  const high = sorted.at(-1);
  const most = sorted[Math.floor(0.99 * (sorted.length - 1))];
  return high > 3 * most && most > 0 ? most : high;
}

export class Scale {
  /**
   * @param {number} low
   * @param {number} high
   * @param {boolean} signed
   * @param {boolean} logarithmic
   * @param {boolean} clipped whether there are a few values beyond an end, which have its colour
   */
  constructor(low, high, signed, logarithmic, clipped = false) {
    Object.assign(this, { low, high, signed, logarithmic, clipped });
  }

  /** @returns {?number} from 0 to 1; null for what has no value */
  share(value) {
    if (value === null || value === undefined || !Number.isFinite(value)) return null;
    const place = this.logarithmic
      ? Math.log(Math.max(value, this.low) / this.low) / Math.log(this.high / this.low)
      : (value - this.low) / (this.high - this.low);
    return Math.min(Math.max(place, 0), 1);
  }

  valueAt(share) {
    return this.logarithmic
      ? this.low * (this.high / this.low) ** share
      : this.low + (this.high - this.low) * share;
  }

  /** One of `STEPS` steps, or null. */
  step(value) {
    const share = this.share(value);
    return share === null ? null : Math.min(Math.floor(share * STEPS), STEPS - 1);
  }

  colourAt(share, theme) {
    return text(between((this.signed ? DIVERGING : SEQUENTIAL)[theme], share));
  }

  /** The colour of a value, "" for none. */
  colour(value, theme) {
    const share = this.share(value);
    return share === null ? "" : this.colourAt(share, theme);
  }

  stepColour(step, theme) {
    return this.colourAt((step + 0.5) / STEPS, theme);
  }
}

/** Relative luminance (WCAG 2.2). */
export function luminance(colour) {
  const [red, green, blue] = parse(colour).map((value) => {
    const share = value / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

/** Black or white, whichever can be read better on a colour. */
export function inkOn(colour) {
  const light = luminance(colour);
  return (light + 0.05) / 0.05 > 1.05 / (light + 0.05) ? "#000000" : "#ffffff";
}
