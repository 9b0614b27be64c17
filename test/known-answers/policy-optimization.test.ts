import { expect, test } from "vitest";
import { convention, groupAdvantage, klInReward, leaveOneOut } from "../../src/credit/index.ts";
import { dynamicSampling, gather, uniform } from "../../src/curricula/index.ts";
import { softmaxEngine } from "../../src/engines/index.ts";
import { armBandit, countdown, finiteTasks, lock, logitPool, stepActions, stepTask, tilt } from "../../src/environments/index.ts";
import {
  clippedSurrogate,
  combine,
  entropyBonus,
  gradientOf,
  klPenalty,
  onRows,
  pairLoss,
  raft,
  scoreFunction,
  sft,
} from "../../src/objectives/index.ts";
import type { ClippedSurrogateOptions } from "../../src/objectives/index.ts";
import { symbolTokenizer } from "../../src/policies/index.ts";
import { rollOut } from "../../src/rollouts/index.ts";
import { passAtK, stream } from "../../src/statistics/index.ts";
import type { Rng } from "../../src/statistics/index.ts";
import { scored } from "../credit/fixtures.ts";
import { fakeEngine } from "../kit/fake-engine.ts";
import { outputs, pair, ragged } from "../objectives/cases.ts";
import { column, near, ofRow, one } from "./kit.ts";

const rewards = column(1, 0, 0, 0);
const tokenMeans = { aggregation: "token-mean", divisor: null } as const;

test("S1 group advantage: population and sample deviation, then the epsilons of TRL and verl", () => {
  const of = (ddof: 0 | 1, epsilon = 0) => groupAdvantage(rewards, one(rewards), { scale: { ddof, epsilon } });
  near(of(0), [1.73205, -0.57735, -0.57735, -0.57735], 5);
  near(of(1), [1.5, -0.5, -0.5, -0.5], 12);
  expect(convention("verl").scale!.epsilon).toBe(1e-6);
  expect(convention("trl").scale!.epsilon).toBe(1e-4);
});

test("S2 Dr.GRPO: no deviation, and a constant divisor in place of the answer's length", () => {
  const drGrpo = convention("dr-grpo", { maxActions: 32 });
  near(groupAdvantage(rewards, one(rewards), drGrpo), [0.75, -0.25, -0.25, -0.25], 12);
  expect(drGrpo).toMatchObject({ aggregation: "row-sum", divisor: 32 });
});

test("S3 RLOO", () => near(leaveOneOut(rewards, one(rewards)), [1, -1 / 3, -1 / 3, -1 / 3], 12));

test("S4 clipped surrogate: where the gradient is zero, clip-higher, dual clip", () => {
  const at = (ratio: number, advantage: number, options: Partial<ClippedSurrogateOptions> = {}) => {
    const objective = clippedSurrogate({ low: 0.2, high: 0.2, ...tokenMeans, ...options });
    const { loss, gradients } = ofRow(objective, [-1 + Math.log(ratio)], { advantage: [advantage], behaviour: [-1] });
    return [loss, gradients["logProbs"]![0]![0]!];
  };
  near(at(1.25, 1), [-1.2, 0]);
  near(at(0.75, -1), [0.8, 0]);
  near(at(1.25, -1), [1.25, 1.25]);
  near(at(0.75, 1), [-0.75, -0.75]);
  near(at(1.25, 1, { high: 0.28 }), [-1.25, -1.25]);
  near(at(5, -1, { dualClip: 3 }), [3, 0]);
  near(at(5, -1, { dualClip: 10 }), [5, 5]);
  expect([convention("dapo").low, convention("dapo").high, convention("verl").dualClip, convention("dapo").dualClip]).toEqual([
    0.2, 0.28, 3, 10,
  ]);
});

test("S5 aggregations differ by how much the longer answer counts", () => {
  const examples = ragged({ mask: [[1], [1, 1, 1]], token: { advantage: [[1], [-1, -1, -1]], behaviour: [[-1], [-1, -1, -1]] } });
  const loss = (aggregation: "token-mean" | "row-mean" | "row-sum", divisor: number | null = null) =>
    gradientOf(clippedSurrogate({ low: 0.2, high: 0.2, aggregation, divisor }), examples, outputs({ logProbs: [[-1], [-1, -1, -1]] })).loss;
  near([loss("token-mean"), loss("row-mean"), loss("row-sum", 3)], [(-1 + 3) / 4, (-1 + 1) / 2, (-1 + 3) / 3 / 2], 12);
});

