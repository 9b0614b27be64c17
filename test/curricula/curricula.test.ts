import fc from "fast-check";
import { expect, test } from "vitest";
import { dynamicSampling, gather, uniform, type Curriculum } from "../../src/curricula/index.ts";
import { countdown, prompts, type TextTask } from "../../src/environments/index.ts";
import { symbolTokenizer } from "../../src/policies/tokenizer.ts";
import type { Score } from "../../src/rewards/index.ts";
import { risingHints, rollOut, withRetry } from "../../src/rollouts/index.ts";
import { fakeEngine } from "../kit/fake-engine.ts";

const environment = countdown();
const at = { seed: 1, step: 0, round: 0 };

test("uniform draws fresh tasks from streams that are named by step, round and place", async () => {
  const curriculum = uniform(environment);
  const first = await curriculum.pick(4, at);
  expect(await curriculum.pick(4, at)).toEqual(first);
  expect(await curriculum.pick(2, at)).toEqual(first.slice(0, 2));
  for (const other of [
    { ...at, step: 1 },
    { ...at, round: 1 },
    { ...at, seed: 2 },
  ])
    expect(await curriculum.pick(4, other)).not.toEqual(first);
  expect(await uniform(environment, "test").pick(4, at)).not.toEqual(first);
  expect(curriculum.state).toBeUndefined();
});

const listed = prompts(
  Array.from({ length: 7 }, (_, i) => ({ prompt: `p${i}`, part: i === 0 ? "test" : "train" })),
  { columns: { split: "part" } },
);
const ids = (tasks: readonly TextTask[]): string[] => tasks.map(({ id }) => id);

test("of a list, every task comes once in each epoch, in another order", async () => {
  const curriculum = uniform(listed);
  const epochs: string[][] = [];
  for (let epoch = 0; epoch < 4; epoch++)
    epochs.push([...ids(await curriculum.pick(4, at)), ...ids(await curriculum.pick(2, { ...at, step: 1 }))]);
  for (const epoch of epochs) expect(epoch.toSorted()).toEqual(ids(listed.tasks("train")).toSorted());
  expect(new Set(epochs.map(String)).size).toBeGreaterThan(1);
});

test("a restored list goes on exactly where it stopped", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.integer({ min: 0, max: 9 }), { minLength: 2, maxLength: 8 }), fc.nat(7), async (counts, cut) => {
      const run = async (curriculum: Curriculum, steps: readonly number[]) => {
        const out: string[] = [];
        for (const count of steps) out.push(...ids(await curriculum.pick(count, at)));
        return out;
      };
      const whole = await run(uniform(listed), counts);
      const [before, after] = [uniform(listed), uniform(listed)];
      const first = await run(before, counts.slice(0, cut));
      await after.state!.restore(JSON.parse(JSON.stringify(await before.state!.snapshot())) as never);
      expect([...first, ...(await run(after, counts.slice(cut)))]).toEqual(whole);
    }),
    { seed: 1 },
  );
});

test("a list that has changed cannot be continued, an empty one not begun", async () => {
  const { state } = uniform(listed);
  await expect(uniform(listed, "test").state!.restore(await state!.snapshot())).rejects.toThrow(/saved with 6 tasks, and now there are 1/);
  await expect(state!.restore({ version: 2, json: {}, tensors: {} })).rejects.toThrow(/cannot be read/);
  expect(() => uniform({ name: "none", draw: (split, rng) => listed.draw(split, rng), tasks: () => [] })).toThrow(
    /"none" has no train tasks/,
  );
});

const tokenizer = symbolTokenizer(environment.symbols!);
const engine = fakeEngine(tokenizer, () => [1, tokenizer.end!]);

/** Rolls out pairs; group g of the step has the scores that `plan` gives it. */
function attemptOf(plan: (group: number) => readonly (number | null)[]) {
  const firsts: number[] = [];
  const attempt = async (tasks: readonly TextTask[], firstTask: number) => {
    firsts.push(firstTask);
    const rollouts = await rollOut(engine, environment, tasks, { groupSize: 2, seed: 1, step: 0, firstTask });
    const scores = tasks.flatMap((_, i) =>
      plan(firstTask + i).map((value): Score => (value === null ? { value, error: { kind: "timeout", message: "" } } : { value })),
    );
    return { rollouts, scores };
  };
  return { attempt, firsts };
}
const moment = { seed: 1, step: 0 };

