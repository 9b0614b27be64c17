import { expect, test } from "vitest";
import type { Engine, SampleOptions, SampleRequest } from "../../src/engines/index.ts";
import type { TextEnvironment } from "../../src/environments/index.ts";
import { reward } from "../../src/rewards/index.ts";
import type { Rollout } from "../../src/rollouts/rollout.ts";
import { shareInterval } from "../../src/statistics/index.ts";
import { below, stream } from "../../src/statistics/stream.ts";
import { evaluate, evaluationMetrics, type Evaluation } from "../../src/training/index.ts";

/** Tasks 0 to 9 of the test split; answer "x" is right. */
const environment: TextEnvironment = {
  name: "letters",
  maxActions: 2,
  draw: (split, rng) => {
    const n = below(rng, 10);
    return { id: `${split} ${n}`, prompt: String(n), reference: "x" };
  },
  check: (completion, reference) => completion === reference,
};

/** An engine that answers as it is told: the greedy answer of a task, and the k-th sampled one. */
function scripted(answer: (task: string, greedy: boolean, k: number) => string): { engine: Engine; calls: number[] } {
  const calls: number[] = [];
  const counts = new Map<string, number>();
  const sample = async (requests: readonly SampleRequest[], options: SampleOptions): Promise<Rollout[]> => {
    calls.push(requests.length);
    return requests.map(({ task, group }): Rollout => {
      const greedy = options.temperature === 0;
      const key = `${group} ${String(greedy)}`;
      const k = counts.get(key) ?? 0;
      counts.set(key, k + 1);
      const completion = answer(task.prompt as string, greedy, k);
      return {
        task,
        completion,
        row: { prompt: Int32Array.of(1), actions: Int32Array.from(completion, (c) => c.charCodeAt(0)) },
        group,
        behaviourLogProbs: new Float32Array(completion.length),
        mask: new Uint8Array(completion.length).fill(1),
        stop: "stop",
        sampling: { engine: "scripted", temperature: options.temperature ?? 1, topK: 0, topP: 1 },
        weightsVersion: 0,
      };
    });
  };
  return { engine: { id: "scripted", outputs: ["logProbs"], sample } as unknown as Engine, calls };
}

/** Sampled answers x, y, y, z to every task; greedy right on even tasks. */
const mixed = (task: string, greedy: boolean, k: number): string =>
  greedy ? (Number(task) % 2 === 0 ? "x" : "y") : ["x", "y", "y", "z"][k % 4]!;

const measure = (answer = mixed, change = {}): Promise<Evaluation> =>
  evaluate(scripted(answer).engine, environment, { tasks: 40, samples: 4, seed: 3, ...change });

test("known answers: greedy, pass@k without bias, majority, distinct answers", async () => {
  const e = await measure();
  const even = Array.from({ length: 40 }, (_, i) => below(stream(3, "evaluation task", i), 10)).filter((n) => n % 2 === 0).length;
  expect(e.greedy.estimate).toBe(even / 40);
  expect(e.pass1.estimate).toBeCloseTo(0.25, 12);
  // One of four is right: pass@2 = 1 - C(3, 2) / C(4, 2), pass@4 = 1.
  expect(e.passAt.map(({ k, value }) => [k, value.estimate])).toEqual([
    [1, 0.25],
    [2, 0.5],
    [4, 1],
  ]);
  expect(e.majority.estimate).toBe(0);
  expect(e.distinct).toBe(3);
  expect(e.reward.estimate).toBeCloseTo(0.25, 12);
  expect(e.split).toBe("test");
  expect(e.coverage.scored).toBe(200);
  expect(evaluationMetrics(e)).toMatchObject({ pass2: 0.5, pass4: 1, majority4: 0, coverage: 1 });
});

