import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { examples } from "../../src/credit/index.ts";
import { byPosterior } from "../../src/curricula/index.ts";
import { logitPool, prompts } from "../../src/environments/index.ts";
import { softmaxEngine } from "../../src/engines/index.ts";
import { gradientOf, type Objective } from "../../src/objectives/index.ts";
import { mopps, paper } from "../../src/papers/mopps.ts";
import { betaMean, betaUpdate, stream } from "../../src/statistics/index.ts";
import { grpo, practise, train, type TrainReport } from "../../src/training/index.ts";
import { rollout, scored } from "../credit/fixtures.ts";
import { all, environment, small, withEngine } from "../training/tiny.ts";

/** `right` of `of` answers to a task were right. */
const seen = (id: string, right: number, of: number) => {
  const rows = Array.from({ length: of }, (_, i) => ({ reward: i < right ? 1 : 0 }));
  return { ...scored(rows), rollouts: rows.map((row) => ({ ...rollout(row), task: { id, prompt: id } })) };
};
const listed = prompts(
  ["a", "b", "c", "d", "e", "f"].map((prompt) => ({ prompt, split: "train" })),
  { columns: { split: "split" } },
);
const [first] = listed.tasks("train");
const at = { seed: 1, step: 0, round: 0 };

test("the card's known answer: half of what was believed is kept", () => {
  const once = betaUpdate({ alpha: 1, beta: 1 }, { successes: 2, failures: 6 }, { keep: 0.5 });
  expect([once, betaMean(once)]).toEqual([{ alpha: 3, beta: 7 }, 0.3]);
  const curriculum = byPosterior(listed, { keep: 0.5 });
  curriculum.observe!(seen(first!.id, 2, 8));
  expect(curriculum.expected!(first!)).toBe(0.3);
  curriculum.observe!(seen(first!.id, 6, 8));
  expect(curriculum.expected!(first!)).toBeCloseTo(0.571429, 6);
});

test("the method's options are those of its beliefs, and its bonus raises the entropy", () => {
  const method = mopps({ keep: 0.5, prior: { alpha: 2, beta: 2 }, accept: 0.5, entropy: 0.01 });
  const curriculum = method.curriculum!.of(listed);
  expect(curriculum.expected!(first!)).toBe(0.5);
  curriculum.observe!(seen(first!.id, 2, 8));
  // (4, 8), then half of it, half of the prior, and 6 of 8.
  curriculum.observe!(seen(first!.id, 6, 8));
  expect(curriculum.expected!(first!)).toBeCloseTo(9 / 16, 12);
  curriculum.observe!({ ...seen(first!.id, 0, 8), reward: new Float64Array(8).fill(0.5) });
  expect(curriculum.expected!(first!)).toBeCloseTo((0.5 * 9 + 1 + 8) / (0.5 * 16 + 2 + 8), 12);

  const row = examples(scored([{ reward: 1 }]), { advantage: Float64Array.of(0) });
  const outputs = { logProbs: [row.token["behaviour"]!], entropy: [Float32Array.of(1, 1, 1)] };
  const entropy = ({ objective }: { readonly objective: Objective }) => gradientOf(objective, row, outputs).gradients["entropy"];
  for (const down of entropy(method)![0]!) expect(down).toBeCloseTo(-0.01 / 3, 9);
  for (const down of entropy(mopps())![0]!) expect(down).toBeCloseTo(-0.001 / 3, 9);
  expect(entropy(mopps({ entropy: 0 }))).toBeUndefined();
});

test("it picks what it guesses closest to the target, each task once, and never more than there are", async () => {
  const curriculum = byPosterior(listed, { guess: "mean" });
  const tasks = listed.tasks("train");
  for (const [i, { id }] of tasks.entries()) curriculum.observe!(seen(id, [0, 40, 20, 38, 21, 2][i]!, 40));
  expect(new Set((await curriculum.pick(2, at)).map(({ id }) => id))).toEqual(new Set([tasks[2]!.id, tasks[4]!.id]));
  expect(new Set(await curriculum.pick(6, at)).size).toBe(6);
  expect(() => curriculum.pick(7, at)).toThrow(/7 tasks are to be picked from 6/);
  // Draws try what means have given up: the task with 2 of 40 is never the mean's choice, and now and then that of a draw of a wide belief.
  const wide = byPosterior(listed, { guess: "sample" });
  for (const { id } of tasks.slice(1)) wide.observe!(seen(id, 1, 1));
  const picked = new Set<string>();
  for (let step = 0; step < 50; step++) for (const { id } of await wide.pick(1, { ...at, step })) picked.add(id);
  expect(picked.size).toBeGreaterThan(2);
});

test("tasks that are drawn without end: a pool of distinct ones is looked through", async () => {
  const curriculum = byPosterior(environment);
  const picked = await curriculum.pick(4, at);
  expect(new Set(picked.map(({ id }) => id)).size).toBe(4);
  expect(await curriculum.pick(4, at)).toEqual(picked);
  expect(await curriculum.pick(4, { ...at, step: 1 })).not.toEqual(picked);
});

