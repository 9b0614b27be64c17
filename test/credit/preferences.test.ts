import { describe, expect, test } from "vitest";
import { demonstrations, examples, implicitCredit, merge, pairs, winShares, withRowLogProbs, withSource } from "../../src/credit/index.ts";
import type { Examples, Scored } from "../../src/credit/index.ts";
import { geometricMixture, type Outputs, type Reader } from "../../src/engines/index.ts";
import { gradientOf, onRows, pairLoss, sft } from "../../src/objectives/index.ts";
import type { Rollout } from "../../src/rollouts/index.ts";
import type { StateSequence } from "../../src/policies/index.ts";

const row = (...actions: number[]): StateSequence => ({ states: Int32Array.from(actions, (_, j) => j), actions: Int32Array.from(actions) });

const rollout = (action: number, group: string, engine = "policy"): Rollout<StateSequence> => ({
  task: { id: "0", prompt: 0 },
  row: row(action),
  group,
  behaviourLogProbs: Float32Array.of(-1),
  mask: Uint8Array.of(1),
  stop: "stop",
  sampling: { engine, temperature: 1, topK: 0, topP: 1 },
  weightsVersion: 0,
});

const table = (rollouts: readonly Rollout<StateSequence>[], reward: readonly number[]): Scored<StateSequence> => ({
  rollouts,
  reward: Float64Array.from(reward),
  parts: {},
  keys: { group: Int32Array.from(rollouts, (r) => Number(r.group)), task: new Int32Array(rollouts.length) },
  token: {},
});

/** A reader that says the given number of every action of a row. */
const saying = (value: (row: StateSequence, j: number) => number): Reader<StateSequence> => ({
  outputs: ["logProbs"],
  forward: async (rows): Promise<Outputs> => ({ logProbs: rows.map((r) => Float32Array.from(r.actions, (_, j) => value(r, j))) }),
});

const chosenAndRejected = ({ rows, sets }: Examples<StateSequence>): number[][] =>
  Array.from({ length: sets!.weight.length }, (_, s) => [...sets!.members.subarray(2 * s, 2 * s + 2)].map((i) => rows[i]!.actions[0]!));

describe("answers compared with each other", () => {
  test("get the share of comparisons that they win", () => {
    const rollouts = [rollout(0, "0"), rollout(1, "0"), rollout(2, "0"), rollout(5, "1"), rollout(4, "1"), rollout(7, "2")];
    const asked: string[] = [];
    const shares = winShares(rollouts, (a, b) => {
      asked.push(`${a.row.actions[0]}-${b.row.actions[0]}`);
      return a.row.actions[0]! > b.row.actions[0]!;
    });
    expect([...shares]).toEqual([0, 0.5, 1, 1, 0, 0.5]);
    expect(asked).toEqual(["0-1", "0-2", "1-2", "5-4"]);
    // Rock, paper, scissors: nobody is better than the others.
    expect([...winShares(rollouts.slice(0, 3), (a, b) => (a.row.actions[0]! + 1) % 3 === b.row.actions[0]!)]).toEqual([0.5, 0.5, 0.5]);
    expect([...winShares(rollouts.slice(3, 5), () => 0.7)].map((x) => Number(x.toFixed(12)))).toEqual([0.7, 0.3]);
    expect(() => winShares(rollouts, () => Number.NaN)).toThrow(/preference/);
  });

  test("of the policy and of the reference are paired across", () => {
    const policy = { id: "policy" };
    const both = withSource(
      table([rollout(0, "0"), rollout(1, "0"), rollout(2, "0", "reference"), rollout(3, "0", "reference")], [1, 0, 0, 1]),
      policy,
    );
    expect([...both.keys["source"]!]).toEqual([0, 0, 1, 1]);
    const explored = Float64Array.from(both.keys["source"]!);
    const made = pairs(both, { kind: "across", key: "source", rows: "all", columns: { row: { explored } } })!;
    expect(chosenAndRejected(made)).toEqual([
      [0, 2],
      [3, 1],
    ]);
    expect(made.rows.length).toBe(4);
    expect([...made.row["explored"]!]).toEqual([0, 0, 1, 1]);
    expect(pairs(both, { kind: "across", key: "source" })!.row).toEqual({});
    expect(() => pairs(both, { kind: "across", key: "half" })).toThrow(/no key half/);
    // A tie has no better one.
    expect(pairs(withSource(table([rollout(0, "0"), rollout(1, "0", "x")], [1, 1]), policy), { kind: "across", key: "source" })).toBeNull();
  });
});

