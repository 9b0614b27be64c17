import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { countdown, type CountdownOptions, type Split } from "../../src/environments/index.ts";
import { parameterShapes } from "../../src/policies/index.ts";
import { compareJob, runJob, type JobEvent } from "../../src/training/job.ts";
import { mainJob, type MainJobFile } from "../../src/training/main-job.ts";
import { describeMethod } from "../../src/training/method.ts";
import { raft, supervised } from "../../src/training/methods.ts";
import { countdownJob, defineJob, jobs, sortingJob, withMethods, type Job, type JobOptions } from "../../src/training/recipes.ts";
import { readManifest } from "../../src/training/run-folder.ts";
import { readMetrics } from "../../src/training/runs/read.ts";
import type { Rng } from "../../src/statistics/stream.ts";

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "guerdon-job-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const tiny: Omit<JobOptions, "seed"> & CountdownOptions = {
  count: 2,
  highest: 4,
  layers: 1,
  width: 16,
  warmUpSteps: 12,
  steps: 4,
  demonstrations: 16,
  tasksPerStep: 4,
  groupSize: 4,
  evaluationTasks: 8,
  samples: 4,
};
const make = (options: JobOptions): Job => countdownJob({ ...tiny, ...options });

/** All events and what the generator returned. */
async function played<E, R>(events: AsyncGenerator<E, R>): Promise<{ events: E[]; result: R }> {
  const seen: E[] = [];
  for (;;) {
    const next = await events.next();
    if (next.done === true) return { events: seen, result: next.value };
    seen.push(next.value);
  }
}
const kinds = (events: readonly JobEvent[]): string[] =>
  events.flatMap((e) => (e.kind === "step" ? [] : [`${e.kind}${"id" in e ? ` ${e.id}` : ""}`]));

describe("the built-in jobs are the calibrated ones", () => {
  test("countdown", () => {
    const job = countdownJob({ seed: 1 });
    if ("folder" in job.model) throw new Error("the main job starts from scratch");
    const weights = Object.values(parameterShapes(job.model)).reduce((sum, shape) => sum + shape.reduce((a, b) => a * b, 1), 0);
    // 163,584 weights counted by the calibration, with a position table of 18.
    expect(job.model).toMatchObject({
      layers: 3,
      width: 64,
      heads: 4,
      vocabulary: 110,
      context: 18,
      norm: "layer",
      positions: "learned",
      activation: "gelu",
      tied: false,
    });
    expect(weights).toBe(163_584);
    expect(job.warmUp).toMatchObject({ steps: 700, tasksPerStep: 128 });
    expect(job.warmUp?.method.learningRate).toEqual({ peak: 4e-3, up: 20, floor: 0.1, shape: "linear" });
    expect(job.steps).toBe(250);
    expect(job.contender.tasksPerStep).toBe(16);
    expect(describeMethod(job.contender.method)).toMatchObject({
      groupSize: 16,
      epochs: 1,
      minibatches: 1,
      sampling: { temperature: 1, topK: 0, topP: 1 },
      settings: { scale: { ddof: 1, epsilon: 1e-4 }, aggregation: "row-mean", kl: null, low: 0.2, high: 0.2 },
      learningRate: { peak: 5e-4, up: 5, floor: 0.1, shape: "linear" },
      optimizer: { beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weightDecay: 0.01, clipNorm: 1 },
      reference: null,
    });
    expect(job.evaluation).toMatchObject({ tasks: 500, samples: 16 });
    expect(job.evaluation.seed).not.toBe(1);
  });
  test("sorting", () => {
    const job = sortingJob({ seed: 1 });
    expect(job).toMatchObject({ model: { layers: 2, width: 64, context: 14 }, warmUp: { steps: 90 }, steps: 200, chance: null });
  });
  test("each seed is evaluated on the same tasks", () => {
    for (const recipe of Object.values(jobs)) expect(recipe({ seed: 1 }).evaluation).toEqual(recipe({ seed: 2 }).evaluation);
  });
});

describe("a job", () => {
  test("warms up, evaluates, trains, evaluates; done again it only reports", async () => {
    const directory = join(folder, "job");
    const first = await played(runJob(make({ seed: 5 }), { directory }));
    expect(kinds(first.events)).toEqual([
      "part warm-up",
      "evaluating warm-up",
      "evaluation warm-up",
      "part grpo",
      "evaluating grpo",
      "evaluation grpo",
      "result",
    ]);
    expect(first.events.filter((e) => e.kind === "step")).toHaveLength(16);
    const { result } = first;
    expect(result.warmUp.steps).toBe(12);
    expect(result.training.steps).toBe(4);
    expect(result.chance).toBeGreaterThan(0);
    expect(result.before).toMatchObject({ tasks: 8, samples: 4 });
    const second = await played(runJob(make({ seed: 5 }), { directory }));
    expect(kinds(second.events)).toEqual(["evaluation warm-up", "evaluation grpo", "result"]);
    expect(second.result).toEqual(result);
  });

  test("left in the middle of a part, it goes on there and ends with the same numbers", async () => {
    const whole = await played(runJob(make({ seed: 6 }), { directory: join(folder, "whole") }));
    const directory = join(folder, "left");
    for await (const event of runJob(make({ seed: 6 }), { directory }))
      if (event.kind === "step" && event.id === "grpo" && event.report.index === 2) break;
    const rest = await played(runJob(make({ seed: 6 }), { directory }));
    expect(rest.events.find((e) => e.kind === "part")).toMatchObject({ id: "grpo", done: 2, steps: 4 });
    const { seconds: _, ...measured } = rest.result.after;
    expect(whole.result.after).toMatchObject(measured);
  });

  test("its rivals start from the same warm-up and get the same seconds", async () => {
    const directory = join(folder, "compare");
    const { result } = await played(compareJob(make({ seed: 7 }), { directory }));
    expect(result.table.map((row) => row.title)).toEqual(["GRPO", "Dr.GRPO", "RAFT", "online DPO", "supervised"]);
    for (const row of result.table.slice(1)) {
      expect(row.seconds).toBeGreaterThanOrEqual(result.result.training.seconds);
      expect(row.steps).toBeGreaterThan(0);
    }
  });
});

