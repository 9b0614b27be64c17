import { describe, expect, test } from "vitest";
import { demonstrations, examples, groupAdvantage } from "../../src/credit/index.ts";
import { softmaxEngine, type SoftmaxEngine } from "../../src/engines/index.ts";
import { finiteTasks, lock } from "../../src/environments/toy/index.ts";
import { clippedSurrogate, combine, klPenalty, sft } from "../../src/objectives/index.ts";
import type { StateSequence } from "../../src/policies/policy.ts";
import type { Snapshot, Stateful } from "../../src/statistics/snapshot.ts";
import { below, stream } from "../../src/statistics/stream.ts";
import { loop, type LoopConfig, type Phase, type StepReport } from "../../src/training/loop.ts";
import { frozenReference } from "../../src/training/references.ts";
import { finished, schedule } from "../../src/training/schedule.ts";
import { withLogProbs } from "../../src/credit/index.ts";

const process = lock({ tasks: 3, length: 3, symbols: 4 });
const optimizer = { beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weightDecay: 0.01, clipNorm: 1 };
/** The hidden string of a task. */
const secret = (task: number): number[] => [task, (task + 1) % 4, (task + 2) % 4];

interface Visits extends Stateful {
  counts: number[];
}

/** How often each task was visited: a curriculum that prefers the least visited, so its state decides what is drawn. */
const visits = (): Visits => {
  const self: Visits = {
    counts: [0, 0, 0],
    snapshot: async () => ({ version: 1, json: [...self.counts], tensors: {} }),
    async restore(saved) {
      self.counts = [...(saved.json as number[])];
    },
  };
  return self;
};

/** Six supervised steps, then ten steps of reinforcement against a frozen reference, with changing rates and coefficients. */
function run(seed = 1): { engine: SoftmaxEngine; config: LoopConfig<StateSequence, string> } {
  const engine = softmaxEngine(process);
  const curriculum = visits();
  const reference = frozenReference(engine);
  const supervised: Phase<StateSequence, string> = {
    name: "supervised",
    learningRate: schedule({ peak: 0.05, up: 2, floor: 0.1, shape: "linear" }, { steps: 6 }),
    optimizer,
    until: (at) => finished({ steps: 6 }, at),
    async prepare(at) {
      const rows = finiteTasks(process).map((task): StateSequence => {
        const wrong = below(stream(seed, "noise", at.step, Number(task.id)), 4);
        return {
          states: Int32Array.of(0, 1, 2).map((j) => task.prompt * 3 + j),
          actions: Int32Array.from([...secret(task.prompt).slice(0, 2), wrong]),
        };
      });
      return {
        updates: [[{ examples: demonstrations(rows), objective: sft({ aggregation: "token-mean", divisor: null }) }]],
        notes: "demonstrations",
      };
    },
  };
  const reinforce: Phase<StateSequence, string> = {
    name: "reinforce",
    learningRate: (at) => 0.05 / (1 + at.inPhase),
    optimizer,
    until: (at) => finished({ steps: 10 }, at),
    async onEnter() {
      await engine.resetOptimizer();
      await reference.refresh();
    },
    async prepare(at) {
      const least = curriculum.counts.indexOf(Math.min(...curriculum.counts));
      const task = finiteTasks(process)[least]!;
      const requests = Array.from({ length: 8 }, (_, k) => ({ task, group: `${at.step}`, rng: stream(seed, "rollout", at.step, k) }));
      const rollouts = await engine.sample(requests, { maxActions: 3 });
      const reward = Float64Array.from(rollouts, (r) => r.row.actions.reduce((sum, a, j) => sum + (a === secret(least)[j] ? 1 : 0), 0));
      const keys = { group: new Int32Array(8), task: new Int32Array(8) };
      const table = await withLogProbs({ rollouts, reward, parts: {}, keys, token: {} }, "reference", reference.reader());
      const advantage = groupAdvantage(reward, keys.group, { scale: null });
      const objective = combine({
        policy: clippedSurrogate({ low: 0.2, high: 0.2, aggregation: "row-mean", divisor: null }),
        kl: klPenalty({ estimator: "k3", coefficient: 0.1, aggregation: "row-mean", divisor: null }),
      });
      const term = { examples: examples(table, { advantage }), objective, coefficients: { "kl.coefficient": 0.1 * at.inPhase } };
      curriculum.counts[least]!++;
      return {
        updates: [[term], [term]],
        notes: `task ${least}`,
        signals: { lastMean: reward.reduce((a, b) => a + b, 0) / 8 },
      };
    },
  };
  return { engine, config: { engine, phases: [supervised, reinforce], state: { curriculum, reference }, clock: () => 0 } };
}

