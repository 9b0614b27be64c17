import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  batchBaseline,
  center,
  convention,
  discountedSum,
  gae,
  groupAdvantage,
  leaveOneOut,
  returnsToGo,
  scale,
} from "../../src/credit/index.ts";
import type { ConventionName } from "../../src/credit/index.ts";

const column = (...x: number[]): Float64Array => Float64Array.from(x);
const key = (...k: number[]): Int32Array => Int32Array.from(k);
const close = (got: ArrayLike<number>, want: readonly number[], digits = 12): void => {
  expect(got.length).toBe(want.length);
  for (const [i, w] of want.entries()) expect(got[i]).toBeCloseTo(w, digits);
};
const one = key(0, 0, 0, 0);

describe("center, scale, leaveOneOut", () => {
  test("groups do not mix, and keys need not be sorted", () => {
    close(center(column(1, 10, 0, 30), key(5, 2, 5, 2)), [0.5, -10, -0.5, 10]);
    close(leaveOneOut(column(1, 10, 0, 30), key(5, 2, 5, 2)), [1, -20, -1, 20]);
  });

  test("against: each half compared with the mean of the other", () => {
    const half = key(0, 0, 1, 1);
    close(
      center(
        column(1, 0, 1, 1),
        half,
        half.map((k) => k ^ 1),
      ),
      [0, -1, 0.5, 0.5],
    );
    expect(() => center(column(1, 0), key(0, 0), key(1, 1))).toThrow(/row 0 .* key 1/);
  });

  test("a group without spread gives exactly 0, even with epsilon 0", () => {
    const x = column(0.1, 0.1, 0.1);
    const k = key(0, 0, 0);
    for (const ddof of [0, 1] as const) expect([...scale(center(x, k), k, { ddof, epsilon: 0 })]).toEqual([0, 0, 0]);
    expect([...leaveOneOut(x, k)]).toEqual([0, 0, 0]);
  });

  test("a group of one, NaN and wrong lengths are refused", () => {
    expect(() => scale(column(1), key(3), { ddof: 1, epsilon: 0 })).toThrow(/group 3 has 1 row/);
    expect(() => leaveOneOut(column(1), key(3))).toThrow(/group 3 has one row/);
    expect(() => center(column(1, Number.NaN), key(0, 0))).toThrow(/value of row 1 is NaN/);
    expect(() => center(column(1, 2), key(0))).toThrow(/2 values and 1 keys/);
  });

  test("shifting or permuting the rewards of a group changes nothing else", () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: -9, max: 9 }), { minLength: 2, maxLength: 8 }),
        fc.integer({ min: -99, max: 99 }),
        (rewards, shift) => {
          const k = new Int32Array(rewards.length);
          const base = center(Float64Array.from(rewards), k);
          close(
            center(
              Float64Array.from(rewards, (r) => r + shift),
              k,
            ),
            [...base],
            9,
          );
          close(center(Float64Array.from(rewards.toReversed()), k), [...base].toReversed(), 9);
          expect(base.reduce((a, b) => a + b, 0)).toBeCloseTo(0, 9);
          close(
            leaveOneOut(Float64Array.from(rewards), k),
            [...base].map((b) => (b * rewards.length) / (rewards.length - 1)),
            9,
          );
        },
      ),
      { seed: 1 },
    );
  });
});

test("batch baseline: the batch's mean or a running one", () => {
  close(batchBaseline(column(1, 2, 6), "mean"), [-2, -1, 3]);
  close(batchBaseline(column(1, 2, 6), 0.5), [0.5, 1.5, 5.5]);
  expect(() => batchBaseline(column(1), Number.NaN)).toThrow(/baseline is NaN/);
});

test("returns to go and discounted sum", () => {
  close(returnsToGo([1, 0, 2], 0.5), [1.5, 1, 2]);
  close(returnsToGo([1, 2, 3], 1), [6, 5, 3]);
  expect(discountedSum([1, 0, 2], 0.5)).toBe(1.5);
  expect(discountedSum([], 0.9)).toBe(0);
  expect(() => returnsToGo([1, Number.NaN], 1)).toThrow(/return of row 0 is NaN/);
});

