/** How wide text is, and how to shorten it. */

export const FONT = 'Inter, "Segoe UI", system-ui, -apple-system, "Helvetica Neue", Arial, sans-serif';

/** The sizes and weights that cards are written in. */
export const STYLES = {
  title: { size: 13, weight: 650 },
  name: { size: 11, weight: 400 },
  shape: { size: 11, weight: 450 },
  chip: { size: 10, weight: 450 },
  glyph: { size: 9.5, weight: 500 },
  figures: { size: 10.5, weight: 400 },
  sign: { size: 16, weight: 500 },
  heading: { size: 12, weight: 600 },
};

/** @returns {(text: string, style: string) => number} pixels */
export function measurer() {
  const context = document.createElement("canvas").getContext("2d");
  const known = new Map();
  return (text, style) => {
    const name = `${style}\n${text}`;
    if (!known.has(name)) {
      const { size, weight } = STYLES[style];
      context.font = `${weight} ${size}px ${FONT}`;
      known.set(name, context.measureText(text).width);
    }
    return known.get(name);
  };
}

/** The text, or as much of it as fits, with an ellipsis. */
export function shortened(text, style, width, measure) {
  if (measure(text, style) <= width) return text;
  const letters = [...text];
  let [low, high] = [0, letters.length];
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (measure(`${letters.slice(0, middle).join("")}\u2026`, style) <= width) low = middle;
    else high = middle - 1;
  }
  return `${letters.slice(0, low).join("")}\u2026`;
}
