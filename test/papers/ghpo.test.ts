import { describe, expect, test } from "vitest";
import { examples } from "../../src/credit/index.ts";
import { uniform, type Curriculum } from "../../src/curricula/index.ts";
import { softmaxEngine } from "../../src/engines/index.ts";
import { countdown, prefixLock, prompts, sorting, type Task, type TextTask } from "../../src/environments/index.ts";
import { ghpo, paper } from "../../src/papers/ghpo.ts";
import type { StateSequence } from "../../src/policies/index.ts";
import { reward, scored, type Score } from "../../src/rewards/index.ts";
import { risingHints, withRetry, type Rollout } from "../../src/rollouts/index.ts";
import { stream } from "../../src/statistics/index.ts";
import { metricsOf, practise, step } from "../../src/training/index.ts";
import { rollout } from "../credit/fixtures.ts";
import { all, environment, small, withEngine } from "../training/tiny.ts";

const scoresOf = (...values: (number | null)[]): Score[] => values.map((value) => ({ value }));

describe("who is asked again", () => {
  const { failed } = risingHints({ shares: [0.5] });
  test.each([
    [[0, 0], true],
    [[0, -1, null], true],
    [[0, 1], false],
    [[null, null], false],
  ])("scores %j: %s", (values, again) => expect(failed(scoresOf(...values))).toBe(again));

  test("a reward for the form does not hide that all are wrong", () => {
    const plan = risingHints({ shares: [0.5], part: "right" });
    const score = (right: number): Score => ({ value: right + 0.5, parts: { right, form: 0.5 } });
    expect([plan.failed([score(0), score(0)]), plan.failed([score(0), score(1)])]).toEqual([true, false]);
    expect(() => plan.failed(scoresOf(0.5))).toThrow(/the part "right" of the score, and it has no parts/);
  });

  test("shares must rise", () => {
    for (const shares of [[], [0.5, 0.25], [0], [1]]) expect(() => risingHints({ shares })).toThrow(/must rise/);
  });
});

test("hints rise until a group finds the rest; first answers, last ones and those between are kept apart", async () => {
  const tasks: TextTask[] = ["easy", "hard", "impossible"].map((id) => ({ id, prompt: id }));
  const hint = (task: TextTask, share: number): TextTask => ({ ...task, prompt: `${task.prompt as string} ${share}` });
  const asked: string[][] = [];
  let group = 0;
  const ask = async (posed: readonly TextTask[]) => {
    asked.push(posed.map(({ prompt }) => prompt as string));
    const rollouts = posed.flatMap((task): Rollout[] => {
      const name = String(group++);
      return [0, 1].map((i) => ({ ...rollout({ reward: 0 }, i), task, group: name }));
    });
    const solved = ({ prompt, id }: TextTask): boolean => id === "easy" || prompt === "hard 0.5";
    return { rollouts, scores: rollouts.map(({ task }, i) => ({ value: solved(task as TextTask) && i % 2 === 0 ? 1 : 0 })) };
  };
  const at = { environment: { name: "test", hint }, seed: 1, step: 3, firstTask: 0 };
  const done = await withRetry(tasks, risingHints({ shares: [0.25, 0.5, 0.75] }), at, ask);
  expect(asked).toEqual([
    ["easy", "hard", "impossible"],
    ["hard 0.25", "impossible 0.25"],
    ["hard 0.5", "impossible 0.5"],
    ["impossible 0.75"],
  ]);
  const shown = ({ rollouts }: { readonly rollouts: readonly Rollout[] }) =>
    rollouts.filter((_, i) => i % 2 === 0).map(({ task }) => task.prompt);
  expect(shown(done)).toEqual(["easy", "hard 0.5", "impossible 0.75"]);
  expect(shown(done.first)).toEqual(["easy", "hard", "impossible"]);
  expect(shown(done.replaced)).toEqual(["hard", "impossible", "hard 0.25", "impossible 0.25", "impossible 0.5"]);
  expect([done.again, done.scores.length]).toEqual([2, 6]);

  asked.length = 0;
  await withRetry(tasks, risingHints({ shares: [0.5], from: 4 }), at, ask);
  expect(asked).toHaveLength(1);
  const none = { ...at, environment: { name: "mute" } };
  await expect(withRetry(tasks, risingHints({ shares: [0.5] }), none, ask)).rejects.toThrow(/"mute" gives no hints/);
});

