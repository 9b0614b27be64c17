import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { runningStandardise } from "../../src/credit/index.ts";
import { reward } from "../../src/rewards/index.ts";
import { grpo, rloo, train, type TrainOptions } from "../../src/training/index.ts";
import { all, small, withEngine, type TinyEngine } from "./tiny.ts";

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "guerdon-train-on-disk-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("a run on disk that is interrupted goes on as if it had not been", () => {
  const options = (engine: TinyEngine, directory: string): TrainOptions => ({
    ...small,
    engine,
    directory: join(folder, directory),
    method: grpo({ as: "paper", groupSize: 4, epochs: 2 }),
    warmUp: { steps: 3, tasksPerStep: 8 },
    steps: 5,
    evaluation: { every: 2, tasks: 4, samples: 2, seed: 99 },
    checkpointSeconds: 3600,
  });
  const metrics = (directory: string): unknown[] =>
    readFileSync(join(folder, directory, "metrics.jsonl"), "utf8")
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => ({ ...(JSON.parse(line) as object), clock: null }));
  const rollouts = (directory: string): string => readFileSync(join(folder, directory, "rollouts.jsonl"), "utf8");

  let expected: Awaited<ReturnType<TinyEngine["weights"]>>;
  beforeAll(() =>
    withEngine(async (engine) => {
      await all(options(engine, "whole"));
      expected = await engine.weights();
    }),
  );

  test.each([1, 3, 4, 6])("left after step %i", async (cut) => {
    const name = `cut-${cut}`;
    await withEngine(async (engine) => {
      for await (const report of train(options(engine, name))) if (report.index === cut) break;
    });
    await withEngine(async (engine) => {
      const rest = await all(options(engine, name));
      expect(rest[0]!.index).toBe(cut + 1);
      expect(await engine.weights()).toEqual(expected);
    });
    expect(metrics(name)).toEqual(metrics("whole"));
    expect(rollouts(name)).toBe(rollouts("whole"));
  });

  test("aborted while it samples", async () => {
    const stop = new AbortController();
    await withEngine(async (engine) => {
      const sample = engine.sample.bind(engine);
      let calls = 0;
      const watched = Object.assign(Object.create(engine) as TinyEngine, {
        sample: (...args: Parameters<typeof sample>) => {
          if (++calls === 5) stop.abort();
          return sample(...args);
        },
      });
      await expect(all({ ...options(watched, "aborted"), signal: stop.signal })).rejects.toMatchObject({ code: "interrupted" });
    });
    await withEngine(async (engine) => {
      await all(options(engine, "aborted"));
      expect(await engine.weights()).toEqual(expected);
    });
    expect(metrics("aborted")).toEqual(metrics("whole"));
  });

  test("a finished run has nothing left to do and loads its weights", () =>
    withEngine(async (engine) => {
      expect(await all(options(engine, "whole"))).toEqual([]);
      expect(await engine.weights()).toEqual(expected);
    }));

  test("a folder with other settings is refused, naming the setting", () =>
    withEngine(async (engine) => {
      const other = { ...options(engine, "whole"), method: grpo({ as: "paper", groupSize: 8, epochs: 2 }) };
      await expect(all(other)).rejects.toThrow("groupSize");
    }));

  test("run.json holds every resolved setting", () => {
    const run = JSON.parse(readFileSync(join(folder, "whole", "run.json"), "utf8")) as { configuration: Record<string, unknown> };
    expect(run.configuration).toMatchObject({
      environment: { name: "countdown" },
      reward: { name: "even" },
      method: {
        name: "GRPO",
        settings: {
          as: "paper",
          scale: { ddof: 0, epsilon: 0 },
          aggregation: "row-mean",
          low: 0.2,
          kl: { estimator: "k3", coefficient: 0.04 },
        },
      },
      warmUp: { steps: 3, method: { name: "supervised" } },
      budget: { steps: 5 },
      seed: 7,
    });
  });
});

test("what a transform of rewards remembers goes on too", async () => {
  const length = reward("length", ({ text }) => text.length);
  const options = (engine: TinyEngine, directory: string): TrainOptions => ({
    ...small,
    reward: length,
    engine,
    directory: join(folder, directory),
    method: { ...rloo({ groupSize: 4 }), rewardTransform: runningStandardise },
    steps: 4,
    checkpointSeconds: 3600,
  });
  const expected = await withEngine(async (engine) => {
    await all(options(engine, "running"));
    return engine.weights();
  });
  await withEngine(async (engine) => {
    for await (const report of train(options(engine, "running-cut"))) if (report.index === 2) break;
  });
  await withEngine(async (engine) => {
    await all(options(engine, "running-cut"));
    expect(await engine.weights()).toEqual(expected);
  });
  await withEngine((engine) =>
    expect(all({ ...options(engine, "running-cut"), method: rloo({ groupSize: 4 }) })).rejects.toThrow("rewardTransform"),
  );
});