describe("merging", () => {
  const key = ({ actions }: StateSequence): string => actions.join(" ");
  const part = (couples: readonly (readonly [number, number, boolean])[]): Examples<StateSequence> => {
    const rollouts = couples.flatMap(([a, b], i) => [rollout(a, String(i)), rollout(b, String(i))]);
    const source = Float64Array.from(couples.flatMap(() => [0, 1]));
    return pairs(
      table(
        rollouts,
        couples.flatMap(([, , first]) => (first ? [1, 0] : [0, 1])),
      ),
      { kind: "best-worst", columns: { row: { explored: source } } },
    )!;
  };

  test("rows and sets that are the same become one, and the loss stays what it was", () => {
    const first = part([
      [0, 0, true],
      [0, 1, true],
      [1, 0, false],
    ]);
    const second = part([
      [0, 1, true],
      [2, 0, true],
    ]);
    const merged = merge([first, second], key);
    expect(merged.rows.map((r) => r.actions[0])).toEqual([0, 1, 2]);
    expect([...merged.weight]).toEqual([6, 3, 1]);
    expect([...merged.row["explored"]!].map((x, i) => Math.round(x * merged.weight[i]!))).toEqual([3, 2, 0]);
    expect(chosenAndRejected(merged)).toEqual([
      [0, 0],
      [0, 1],
      [2, 0],
    ]);
    expect([...merged.sets!.weight]).toEqual([1, 3, 1]);

    const logs = [-0.5, -1.5, -2.5];
    const read = ({ rows }: Examples<StateSequence>): Outputs => ({ logProbs: rows.map((r) => Float32Array.of(logs[r.actions[0]!]!)) });
    const dpo = pairLoss("dpo", { beta: 0.5, against: "none" });
    const lossOf = (x: Examples<StateSequence>): number => gradientOf(dpo, x, read(x)).loss;
    expect(lossOf(merged)).toBeCloseTo((3 * lossOf(first) + 2 * lossOf(second)) / 5, 7);
    const marked = onRows("explored", sft({ aggregation: "row-sum", divisor: null }));
    expect(gradientOf(marked, merged, read(merged)).loss).toBeCloseTo((3 * 0.5 + 2 * 1.5) / 5, 6);
    // Merging step by step is merging at once.
    const again = merge([merge([first], key), second], key);
    expect(again.rows).toEqual(merged.rows);
    expect([...again.sets!.weight]).toEqual([...merged.sets!.weight]);
  });

  test("refuses what does not fit together", () => {
    expect(() => merge([], key)).toThrow(/no examples/i);
    const plain = examples(table([rollout(0, "0")], [1]));
    expect(() => merge([plain, part([[0, 1, true]])], key)).toThrow(/row columns none/);
    expect(() => merge([demonstrations([row(1, 2)]), demonstrations([row(1)])], () => "same")).toThrow(/different masks/);
  });
});

test("a row's log-probability under a mixture is the mixture of its log-probabilities", async () => {
  const mixture = geometricMixture(
    saying((r, j) => -r.actions[j]!),
    saying(() => -4),
    0.25,
  );
  const made = await withRowLogProbs(demonstrations([row(1, 2), row(4)], { mask: [[1, 1], [1]] }), "anchor", mixture);
  expect([...made.row["anchor"]!]).toEqual([-0.75 * 3 - 0.25 * 8, -4]);
  expect(made.token).toEqual({});
  await expect(mixture.forward([], ["entropy"])).rejects.toThrow(/no output "entropy"/);
  expect(() => geometricMixture(mixture, mixture, 1.5)).toThrow(/weight of a mixture/);
  // The ends ask one policy only.
  const never: Reader<StateSequence> = { outputs: ["logProbs"], forward: () => Promise.reject(new Error("asked")) };
  const one = saying(() => -1);
  expect(await geometricMixture(one, never, 0).forward([row(1)])).toEqual(await one.forward([row(1)]));
  expect(await geometricMixture(never, one, 1).forward([row(1)])).toEqual(await one.forward([row(1)]));
});

test("implicit credit is beta times the log-ratio of each action", async () => {
  const credit = await implicitCredit(
    [row(1, 2), row(3)],
    saying((r, j) => -r.actions[j]!),
    saying(() => -2),
    0.5,
  );
  expect(credit.map((c) => [...c])).toEqual([[0.5, 0], [-0.5]]);
  expect(
    await implicitCredit(
      [],
      saying(() => 0),
      saying(() => 0),
      1,
    ),
  ).toEqual([]);
});
