import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { examples, klInReward, leaveOneOut } from "../../src/credit/index.ts";
import { prompts, type TextEnvironment } from "../../src/environments/index.ts";
import { objective } from "../../src/objectives/index.ts";
import { reward, sum } from "../../src/rewards/index.ts";
import {
  drGrpo,
  grpo,
  onlineDpo,
  ppo,
  raft,
  rloo,
  supervised,
  train,
  type Method,
  type RolloutMethod,
  type TrainOptions,
  type TrainReport,
} from "../../src/training/index.ts";
import { metricsOf } from "../../src/training/report.ts";
import { expectNoLeak } from "../kit/leaks.ts";
import { all, environment, small, tinyEngine, withEngine, type TinyEngine } from "./tiny.ts";

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "guerdon-train-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test("a tiny run learns from demonstrations, then from the check, and no failure pattern is said", () =>
  withEngine(async (engine) => {
    const reports = await all({
      engine,
      environment,
      method: grpo({ as: "trl", groupSize: 8, learningRate: 3e-3 }),
      warmUp: { steps: 200, tasksPerStep: 32 },
      steps: 30,
      tasksPerStep: 8,
      seed: 1,
    });
    const warm = reports.filter((r) => r.phase === "warm-up");
    const rl = reports.filter((r) => r.phase === "GRPO");
    expect([warm.length, rl.length]).toEqual([200, 30]);
    expect(warm[0]!.loss!).toBeGreaterThan(3);
    expect(warm.at(-1)!.loss!).toBeLessThan(0.5);
    const mean = (from: TrainReport[]): number => from.reduce((total, r) => total + r.reward!.mean, 0) / from.length;
    expect(mean(rl.slice(-10))).toBeGreaterThan(mean(rl.slice(0, 5)) + 0.1);
    for (const r of rl) {
      expect(r.gap!.maximum).toBeLessThan(1e-4);
      expect(r.entropy).toBeGreaterThan(0);
      expect(r.clip).toEqual({ region: 0, low: 0, high: 0 });
      expect(r.kl).toBeNull();
    }
    expect(rl.flatMap((r) => r.findings)).toEqual([]);
  }));

describe("every method makes an update that changes the weights and reports finite numbers", () => {
  test.each([
    ["grpo as the paper, with a reference", grpo({ as: "paper", groupSize: 4 })],
    ["dr-grpo", drGrpo({ groupSize: 4, maxActions: environment.maxActions })],
    ["dapo", grpo({ as: "dapo", groupSize: 4 })],
    ["rloo", rloo({ groupSize: 4 })],
    ["raft", raft({ groupSize: 4 })],
    ["online DPO", onlineDpo({ groupSize: 4 })],
    ["supervised", supervised()],
    ["GSPO with epochs and minibatches", grpo({ as: "trl", groupSize: 4, ratio: "sequence", epochs: 2, minibatches: 2 })],
    [
      "a corrected gap at another temperature",
      grpo({ as: "trl", groupSize: 4, temperature: 0.7, correction: { level: "token", kind: "truncated", high: 2 } }),
    ],
  ] as readonly [string, Method][])("%s", (_, method) =>
    withEngine(async (engine) => {
      const before = await engine.weights();
      const reports = await all({ ...small, engine, method, steps: 2 });
      expect(reports).toHaveLength(2);
      for (const report of reports) {
        expect(report.gradientNorm).toBeGreaterThan(0);
        for (const value of Object.values(metricsOf(report))) if (value !== null) expect(value).toSatisfy(Number.isFinite);
      }
      const after = await engine.weights();
      expect(after["lm_head.weight"]).not.toEqual(before["lm_head.weight"]);
      if (method.data === "rollouts" && method.correction !== null) expect(reports[0]!.corrected).not.toBeNull();
      // Against the policy itself the first step's divergence is nothing.
      if (method.name === "online DPO") expect(reports[0]!.kl).toBeLessThan(1e-9);
    }),
  );
});

