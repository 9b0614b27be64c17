import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { localEngine, localReader, softmaxEngine } from "../../src/engines/index.ts";
import { bandit } from "../../src/environments/toy/index.ts";
import { symbolTokenizer, transformer, type TextSequence } from "../../src/policies/index.ts";
import { reward } from "../../src/rewards/index.ts";
import {
  baseReference,
  frozenReference,
  givenReference,
  grpo,
  rloo,
  train,
  type FrozenReference,
  type TrainOptions,
  type TrainReport,
} from "../../src/training/index.ts";
import { stream } from "../../src/statistics/index.ts";
import { tinyCountdown } from "./tiny.ts";

const environment = tinyCountdown();
const tokenizer = symbolTokenizer(environment.symbols!);
const policy = transformer(
  {
    layers: 1,
    width: 16,
    heads: 2,
    vocabulary: tokenizer.vocabulary,
    context: 24,
    norm: "rms",
    positions: "rotary",
    activation: "swiglu",
    tied: false,
  },
  { tokenizer, lora: { rank: 2, alpha: 4, targets: ["q_proj", "v_proj", "down_proj"] } },
);
afterAll(() => policy.dispose());
const make = () => localEngine<TextSequence>({ policy, seed: 3 });

const rows: TextSequence[] = [
  { prompt: Int32Array.of(1, 2, 3), actions: Int32Array.of(4, 5) },
  { prompt: Int32Array.of(2), actions: Int32Array.of(1, 1, 6) },
];
const nudge = async (engine: Awaited<ReturnType<typeof make>>): Promise<void> => {
  await engine.backward(rows, { logProbs: rows.map((row) => new Float32Array(row.actions.length).fill(-1)) });
  await engine.update({ learningRate: 0.1, beta1: 0.9, beta2: 0.99, epsilon: 1e-8 });
};
const asked = (reference: FrozenReference) => reference.reader().forward(rows);

test("the model under the adapter is a reference that no checkpoint holds", async () => {
  const engine = await make();
  const reference = baseReference(engine);
  expect(() => reference.reader()).toThrow(/before the phase/);
  expect((await reference.snapshot()).json).toBeNull();
  await nudge(engine);
  await reference.refresh();
  const fresh = await make();
  // A fresh adapter adds nothing, so a fresh engine is its own base.
  expect(await asked(reference)).toEqual(await fresh.forward(rows));
  await nudge(engine);
  expect(await asked(reference)).toEqual(await fresh.forward(rows));

  const saved = JSON.parse(JSON.stringify(await reference.snapshot())) as Awaited<ReturnType<typeof reference.snapshot>>;
  expect(saved.tensors).toEqual({});
  const resumed = baseReference(fresh);
  await nudge(fresh);
  await resumed.restore(saved);
  expect(await asked(resumed)).toEqual(await asked(reference));
  await expect(frozenReference(fresh).restore(saved)).rejects.toThrow(/is the model under the adapter, and this run's is the engine's own/);
  await resumed.restore({ version: 1, json: null, tensors: {} });
  expect(() => resumed.reader()).toThrow(/before the phase/);
  reference.dispose();
  for (const one of [engine, fresh]) one.dispose();
  expect(() => baseReference(softmaxEngine(bandit({ tasks: 1, actions: 2 })))).toThrow(/has none/);
});

test("a reader of the caller's is known by its name, and stays the caller's", async () => {
  const reader = await localReader({ policy, parameters: policy.init(8) });
  const reference = givenReference("eight", reader);
  await reference.refresh();
  expect(await asked(reference)).toEqual(await reader.forward(rows));
  const saved = await reference.snapshot();
  expect(saved.tensors).toEqual({});
  const again = givenReference("eight", reader);
  await again.restore(saved);
  expect(await asked(again)).toEqual(await asked(reference));
  await expect(givenReference("nine", reader).restore(saved)).rejects.toMatchObject({
    code: "input",
    message: expect.stringMatching(/eight.*nine/) as string,
  });
  await expect(again.restore({ ...saved, version: 2 })).rejects.toThrow(/version 2/);
  reference.dispose();
  expect((await reader.forward(rows))["logProbs"]!.length).toBe(2);
  reader.dispose();
});

test("a run with the base as its reference goes on from disk as if it had never stopped", async () => {
  const directory = mkdtempSync(join(tmpdir(), "guerdon-references-"));
  const options: Omit<TrainOptions, "engine"> = {
    environment,
    reward: reward("even", ({ text }) => text.length % 2 === 0),
    method: grpo({ as: "paper", groupSize: 4, learningRate: 0.01 }),
    reference: "base",
    tasksPerStep: 3,
    steps: 4,
    seed: 5,
  };
  const run = async (steps: number, more: Partial<TrainOptions>): Promise<(number | null)[]> => {
    const engine = await make();
    const seen: (number | null)[] = [];
    try {
      for await (const report of train({ engine, ...options, ...more })) if (seen.push(report.kl, report.loss) === 2 * steps) break;
      return seen;
    } finally {
      engine.dispose();
    }
  };
  try {
    const whole = await run(4, {});
    const cut = [...(await run(2, { directory })), ...(await run(4, { directory }))];
    expect(cut).toEqual(whole);
    await expect(run(4, { directory, reference: "start" })).rejects.toMatchObject({ code: "input" });
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});

test("runs with each kind of reference see the same numbers where the three are one policy", async () => {
  const options: Omit<TrainOptions, "engine"> = {
    environment,
    reward: reward("even", ({ text }) => text.length % 2 === 0),
    method: grpo({ as: "paper", groupSize: 4 }),
    tasksPerStep: 3,
    steps: 3,
    seed: 5,
  };
  const run = async (reference: TrainOptions["reference"], change: Partial<TrainOptions> = {}): Promise<(TrainReport["kl"] | number)[]> => {
    const engine = await make();
    const seen: (number | null)[] = [];
    try {
      for await (const report of train({ engine, ...options, ...change, ...(reference && { reference }) }))
        seen.push(report.kl, report.loss);
      return seen;
    } finally {
      engine.dispose();
    }
  };
  const start = await run(undefined);
  expect(start[0]).toBeLessThan(1e-9);
  expect(start[4]).toBeGreaterThan(1e-9);
  expect(await run("base")).toEqual(start);
  const reader = await localReader({ policy: policy.base!, parameters: policy.init(3) });
  expect(await run({ name: "seed 3", reader })).toEqual(start);
  reader.dispose();
  await expect(run("base", { method: rloo({ groupSize: 4 }) })).rejects.toMatchObject({ code: "usage" });
});

test("the model under the adapter answers as the whole model did before it was trained", async () => {
  const engine = await make();
  const task = environment.draw("train", stream(1, "task"));
  const ask = (from: Pick<typeof engine, "sample">) =>
    from.sample([{ task, group: "g", rng: stream(1, "answer") }], { maxActions: environment.maxActions });
  const [before] = await ask(engine);
  for await (const _ of train({
    engine,
    environment,
    method: rloo({ groupSize: 4, learningRate: 0.05 }),
    steps: 2,
    tasksPerStep: 4,
    seed: 1,
  }));
  const base = await engine.base!();
  const [after] = await ask(base);
  expect(after!.row).toEqual(before!.row);
  expect(after!.sampling.engine).not.toBe(engine.id);
  base.dispose();
  await expect(ask(base)).rejects.toThrow(/disposed/);
  engine.dispose();
});
