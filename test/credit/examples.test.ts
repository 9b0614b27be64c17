import { describe, expect, test } from "vitest";
import { demonstrations, examples, lists, minibatches, pairs, reweight, select, shuffle, withLogProbs } from "../../src/credit/index.ts";
import type { Examples, PairOptions } from "../../src/credit/index.ts";
import type { Reader } from "../../src/engines/engine.ts";
import { stream } from "../../src/statistics/stream.ts";
import { scored } from "./fixtures.ts";

const table = () =>
  scored([
    { reward: 1, mask: [1, 0, 1] },
    { reward: 0, mask: [1, 1] },
    { reward: 0.5, group: 1, mask: [1] },
    { reward: 0.25, group: 1, mask: [1, 1, 1, 1] },
  ]);

describe("examples", () => {
  test("ragged columns: advantage on each action, masked cells 0, the table's own columns along", () => {
    const made = examples(
      { ...table(), token: { reference: [[-1, -2, -3], [-4, -5], [-6], [-7, -8, -9, -10]].map((x) => Float32Array.from(x)) } },
      { advantage: Float64Array.of(2, -2, 1, -1), row: { score: Float64Array.of(1, 2, 3, 4) } },
    );
    expect([...made.offsets]).toEqual([0, 3, 5, 6, 10]);
    expect([...made.mask]).toEqual([1, 0, 1, 1, 1, 1, 1, 1, 1, 1]);
    expect([...made.token["advantage"]!]).toEqual([2, 0, 2, -2, -2, 1, -1, -1, -1, -1]);
    expect([...made.token["behaviour"]!]).toEqual([-0.5, 0, -1.5, -0.5, -1, -0.5, -0.5, -1, -1.5, -2]);
    expect([...made.token["reference"]!]).toEqual([-1, 0, -3, -4, -5, -6, -7, -8, -9, -10]);
    expect([...made.row["score"]!]).toEqual([1, 2, 3, 4]);
    expect([...made.weight]).toEqual([1, 1, 1, 1]);
    expect(made.sets).toBeUndefined();
  });

  test("an advantage for each action is taken as it is", () => {
    const made = examples(scored([{ reward: 1 }]), { advantage: [Float32Array.of(1, 2, 3)] });
    expect([...made.token["advantage"]!]).toEqual([1, 2, 3]);
  });

  test("origin only when all come from one engine's own distribution at one version", () => {
    expect(examples(table()).origin).toEqual({ engine: "engine 1", weightsVersion: 4 });
    for (const other of [
      { weightsVersion: 5 },
      { sampling: { temperature: 0.7 } },
      { sampling: { topK: 3 } },
      { sampling: { topP: 0.9 } },
      { sampling: { engine: "engine 2" } },
    ])
      expect(examples(scored([{ reward: 1 }, { reward: 0, ...other }])).origin).toBeUndefined();
  });

  test("NaN and wrong lengths throw, naming row and column; what a masked cell holds does not matter", () => {
    expect(() => examples(scored([{ reward: Number.NaN }]))).toThrow(/reward of row 0 is NaN/);
    expect(() => examples(table(), { advantage: Float64Array.of(1, 2, 3, Number.NaN) })).toThrow(/advantage of row 3 is NaN/);
    expect(() => examples(table(), { advantage: Float64Array.of(1) })).toThrow(/1 advantages for 4/);
    expect(() => examples(table(), { token: { old: [[1, 2, 3], [1], [1], [1, 1, 1, 1]] } })).toThrow(/old has 1 numbers in row 1/);
    expect(() => examples(scored([{ reward: 1, logProbs: [0, Number.NaN, 0] }]))).toThrow(/behaviour is NaN in row 0, action 1/);
    expect(examples(scored([{ reward: 1, mask: [1, 0, 1], logProbs: [-1, Number.NaN, -1] }])).token["behaviour"]![1]).toBe(0);
  });

  test("demonstrations: all actions count unless masked", () => {
    const rows = [2, 3].map((n) => ({ prompt: Int32Array.of(1), actions: new Int32Array(n) }));
    expect([...demonstrations(rows).mask]).toEqual([1, 1, 1, 1, 1]);
    expect([
      ...demonstrations(rows, {
        mask: [
          [0, 1],
          [1, 1, 0],
        ],
      }).mask,
    ]).toEqual([0, 1, 1, 1, 0]);
    expect(() => demonstrations(rows, { mask: [[0], [1, 1, 0]] })).toThrow(/mask of row 0/);
  });
});