test("a listed environment goes on at its place in the list", async () => {
  const rows = Array.from({ length: 9 }, (_, i) => ({
    prompt: `${(i % 4) + 1} ${((i * 3) % 4) + 1} = ${i + 1} :`,
    split: i < 7 ? "train" : "test",
  }));
  const listed = prompts(rows, { columns: { split: "split" }, maxActions: 4 });
  const options = (engine: TinyEngine, name: string): TrainOptions => ({
    ...small,
    engine,
    environment: listed,
    directory: join(folder, name),
    method: rloo({ groupSize: 2 }),
    tasksPerStep: 3,
    steps: 4,
  });
  const asked = (reports: TrainReport[]): string[] => reports.flatMap((r) => r.rollouts!.drawn.map((d) => d.rollout.task.id));
  const whole = await withEngine((engine) => all(options(engine, "listed")));
  expect(new Set(asked(whole).slice(0, 12)).size).toBe(6);
  const first: TrainReport[] = [];
  await withEngine(async (engine) => {
    for await (const report of train(options(engine, "listed-cut"))) {
      first.push(report);
      if (report.index === 2) break;
    }
  });
  const rest = await withEngine((engine) => all(options(engine, "listed-cut")));
  expect(asked([...first, ...rest])).toEqual(asked(whole));
});

test("an environment that answers back: its tokens carry neither loss nor gap", () =>
  withEngine(async (engine) => {
    const talking: TextEnvironment = {
      ...environment,
      maxActions: 3,
      respond: (_, turns) => (turns.length < 2 ? ", 1" : null),
    };
    // Answers end only where the model says so; a cut answer ends the conversation.
    const often = { ...small, environment: talking, tasksPerStep: 16, reward: reward("length", ({ text }) => text.length) };
    const [report] = await all({ ...often, engine, method: grpo({ as: "paper", groupSize: 16 }), steps: 1 });
    const several = report!.rollouts!.drawn.filter(({ rollout }) => rollout.turns!.length === 3);
    expect(several.length).toBeGreaterThan(0);
    for (const { rollout } of several) expect([...rollout.mask].filter((m) => m === 0)).toHaveLength(2);
    expect(report!.gap!.maximum).toBeLessThan(1e-4);
    expect(report!.rollouts!.lengths.max).toBeLessThanOrEqual(6);
  }));

test("PPO learns values along with the policy", async () => {
  const engine = await tinyEngine(environment, 1, { valueHead: true });
  try {
    const reports = await all({
      ...small,
      engine,
      method: ppo({ epochs: 2, minibatches: 2, learningRate: 1e-2, valueClip: null }),
      tasksPerStep: 32,
      steps: 20,
    });
    const errors = reports.map((r) => r.metrics["value.squaredError"]!);
    expect(errors.at(-1)!).toBeLessThan(errors[0]! / 2);
    for (const report of reports) {
      expect(report.groups!.count).toBe(0);
      const advantages = report.rollouts!.drawn.map((d) => d.advantage!);
      expect(advantages.every(Number.isFinite)).toBe(true);
    }
    expect(reports.flatMap((r) => r.findings.map((f) => f.kind))).not.toContain("no-signal");
  } finally {
    engine.dispose();
    engine.policy.dispose();
  }
});

test("a method that needs values says so where the policy has none", () =>
  withEngine((engine) =>
    expect(all({ ...small, engine, method: ppo(), steps: 1 })).rejects.toMatchObject({
      message: expect.stringContaining("value") as string,
    }),
  ));

test("a part of a method is replaced, not a flag: the divergence as a part of the reward", () =>
  withEngine(async (engine) => {
    const method: RolloutMethod = {
      ...rloo({ groupSize: 4 }),
      creditNeeds: ["reference"],
      credit(table) {
        const penalised = klInReward(table, { coefficient: 0.1, policy: "behaviour" });
        return examples(table, { advantage: leaveOneOut(penalised, table.keys.group) });
      },
    };
    const reports = await all({ ...small, engine, method, steps: 2 });
    expect(reports[0]!.kl).toBeLessThan(1e-9);
    expect(reports[1]!.kl).toBeGreaterThan(0);
  }));

