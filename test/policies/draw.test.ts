import { expect, test } from "vitest";
import { drawer, entropyOf } from "../../src/policies/draw.ts";
import { stream } from "../../src/statistics/stream.ts";

const whole = { temperature: 1, topK: 0, topP: 1 };
/** Logits of these probabilities, up to a constant. */
const logits = (...probabilities: number[]) => Float32Array.from(probabilities, (p) => Math.log(p) + 3);

test("the uniform number picks the token whose interval of the distribution function holds it", () => {
  const draw = drawer(3, whole);
  const rows = logits(0.5, 0.3, 0.2);
  for (const [u, token, p] of [
    [0, 0, 0.5],
    [0.49, 0, 0.5],
    [0.51, 1, 0.3],
    [0.79, 1, 0.3],
    [0.81, 2, 0.2],
    [0.999999, 2, 0.2],
  ] as const) {
    const drawn = draw(rows, 0, () => u);
    expect(drawn.token).toBe(token);
    expect(drawn.logProb).toBeCloseTo(Math.log(p), 6);
  }
});

test("temperature divides the logits; 0 takes the most likely token and draws no number", () => {
  const rows = logits(0.2, 0.8);
  // At temperature 1/2 the odds 4 become 16.
  expect(drawer(2, { ...whole, temperature: 0.5 })(rows, 0, () => 0.5).logProb).toBeCloseTo(Math.log(16 / 17), 6);
  const greedy = drawer(2, { ...whole, temperature: 0 })(rows, 0, () => {
    throw new Error("greedy draws nothing");
  });
  expect(greedy).toEqual({ token: 1, logProb: 0 });
  expect(drawer(3, { ...whole, temperature: 0 })([1, 2, 2], 0, () => 0).token).toBe(1);
});

test("top-k keeps k tokens and renormalises", () => {
  const draw = drawer(4, { ...whole, topK: 2 });
  const rows = logits(0.1, 0.4, 0.2, 0.3);
  expect(draw(rows, 0, () => 0).token).toBe(1);
  const second = draw(rows, 0, () => 0.6);
  expect(second.token).toBe(3);
  expect(second.logProb).toBeCloseTo(Math.log(3 / 7), 6);
  // Of equal tokens the lower id counts as more likely.
  const ties = drawer(4, { ...whole, topK: 2 });
  expect([0, 0.49, 0.51, 0.99].map((u) => ties([1, 0, 1, 1], 0, () => u).token)).toEqual([0, 0, 2, 2]);
});

test("top-p keeps the smallest set that reaches p", () => {
  const rows = logits(0.1, 0.4, 0.2, 0.3);
  const support = (topP: number, topK = 0) =>
    new Set(Array.from({ length: 100 }, (_, i) => drawer(4, { ...whole, topP, topK })(rows, 0, () => i / 100).token));
  expect(support(0.01)).toEqual(new Set([1]));
  expect(support(0.65)).toEqual(new Set([1, 3]));
  expect(support(0.75)).toEqual(new Set([1, 2, 3]));
  // After top-k 2 the kept tokens have 4/7 and 3/7: p counts among them.
  expect(support(0.55, 2)).toEqual(new Set([1]));
  expect(drawer(4, { ...whole, topP: 0.65 })(rows, 0, () => 0).logProb).toBeCloseTo(Math.log(4 / 7), 6);
});

test("draws follow the distribution", () => {
  const probabilities = [0.05, 0.15, 0.5, 0.3];
  const draw = drawer(4, whole);
  const rng = stream(7, "draws");
  const rows = Float32Array.from([9, 9, 9, 9, ...logits(...probabilities)]);
  const counts = [0, 0, 0, 0];
  const n = 20_000;
  for (let i = 0; i < n; i++) counts[draw(rows, 1, rng).token]!++;
  // Five standard errors.
  probabilities.forEach((p, i) => expect(Math.abs(counts[i]! / n - p)).toBeLessThan(5 * Math.sqrt((p * (1 - p)) / n)));
});

test("logits that are not finite are refused", () => {
  for (const temperature of [0, 1]) {
    const draw = drawer(2, { ...whole, temperature });
    expect(() => draw([Number.NaN, 0], 0, () => 0)).toThrow(/not finite/);
    expect(() => draw([0, Number.NaN], 0, () => 0)).toThrow(/not finite/);
    expect(() => draw([0, Infinity], 0, () => 0)).toThrow(/not finite/);
  }
});

test("entropy of a row", () => {
  expect(entropyOf([5, 5, 5, 5], 0, 4)).toBeCloseTo(Math.log(4), 12);
  expect(entropyOf([0, 0, ...logits(0.9, 0.1)], 1, 2)).toBeCloseTo(-0.9 * Math.log(0.9) - 0.1 * Math.log(0.1), 6);
});

test("rows that stay as they are: the same draws, computed once", () => {
  const rows = logits(0.1, 0.4, 0.2, 0.3, 0.25, 0.25, 0.4, 0.1);
  for (const choice of [whole, { temperature: 0.7, topK: 3, topP: 0.9 }, { ...whole, temperature: 0 }]) {
    const [plain, fixed] = [drawer(4, choice), drawer(4, choice, true)];
    for (let i = 0; i < 50; i++) {
      const u = stream(i, "draw");
      const again = stream(i, "draw");
      expect({ ...fixed(rows, i % 2, again) }).toEqual({ ...plain(rows, i % 2, u) });
    }
  }
});
