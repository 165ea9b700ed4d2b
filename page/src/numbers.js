/** Numbers as people read them. */

const MINUS = "\u2212";
const THIN = "\u2009";
const SUPERSCRIPTS = "\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079";

/** A measured number with so many significant digits: "0.0123", "−3.2×10⁻⁷". */
export function plain(value, digits = 3) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "\u2013";
  if (value === 0) return "0";
  const size = Math.abs(value);
  const sign = value < 0 ? MINUS : "";
  if (size >= 1e5 || size < 1e-3) {
    const [mantissa, exponent] = size.toExponential(digits - 1).split("e");
    const raised = [...exponent.replace("+", "")].map((sign) => (sign === "-" ? "\u207b" : SUPERSCRIPTS[sign])).join("");
    return `${sign}${trimmed(mantissa)}\u00d710${raised}`;
  }
  return `${sign}${trimmed(size.toPrecision(digits))}`;
}

function trimmed(text) {
  const whole = Number(text).toString();
  return whole.includes("e") ? text : whole;
}

function scaled(value, unit, step, prefixes) {
  let index = 0;
  while (Math.abs(value) >= step * 0.9995 && index < prefixes.length - 1) {
    value /= step;
    index += 1;
  }
  const digits = index === 0 ? Math.round(value).toString() : value.toPrecision(3);
  return `${digits}${THIN}${prefixes[index]}${unit}`.trimEnd();
}

/** "3.23 M" */
export const count = (value) => scaled(value, "", 1000, ["", "k", "M", "G", "T"]).trim();
export const flops = (value) => scaled(value, "FLOPs", 1000, ["", "k", "M", "G", "T"]);
export const bytes = (value) => scaled(value, "B", 1000, ["", "k", "M", "G", "T"]);

export function seconds(value) {
  if (value === null || value === undefined) return "\u2013";
  if (value >= 1) return `${value.toPrecision(3)}${THIN}s`;
  if (value >= 1e-3) return `${(value * 1e3).toPrecision(3)}${THIN}ms`;
  return `${(value * 1e6).toPrecision(3)}${THIN}\u00b5s`;
}

/** "8×64×32×32"; "scalar" for no axes. */
export const shape = (lengths) => (lengths.length ? lengths.join("\u00d7") : "scalar");

/** As much of a number as fits into a small cell; "0" is exactly zero, "0.00" is not. */
export function cell(value) {
  if (value === null || !Number.isFinite(value)) return "\u2013";
  const size = Math.abs(value);
  if (size >= 1000) return plain(value, 1);
  const text = Number.isInteger(size) ? String(size) : size < 1 ? size.toFixed(2) : size.toPrecision(3);
  return value < 0 ? `${MINUS}${text}` : text;
}

/** With separators between thousands: "3 228 170". */
export const exact = (value) => String(value).replace(/\B(?=(\d{3})+$)/g, THIN);

/** "1 node", "2 nodes" */
export const plural = (number, noun) => `${exact(number)} ${noun}${number === 1 ? "" : "s"}`;
