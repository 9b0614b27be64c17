import { expect, test } from "vitest";
import { gelu as exact, host, valueAndGradient, values } from "../../src/arrays/index.ts";
import type { Arr } from "../../src/arrays/index.ts";
import { gelu } from "../../src/policies/gelu.ts";
import { expectSameOnBothKernels } from "../kit/kernels.ts";

const grid = Array.from({ length: 4001 }, (_, i) => (i - 2000) / 100);

const tanhForm = (x: Arr) => exact(x, { approximate: true });
const both = [(x: Arr) => gelu(x), (x: Arr) => exact(x, { approximate: false })];
const furthest = (a: Float64Array, b: Float64Array) => a.reduce((most, x, i) => Math.max(most, Math.abs(x - b[i]!)), 0);

test("is within 3.6e-5 of the exact form and 4.6e-4 of the one with tanh, which differ by 4.8e-4", () => {
  const [ours, theirs] = both.map((f) => values(f(host(grid, [grid.length]))));
  const withTanh = values(tanhForm(host(grid, [grid.length])));
  expect(furthest(ours!, theirs!)).toBeLessThan(3.6e-5);
  expect(furthest(ours!, withTanh)).toBeLessThan(4.6e-4);
  expect(furthest(theirs!, withTanh)).toBeLessThan(4.8e-4);
  const far = values(gelu(host([0, 1000, -1000], [3])));
  [0, 1000, 0].forEach((y, i) => expect(far[i]).toBeCloseTo(y, 4));
});

test("its slope is the polynomial's own, and GELU's to 4e-4", async () => {
  const x = grid.filter((_, i) => i % 40 === 0);
  await expectSameOnBothKernels((inputs) => gelu(inputs["x"]!), { x: { shape: [x.length], data: x } });
  const slopes = (f: (x: Arr) => Arr) =>
    values(valueAndGradient((p) => ({ value: f(p["x"]!).sum() }), { x: host(grid, [grid.length]) }).gradient["x"]!);
  const [ours, theirs] = both.map(slopes);
  expect(furthest(ours!, theirs!)).toBeLessThan(4e-4);
});
