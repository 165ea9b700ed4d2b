/** From one picture to another: what is in both travels, what is in one alone fades. */

/** @typedef {import("./types.js").Rect} Rect */

/**
 * One thing that moves.
 * @typedef {{drawn: import("./draw.js").Drawn, from: ?Rect, to: ?Rect, fade: "in" | "out" | "", bend?: [number, number]}} Track
 */

const clamp = (share) => Math.min(Math.max(share, 0), 1);

/** Slow at both ends. */
export const smooth = (share) => clamp(share) ** 2 * (3 - 2 * clamp(share));

const mix = (from, to, share) => from + (to - from) * share;

/**
 * Where a track is at a time from 0 to 1.
 *
 * @param {Track} track
 * @param {number} time
 * @returns {{rect: ?Rect, opacity: number}}
 */
export function moment({ from, to, fade, bend = null }, time) {
  const share = smooth(time);
  const opacity = { in: smooth((time - 0.25) / 0.6), out: 1 - smooth((time - 0.15) / 0.6), "": 1 }[fade];
  if (!from || !to) return { rect: from ?? to, opacity };
  const rect = Object.fromEntries(["x", "y", "w", "h"].map((name) => [name, mix(from[name], to[name], share)]));
  if (bend) {
    // Around what stands between, not through it.
    rect.x += bend[0] * Math.sin(Math.PI * share);
    rect.y += bend[1] * Math.sin(Math.PI * share);
  }
  return { rect, opacity };
}

/** @param {Track[]} tracks @param {number} time */
export function placeAll(tracks, time) {
  for (const track of tracks) {
    const { rect, opacity } = moment(track, time);
    track.drawn.place(rect, opacity);
  }
}

const still = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

let running = 0;

/** While anything moves, the page says so. */
function count(by) {
  running += by;
  if (running) document.documentElement.dataset.moving = running;
  else delete document.documentElement.dataset.moving;
}

/**
 * Calls `step` with times from `start` to `end` until it arrives; returns a function that stops it on the way.
 *
 * @param {(time: number) => void} step
 * @param {number} milliseconds
 * @param {() => void} done
 */
export function play(step, milliseconds, done = () => {}, start = 0, end = 1) {
  if (still() || document.hidden) {
    step(end);
    done();
    return () => {};
  }
  let frame = 0;
  let began = null;
  const stop = () => {
    if (frame === null) return;
    cancelAnimationFrame(frame);
    frame = null;
    count(-1);
  };
  const tick = (now) => {
    began ??= now;
    const share = Math.min((now - began) / milliseconds, 1);
    step(mix(start, end, share));
    if (share < 1) {
      frame = requestAnimationFrame(tick);
      return;
    }
    stop();
    done();
  };
  count(1);
  frame = requestAnimationFrame(tick);
  return stop;
}
