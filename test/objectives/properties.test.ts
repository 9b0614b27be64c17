import { describe, expect, test } from "vitest";
import type { Examples } from "../../src/credit/index.ts";
import type { Outputs } from "../../src/engines/engine.ts";
import { gradientOf, outputsOf } from "../../src/objectives/index.ts";
import { stream } from "../../src/statistics/stream.ts";
import { cases, random } from "./cases.ts";

/** One number of one output moved by a step. */
const moved = (outputs: Outputs, name: string, row: number, action: number, by: number): Outputs => ({
  ...outputs,
  [name]: outputs[name]!.map((x, i) => (i === row ? x.with(action, x[action]! + by) : x)),
});

describe.each(cases)("$name", ({ objective, sets }) => {
  test("the gradient with respect to each output agrees with finite differences", () => {
    const { examples, outputs } = random(objective, sets, 1);
    const { gradients } = gradientOf(objective, examples, outputs);
    expect(Object.keys(gradients)).toEqual(outputsOf(objective));
    const loss = (name: string, row: number, action: number, by: number): number =>
      gradientOf(objective, examples, moved(outputs, name, row, action, by)).loss;
    for (const name of Object.keys(gradients)) {
      for (const [row, gradient] of gradients[name]!.entries()) {
        for (const [action, got] of gradient.entries()) {
          const slope = (h: number): number => (loss(name, row, action, h) - loss(name, row, action, -h)) / (2 * h);
          const h = 1 / 1024; // no cell of the random data lies closer than 2 h to a kink
          const want = (4 * slope(h) - slope(2 * h)) / 3; // Richardson: error of order h^4
          expect(Math.abs(got - want), `${name}[${row}][${action}]: ${got} against ${want}`).toBeLessThan(1e-6);
        }
      }
    }
  });

  test("masked cells, masked rows and what stands in them change nothing", () => {
    const { examples, outputs } = random(objective, sets, 2);
    const plain = gradientOf(objective, examples, outputs);
    const [wider, widerOutputs] = withMaskedCells(examples, outputs);
    const other = gradientOf(objective, wider, widerOutputs);
    expect(other.loss).toBeCloseTo(plain.loss, 12);
    for (const [name, value] of Object.entries(plain.metrics)) expect(other.metrics[name]).toBeCloseTo(value, 12);
    for (const name of Object.keys(plain.gradients)) {
      for (const [row, gradient] of other.gradients[name]!.entries()) {
        const before = plain.gradients[name]![row] ?? new Float32Array(0);
        for (const [action, value] of gradient.entries()) {
          expect(value).toBeCloseTo(before[action] ?? 0, 7);
          if (wider.mask[wider.offsets[row]! + action] === 0) expect(value).toBe(0);
        }
      }
    }
  });

  test("is declared linear exactly if its gradient does not depend on the outputs", () => {
    let same = true;
    for (const seed of [3, 4, 5]) {
      const { examples, outputs } = random(objective, sets, seed);
      const at = (f: (value: number, action: number) => number): Outputs =>
        Object.fromEntries(Object.entries(outputs).map(([name, rows]) => [name, rows.map((x) => x.map(f))]));
      const here = gradientOf(objective, examples, outputs).gradients;
      for (const there of [at(() => 0), at((v, j) => v - 0.375 - j / 16), at((v) => -5 * v)]) {
        const gradients = gradientOf(objective, examples, there).gradients;
        for (const name of Object.keys(here))
          for (const [row, gradient] of here[name]!.entries())
            for (const [action, value] of gradient.entries()) if (Math.abs(value - gradients[name]![row]![action]!) > 1e-7) same = false;
      }
    }
    expect(objective.linear).toBe(same);
  });

  test("the order of the rows does not matter", () => {
    const { examples, outputs } = random(objective, sets, 6);
    const reversed = reverse(examples);
    const backwards = Object.fromEntries(Object.entries(outputs).map(([name, rows]) => [name, rows.toReversed()]));
    const plain = gradientOf(objective, examples, outputs);
    const other = gradientOf(objective, reversed, backwards);
    expect(other.loss).toBeCloseTo(plain.loss, 12);
    for (const name of Object.keys(plain.gradients))
      for (const [row, gradient] of plain.gradients[name]!.toReversed().entries())
        for (const [action, value] of gradient.entries()) expect(other.gradients[name]![row]![action]).toBeCloseTo(value, 7);
  });
});

/** One or two masked cells at the end of each row, and a last row that is masked altogether; rubbish stands in all of them. */
function withMaskedCells(examples: Examples<number>, outputs: Outputs): [Examples<number>, Outputs] {
  const rng = stream(9, "rubbish");
  const rubbish = (n: number): number[] => Array.from({ length: n }, (_, i) => (i === 0 ? Number.NaN : 1000 * rng() - 500));
  const n = examples.rows.length;
  const extra = Array.from({ length: n + 1 }, (_, i) => (i === n ? 3 : 1 + (i % 2)));
  const grow = (column: Float32Array, fill: (count: number) => number[]): Float32Array =>
    Float32Array.from(
      extra.flatMap((count, i) => [...(i < n ? column.subarray(examples.offsets[i]!, examples.offsets[i + 1]!) : []), ...fill(count)]),
    );
  const offsets = Int32Array.from([0, ...extra]);
  for (let i = 0; i <= n; i++) offsets[i + 1] = offsets[i]! + extra[i]! + (i < n ? examples.offsets[i + 1]! - examples.offsets[i]! : 0);
  return [
    {
      ...examples,
      rows: [...examples.rows, n],
      offsets,
      mask: grow(examples.mask, (count) => Array.from({ length: count }, () => 0)),
      weight: Float32Array.from([...examples.weight, 1]),
      token: Object.fromEntries(Object.entries(examples.token).map(([name, column]) => [name, grow(column, rubbish)])),
      row: Object.fromEntries(Object.entries(examples.row).map(([name, column]) => [name, Float32Array.from([...column, 3])])),
    },
    Object.fromEntries(
      Object.entries(outputs).map(([name, rows]) => [
        name,
        extra.map((count, i) => Float32Array.from([...(rows[i] ?? []), ...rubbish(count)])),
      ]),
    ),
  ];
}

function reverse(examples: Examples<number>): Examples<number> {
  const n = examples.rows.length;
  const cells = (column: Float32Array): Float32Array =>
    Float32Array.from(
      Array.from({ length: n }, (_, i) => [...column.subarray(examples.offsets[i]!, examples.offsets[i + 1]!)])
        .toReversed()
        .flat(),
    );
  const offsets = new Int32Array(n + 1);
  for (let i = 0; i < n; i++) offsets[i + 1] = offsets[i]! + examples.offsets[n - i]! - examples.offsets[n - i - 1]!;
  const { sets } = examples;
  return {
    ...examples,
    rows: examples.rows.toReversed(),
    offsets,
    mask: cells(examples.mask),
    weight: examples.weight.toReversed(),
    token: Object.fromEntries(Object.entries(examples.token).map(([name, column]) => [name, cells(column)])),
    row: Object.fromEntries(Object.entries(examples.row).map(([name, column]) => [name, column.toReversed()])),
    ...(sets && { sets: { ...sets, members: sets.members.map((m) => (m < 0 ? -1 : n - 1 - m)) } }),
  };
}