describe("withLogProbs", () => {
  const reader: Reader = {
    outputs: ["logProbs"],
    forward: async (rows) => ({ logProbs: rows.map((row) => Float32Array.from(row.actions, (a) => -a)) }),
  };
  test("adds the reader's numbers to examples and to a table alike, 0 where masked", async () => {
    const late = await withLogProbs(examples(table()), "reference", reader);
    const early = examples(await withLogProbs(table(), "reference", reader));
    expect([...late.token["reference"]!]).toEqual([-0, 0, -2, -10, -11, -20, -30, -31, -32, -33]);
    expect(early).toEqual(late);
  });
  test("wrong lengths and NaN are refused", async () => {
    const bad = (logProbs: (n: number) => Float32Array): Reader => ({
      ...reader,
      forward: async (rows) => ({ logProbs: rows.map((r) => logProbs(r.actions.length)) }),
    });
    await expect(
      withLogProbs(
        examples(table()),
        "reference",
        bad(() => new Float32Array(1)),
      ),
    ).rejects.toThrow(/1 numbers for the 3 actions of row 0/);
    await expect(
      withLogProbs(
        examples(table()),
        "reference",
        bad((n) => new Float32Array(n).fill(Number.NaN)),
      ),
    ).rejects.toThrow(/reference is NaN in row 0, action 0/);
  });
});

/** The pairs as indices of the table's rows (actions start at 10 * index). */
const found = (made: Examples | null): [number, number][] => {
  const { members } = made!.sets!;
  const index = (k: number): number => Math.floor(made!.rows[members[k]!]!.actions[0]! / 10);
  return Array.from({ length: members.length / 2 }, (_, s) => [index(2 * s), index(2 * s + 1)]);
};

describe("pairs", () => {
  const five = () => scored([3, 1, 5, 1, 4].map((reward) => ({ reward })));
  const rng = () => stream(1, "pairs");
  const make = (options: PairOptions) => found(pairs(five(), options));

  test("each rule", () => {
    expect(make({ kind: "best-worst" })).toEqual([[2, 3]]);
    expect(make({ kind: "best-second" })).toEqual([[2, 4]]);
    const random = make({ kind: "best-random", rng: rng() });
    expect(random).toHaveLength(1);
    expect(random[0]![0]).toBe(2);
    expect(make({ kind: "margin", margin: 2 })).toEqual([
      [2, 0],
      [2, 1],
      [2, 3],
      [4, 1],
      [4, 3],
      [0, 1],
      [0, 3],
    ]);
    expect(make({ kind: "accepted-rejected", accepted: 4 })).toEqual([
      [2, 0],
      [2, 1],
      [2, 3],
      [4, 0],
      [4, 1],
      [4, 3],
    ]);
  });

  test("at most so many, drawn from the rest without order", () => {
    const some = make({ kind: "margin", margin: 0, perTask: 3, rng: rng() });
    expect(some).toHaveLength(3);
    expect(new Set(some.map(String)).size).toBe(3);
    expect(make({ kind: "margin", margin: 0, perTask: 3, rng: rng() })).toEqual(some);
  });

  test("ties never become pairs, groups never mix, and no pair gives null", () => {
    expect(pairs(scored([{ reward: 1 }, { reward: 1 }, { reward: 0, group: 1 }]), { kind: "best-worst" })).toBeNull();
    expect(pairs(scored([{ reward: 1 }, { reward: 1 }]), { kind: "margin", margin: 0 })).toBeNull();
    expect(
      found(pairs(scored([{ reward: 1 }, { reward: 9, group: 1 }, { reward: 0 }, { reward: 8, group: 1 }]), { kind: "best-worst" })),
    ).toEqual([
      [0, 2],
      [1, 3],
    ]);
  });

  test("rows once, columns with them, margins of the scores", () => {
    const made = pairs(five(), { kind: "accepted-rejected", accepted: 5 })!;
    expect(made.rows).toHaveLength(5);
    expect([...made.sets!.set["margin"]!]).toEqual([1, 2, 4, 4].toSorted((a, b) => a - b));
    expect([...made.sets!.set["label"]!]).toEqual([1, 1, 1, 1]);
    expect(made.token["behaviour"]!.length).toBe(15);
  });

  test("a length penalty counts the policy's own actions", () => {
    const long = scored([
      { reward: 1, mask: [1, 1, 1, 1] },
      { reward: 0.9, mask: [1, 0, 0, 0] },
    ]);
    expect(found(pairs(long, { kind: "best-worst" }))).toEqual([[0, 1]]);
    expect(found(pairs(long, { kind: "best-worst", lengthPenalty: 0.1 }))).toEqual([[1, 0]]);
  });
});