test("beliefs survive a save; what is no belief is refused", async () => {
  const curriculum = byPosterior(listed);
  curriculum.observe!(seen(first!.id, 2, 8));
  const saved = JSON.parse(JSON.stringify(await curriculum.state!.snapshot())) as Awaited<
    ReturnType<NonNullable<typeof curriculum.state>["snapshot"]>
  >;
  const other = byPosterior(listed);
  await other.state!.restore(saved);
  expect(other.expected!(first!)).toBe(curriculum.expected!(first!));
  expect(await other.pick(3, at)).toEqual(await curriculum.pick(3, at));
  await expect(other.state!.restore({ ...saved, json: { beliefs: { a: ["?"] } } })).rejects.toThrow(/belief about the task "a"/);
});

test("the pool of logits: the chance of a right answer is the sigmoid, and the gradient moves prompts that share features", () => {
  const pool = logitPool({ tasks: 30, dimension: 6, easiest: -6, hardest: 8, rng: stream(1, "pool") });
  const engine = softmaxEngine(pool.process, pool);
  const weights = [0.3, -0.2, 0.5, 1, 0, 2];
  engine.weights.set(weights);
  for (let task = 0; task < 30; task++) {
    const vector = Array.from(pool.features(task, 1));
    expect(Math.hypot(...vector)).toBeCloseTo(1, 12);
    expect(Math.min(...vector)).toBeGreaterThanOrEqual(0);
    const logit = vector.reduce((sum, x, k) => sum + x * weights[k]!, pool.base(task, 1));
    expect(engine.probs(task)[1]).toBeCloseTo(1 / (1 + Math.exp(-logit)), 12);
  }
  expect(pool.chance(engine.probs)).toBeCloseTo(
    engine.exact.value((_, action) => action),
    12,
  );
});

test("a step on the pool moves the weights by the mean of advantage * (answer - chance) * features", async () => {
  const pool = logitPool({ tasks: 4, dimension: 3, easiest: -1, hardest: 1, rng: stream(2, "pool") });
  const engine = softmaxEngine(pool.process, { ...pool, optimizer: "sgd" });
  const chance = [0, 1, 2, 3].map((task) => engine.probs(task)[1]!);
  const method = grpo({ as: "verl", scale: null, groupSize: 8, learningRate: 0.1, optimizer: { clipNorm: null } });
  for await (const { rollouts, reward } of practise({ engine, environment: pool, method, steps: 1, seed: 3 })) {
    const want = [0, 0, 0];
    for (const [i, { row }] of rollouts.entries()) {
      const task = row.states[0]!;
      const group = reward.filter((_, j) => rollouts[j]!.row.states[0] === task);
      const advantage = reward[i]! - group.reduce((sum, r) => sum + r, 0) / 8;
      Array.from(pool.features(task, 1), (f, k) => (want[k]! += (0.1 * advantage * (reward[i]! - chance[task]!) * f) / 32));
    }
    want.forEach((w, k) => expect(engine.weights[k]).toBeCloseTo(w, 7));
    expect(Math.abs(want[0]!)).toBeGreaterThan(1e-4);
  }
});

test("the arms at a small size", async () => {
  const total = async (arm: string, metric: string): Promise<number> => {
    let sum = 0;
    for (const seed of [0, 1, 2, 3]) sum += ((await paper.claim.arms[arm]!(seed)) as Readonly<Record<string, number>>)[metric]!;
    return sum;
  };
  const [own, uniform] = [await total("mopps", "rollouts"), await total("uniform", "rollouts")];
  expect(own / uniform).toBeLessThan(0.8);
  expect((await total("mopps", "rank")) / 4).toBeGreaterThan(0.7);
  expect((await total("neverRight", "rollouts")) / uniform).toBeGreaterThan(0.85);
});

test("it trains a language model, and a run that is cut goes on bit by bit, beliefs and all", async () => {
  const folder = mkdtempSync(join(tmpdir(), "guerdon-mopps-"));
  try {
    const options = { ...small, environment, method: mopps({ groupSize: 4 }), steps: 4 };
    const names = (reports: readonly TrainReport[]) => reports.flatMap((r) => r.rollouts!.drawn.map(({ rollout: { task } }) => task.id));
    const whole = await withEngine(async (engine) => ({ reports: await all({ ...options, engine }), weights: await engine.weights() }));
    const cut: TrainReport[] = [];
    await withEngine(async (engine) => {
      for await (const report of train({ ...options, engine, directory: join(folder, "run") })) if (cut.push(report) === 2) break;
    });
    const rest = await withEngine(async (engine) => ({
      reports: await all({ ...options, engine, directory: join(folder, "run") }),
      weights: await engine.weights(),
    }));
    expect(names([...cut, ...rest.reports])).toEqual(names(whole.reports));
    expect(rest.weights).toEqual(whole.weights);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test("a curriculum beside the method's own is refused", () =>
  withEngine(async (engine) => {
    const curriculum = byPosterior(environment);
    await expect(all({ ...small, engine, method: mopps({ groupSize: 4 }), curriculum, steps: 1 })).rejects.toThrow(
      /picks the tasks itself/,
    );
    expect(await all({ ...small, engine, method: { ...mopps({ groupSize: 4 }), curriculum: null }, curriculum, steps: 1 })).toHaveLength(1);
  }));