test("the supervised control sees other demonstrations than the warm-up", async () => {
  const job = make({ seed: 10 });
  const drawn: string[] = [];
  const environment = {
    ...job.environment,
    draw: (split: Split, rng: Rng) => {
      const task = job.environment.draw(split, rng);
      if (split === "train") drawn.push(JSON.stringify(task.prompt));
      return task;
    },
  };
  const directory = join(folder, "fresh");
  const control = { id: "control", method: supervised(), tasksPerStep: 16 };
  await played(runJob({ ...job, environment, contender: control }, { directory }));
  // Each part begins with three example tasks for run.json.
  const [warmUp, later] = [drawn.slice(3, 3 + 12 * 16), drawn.slice(3 + 12 * 16 + 3)];
  expect(later).toHaveLength(4 * 16);
  expect(later).not.toEqual(warmUp.slice(0, later.length));
  const run = JSON.parse(readFileSync(join(directory, "control", "run.json"), "utf8")) as { configuration: object };
  expect(run.configuration).toMatchObject({ earlierDemonstrations: 12 });
});

test("a job measures itself on its way where it is told to", async () => {
  const directory = join(folder, "every");
  const { events, result } = await played(runJob(make({ seed: 11, evaluateEvery: 3 }), { directory }));
  const measured = events.flatMap((e) => (e.kind === "step" && e.report.evaluation !== null ? [[e.id, e.report.index]] : []));
  expect(measured).toEqual([
    ["grpo", 3],
    ["grpo", 4],
  ]);
  const evaluations = readMetrics(join(directory, "grpo")).filter((row) => row.kind === "evaluation");
  expect(evaluations.at(-1)!.values["pass1"]).toBe(result.after.pass1);
  const { reward } = events.flatMap((e) => (e.kind === "step" && e.id === "grpo" ? [e.report] : [])).at(-1)!;
  expect(evaluations.at(-1)!.values["trainGap"]).toBeCloseTo(reward!.mean - evaluations.at(-1)!.values["reward"]!, 12);
});

test("a rival's name is a folder of its own", () => {
  const environment = countdown();
  const model = { layers: 1, width: 16, heads: 2 };
  const define = (name: string) =>
    defineJob({ name: "j", environment, model, longestPrompt: 6, method: raft(), rivals: { [name]: raft() }, steps: 1 });
  for (const name of ["raft", "warm-up", "../up", "Big"]) expect(() => define(name)).toThrow(/names its folder/);
  expect(define("raft-2")({ seed: 1 }).rivals[0]!.id).toBe("raft-2");
});

test("a model is a shape or a folder, and a path alone is neither", () => {
  const define = (model: unknown) =>
    defineJob({ name: "j", environment: countdown(), model: model as Job["model"], longestPrompt: 6, method: raft(), steps: 1 });
  for (const model of ["./model", undefined, null]) expect(() => define(model)).toThrow(/^The model of the job "j" is .*\{ folder \}\.$/);
});

test("other methods in place of a job's own: the first is trained, the rest and the job's own are compared with it", () => {
  const job = countdownJob({ seed: 1, tasksPerStep: 3, demonstrations: 7 });
  const other = withMethods(job, { mine: raft({ groupSize: 5 }), raft: raft({ groupSize: 9 }), shown: supervised() });
  expect(other.contender).toMatchObject({ id: "mine", tasksPerStep: 3, method: { groupSize: 5 } });
  expect(other.rivals.map(({ id }) => id)).toEqual(["raft", "shown", "grpo", "dr-grpo", "online-dpo", "supervised"]);
  expect(other.rivals[0]).toMatchObject({ method: { groupSize: 9 } });
  expect(other.rivals[1]!.tasksPerStep).toBe(7);
  expect(withMethods(countdownJob({ seed: 1, groupSize: 4 }), { raft: raft() }).contender.method).toMatchObject({ groupSize: 4 });
  expect(() => withMethods(job, {})).toThrow("at least one method");
});

test("the results file has the numbers of every seed, and is not written before all are there", async () => {
  const output = join(folder, "results", "main-job.json");
  const { result } = await played(mainJob({ job: make, seeds: [8, 9], directory: join(folder, "main"), output }));
  const file = JSON.parse(readFileSync(output, "utf8")) as MainJobFile;
  expect(file).toEqual(JSON.parse(JSON.stringify(result)));
  expect(file).toMatchObject({ format: "guerdon-main-job", version: 1, job: "countdown", methods: null, options: { width: 16 } });
  expect(file.seeds.map((s) => s.seed)).toEqual([8, 9]);
  expect(file.seeds.map((s) => s.started)).toEqual(
    [8, 9].map((seed) => readManifest(join(folder, "main", `seed-${seed}`, "grpo")).started),
  );
  for (const seed of file.seeds)
    for (const numbers of [seed.before, seed.after])
      for (const name of ["pass1", "greedy", "pass4", "majority4", "distinct"]) expect(numbers[name]).toSatisfy(Number.isFinite);
});