test("lists: best first, ranks with ties, empty places, targets that sum to 1", () => {
  const made = lists(
    scored([{ reward: 1 }, { reward: 3 }, { reward: 1 }, { reward: 0, group: 1 }, { reward: 2, group: 1 }, { reward: 7, group: 2 }]),
    { temperature: 0.5 },
  )!;
  expect(made.rows).toHaveLength(5);
  const { size, members, member } = made.sets!;
  expect(size).toBe(3);
  expect([...members]).toEqual([1, 0, 2, 4, 3, -1]);
  expect([...member["rank"]!]).toEqual([0, 1, 1, 0, 1, 0]);
  expect([...member["score"]!]).toEqual([3, 1, 1, 2, 0, 0]);
  const target = member["target"]!;
  expect(target[0]! + target[1]! + target[2]!).toBeCloseTo(1, 6);
  expect(target[3]! / target[4]!).toBeCloseTo(Math.exp(4), 3);
  expect(target[5]).toBe(0);
  expect(lists(scored([{ reward: 1 }]))).toBeNull();
});

describe("reshaping", () => {
  test("select keeps rows, cells, columns and sets together", () => {
    const whole = pairs(scored([3, 1, 5, 2].map((reward, i) => ({ reward, mask: Array.from({ length: i + 1 }, () => 1) }))), {
      kind: "margin",
      margin: 0,
    })!;
    const part = select(whole, [3, 0, 2]);
    expect(part.rows).toEqual([whole.rows[3], whole.rows[0], whole.rows[2]]);
    expect([...part.offsets]).toEqual([0, 4, 5, 8]);
    expect([...part.token["behaviour"]!.subarray(0, 5)]).toEqual([-0.5, -1, -1.5, -2, -0.5]);
    expect(found(part)).toEqual(found(whole).filter(([a, b]) => a !== 1 && b !== 1));
    expect([...part.sets!.set["margin"]!]).toEqual([2, 3, 1]);
    expect(() => select(whole, [0, 0])).toThrow(/row 0 is selected twice/);
    expect(() => select(whole, [4])).toThrow(/4 is not a row/);
  });

  test("a list loses dropped members, and with fewer than two it goes", () => {
    const whole = lists(scored([{ reward: 1 }, { reward: 3 }, { reward: 2 }, { reward: 0, group: 1 }, { reward: 2, group: 1 }]))!;
    const part = select(whole, [0, 1, 3]);
    expect(part.sets!.weight).toHaveLength(1);
    expect([...part.sets!.members]).toEqual([1, -1, 0]);
    expect([...part.sets!.member["rank"]!]).toEqual([0, 1, 2]);
  });

  test("reweight multiplies the mask and refuses what is not a weight", () => {
    const whole = examples(scored([{ reward: 1, mask: [1, 0, 1] }]));
    expect([...reweight(whole, [0.5, 9, 0]).mask]).toEqual([0.5, 0, 0]);
    expect(() => reweight(whole, [0.5, -1, 0])).toThrow(/cell 1 is -1/);
    expect(() => reweight(whole, [0.5])).toThrow(/1 token weights for 3/);
  });

  test("minibatches deal out every row once, or every set once", () => {
    const whole = examples(scored(Array.from({ length: 7 }, (_, i) => ({ reward: i }))));
    const parts = minibatches(whole, 3, stream(2, "parts"));
    expect(parts.map((p) => p.rows.length)).toEqual([2, 2, 3]);
    expect(new Set(parts.flatMap((p) => p.rows))).toEqual(new Set(whole.rows));
    expect(parts[0]!.origin).toEqual(whole.origin);
    expect(shuffle(whole, stream(3, "parts")).rows).not.toEqual(whole.rows);

    const sets = pairs(scored([3, 1, 5, 2].map((reward) => ({ reward }))), { kind: "margin", margin: 0 })!;
    const dealt = minibatches(sets, 2, stream(2, "parts"));
    expect(dealt.flatMap(found).map(String).toSorted()).toEqual(found(sets).map(String).toSorted());
    expect(() => minibatches(whole, 8, stream(1))).toThrow(/8 parts of 7 rows/);

    // Member and set columns stay with their sets: the best of each list is the one whose score is highest.
    const ranked = lists(scored(Array.from({ length: 9 }, (_, i) => ({ reward: (i * 7) % 9, group: Math.floor(i / 3) }))))!;
    for (const part of minibatches(ranked, 3, stream(4, "parts"))) {
      const { members, member, size } = part.sets!;
      expect([members.length, size]).toEqual([3, 3]);
      members.forEach((row, k) => {
        const table = part.rows[row]!.actions[0]! / 10;
        expect(member["score"]![k]).toBe((table * 7) % 9);
        expect(member["rank"]![k]).toBe(k);
      });
    }
  });
});