test("S6 sequence ratio (GSPO): log-ratios .1, -.2, .4", () => {
  const objective = clippedSurrogate({ low: 0.2, high: 0.2, ratio: "sequence", aggregation: "row-mean", divisor: null });
  near(ofRow(objective, [-0.9, -1.2, -0.6], { advantage: [1, 1, 1], behaviour: [-1, -1, -1] }).metrics["ratio"]!, 1.105171);
});

test("S7 KL: k3 is never negative, and a static anchor's optimum is proportional to reference exp(r / beta)", () => {
  const k3 = klPenalty({ estimator: "k3", coefficient: 1, ...tokenMeans });
  for (const d of [-2, -0.5, 0, 0.5, 2]) near(ofRow(k3, [-1], { reference: [-1 + d] }).loss, Math.exp(d) - d - 1);
  // At the optimum the penalised reward r - beta (log pi - log reference) is the same for every answer.
  const [reference, reward, beta] = [[0.5, 0.3, 0.2], [1, 2, 0], 0.5];
  const best = tilt(reference, reward, beta);
  const answers = scored(
    reward.map((r, a) => ({ reward: r, mask: [1], logProbs: [Math.log(best[a]!)] })),
    { token: { reference: reference.map((p) => Float32Array.of(Math.log(p))) } },
  );
  near(klInReward(answers, { coefficient: beta, policy: "behaviour" }), [1.504669, 1.504669, 1.504669]);
});

test("S8 entropy of a batch: the mean over answers of the mean over tokens, from the full distribution", async () => {
  const examples = ragged({ mask: [[1, 1], [1]] });
  const bonus = entropyBonus({ coefficient: 0.1, aggregation: "row-mean", divisor: null });
  near(gradientOf(bonus, examples, outputs({ entropy: [[1, 2], [0.5]] })).loss, -0.1 * 1, 12);
  const uniformOverFour = softmaxEngine(lock({ tasks: 1, length: 1, symbols: 4 }));
  const { entropy } = await uniformOverFour.forward([{ states: Int32Array.of(0), actions: Int32Array.of(2) }], ["entropy"]);
  near(entropy![0]!, [Math.log(4)]);
});

test("S9 effective groups: those with some right and some wrong answers; the others are paid for", async () => {
  const environment = countdown();
  const tokenizer = symbolTokenizer(environment.symbols!);
  const engine = fakeEngine(tokenizer, () => [1, tokenizer.end!]);
  const values = [
    [1, 1],
    [1, 0],
    [0, 0],
    [0, 1],
  ];
  const { groups, rollouts, discarded } = await gather(
    dynamicSampling(uniform(environment), { rounds: 2 }),
    2,
    { seed: 1, step: 0 },
    async (tasks, firstTask) => ({
      rollouts: await rollOut(engine, environment, tasks, { groupSize: 2, seed: 1, step: 0, firstTask }),
      scores: tasks.flatMap((_, i) => values[firstTask + i]!.map((value) => ({ value }))),
    }),
  );
  expect(groups).toMatchObject({ attempted: 4, effective: 2 });
  expect([rollouts.length, discarded.rollouts.length]).toEqual([4, 4]);
});

test("S10 SFT and RAFT: the mean negative log-probability", () => {
  for (const objective of [sft(tokenMeans), raft(tokenMeans)]) near(ofRow(objective, [-1, -3]).loss, 2, 12);
});

test("S11 DPO at beta .1, and with the chosen answer's likelihood (RPO)", () => {
  const examples = ragged({ mask: [[1], [1]], token: { reference: [[-5], [-5.5]] }, row: { chosen: [1, 0] }, sets: pair() });
  const rpo = combine({ dpo: pairLoss("dpo", { beta: 0.1 }), nll: onRows("chosen", sft(tokenMeans)) }, { nll: 0.25 });
  const { loss, metrics } = gradientOf(rpo, examples, outputs({ logProbs: [[-4], [-6]] }));
  near(metrics["dpo.loss"]!, 0.620957);
  near(loss, 0.620957 + 0.25 * 4);
});

