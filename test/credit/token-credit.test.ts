import { describe, expect, test } from "vitest";
import {
  bothKinds,
  center,
  cumulativeTokenWeights,
  examples,
  gaeColumns,
  gapSummary,
  gapWeights,
  klInReward,
  onTokens,
  returnsToGo,
  stepCredit,
  stepTable,
  stepTokenRewards,
  tokenRewards,
  whiten,
  withCorrection,
} from "../../src/credit/index.ts";
import { stream } from "../../src/statistics/index.ts";
import { scored } from "./fixtures.ts";

const close = (got: ArrayLike<number>, want: readonly number[], digits = 6): void => {
  expect(got.length).toBe(want.length);
  for (const [i, w] of want.entries()) expect(got[i]).toBeCloseTo(w, digits);
};

describe("the gap between sampler and trainer", () => {
  const log = Math.log;
  const made = (old: number[][]) =>
    examples(
      scored([
        { reward: 0, mask: [1, 1, 0], logProbs: [0, 0, 0] },
        { reward: 0, mask: [1, 1], logProbs: [0, 0] },
      ]),
      { token: { old } },
    );
  const x = made([
    [log(4), log(0.5), 99],
    [log(0.25), log(1)],
  ]);

  test("token level: truncated at the cap, or 0 outside of the range", () => {
    close(gapWeights(x, { level: "token", kind: "truncated", high: 2 }), [2, 0.5, 0, 0.25, 1]);
    close(gapWeights(x, { level: "token", kind: "masked", high: 3 }), [0, 0.5, 0, 0.25, 1]);
    close(gapWeights(x, { level: "token", kind: "masked", low: 0.3, high: 5 }), [4, 0.5, 0, 0, 1]);
  });

  test("sequence level: one ratio a row, exp of the sum", () => {
    close(gapWeights(x, { level: "sequence", kind: "truncated", high: 3 }), [2, 2, 0, 0.25, 0.25]);
    close(gapWeights(x, { level: "sequence", kind: "truncated", high: 1.5 }), [1.5, 1.5, 0, 0.25, 0.25]);
    close(gapWeights(x, { level: "sequence", kind: "masked", high: 1.5 }), [0, 0, 0, 0.25, 0.25]);
  });

  test("summary, column, and refusals", () => {
    const { mean, maximum, ratio } = gapSummary(x);
    expect(mean).toBeCloseTo((log(4) + log(2) + log(4)) / 4, 6);
    expect(maximum).toBeCloseTo(log(4), 6);
    expect(ratio).toBeCloseTo(5.75 / 4, 6);
    expect(withCorrection(x, { level: "token", kind: "truncated", high: 2 }).token["correction"]![0]).toBe(2);
    expect(() => gapWeights(examples(scored([{ reward: 1 }])), { level: "token", kind: "masked", high: 2 })).toThrow(
      /old and behaviour; the examples have behaviour/,
    );
    expect(() => gapWeights(x, { level: "token", kind: "truncated", high: 2, low: 0.5 })).toThrow(/no lower end/);
  });
});

describe("rewards on tokens", () => {
  const table = () =>
    scored([{ reward: 2, mask: [1, 0, 1, 0], logProbs: [-1, 0, -2, 0] }], { token: { reference: [Float32Array.of(-1.5, 9, -1.25, 9)] } });
  const kl = { coefficient: 0.1, policy: "behaviour" } as const;

  test("r - coefficient * sum(policy - reference), over the policy's own tokens", () => {
    close(klInReward(table(), kl), [2 - 0.1 * (0.5 - 0.75)]);
  });

  test("the reward on the last action of the policy, the penalty on each", () => {
    close(tokenRewards(table(), null)[0]!, [0, 0, 2, 0]);
    close(tokenRewards(table(), kl)[0]!, [-0.05, 0, 2.075, 0]);
    expect(tokenRewards(table(), kl)[0]!.reduce((a, b) => a + b)).toBeCloseTo(klInReward(table(), kl)[0]!, 12);
    expect(() => tokenRewards(scored([{ reward: 1, mask: [0, 0] }]), null)).toThrow(/rollout 0 has no action/);
    expect(() => klInReward(scored([{ reward: 1 }]), kl)).toThrow(/reference is needed; the table has none/);
  });

  test("gae over a table", () => {
    const valued = { ...table(), token: { value: [Float32Array.of(0.5, 7, 1, 7)] } };
    const { advantage, returns } = gaeColumns(valued, tokenRewards(valued, null), { discount: 1, lambda: 1 });
    close(advantage[0]!, [1.5, 0, 1, 0]);
    close(returns[0]!, [2, 0, 2, 0]);
  });
});