test("without dynamic sampling one round is all there is", async () => {
  const { attempt } = attemptOf(() => [1, 1]);
  const gathered = await gather(uniform(environment), 3, moment, attempt);
  expect(gathered).toMatchObject({ rounds: 1, groups: { attempted: 3, effective: 0 }, discarded: { rollouts: [], scores: [] } });
  expect(gathered.rollouts).toHaveLength(6);
});

test("dynamic sampling goes on until there are enough groups with a signal, and counts what it threw away", async () => {
  // Every third group has a signal; a group with one grade and a null has none.
  const { attempt, firsts } = attemptOf((group) => (group % 3 === 2 ? [1, 0] : group % 3 === 1 ? [1, null] : [0, 0]));
  const gathered = await gather(dynamicSampling(uniform(environment), { rounds: 10 }), 4, moment, attempt);
  expect(gathered.rounds).toBe(3);
  expect(firsts).toEqual([0, 4, 8]);
  expect(gathered.groups).toEqual({ attempted: 12, effective: 4, again: 0 });
  expect([...new Set(gathered.rollouts.map(({ group }) => group))]).toEqual(["0:2", "0:5", "0:8", "0:11"]);
  expect(gathered.scores.map(({ value }) => value)).toEqual([1, 0, 1, 0, 1, 0, 1, 0]);
  expect(gathered.discarded.rollouts).toHaveLength(16);
  expect(gathered.discarded.scores).toHaveLength(16);
  // Different rounds pose different tasks.
  expect(new Set(gathered.rollouts.map(({ task }) => task.id)).size).toBeGreaterThan(1);
});

test("the rounds are a cap, and groups beyond the need are thrown away too", async () => {
  const never = attemptOf(() => [1, 1]);
  const none = await gather(dynamicSampling(uniform(environment), { rounds: 2 }), 3, moment, never.attempt);
  expect(none).toMatchObject({ rollouts: [], rounds: 2, groups: { attempted: 6, effective: 0 } });
  const late = attemptOf((group) => (group > 2 ? [1, 0] : [1, 1]));
  const enough = await gather(dynamicSampling(uniform(environment), { rounds: 5 }), 3, moment, late.attempt);
  expect(enough.groups).toEqual({ attempted: 6, effective: 3, again: 0 });
  const all = attemptOf((group) => (group === 0 ? [1, 1] : [1, 0]));
  const surplus = await gather(dynamicSampling(uniform(environment), { rounds: 5 }), 3, moment, all.attempt);
  expect(surplus.groups).toEqual({ attempted: 6, effective: 5, again: 0 });
  expect([...new Set(surplus.rollouts.map(({ group }) => group))]).toEqual(["0:1", "0:2", "0:3"]);
  expect(() => dynamicSampling(uniform(environment), { rounds: 0 })).toThrow(/rounds must be/);
  expect(dynamicSampling(uniform(listed), { rounds: 2 }).state).toBeDefined();
  const guessing = dynamicSampling({ ...uniform(listed), expected: () => 0.25 }, { rounds: 2 });
  expect(guessing.expected?.(listed.tasks!("train")[0]!)).toBe(0.25);
});

test("what was asked again: first answers for the curriculum, replaced ones paid for, and the last ones may still be thrown away", async () => {
  let group = 0;
  const asked = async (tasks: readonly TextTask[]) => {
    const rollouts = await rollOut(engine, environment, tasks, { groupSize: 2, seed: 1, step: 0, firstTask: group });
    const from = group;
    group += tasks.length;
    // Of each round's three tasks, the first has a signal at once, the second with a hint, the third never.
    return {
      rollouts,
      scores: tasks.flatMap((_, i) => ((from + i) % 5 === 0 || (from + i) % 5 === 3 ? [1, 0] : [0, 0]).map((value) => ({ value }))),
    };
  };
  const gathered = await gather(dynamicSampling(uniform(environment), { rounds: 5 }), 3, moment, (tasks, firstTask) =>
    withRetry(tasks, risingHints({ shares: [0.5] }), { environment, seed: 1, step: 0, firstTask }, asked),
  );
  const names = ({ rollouts }: { readonly rollouts: readonly { readonly group: string }[] }) => [
    ...new Set(rollouts.map((one) => one.group)),
  ];
  expect(gathered.groups).toEqual({ attempted: 6, effective: 4, again: 4 });
  expect(names(gathered)).toEqual(["0:0", "0:3", "0:5"]);
  expect(names(gathered.first)).toEqual(["0:0", "0:1", "0:2", "0:5", "0:6", "0:7"]);
  expect(names(gathered.discarded).toSorted()).toEqual(["0:1", "0:2", "0:4", "0:6", "0:7", "0:8", "0:9"]);
});