test("S12 pass@k", () => near([passAtK(10, 3, 1), passAtK(10, 3, 2), passAtK(10, 3, 5)], [0.3, 0.533333, 0.916667]));

test("S13 toy environments: logit pool, prefix lock, step task", () => {
  const lockOf8 = lock({ tasks: 1, length: 8, symbols: 4 });
  const engine = softmaxEngine(lockOf8);
  const p0 = [...Array(8).keys()].reduce((p, state) => p * engine.probs(state)[1]!, 1);
  near(p0, 1.52587890625e-5, 15);
  const pool = logitPool({ tasks: 3, dimension: 4, easiest: -6, hardest: 8, rng: stream(0, "pool") });
  const policy = softmaxEngine(pool.process, { features: pool.features, base: pool.base });
  policy.weights.set([1, -0.5, 2, 0.25]);
  for (let i = 0; i < 3; i++) {
    const f = pool.features(i, 1);
    near(Math.hypot(...Array.from(f)), 1, 12);
    const logit = policy.weights.reduce((sum, w, k) => sum + w * f[k]!, 0) + pool.base(i, 1);
    near(policy.probs(i)[1]!, 1 / (1 + Math.exp(-logit)), 12);
  }
  const { useful, filler, stop } = stepActions;
  const task = stepTask({ needs: [2], horizon: 5 });
  const walk = (states: number[], actions: number[]) =>
    task.succeeded({ states: Int32Array.from(states), actions: Int32Array.from(actions) });
  expect(walk([0, 1, 1, 2], [useful, filler, useful, stop])).toBe(true);
  expect(walk([0, 1], [useful, stop])).toBe(false);
  expect(walk([0, 1, 2, 2, 2], [useful, useful, filler, filler, filler])).toBe(false);
  expect(finiteTasks(task)).toHaveLength(1);
});

test("S13 arm bandit: one best answer to each task, and graded or binary worths", () => {
  const worth = (best: boolean, rng: Rng) => {
    const mean = best ? 1.6 : rng();
    return () => mean;
  };
  const bandit = armBandit({ tasks: 4, arms: 5, worth, rng: stream(0, "arms") });
  const scoreOf = (task: number, arm: number) =>
    bandit.score({ states: Int32Array.of(task), actions: Int32Array.of(arm) }, bandit.tasks("train")[task]!, stream(0));
  for (const task of [0, 1, 2, 3]) {
    const worths = [0, 1, 2, 3, 4].map((arm) => scoreOf(task, arm));
    expect(worths.filter((x) => x === 1.6)).toHaveLength(1);
    expect(worths.filter((x) => typeof x === "number" && x >= 0 && x < 1)).toHaveLength(4);
  }
  near(
    bandit.chance(() => [0.2, 0.2, 0.2, 0.2, 0.2]),
    0.2,
    12,
  );
});

test("S13 the score of a Bernoulli sample in the pool is (r - p) f: the policy gradient of one prompt", async () => {
  const pool = logitPool({ tasks: 1, dimension: 3, easiest: 0.5, hardest: 0.5, rng: stream(1, "pool") });
  const engine = softmaxEngine(pool.process, { features: pool.features, base: pool.base, optimizer: "sgd" });
  const p = engine.probs(0)[1]!;
  // A difficulty makes the right answer less likely.
  near(p, 1 / (1 + Math.exp(0.5)), 12);
  for (const r of [0, 1]) {
    const row = { states: Int32Array.of(0), actions: Int32Array.of(r) };
    const { gradients } = gradientOf(
      scoreFunction(tokenMeans),
      ragged({ mask: [[1]], token: { advantage: [[1]], behaviour: [[0]] } }),
      outputs({ logProbs: [[0]] }),
    );
    const before = engine.weights.slice();
    await engine.backward([row], gradients);
    await engine.update({ learningRate: 1, beta1: 0, beta2: 0, epsilon: 1 });
    near(
      engine.weights.map((w, k) => w - before[k]!),
      Array.from(pool.features(0, 1), (f) => (r - p) * f),
    );
    engine.weights.set(before);
  }
});