describe("gae", () => {
  const full = { rewards: [0, 0, 1], values: [0.5, 0.6, 0.8], mask: [1, 1, 1], after: 0 };

  test("known answer by hand", () => {
    // deltas .04, .12, .2; A = [.04 + .72 * (.12 + .72 * .2), .12 + .72 * .2, .2] with discount .9, lambda .8
    const { advantage, returns } = gae({ ...full, discount: 0.9, lambda: 0.8 });
    close(advantage, [0.04 + 0.72 * 0.264, 0.264, 0.2]);
    close(returns, [0.54 + 0.72 * 0.264, 0.864, 1]);
  });

  test("lambda 1 is the return minus the value, lambda 0 the one-step error", () => {
    close(gae({ ...full, discount: 0.9, lambda: 1 }).advantage, [0.81 - 0.5, 0.9 - 0.6, 0.2]);
    close(gae({ ...full, discount: 0.9, lambda: 0 }).advantage, [0.04, 0.12, 0.2]);
  });

  test("the value after a cut is the last step's future", () => {
    close(gae({ rewards: [0], values: [0.5], mask: [1], after: 2, discount: 0.9, lambda: 0.8 }).advantage, [1.3]);
  });

  test("masked tokens are no steps: their values are never read", () => {
    const spread = gae({
      rewards: [0, 0, 0, 0, 1],
      values: [0.5, 99, 0.6, -99, 0.8],
      mask: [1, 0, 1, 0, 1],
      after: 0,
      discount: 0.9,
      lambda: 0.8,
    });
    const { advantage, returns } = gae({ ...full, discount: 0.9, lambda: 0.8 });
    close(spread.advantage, [advantage[0]!, 0, advantage[1]!, 0, advantage[2]!]);
    close(spread.returns, [returns[0]!, 0, returns[1]!, 0, returns[2]!]);
  });

  test("a reward on a masked token and a NaN are refused", () => {
    expect(() => gae({ rewards: [0, 1], values: [0, 0], mask: [1, 0], after: 0, discount: 1, lambda: 1 })).toThrow(/action 1 is masked/);
    expect(() => gae({ rewards: [0, 1], values: [0, Number.NaN], mask: [1, 1], after: 0, discount: 1, lambda: 1 })).toThrow(
      /action 1 is NaN/,
    );
    expect(() => gae({ rewards: [0], values: [], mask: [1], after: 0, discount: 1, lambda: 1 })).toThrow(/1 rewards, 0 values/);
  });
});

describe("conventions", () => {
  const first = (name: ConventionName): number => groupAdvantage(column(1, 0, 0, 0), one, convention(name, { maxActions: 32 }))[0]!;

  test("[1, 0, 0, 0] under each name", () => {
    expect(first("trl")).toBeCloseTo(1.4997, 5); // .75 / (.5 + 1e-4)
    expect(first("verl")).toBeCloseTo(1.499997, 7); // .75 / (.5 + 1e-6)
    expect(first("dapo")).toBeCloseTo(1.499997, 7);
    expect(first("paper")).toBeCloseTo(1.7320508, 7);
    expect(first("dr-grpo")).toBe(0.75);
  });

  test("resolved settings are plain data, complete, and survive JSON", () => {
    const names: ConventionName[] = ["paper", "trl", "verl", "dr-grpo", "dapo"];
    for (const name of names) {
      const resolved = convention(name, { maxActions: 32 });
      expect(JSON.parse(JSON.stringify(resolved))).toEqual(resolved);
      expect(Object.keys(resolved).toSorted()).toEqual([
        "aggregation",
        "divisor",
        "dualClip",
        "high",
        "kl",
        "low",
        "name",
        "scale",
        "source",
      ]);
    }
    expect(convention("paper", { maxActions: 32 })).toMatchObject({
      aggregation: "row-mean",
      divisor: null,
      kl: { estimator: "k3", coefficient: 0.04 },
    });
    expect(convention("trl", { maxActions: 32 })).toMatchObject({
      aggregation: "token-mean",
      low: 0.2,
      high: 0.2,
      dualClip: null,
      kl: null,
    });
    expect(convention("verl", { maxActions: 32 })).toMatchObject({ aggregation: "token-mean", dualClip: 3 });
    expect(convention("dr-grpo", { maxActions: 32 })).toMatchObject({ aggregation: "row-sum", divisor: 32, scale: null });
    expect(convention("dapo", { maxActions: 32 })).toMatchObject({ aggregation: "token-mean", low: 0.2, high: 0.28, dualClip: 10 });
  });

  test("an unknown name is refused with the list", () => {
    expect(() => convention("ppo" as ConventionName, { maxActions: 1 })).toThrow(/paper, trl, verl, dr-grpo and dapo/);
    expect(() => convention("dr-grpo")).toThrow(/give maxActions/);
    expect(convention("trl").name).toBe("trl");
  });
});