describe("a grade that cannot be given", () => {
  test("takes no part: the others are compared with each other, and it has no advantage", () =>
    withEngine(async (engine) => {
      let asked = 0;
      const patchy = reward("patchy", () => ([1, 0, null, 0] as const)[asked++ % 4]!);
      const method = grpo({ as: "paper", groupSize: 4, kl: null });
      const [report] = await all({ ...small, reward: patchy, engine, method, steps: 1, tasksPerStep: 1 });
      expect(report!.rollouts!.coverage).toMatchObject({ scored: 3, total: 4, reasons: { declined: 1 } });
      const advantages = report!.rollouts!.drawn.map((d) => d.advantage);
      expect(advantages[2]).toBeNull();
      // [1, 0, 0] with the population deviation.
      [Math.SQRT2, -Math.SQRT1_2, null, -Math.SQRT1_2].forEach((value, i) => value !== null && expect(advantages[i]).toBeCloseTo(value, 5));
    }));

  test("too many stop the run with the step and the reason", () =>
    withEngine(async (engine) => {
      const silent = reward("silent", () => null);
      await expect(all({ ...small, reward: silent, engine, method: rloo({ groupSize: 4 }), steps: 3 })).rejects.toMatchObject({
        code: "coverage",
        message: expect.stringMatching(/^Step 1: .*"silent".*declined/) as string,
      });
    }));
});

test("a reward that stops answering costs no finished step", async () => {
  let answers = 0;
  const options = (engine: TinyEngine, until: number): TrainOptions => ({
    ...small,
    engine,
    reward: reward("tiring", ({ text }) => (++answers > until ? null : text.length)),
    directory: join(folder, "tiring"),
    method: rloo({ groupSize: 4 }),
    steps: 5,
    checkpointSeconds: 3600,
  });
  await withEngine((engine) =>
    expect(all(options(engine, 36))).rejects.toMatchObject({ code: "coverage", message: expect.stringMatching(/^Step 3:/) as string }),
  );
  answers = 0;
  const rest = await withEngine((engine) => all(options(engine, 1000)));
  expect(rest.map((r) => r.index)).toEqual([3, 4, 5]);
});

test("a loss that is not finite refuses the step, names the rollout's row and changes nothing", () =>
  withEngine(async (engine) => {
    const before = await engine.weights();
    const broken = objective({
      name: "broken",
      token: ["advantage"],
      loss: ({ logProbs }, b) => logProbs.mul(b.token.advantage).div(0).sum(),
    });
    const method = { ...rloo({ groupSize: 4 }), objective: broken };
    await expect(all({ ...small, engine, method, steps: 1 })).rejects.toMatchObject({ code: "non-finite" });
    expect(await engine.weights()).toEqual(before);
  }));

test("rewards of parts that cancel are found out by a real run", () =>
  withEngine(async (engine) => {
    const up = reward("up", ({ text }) => text.length / 20);
    const down = reward("down", ({ text }) => -text.length / 20);
    const reports = await all({ ...small, reward: sum({ up, down }), engine, method: grpo({ as: "trl", groupSize: 4 }), steps: 4 });
    expect(reports.flatMap((r) => r.findings).map((f) => f.kind)).toContain("parts-cancel");
    expect(Object.keys(metricsOf(reports[0]!))).toEqual(expect.arrayContaining(["part/up/mean", "part/down/deviation"]));
  }));

