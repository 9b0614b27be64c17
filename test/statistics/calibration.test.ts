import { expect, test } from "vitest";
import { calibrationError } from "../../src/statistics/index.ts";
import golden from "../golden/statistics.json" with { type: "json" };

test("the expected calibration error as NumPy has it", () => {
  const { probabilities, labels, error } = golden.calibration;
  expect(calibrationError(probabilities, labels)).toBeCloseTo(error, 13);
});

test("by hand: .9 and .7 in one bin of two are right half the time, .2 never", () => {
  // Bins of a half: (|.2 - 0| * 1 + |.8 - .5| * 2) / 3.
  expect(calibrationError([0.9, 0.2, 0.7], [1, 0, 0], 2)).toBeCloseTo(0.8 / 3, 14);
  expect(calibrationError([1, 0], [1, 0])).toBe(0);
  expect(() => calibrationError([1.2], [1])).toThrow(/probability 0 is 1.2/);
  expect(() => calibrationError([1], [1], 0)).toThrow(/bins/);
  expect(() => calibrationError([1], [1, 0])).toThrow(/1 and 2 values/);
});
