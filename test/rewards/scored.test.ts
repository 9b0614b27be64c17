import { expect, test } from "vitest";
import { center, examples } from "../../src/credit/index.ts";
import { countdown } from "../../src/environments/index.ts";
import { fromEnvironment, score, scored, type Score } from "../../src/rewards/index.ts";
import type { Rollout } from "../../src/rollouts/index.ts";
import { rollOut, toRow } from "../../src/rollouts/index.ts";
import { symbolTokenizer } from "../../src/policies/tokenizer.ts";
import { stream } from "../../src/statistics/stream.ts";
import { fakeEngine } from "../kit/fake-engine.ts";

const rolloutOf = (group: string, task = group): Rollout => ({
  task: { id: task, prompt: "p" },
  completion: "c",
  row: { prompt: Int32Array.of(1), actions: Int32Array.of(2, 3) },
  group,
  behaviourLogProbs: Float32Array.of(-1, -1),
  mask: Uint8Array.of(1, 1),
  stop: "stop",
  sampling: { engine: "e", temperature: 1, topK: 0, topP: 1 },
  weightsVersion: 0,
});
const graded = (value: number | null, rest: Partial<Score> = {}): Score =>
  value === null ? { value, error: { kind: "timeout", message: "late" }, ...rest } : { value, ...rest };
const group = (name: string, values: readonly (number | null)[]) =>
  values.map((value) => ({ rollout: rolloutOf(name), score: graded(value) }));
const tableOf = (items: readonly { rollout: Rollout; score: Score }[], options = {}) =>
  scored(
    items.map(({ rollout }) => rollout),
    items.map(({ score }) => score),
    options,
  );

test("known answer: [1, 0, null, 0] has the advantages of [1, 0, 0], and the third row no gradient", () => {
  const items = group("g", [1, 0, null, 0]);
  const { table, coverage } = tableOf(items);
  const without = tableOf(group("g", [1, 0, 0])).table;
  const advantage = center(table.reward, table.keys.group);
  expect([...advantage]).toEqual([...center(without.reward, without.keys.group)]);
  expect([...advantage].map((a) => Math.round(a * 1e6) / 1e6)).toEqual([0.666667, -0.333333, -0.333333]);
  expect(table.rollouts).toEqual([items[0]!.rollout, items[1]!.rollout, items[3]!.rollout]);
  expect(examples(table, { advantage }).rows).not.toContain(items[2]!.rollout.row);
  expect(coverage.text).toBe("scored 3 of 4; 1 unscorable: 1 timeout");
});

test("groups with fewer than two grades are dropped and counted; methods without groups keep them", () => {
  const items = [...group("a", [1, null, null]), ...group("b", [1, 0]), ...group("c", [null, null])];
  const { table, coverage } = tableOf(items);
  expect([...table.reward]).toEqual([1, 0]);
  expect(coverage.dropped).toEqual({ groups: 1, rollouts: 1 });
  expect(coverage.unscorable).toBe(4);
  expect([...tableOf(items, { smallestGroup: 1 }).table.reward]).toEqual([1, 1, 0]);
  expect(tableOf(group("c", [null, null])).table.rollouts).toEqual([]);
});

test("keys number groups and tasks; parts and steps are columns where every row has them", () => {
  const rows = [
    {
      rollout: {
        ...rolloutOf("x", "t"),
        steps: [
          { from: 0, to: 1 },
          { from: 1, to: 2 },
        ],
      },
      score: graded(1, { parts: { a: 1, b: 2 }, steps: [0.5, 1] }),
    },
    { rollout: { ...rolloutOf("y", "t"), steps: [{ from: 0, to: 2 }] }, score: graded(0, { parts: { a: 0, b: null }, steps: [2] }) },
    { rollout: { ...rolloutOf("x", "t"), steps: [] }, score: graded(3, { parts: { a: 5 }, steps: [] }) },
  ];
  const { table } = tableOf(rows, { smallestGroup: 1 });
  expect([...table.keys.group]).toEqual([0, 1, 0]);
  expect([...table.keys.task]).toEqual([0, 0, 0]);
  expect(Object.fromEntries(Object.entries(table.parts).map(([name, part]) => [name, [...part]]))).toEqual({ a: [1, 0, 5] });
  expect(table.stepReward!.map((steps) => [...steps])).toEqual([[0.5, 1], [2], []]);
  expect(table.token).toEqual({});
});

test("a NaN never gets into the table", () => {
  const nan = graded(Number.NaN);
  expect(() => scored([rolloutOf("g", "t1"), rolloutOf("g", "t1")], [graded(1), nan])).toThrow(/rollout 2 \(task "t1"\) has the value NaN/);
  expect(() => scored([rolloutOf("g")], [graded(1, { parts: { a: Infinity } })])).toThrow(/the a Infinity/);
  expect(() => scored([rolloutOf("g")], [])).toThrow(/1 rollouts and 0 scores/);
  expect(() => scored([rolloutOf("g")], [graded(1, { steps: [1] })], { smallestGroup: 1 })).toThrow(
    /0 steps and its score has 1 step rewards/,
  );
});

test("from task to table: an environment's own check grades rollouts", async () => {
  const environment = countdown();
  const tokenizer = symbolTokenizer(environment.symbols!);
  const tasks = [1, 2].map((i) => environment.draw("train", stream(i)));
  // The first answer of each group is right, the others are not.
  const engine = fakeEngine(tokenizer, ({ task, rng }) => {
    const right = environment.demonstrate!(task as (typeof tasks)[0], rng);
    return [...tokenizer.encode(right), tokenizer.end!];
  });
  const answers = await rollOut(engine, environment, tasks, { groupSize: 2, seed: 1, step: 0 });
  const rows = answers.map((rollout, i) => (i % 2 === 0 ? toRow(rollout) : { ...toRow(rollout), completion: "1 + 1 = 2" }));
  const check = fromEnvironment(environment);
  expect(check.name).toBe("countdown");
  const scores = await score(
    check,
    rows.map((row) => ({ ...row, reference: row["reference"] })),
  );
  expect(scores.map(({ value }) => value)).toEqual([1, 0, 1, 0]);
  const { table } = scored(answers, scores);
  expect([...center(table.reward, table.keys.group)]).toEqual([0.5, -0.5, 0.5, -0.5]);
  const [lost] = await score(check, [{ ...rows[0]!, reference: undefined }]);
  expect(lost.error).toEqual({ kind: "missing-column", message: '"reference" is missing (needed by the reward "countdown").' });
  const [malformed] = await score(check, [{ ...rows[0]!, reference: "14" }]);
  expect(malformed.error?.kind).toBe("threw");
  expect(() => fromEnvironment({ name: "free" })).toThrow(/"free" cannot check answers/);
});
