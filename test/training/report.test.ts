import { expect, test } from "vitest";
import { coverage } from "../../src/rewards/index.ts";
import type { Rollout } from "../../src/rollouts/rollout.ts";
import type { Scored } from "../../src/credit/index.ts";
import { summarise } from "../../src/training/report.ts";

const rollout = (group: string, actions: number[], change: Partial<Rollout> = {}): Rollout => ({
  task: { id: group, prompt: "" },
  row: { prompt: Int32Array.of(0), actions: Int32Array.from(actions) },
  group,
  behaviourLogProbs: new Float32Array(actions.length).fill(-1),
  mask: new Uint8Array(actions.length).fill(1),
  stop: "stop",
  sampling: { engine: "e", temperature: 1, topK: 0, topP: 1 },
  weightsVersion: 0,
  ...change,
});

/** Two groups of three: rewards [1, 0, 0] and [1, 1, 1]. */
function example(): { rollouts: Rollout[]; table: Scored } {
  const rollouts = [
    rollout("a", [1, 2]),
    rollout("a", [1, 3]),
    rollout("a", [1, 2], { stop: "length" }),
    // An environment's turn stands among the actions of this one.
    rollout("b", [5, 9, 6, 7], { mask: Uint8Array.of(1, 0, 1, 1) }),
    rollout("b", [4, 4]),
    rollout("b", [8, 4]),
  ];
  const group = Int32Array.of(0, 0, 0, 1, 1, 1);
  const parts = { correct: Float64Array.of(1, 0, 0, 1, 1, 1), style: Float64Array.of(0, 0, 0, 1, 2, 3) };
  return { rollouts, table: { rollouts, reward: Float64Array.of(1, 0, 0, 1, 1, 1), parts, keys: { group, task: group }, token: {} } };
}
const complete = coverage(Array.from({ length: 6 }, () => ({ value: 1 })));

test("known answers", () => {
  const { rollouts, table } = example();
  const s = summarise(rollouts, table, table, complete, 4);
  expect(s.reward.mean).toBeCloseTo(4 / 6, 12);
  expect(s.reward.deviation).toBeCloseTo(Math.sqrt(((2 / 6) ** 2 * 4 + (4 / 6) ** 2 * 2) / 5), 12);
  expect(s.groups).toMatchObject({ count: 2, identical: 1 });
  expect(s.groups.deviation).toBeCloseTo(Math.sqrt(1 / 3) / 2, 12);
  expect(s.distinct).toBe(2.5);
  expect(s.lengths).toEqual({ mean: 13 / 6, max: 3, cut: 1 / 6, limit: 4 });
  expect(s.entropy).toBeNull();
  expect(s.kl).toBeNull();
  // Within groups the reward varies only in the first and follows "correct" alone; "style" varies only in the second.
  expect(s.parts["correct"]!.explains).toBeCloseTo(1, 12);
  expect(s.parts["style"]).toMatchObject({ mean: 1, explains: 0 });
  expect(s.parts["style"]!.deviation).toBeCloseTo(Math.sqrt(2 / 6), 12);
});

test("entropy and divergence are means over the policy's own tokens", () => {
  const { rollouts, table } = example();
  const recorded = rollouts.map((r) => ({ ...r, recorded: { entropy: Float32Array.from(r.mask, (m) => (m === 1 ? 0.5 : 100)) } }));
  const reference = rollouts.map((r) => Float32Array.from(r.mask, (m) => (m === 1 ? -2 : 7)));
  const learnt = { ...table, rollouts: recorded, token: { reference } };
  const s = summarise(recorded, learnt, learnt, complete, 4);
  expect(s.entropy).toBeCloseTo(0.5, 12);
  // d = reference - behaviour = -1: exp(-1) + 1 - 1
  expect(s.kl).toBeCloseTo(Math.exp(-1), 7);
});
