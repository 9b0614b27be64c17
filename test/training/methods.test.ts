import { describe, expect, test } from "vitest";
import type { Scored } from "../../src/credit/index.ts";
import { gradientOf } from "../../src/objectives/index.ts";
import type { Rollout } from "../../src/rollouts/rollout.ts";
import { stream } from "../../src/statistics/stream.ts";
import { start } from "../../src/training/schedule.ts";
import { describeMethod, needsReference, type RolloutMethod } from "../../src/training/method.ts";
import { drGrpo, grpo, onlineDpo, raft, rloo, supervised } from "../../src/training/methods.ts";

/** Scored answers of given rewards and lengths, in groups of four; log-probabilities -1. */
function table(rewards: readonly number[], lengths = rewards.map(() => 2)): Scored {
  const rollouts = rewards.map((_, i): Rollout => ({
    task: { id: String(Math.floor(i / 4)), prompt: "" },
    row: { prompt: Int32Array.of(1), actions: new Int32Array(lengths[i]!) },
    group: String(Math.floor(i / 4)),
    behaviourLogProbs: new Float32Array(lengths[i]!).fill(-1),
    mask: new Uint8Array(lengths[i]!).fill(1),
    stop: "stop",
    sampling: { engine: "e", temperature: 1, topK: 0, topP: 1 },
    weightsVersion: 0,
  }));
  const group = Int32Array.from(rewards, (_, i) => Math.floor(i / 4));
  return { rollouts, reward: Float64Array.from(rewards), parts: {}, keys: { group, task: group }, token: {} };
}

const context = { rng: stream(1, "credit"), at: start, progress: 0 };
/** The advantage of each answer's first token. */
const advantages = (method: RolloutMethod, t: Scored): number[] => {
  const examples = method.credit(t, context)!;
  return examples.rows.map((_, i) => examples.token["advantage"]![examples.offsets[i]!]!);
};
const options = { maxActions: 10 };

describe("advantages of rewards [1, 0, 0, 0] by convention", () => {
  test.each([
    ["paper", [1.7320508, -0.5773503]],
    ["trl", [1.4997, -0.4999]],
    ["verl", [1.499997, -0.499999]],
    ["dr-grpo", [0.75, -0.25]],
    ["dapo", [1.499997, -0.499999]],
  ] as const)("%s", (as, [first, other]) => {
    const got = advantages(grpo({ as, ...options }), table([1, 0, 0, 0]));
    expect(got[0]).toBeCloseTo(first, 5);
    for (const value of got.slice(1)) expect(value).toBeCloseTo(other, 5);
  });
  test("rloo", () => {
    const got = advantages(rloo(), table([1, 0, 0, 0]));
    [1, -1 / 3, -1 / 3, -1 / 3].forEach((value, i) => expect(got[i]).toBeCloseTo(value, 6));
  });
  test("a part of a convention set on its own", () => {
    const method = grpo({ as: "paper", scale: { ddof: 1, epsilon: 1e-4 }, kl: null });
    expect(advantages(method, table([1, 0, 0, 0]))[0]).toBeCloseTo(1.4997, 4);
    expect(method.settings).toMatchObject({ as: "paper", scale: { ddof: 1, epsilon: 1e-4 }, kl: null, aggregation: "row-mean" });
  });
});

/** d loss / d log-probability of each answer's first token, at the weights of the sampler. */
function pull(method: RolloutMethod, t: Scored): number[] {
  const examples = method.credit(t, context)!;
  const logProbs = examples.rows.map((row) => new Float32Array(row.actions.length).fill(-1));
  return gradientOf(method.objective, examples, { logProbs }).gradients["logProbs"]!.map((row) => row[0]!);
}

test("aggregations weigh long answers as their convention says", () => {
  const t = table([1, 0, 0, 0], [4, 2, 2, 2]);
  // Gradient of a token at ratio 1: minus advantage times its share in the aggregate.
  expect(pull(grpo({ as: "paper", scale: null, kl: null }), t)[0]).toBeCloseTo(-0.75 / 4 / 4, 6);
  expect(pull(grpo({ as: "trl", scale: null }), t)[0]).toBeCloseTo(-0.75 / 10, 6);
  expect(pull(drGrpo(options), t)[0]).toBeCloseTo(-0.75 / 10 / 4, 6);
  expect(pull(rloo(), t)[0]).toBeCloseTo(-1 / 4, 6);
});