test("an interval of a rate stays within 0 and 1, and has a width where all tasks are alike", async () => {
  // One of four is right in every task: pass@4 is 1 in each, and 40 tasks do not make that certain.
  const alike = (await measure()).passAt.at(-1)!.value;
  expect(alike).toEqual(shareInterval(40, 40));
  expect(alike.low).toBeLessThan(0.95);
  // One answer to the first task is right and no other one: Student's interval of four tasks reaches below 0.
  const first = String(below(stream(3, "evaluation task", 0), 10));
  const seldom = await measure((task, greedy, k) => (!greedy && task === first && k % 4 === 0 ? "x" : "y"), { tasks: 4 });
  const { estimate, low, high } = seldom.pass1;
  expect(estimate).toBeGreaterThan(0);
  expect(low).toBe(0);
  expect(high).toBeLessThanOrEqual(1);
});

test("the most frequent answer wins, of equally frequent ones the first", async () => {
  const tie = await measure((_, greedy, k) => (greedy ? "x" : ["x", "y"][k % 2]!));
  expect(tie.majority.estimate).toBe(1);
  expect(tie.pass1.estimate).toBeCloseTo(0.5, 12);
});

test("answers that cannot be scored are left out and counted; a task without any is left out whole", async () => {
  // Of tasks below 5 nothing can be scored, of the others the second sample cannot.
  const patchy = reward("patchy", ({ prompt, text }) => (Number(prompt) < 5 || text === "?" ? null : text === "x"));
  const e = await measure((_, greedy, k) => (greedy ? "x" : ["x", "?", "y", "x"][k % 4]!), { reward: patchy });
  expect(e.pass1.estimate).toBeCloseTo(2 / 3, 12);
  expect(e.passAt.map(({ k }) => k)).toEqual([1, 2]);
  expect(e.pass1.n).toBeLessThan(40);
  expect(e.coverage.reasons).toEqual({ declined: e.coverage.unscorable });
  expect(e.greedy.estimate).toBe(1);
});

test("a reward that scores nothing is an error, not a zero", () =>
  expect(measure(mixed, { reward: reward("silent", () => null) })).rejects.toMatchObject({ code: "coverage" }));

test("the seed decides the tasks; the size of a call decides nothing", async () => {
  const prompts = async (seed: number, rows: number): Promise<string[]> => {
    const seen: string[] = [];
    const { engine } = scripted((task) => (seen.push(task), "x"));
    await evaluate(engine, environment, { tasks: 30, samples: 2, seed, rows });
    return seen;
  };
  const once = await prompts(1, 1000);
  expect(await prompts(1, 7)).toEqual(once);
  expect(await prompts(2, 1000)).not.toEqual(once);
});

test("listed tasks are evaluated once each, in an order that the seed decides", async () => {
  const listed = Array.from({ length: 6 }, (_, i) => ({ id: `t${i}`, prompt: String(i), reference: "x" }));
  const seen: string[] = [];
  const { engine } = scripted((task, greedy) => (greedy && seen.push(task), "x"));
  const withList = { ...environment, tasks: () => listed };
  const e = await evaluate(engine, withList, { samples: 2, seed: 1 });
  expect(e.tasks).toBe(6);
  expect(seen.toSorted()).toEqual(["0", "1", "2", "3", "4", "5"]);
  const alone = { ...environment, tasks: () => listed.slice(0, 1) };
  await expect(evaluate(engine, alone, { samples: 2, seed: 1 })).rejects.toMatchObject({ code: "input" });
});

test("rows are asked for in calls of at most the given size", async () => {
  const { engine, calls } = scripted(mixed);
  await evaluate(engine, environment, { tasks: 10, samples: 4, seed: 1, rows: 16 });
  expect(calls).toEqual([10, 16, 16, 8]);
});

test("an aborted evaluation ends with interrupted", async () => {
  const stop = new AbortController();
  stop.abort();
  await expect(measure(mixed, { signal: stop.signal })).rejects.toMatchObject({ code: "interrupted" });
});

test.each([{ tasks: 1 }, { samples: 0 }])("%o is refused", (change) =>
  expect(measure(mixed, change)).rejects.toMatchObject({ code: "usage" }),
);