describe("environments that give hints", () => {
  test("countdown: the beginning of a solution stands in the prompt, and the rest of it is right", () => {
    const game = countdown();
    const task = { id: "t", prompt: "7 2 9 = 14 :", reference: { numbers: [7, 2, 9], target: 14 } };
    for (const share of [0, 0.25, 0.5, 0.75, 0.99]) {
      const whole = game.demonstrate!(task, stream(5)).split(" ");
      const hinted = game.hint!(task, share, stream(5));
      const given = Math.min(whole.length - 1, Math.round(share * whole.length));
      expect(hinted.prompt).toBe([task.prompt, ...whole.slice(0, given)].join(" "));
      expect(game.check!(whole.slice(given).join(" "), hinted.reference)).toBe(true);
      expect(game.check!("1 + 1 = 2", hinted.reference)).toBe(false);
      if (given > 0) expect(game.check!(whole.join(" "), hinted.reference)).toBe(false);
    }
  });

  test("sorting", () => {
    const game = sorting({ count: 4 });
    const hinted = game.hint!({ id: "t", prompt: "14 3 3 19 :", reference: "3 3 14 19" }, 0.5, stream(1));
    expect(hinted.prompt).toBe("14 3 3 19 : 3 3");
    expect(game.check!("14 19", hinted.reference)).toBe(true);
    expect(game.check!("3 3 14 19", hinted.reference)).toBe(false);
  });

  test("a lock of 8 of 4 symbols: a uniform policy opens it once in 65,536 tries", () => {
    const lock = prefixLock({ tasks: 1, length: 8, symbols: 4, rng: stream(1) });
    const { exact } = softmaxEngine({ ...lock.process, tasks: 1 });
    const right = exact.value((state, action) => (action === lock.codes[0]![state] ? 1 : 0));
    expect(right / 8).toBeCloseTo(0.25, 12);
    expect((right / 8) ** 8).toBeCloseTo(1.526e-5, 8);
    expect(lock.chance(() => [0.25, 0.25, 0.25, 0.25])).toBeCloseTo(1.526e-5, 8);
    const two = prefixLock({ tasks: 2, length: 3, symbols: 4, rng: stream(1) });
    const knowing = (state: number) => [0, 1, 2, 3].map((symbol) => (symbol === two.codes[Math.floor(state / 3)]![state % 3] ? 1 : 0));
    expect(two.chance(knowing)).toBe(1);
    expect(two.chance((state) => (state < 3 ? knowing(state) : [0.25, 0.25, 0.25, 0.25]))).toBeCloseTo((1 + 1 / 64) / 2, 12);
  });

  test("a lock: the walk starts behind the hint", () => {
    const lock = prefixLock({ tasks: 2, length: 8, symbols: 4, rng: stream(1) });
    const [, second] = lock.tasks("train");
    const hinted = lock.hint(second!, 0.75, stream(1));
    expect([hinted.prompt, lock.process.start(hinted.prompt)]).toEqual([14, 14]);
    const walk = { states: Int32Array.of(14, 15), actions: lock.codes[1]!.slice(6) };
    expect(lock.score(walk, hinted, stream(1))).toBe(1);
    expect(lock.score({ ...walk, actions: walk.actions.map((a) => 3 - a) }, hinted, stream(1))).toBe(0);
  });
});

/**
 * The largest change of a weight at the positions of a hint, when three of four answers behind it are right, with the hint in the prompt or
 * among the actions. Advantages are not centred: within a group of one hint, centred ones would cancel where it is counted.
 */
async function onHint(counted: boolean): Promise<number> {
  const lock = prefixLock({ tasks: 1, length: 4, symbols: 2, rng: stream(1) });
  const engine = softmaxEngine(lock.process, { optimizer: "sgd" });
  const hinted = lock.hint(lock.tasks("train")[0]!, 0.5, stream(1));
  const requests = [0, 1, 2, 3].map((i) => ({ task: hinted, group: "0", rng: stream(i) }));
  const rollouts = await engine.sample(requests, { maxActions: 4 });
  const withHint = rollouts.map((one): Rollout<StateSequence> => ({
    ...one,
    row: { states: Int32Array.of(0, 1, ...one.row.states), actions: Int32Array.of(...lock.codes[0]!.slice(0, 2), ...one.row.actions) },
    mask: new Uint8Array(4).fill(1),
    behaviourLogProbs: new Float32Array(4).fill(Math.log(0.5)),
  }));
  const { table } = scored(counted ? withHint : rollouts, scoresOf(1, 1, 1, 0));
  const { objective, optimizer } = ghpo();
  await step(engine, [{ examples: examples(table, { advantage: table.reward }), objective }], { ...optimizer, learningRate: 1 });
  return Math.max(...Array.from(engine.weights.slice(0, 4), Math.abs));
}