test("raft learns from accepted answers only, and from nothing when there are none", () => {
  const method = raft();
  const examples = method.credit(table([1, 0, 1, 0.5]), context)!;
  expect(examples.rows).toHaveLength(2);
  expect(pull(method, table([1, 0, 1, 0.5]))[0]).toBeCloseTo(-1 / 4, 6);
  expect(method.credit(table([0, 0, 0, 0]), context)).toBeNull();
});

test("online DPO pairs accepted with rejected answers of one task, at most four a task", () => {
  const method = onlineDpo();
  const t = { ...table([1, 1, 0, 0, 1, 1, 1, 1]) };
  const withReference = { ...t, token: { reference: t.rollouts.map((r) => new Float32Array(r.mask.length).fill(-1)) } };
  const examples = method.credit(withReference, context)!;
  expect(examples.sets!.weight).toHaveLength(4);
  for (let pair = 0; pair < 4; pair++) {
    const [chosen, rejected] = [0, 1].map((k) =>
      withReference.rollouts.findIndex((r) => r.row === examples.rows[examples.sets!.members[2 * pair + k]!]),
    );
    expect(t.reward[chosen!]).toBe(1);
    expect(t.reward[rejected!]).toBe(0);
    expect(t.keys.group[chosen!]).toBe(t.keys.group[rejected!]);
  }
  expect(method.credit(table([1, 1, 1, 1]), context)).toBeNull();
});

describe("a reference policy is kept only where something reads it", () => {
  test.each([
    ["grpo as the paper", grpo({ as: "paper" }), true],
    ["grpo with a KL coefficient of 0", grpo({ as: "paper", kl: { estimator: "k3", coefficient: 0 } }), false],
    ["grpo as trl", grpo({ as: "trl" }), false],
    ["online DPO", onlineDpo(), true],
    ["RAFT", raft(), false],
    ["supervised", supervised(), false],
  ] as const)("%s", (_, method, needed) => expect(needsReference(method)).toBe(needed));
});

test("what the ratio is taken against: the sampler only where its distribution is the policy's own", () => {
  expect(grpo({ as: "trl" }).objective.needs.token).toContain("behaviour");
  expect(grpo({ as: "trl", temperature: 0.8 }).objective.needs.token).toContain("old");
  const corrected = grpo({ as: "trl", correction: { level: "sequence", kind: "masked", high: 3 } });
  expect(corrected.objective.needs.token).toEqual(expect.arrayContaining(["old", "correction"]));
});

test("a described method survives JSON and names every convention", () => {
  for (const method of [grpo({ as: "verl" }), drGrpo(options), rloo(), raft(), onlineDpo(), supervised()]) {
    const described = describeMethod(method);
    expect(JSON.parse(JSON.stringify(described))).toEqual(described);
  }
  expect(describeMethod(grpo({ as: "dapo" }))).toMatchObject({
    name: "DAPO",
    groupSize: 16,
    dynamicSampling: { rounds: 8 },
    settings: { as: "dapo", low: 0.2, high: 0.28, dualClip: 10, aggregation: "token-mean" },
    learningRate: { peak: 5e-4, up: 5, floor: 0.1, shape: "linear" },
    optimizer: { beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weightDecay: 0.01, clipNorm: 1 },
  });
});

test.each([
  [() => grpo({ as: "ppo" as "trl" }), "ppo"],
  [() => grpo({ as: "dr-grpo" }), "maxActions"],
  [() => grpo({ as: "trl", groupSize: 1 }), "groupSize"],
  [() => grpo({ as: "trl", temperature: 0 }), "temperature"],
  [() => rloo({ epochs: 2 }), "importance ratio"],
] as const)("bad settings are refused by name (%#)", (make, word) => {
  expect(make).toThrow(expect.objectContaining({ code: "usage", message: expect.stringContaining(word) as string }));
});
