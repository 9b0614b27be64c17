import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { softmaxEngine, type Reader } from "../../src/engines/index.ts";
import { bandit, exercise } from "../../src/environments/index.ts";
import { inpo } from "../../src/papers/inpo.ts";
import { xpo } from "../../src/papers/xpo.ts";
import { describeMethod, needsReference, practise, train, type RolloutMethod, type TrainOptions } from "../../src/training/index.ts";
import { all, small, withEngine, type TinyEngine } from "./tiny.ts";

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "guerdon-preference-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const methods: Readonly<Record<string, () => RolloutMethod>> = {
  xpo: () => xpo({ groupSize: 4, referenceAnswers: 3, alpha: 0.01 }),
  inpo: () => inpo({ groupSize: 4, every: 3 }),
  "inpo without a reference": () => inpo({ groupSize: 4, every: 2, ratio: 0 }),
};

describe.each(Object.entries(methods))("%s trains a language model", (name, method) => {
  const options = (engine: TinyEngine, directory: string): TrainOptions => ({
    ...small,
    engine,
    method: method(),
    directory: join(folder, `${name}-${directory}`),
    steps: 5,
    checkpointSeconds: 3600,
  });
  let expected: Awaited<ReturnType<TinyEngine["weights"]>>;

  beforeAll(() =>
    withEngine(async (engine) => {
      const before = await engine.weights();
      const reports = await all(options(engine, "whole"));
      expect(reports.some((r) => r.loss !== null)).toBe(true);
      for (const { rollouts, reward, metrics } of reports) {
        // Reports are of the policy's own answers, 4 tasks x 4, however many the reference gave.
        expect(rollouts!.drawn.length).toBe(16);
        expect(rollouts!.drawn.every(({ rollout }) => rollout.sampling.engine === engine.id)).toBe(true);
        expect(reward!.mean).toBeGreaterThanOrEqual(0);
        expect(Object.values(metrics).every(Number.isFinite)).toBe(true);
      }
      expected = await engine.weights();
      expect(expected).not.toEqual(before);
    }),
  );

  test.each([2, 3])("and goes on after step %i as if it had never stopped", async (cut) => {
    await withEngine(async (engine) => {
      for await (const report of train(options(engine, `cut-${cut}`))) if (report.index === cut) break;
    });
    await withEngine(async (engine) => {
      expect((await all(options(engine, `cut-${cut}`))).map((r) => r.index)).toEqual([3, 4, 5].slice(cut - 2));
      expect(await engine.weights()).toEqual(expected);
    });
  });
});

test("a reference that cannot answer is refused by a method that asks it", () =>
  withEngine(async (engine) => {
    const frozen = await engine.freeze();
    const reader: Reader = { outputs: frozen.outputs, forward: (rows, names) => frozen.forward(rows, names) };
    const run = all({ ...small, engine, method: methods["xpo"]!(), steps: 1, reference: { name: "mute", reader } });
    await expect(run).rejects.toMatchObject({ code: "usage", message: expect.stringMatching(/asks the reference policy for answers/) });
  }));

test("anything finite can be practised on with both", async () => {
  const process = bandit({ tasks: 3, actions: 4 });
  const environment = exercise(process, ({ actions }) => actions[0]!);
  for (const method of [
    xpo({ groupSize: 4, referenceAnswers: 4, learningRate: 0.1 }),
    inpo({ groupSize: 4, every: 5, learningRate: 0.1 }),
  ]) {
    const engine = softmaxEngine(process);
    const before = engine.exact.value((_, action) => action);
    for await (const { drawn } of practise({ engine, environment, method, steps: 20, seed: 1 }))
      expect(drawn).toBe(3 * (4 + method.referenceAnswers));
    expect(engine.exact.value((_, action) => action)).toBeGreaterThan(before + 0.5);
  }
});

test("what the slots are goes into run.json, and says whether a reference is kept", () => {
  expect(describeMethod(methods["xpo"]!())).toMatchObject({ referenceAnswers: 3, reference: "frozen at the start of the phase" });
  expect(describeMethod(methods["inpo"]!())).toMatchObject({ anchor: { reference: 1 / 3, every: 3 } });
  expect(Object.values(methods).map((method) => needsReference(method()))).toEqual([true, true, false]);
});