describe("step credit", () => {
  const steps = [
    { from: 0, to: 2 },
    { from: 3, to: 4 },
  ];
  test("each action of a span gets the step's value", () => {
    expect([...onTokens(steps, [5, 7], 5)]).toEqual([5, 5, 0, 7, 0]);
    expect(() => onTokens(steps, [5], 5)).toThrow(/1 values for 2 steps/);
    expect(() => onTokens(steps, [5, 7], 3)).toThrow(/step 1 spans actions 3 to 4 of 3/);
  });

  test("a step table makes group baselines for each step, and comes back as token credit", () => {
    const mask = [1, 1, 0, 1];
    const table = scored(
      [
        { reward: 0, mask, steps },
        { reward: 0, mask, steps },
      ],
      { stepReward: [Float64Array.of(1, 0), Float64Array.of(0, 4)] },
    );
    const flat = stepTable(table);
    expect([...flat.keys.place]).toEqual([0, 1, 0, 1]);
    const credit = stepCredit(table, center(flat.reward, flat.keys.place));
    expect(credit.map((c) => [...c])).toEqual([
      [0.5, 0.5, 0, -2],
      [-0.5, -0.5, 0, 2],
    ]);
    expect(() => stepCredit(table, Float64Array.of(1))).toThrow(/steps/);
    expect(() => stepTable(scored([{ reward: 1 }]))).toThrow(/no step rewards/);
  });
});

describe("token weights from the cumulative mean of token scores", () => {
  test("OREAL's known answer", () => {
    const { right, wrong } = cumulativeTokenWeights([2, 0, -1, 1], [1, 1, 1, 1]);
    close(right, [0.761594, 0.462117, 0.16514, 0.244919]);
    close(wrong, [0, 0, 0, 0]);
  });

  test("what looks wrong counts in wrong answers; masked tokens have no part", () => {
    const { right, wrong } = cumulativeTokenWeights([-2, 99, 0, 1], [1, 0, 1, 1]);
    close(right, [0, 0, 0, 0]);
    close(wrong, [0.761594, 0, 0.462117, 0.16514]);
    expect(() => cumulativeTokenWeights([0, Number.NaN], [1, 1])).toThrow(/token 1 is NaN/);
    expect(() => cumulativeTokenWeights([0], [1, 1])).toThrow(/1 token scores and 2/);
  });
});

describe("rewards of steps on tokens", () => {
  const table = scored(
    [
      {
        reward: 9,
        mask: [1, 1, 0, 1, 0, 1],
        steps: [
          { from: 0, to: 3 },
          { from: 3, to: 5 },
          { from: 5, to: 6 },
        ],
      },
      { reward: 9, mask: [1, 1], steps: [{ from: 0, to: 2 }] },
    ],
    { stepReward: [Float64Array.of(0.5, -0.3, 2), Float64Array.of(-1)] },
  );

  test("each on its step's last action of the policy, so that returns-to-go see it from there back", () => {
    const rewards = stepTokenRewards(table);
    expect(rewards.map((r) => [...r])).toEqual([
      [0, 0.5, 0, -0.3, 0, 2],
      [0, -1],
    ]);
    close(returnsToGo(rewards[0]!, 1), [2.2, 2.2, 1.7, 1.7, 2, 2]);
    expect(() => stepTokenRewards(scored([{ reward: 1 }]))).toThrow(/no step rewards/);
    expect(() =>
      stepTokenRewards(scored([{ reward: 1, mask: [0, 1], steps: [{ from: 0, to: 1 }] }], { stepReward: [Float64Array.of(1)] })),
    ).toThrow(/step 0 of rollout 0 has no action/);
  });

  test("whitened over the policy's own tokens of the batch", () => {
    const two = scored([
      { reward: 0, mask: [1, 0, 1] },
      { reward: 0, mask: [1, 1] },
    ]);
    const white = whiten(two, [Float64Array.of(1, 99, 1), Float64Array.of(3, 3)]);
    expect(white.map((r) => [...r])).toEqual([
      [-1, 0, -1],
      [1, 1],
    ]);
    expect(whiten(two, [Float64Array.of(2, 99, 2), Float64Array.of(2, 2)]).flatMap((r) => [...r])).toEqual([0, 0, 0, 0, 0]);
  });
});

test("as many rows of either kind of each group that has both", () => {
  const label = Float64Array.of(1, 0, 0, 1, 0, 0, 1, 1);
  const group = Int32Array.of(0, 0, 0, 0, 1, 1, 2, 2);
  expect([...bothKinds(label, group, Infinity, stream(0, "kinds"))]).toEqual([0, 1, 2, 3]);
  const seen = new Set<string>();
  for (let i = 0; i < 60; i++) {
    const kept = bothKinds(label, group, 1, stream(i, "kinds"));
    expect([...kept].map((row) => label[row]!).toSorted((a, b) => a - b)).toEqual([0, 1]);
    seen.add(kept.join(" "));
  }
  expect(seen).toEqual(new Set(["0 1", "0 2", "1 3", "2 3"]));
  expect([...bothKinds(Float64Array.of(0, 0), Int32Array.of(0, 0), 1, stream(0, "kinds"))]).toEqual([]);
  expect(() => bothKinds(label, group, 0, stream(0, "kinds"))).toThrow(/at least 1, or Infinity/);
});