test("nothing is learnt where the hint stood; counting it among the actions would show", async () => {
  expect(await onHint(false)).toBe(0);
  expect(await onHint(true)).toBeGreaterThan(0.05);
});

test("the method's hints: a quarter, a half, three quarters from the first step on, unless said", () => {
  expect(ghpo().retry!.settings).toEqual({ hints: [0.25, 0.5, 0.75], from: 0, part: null });
  expect(ghpo({ shares: [0.5], from: 20, part: "right" }).retry!.settings).toEqual({ hints: [0.5], from: 20, part: "right" });
});

test("the arms at a small size", async () => {
  const of = async (arm: string) => (await paper.claim.arms[arm]!(0)) as Readonly<Record<string, number>>;
  const [plain, hinted, half] = [await of("grpo"), await of("ghpo"), await of("half")];
  expect(plain["success"]).toBeLessThan(0.02);
  expect(hinted["success"]).toBeGreaterThan(0.85);
  expect(hinted["late"]).toBeLessThan(0.1);
  expect(hinted["onHints"]).toBe(0);
  expect(half["success"]).toBeLessThan(0.3);
});

test("a curriculum learns from the answers to the tasks as it picked them, not as they were posed again", async () => {
  const asked: string[] = [];
  await withEngine(async (engine) => {
    const curriculum: Curriculum = {
      ...uniform(environment),
      observe: ({ rollouts }) => void asked.push(...rollouts.map(({ task }) => task.prompt as string)),
    };
    await all({ ...small, reward: reward("never", () => 0), engine, curriculum, method: ghpo({ groupSize: 4 }), steps: 1 });
  });
  expect(asked).toHaveLength(16);
  for (const prompt of asked) expect(prompt).toMatch(/:$/);

  const lock = prefixLock({ tasks: 2, length: 8, symbols: 4, rng: stream(1) });
  const begun: unknown[] = [];
  const curriculum: Curriculum<Task<number>> = {
    ...uniform<Task<number>>(lock),
    observe: ({ rollouts }) => void begun.push(...rollouts.map(({ task }) => task.prompt)),
  };
  const engine = softmaxEngine(lock.process);
  // Every attempt is paid for: two locks, four attempts, four answers.
  for await (const { again, drawn } of practise({
    engine,
    environment: lock,
    method: ghpo({ groupSize: 4 }),
    curriculum,
    steps: 1,
    seed: 0,
  }))
    expect([again, drawn]).toEqual([1, 32]);
  expect(new Set(begun)).toEqual(new Set([0, 8]));
});

test("it trains a language model: groups without a right answer are asked again with a hint, and reports say how many", () =>
  withEngine(async (engine) => {
    const method = ghpo({ groupSize: 4, learningRate: 3e-3 });
    const reports = await all({ ...small, reward: reward("never", () => 0), engine, method, steps: 1 });
    for (const report of reports) {
      expect([report.again, metricsOf(report)["groups/again"], report.gradientNorm]).toEqual([1, 1, 0]);
      // Four tasks, four attempts at each, four answers to each attempt.
      expect(report.rollouts!.drawn).toHaveLength(64);
      const lengths = report.rollouts!.drawn.map(({ rollout: { row } }) => row.prompt.length);
      expect(new Set(lengths).size).toBe(4);
    }
    // A model that has seen a few demonstrations finds the rest of what it cannot find alone, and learns from it.
    const later = await all({ engine, environment, method, warmUp: { steps: 60, tasksPerStep: 32 }, steps: 3, tasksPerStep: 8, seed: 1 });
    const rl = later.filter(({ phase }) => phase === "GHPO");
    const right = rl.flatMap(({ rollouts }) => rollouts!.drawn.filter(({ advantage }) => advantage !== null && advantage > 0));
    expect(rl.some(({ again, gradientNorm }) => again! > 0 && gradientNorm! > 0)).toBe(true);
    expect(right.some(({ rollout: { task } }) => (task.reference as { readonly begun?: string }).begun !== undefined)).toBe(true);
    const mute = prompts([{ prompt: "1 =", reference: "2", split: "train" }], { columns: { split: "split" }, maxActions: 2 });
    await expect(all({ engine, environment: mute, method, steps: 1, tasksPerStep: 1, seed: 1 })).rejects.toThrow(/gives no hints/);
  }));
