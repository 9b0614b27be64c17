import { describe, expect, test } from "vitest";
import { relative, relativeScore, reward, score, type RelativeShape } from "../../src/rewards/index.ts";

const sigma = (x: number): number => 1 / (1 + Math.exp(-x));

describe("a score relative to those of references", () => {
  test("PAR's known answers: the mean of sigmoids, not the sigmoid of the mean", () => {
    expect(relativeScore(2, [1], "preference")).toBeCloseTo(0.731059, 6);
    expect(relativeScore(2, [1, 3], "preference")).toBeCloseTo(0.5, 12);
    expect(relativeScore(-1, [0.5, 0.5], "preference")).toBeCloseTo(0.182426, 6);
    expect(relativeScore(2, [0, 3], "preference")).toBeCloseTo((sigma(2) + sigma(-1)) / 2, 12);
  });

  test("the other shapes by hand", () => {
    expect(relativeScore(4, [1], "slow-start")).toBe(0.5);
    expect(relativeScore(2, [1, 0], "tanh")).toBeCloseTo((Math.tanh(1) + Math.tanh(2)) / 2, 12);
    expect(relativeScore(2, [1], "arctan")).toBeCloseTo(Math.PI / 4, 12);
    expect(relativeScore(2, [1, 0], "centred", 3)).toBeCloseTo(4.5, 12);
    // Mean 1, population deviation 1: the 85 % quantile of the normal distribution is 1 + 1.0364.
    expect(relativeScore(2.0364334, [0, 2], "log-sigmoid")).toBeCloseTo(Math.log(0.5), 6);
    expect(relativeScore(-1e4, [0, 2], "log-sigmoid")).toBeCloseTo(-1e4 - 2.0364334, 6);
    expect(relativeScore(1e4, [0, 2], "log-sigmoid") + 0).toBe(0);
  });

  test("the polynomial is the least-squares fit of degree 5 to sigma on 100 points from -5 to 5", () => {
    const points = Array.from({ length: 100 }, (_, i) => -5 + (10 * i) / 99);
    const error = points.map((x) => relativeScore(x, [0], "polynomial") - sigma(x));
    // The error of a least-squares fit is orthogonal to every power that it was fitted with (the end points are 0 and 1 by definition).
    const inner = points.map((x, i) => ({ x, error: error[i]! })).slice(1, -1);
    expect(Math.max(...inner.map((p) => Math.abs(p.error)))).toBeLessThan(0.02);
    const fit = (x: number): number => 0.5 + 0.22878851177825715 * x - 0.01013091205649131 * x ** 3 + 0.00020266916983215823 * x ** 5;
    for (let power = 0; power <= 5; power++) {
      const sum = points.reduce((total, x) => total + (fit(x) - sigma(x)) * x ** power, 0);
      expect(Math.abs(sum)).toBeLessThan(1e-9 * 100 * 5 ** power);
    }
    expect(relativeScore(1.5, [0], "polynomial")).toBeCloseTo(fit(1.5), 12);
    expect([relativeScore(7, [0], "polynomial"), relativeScore(-7, [0], "polynomial")]).toEqual([1, 0]);
  });

  test("all but slow start and log-sigmoid are odd around the references, and all rise", () => {
    for (const shape of ["preference", "tanh", "arctan", "polynomial", "centred"] satisfies RelativeShape[]) {
      const middle = relativeScore(0, [0], shape);
      for (const x of [0.3, 1, 2.5]) expect(relativeScore(x, [0], shape) + relativeScore(-x, [0], shape)).toBeCloseTo(2 * middle, 12);
    }
    for (const shape of ["preference", "slow-start", "tanh", "arctan", "polynomial", "centred", "log-sigmoid"] satisfies RelativeShape[])
      for (let x = -4; x < 4; x += 0.5) expect(relativeScore(x + 0.5, [0, 1], shape)).toBeGreaterThan(relativeScore(x, [0, 1], shape));
  });
});

test("as a reward, for references of texts and of scores", async () => {
  const number = reward("number", ({ text }) => Number(text));
  const row = { prompt: "p", completion: "2", references: ["1", 0] };
  expect((await score(relative(number, { shape: "tanh" }), row)).value).toBeCloseTo((Math.tanh(1) + Math.tanh(2)) / 2, 12);
  expect((await score(relative(number, { shape: "centred", references: "old" }), { ...row, old: [0.5] })).value).toBe(1.5);
  expect(relative(number, { shape: "tanh" }).version).not.toBe(relative(number, { shape: "arctan" }).version);
  expect(() => relative(number, { shape: "cubic" as RelativeShape })).toThrow(/one of preference, .*log-sigmoid, not "cubic"/);
  expect(() => relative(number, { shape: "tanh", steepness: -1 })).toThrow(/above 0/);
});