test("nothing accepted: no update, no loss, and the run goes on", () =>
  withEngine(async (engine) => {
    const never = reward("never", () => 0);
    const reports = await all({ ...small, reward: never, engine, method: raft({ groupSize: 2 }), steps: 2 });
    expect(reports.map((r) => [r.loss, r.gradientNorm])).toEqual([
      [null, null],
      [null, null],
    ]);
  }));

test("metrics carry TRL's names beside ours", () =>
  withEngine(async (engine) => {
    const [report] = await all({ ...small, engine, method: grpo({ as: "trl", groupSize: 4 }), steps: 1 });
    const metrics = metricsOf(report!);
    for (const name of [
      "reward",
      "reward_std",
      "frac_reward_zero_std",
      "kl",
      "entropy",
      "clip_ratio/region_mean",
      "completions/mean_length",
      "completions/clipped_ratio",
    ])
      expect(metrics).toHaveProperty([name]);
    expect(metrics["reward"]).toBe(metrics["reward/mean"]);
    expect(metrics["frac_reward_zero_std"]).toBe(report!.groups!.identical / report!.groups!.count);
  }));

test("observers see each report before the run goes on; evaluation comes when it is due", () =>
  withEngine(async (engine) => {
    const seen: number[] = [];
    const observers = [async (r: TrainReport) => void seen.push(r.index)];
    const reports = await all({
      ...small,
      engine,
      method: rloo({ groupSize: 2 }),
      steps: 5,
      observers,
      evaluation: { every: 2, tasks: 4, samples: 2, seed: 3 },
    });
    expect(seen).toEqual([1, 2, 3, 4, 5]);
    expect(reports.filter((r) => r.evaluation !== null).map((r) => r.index)).toEqual([2, 4, 5]);
  }));

test("a run of a number of seconds ends when they are used, and what is between steps is not counted", () =>
  withEngine(async (engine) => {
    // A clock that stands still but for this: each demonstration takes 1/32 s, so a step of four an eighth; whoever watches takes a second.
    let now = 0;
    const clock = vi.spyOn(performance, "now").mockImplementation(() => now);
    try {
      const slow: TextEnvironment = {
        ...environment,
        demonstrate: (task, rng) => {
          now += 1000 / 32;
          return environment.demonstrate!(task, rng);
        },
      };
      const observers = [() => void (now += 1000)];
      const reports = await all({ ...small, environment: slow, engine, method: supervised(), seconds: 0.3, observers });
      // After two steps a quarter of a second is used, after the third more than there was.
      expect(reports.map(({ seconds }) => seconds.preparing + seconds.updating)).toEqual([0.125, 0.125, 0.125]);
    } finally {
      clock.mockRestore();
    }
  }));

test("a run leaves nothing on the device: steps of a method with a reference, and evaluations", () =>
  withEngine(async (engine) => {
    const run = (): Promise<TrainReport[]> =>
      all({
        ...small,
        engine,
        method: grpo({ as: "paper", groupSize: 4, epochs: 2 }),
        steps: 2,
        evaluation: { every: 2, tasks: 4, samples: 2, seed: 1 },
      });
    await expectNoLeak(run, 3, 2);
  }));

describe("options that do not fit are refused", () => {
  const silentEnvironment: TextEnvironment = { name: "bare", maxActions: 6, draw: (split, rng) => environment.draw(split, rng) };
  test.each([
    [{ steps: undefined }, "either `steps` or `seconds`"],
    [{ steps: 1, seconds: 1 }, "either `steps` or `seconds`"],
    [{ steps: -1 }, "whole number"],
    [{ steps: 1, environment: silentEnvironment, reward: undefined }, "cannot check answers"],
    [{ steps: 1, environment: silentEnvironment, method: supervised() }, "no demonstrations"],
  ])("%#", (change, words) =>
    withEngine(async (engine) => {
      const options = { ...small, engine, method: rloo({ groupSize: 2 }), ...change } as TrainOptions;
      await expect(all(options)).rejects.toMatchObject({ code: "usage", message: expect.stringContaining(words) as string });
    }),
  );
});