const line = (report: StepReport<string>): unknown => [report.at, report.phase, report.notes, report.updates, report.learningRate];

async function finish(config: LoopConfig<StateSequence, string>): Promise<unknown[]> {
  const lines = [];
  for await (const report of loop(config)) lines.push(line(report));
  return lines;
}

/** As a checkpoint file holds it. */
const throughDisk = (snapshots: Readonly<Record<string, Snapshot>>): Record<string, Snapshot> =>
  Object.fromEntries(
    Object.entries(snapshots).map(([name, s]) => [
      name,
      { version: s.version, json: JSON.parse(JSON.stringify(s.json)), tensors: structuredClone(s.tensors) },
    ]),
  );

describe("resume is bit-identical", () => {
  test.each([1, 3, 6, 7, 11, 15])("after step %i", async (cut) => {
    const whole = run();
    const expected = await finish(whole.config);
    expect(expected).toHaveLength(16);

    const before = run();
    let saved: Record<string, Snapshot> | null = null;
    const first = [];
    for await (const report of loop(before.config)) {
      first.push(line(report));
      if (report.at.step + 1 < cut) continue;
      saved = throughDisk(await report.save());
      break;
    }
    const after = run();
    const rest = await finish({ ...after.config, resume: saved! });
    expect([...first, ...rest]).toEqual(expected);
    expect(after.engine.weights).toEqual(whole.engine.weights);
  });
});

test("a phase of no steps is passed over, and its onEnter is not run", async () => {
  const { config } = run();
  const never: Phase<StateSequence, string> = {
    ...config.phases[0]!,
    until: () => true,
    onEnter: () => Promise.reject(new Error("entered")),
  };
  const names = [];
  for await (const report of loop({ ...config, phases: [never, config.phases[0]!] })) names.push(report.at.phase);
  expect(names).toEqual([1, 1, 1, 1, 1, 1]);
});

test("a report can be saved until the next step's first update, and not after it", async () => {
  const { config } = run();
  const steps = loop(config);
  const first = (await steps.next()).value!;
  await expect(first.save()).resolves.toHaveProperty("engine");
  await steps.next();
  await expect(first.save()).rejects.toMatchObject({ code: "usage" });
});

test("an abort while data is being prepared leaves the last report savable, with the state of its own moment", async () => {
  const { config } = run();
  const stop = new AbortController();
  const phase = config.phases[1]!;
  const phases = [
    {
      ...phase,
      async prepare(at: Parameters<typeof phase.prepare>[0], signal?: AbortSignal) {
        const work = await phase.prepare(at, signal);
        if (at.step === 1) stop.abort();
        return work;
      },
    },
  ];
  const steps = loop({ ...config, phases, signal: stop.signal });
  const first = (await steps.next()).value!;
  const expected = await first.save();
  await expect(steps.next()).rejects.toMatchObject({ code: "interrupted" });
  expect(await first.save()).toEqual(expected);
  expect(expected["curriculum"]!.json).toEqual([1, 0, 0]);
});

test("no updates: nothing is learnt and the run goes on", async () => {
  const { config, engine } = run();
  const before = Float64Array.from(engine.weights);
  const phases = [{ ...config.phases[0]!, prepare: async () => ({ updates: [], notes: "nothing" }) }];
  const reports = await finish({ ...config, phases });
  expect(reports).toHaveLength(6);
  expect(engine.weights).toEqual(before);
});

test("a checkpoint of a run with other parts is refused by name", async () => {
  const { config } = run();
  const report = (await loop(config).next()).value!;
  const { curriculum: _, ...rest } = await report.save();
  await expect(loop({ ...run().config, resume: rest }).next()).rejects.toThrow('no part "curriculum"');
});

test("the seconds signal counts this phase's preparation and updates", async () => {
  let now = 0;
  const { config } = run();
  const seen: number[] = [];
  for await (const report of loop({ ...config, clock: () => (now += 500) })) seen.push(report.at.signals["seconds"]!);
  // Three readings a step, so a second each; the second phase starts at 0.
  expect(seen.slice(0, 8)).toEqual([0, 1, 2, 3, 4, 5, 0, 1]);
});
