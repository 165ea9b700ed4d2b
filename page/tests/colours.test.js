import assert from "node:assert/strict";
import { test } from "node:test";

import { inkOn, luminance, scaleOver, STEPS } from "../src/colours.js";

test("a scale covers its values and orders them by lightness, away from that of the ground", () => {
  const scale = scaleOver([0.2, 0.8, null, 0.5]);
  assert.deepEqual([scale.share(0.2), scale.share(0.5), scale.share(0.8)].map((share) => Number(share.toFixed(6))), [0, 0.5, 1]);
  for (const [theme, sign] of [["light", -1], ["dark", 1]]) {
    const lightness = Array.from({ length: 30 }, (_, index) => sign * luminance(scale.colourAt(index / 29, theme)));
    assert.ok(lightness.every((value, index) => index === 0 || value > lightness[index - 1]));
  }
  assert.equal(scale.colour(null, "light"), "");
  assert.equal(scale.step(null), null);
  assert.equal(scale.step(0.8), STEPS - 1);
  assert.equal(scale.step(0.2), 0);
});

test("with a sign, zero is the middle", () => {
  const scale = scaleOver([-1, 3], { signed: true });
  assert.equal(scale.share(0), 0.5);
  assert.deepEqual([scale.low, scale.high], [-3, 3]);
  const [middle, end] = [scale.colour(0, "dark"), scale.colour(3, "dark")].map(luminance);
  assert.ok(middle < end);
  const light = [scale.colour(0, "light"), scale.colour(-3, "light")].map(luminance);
  assert.ok(light[0] > light[1]);
});

test("a scale is logarithmic only where magnitudes differ", () => {
  const wide = scaleOver([1, 100, 10000], { logarithmic: true });
  assert.ok(Math.abs(wide.share(100) - 0.5) < 1e-9);
  assert.ok(Math.abs(wide.valueAt(0.5) - 100) < 1e-6);
  const narrow = scaleOver([1, 2], { logarithmic: true });
  assert.equal(narrow.logarithmic, false);
  assert.equal(narrow.low, 0);
});

test("no values, equal values and values outside the scale do no harm", () => {
  assert.equal(scaleOver([null, Number.NaN]), null);
  assert.ok(Number.isFinite(scaleOver([2, 2]).share(2)));
  assert.ok(Number.isFinite(scaleOver([0]).share(0)));
  assert.equal(scaleOver([0, 1]).share(7), 1);
  assert.equal(scaleOver([0, 0], { signed: true }).share(0), 0.5);
});

test("text on a colour can be read", () => {
  const scale = scaleOver([0, 1]);
  for (let share = 0; share <= 1; share += 0.05) {
    const colour = scale.colourAt(share, "light");
    const [low, high] = [luminance(colour), luminance(inkOn(colour))].sort((a, b) => a - b);
    assert.ok((high + 0.05) / (low + 0.05) >= 4.5, colour);
  }
});

test("a single outlier does not take all contrast from the others", () => {
  const values = Array.from({ length: 300 }, (_, index) => index / 300);
  const scale = scaleOver([...values, 40], { signed: true });
  assert.ok(scale.high < 1.01);
  assert.ok(scale.clipped);
  assert.equal(scale.share(40), 1);
  assert.equal(scaleOver(values).clipped, false);
});
