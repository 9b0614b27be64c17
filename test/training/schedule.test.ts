import { describe, expect, test } from "vitest";
import { finished, progress, schedule, start, valueAt, type At } from "../../src/training/schedule.ts";

const at = (inPhase: number, seconds = 0): At => ({ ...start, inPhase, signals: { seconds } });
const rate = { peak: 1, up: 4, floor: 0.1, shape: "linear" } as const;

test("up in equal steps to the peak, then down along a line to the floor", () => {
  const value = schedule(rate, { steps: 14 });
  const values = Array.from({ length: 15 }, (_, i) => valueAt(value, at(i)));
  [0.25, 0.5, 0.75, 1, 1, 0.91, 0.82].forEach((v, i) => expect(values[i]).toBeCloseTo(v, 12));
  expect(values[13]).toBeCloseTo(0.19, 12);
  expect(values[14]).toBeCloseTo(0.1, 12);
});

test("along a cosine the middle is half way", () => {
  const value = schedule({ ...rate, up: 0, shape: "cosine" }, { steps: 10 });
  expect(valueAt(value, at(0))).toBe(1);
  expect(valueAt(value, at(5))).toBeCloseTo(0.55, 12);
  expect(valueAt(value, at(10))).toBeCloseTo(0.1, 12);
});

test("a phase measured in seconds falls with its seconds", () => {
  const value = schedule(rate, { seconds: 100 });
  expect(valueAt(value, at(2, 50))).toBe(0.75);
  expect(valueAt(value, at(30, 50))).toBeCloseTo(0.55, 12);
  expect(valueAt(value, at(90, 120))).toBeCloseTo(0.1, 12);
});

test("numbers are constant", () => expect(valueAt(schedule(3e-4, { steps: 5 }), at(4))).toBe(3e-4));

describe("progress and end", () => {
  test.each([
    [{ steps: 10 }, at(0), 0, false],
    [{ steps: 10 }, at(5), 0.5, false],
    [{ steps: 10 }, at(10), 1, true],
    [{ steps: 0 }, at(0), 0, true],
    [{ seconds: 4 }, at(1000, 1), 0.25, false],
    [{ seconds: 4 }, at(1, 4.5), 1, true],
  ])("%o %#", (budget, place, share, over) => {
    expect(progress(budget, place)).toBe(share);
    expect(finished(budget, place)).toBe(over);
  });
});
