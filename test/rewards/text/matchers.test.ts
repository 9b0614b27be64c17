import fc from "fast-check";
import { expect, test } from "vitest";
import {
  bagF1,
  bagJaccard,
  bagMatch,
  bleuMatch,
  choiceMatch,
  chrfMatch,
  editDistance,
  editMatch,
  editSimilarity,
  embeddingMatch,
  exactMatch,
  longestCommonSubsequence,
  maxAverageSimilarity,
  normalised,
  numericEqual,
  numericMatch,
  normalisedMatch,
  rouge,
  score,
  type Reward,
} from "../../../src/rewards/index.ts";
import { answerJson, numbersIn } from "../../../src/rewards/verify/answer-data.ts";
import { processorTime } from "../../kit/crowding.ts";

type Matcher = Reward<{ reference: string | number | readonly (string | number)[] }>;
const of = async (match: Matcher, completion: string, reference: string | number | readonly (string | number)[]) =>
  (await score(match, { prompt: "p", completion, reference })).value;
const all: readonly Matcher[] = [
  exactMatch(),
  normalisedMatch(),
  bagMatch(),
  bagMatch({ by: "jaccard", normalise: true }),
  rouge({ splitting: "unicode" }),
  rouge({ by: 1, splitting: "unicode" }),
  bleuMatch(),
  chrfMatch(),
  chrfMatch({ wordOrder: 2 }),
  editMatch(),
];
const anyText = fc.oneof(
  fc.string({ unit: "binary", maxLength: 40 }),
  fc.string({ unit: "grapheme", maxLength: 40 }),
  fc.constantFrom("a b c", "the", "…", "\u0000", "1 2"),
);

test("exact and normalised matches", async () => {
  expect([await of(exactMatch(), " Paris\n", "Paris"), await of(exactMatch(), "paris", "Paris"), await of(exactMatch(), "7", 7)]).toEqual([
    1, 0, 1,
  ]);
  expect(normalised("  The  “Eiffel-Tower”, an icon! ")).toBe("eiffel tower icon");
  expect([normalised("The"), normalised("..."), normalised("ﬁne")]).toEqual(["the", "...", "fine"]);
  expect(await of(normalisedMatch(), "the Eiffel tower.", ["Big Ben", "Eiffel Tower"])).toBe(1);
  expect(await of(normalisedMatch(), "It is the Eiffel tower.", "Eiffel Tower")).toBe(0);
  expect(await of(normalisedMatch({ contains: true }), "It is the Eiffel tower.", "Eiffel Tower")).toBe(1);
  expect(await of(normalisedMatch({ contains: true }), "unparisian", "paris")).toBe(0);
});

test("numbers in prose, and chosen options", async () => {
  expect([
    numericEqual(1, 1),
    numericEqual(104, 100, { relative: 0.05 }),
    numericEqual(106, 100, { relative: 0.05 }),
    numericEqual(Number.NaN, 1),
  ]).toEqual([true, true, false, false]);
  const about = numericMatch({ relative: 0.05 });
  expect([await of(about, "Of 7 it is 1,040.", 1000), await of(about, "It is 940", "1,000"), await of(about, "none", 3)]).toEqual([
    1, 0, 0,
  ]);
  expect((await score(about, { prompt: "p", completion: "3", reference: "three" })).error!.kind).toBe("declined");
  const right = [
    "B",
    "(b)",
    "**B.**",
    "The answer is B.",
    "Answer: (B) because A is wrong",
    "\\boxed{\\text{B}}",
    "<answer>B. Rome</answer>",
    "(A) is wrong, so (B)",
  ];
  for (const text of right) expect([text, await of(choiceMatch(), text, "B")]).toEqual([text, 1]);
  for (const text of ["A", "", "Because", "The answer is Bread", "(B), no, (C)"])
    expect([text, await of(choiceMatch(), text, "B")]).toEqual([text, 0]);
  expect((await score(choiceMatch(), { prompt: "p", completion: "B", reference: "Rome" })).error!.kind).toBe("declined");
});

test("bags: the shared conventions of empty ones, repetitions counted", async () => {
  expect([bagF1([], []), bagF1(["a"], []), bagJaccard([], []), bagJaccard([], ["a"])]).toEqual([1, 0, 1, 0]);
  // 2 x 2 / (4 + 3) and 2 / (4 + 3 - 2)
  expect(bagF1(["a", "a", "a", "b"], ["a", "b", "c"])).toBeCloseTo(4 / 7, 12);
  expect(bagJaccard(["a", "a", "a", "b"], ["a", "b", "c"])).toBeCloseTo(2 / 5, 12);
  expect(await of(bagMatch(), "A cat, sat", "a dog, sat")).toBeCloseTo(2 / 3, 12);
  expect(await of(bagMatch({ normalise: true }), "A cat, sat", "cat sat")).toBe(1);
});

test("edit distance and common subsequences", async () => {
  expect(editDistance(Array.from("kitten"), Array.from("sitting"))).toBe(3);
  expect(editDistance(Array.from("flaw"), Array.from("lawn"))).toBe(2);
  expect(editSimilarity("kitten", "sitting")).toBeCloseTo(4 / 7, 12);
  expect([editSimilarity("", ""), editSimilarity("", "ab")]).toEqual([1, 0]);
  expect(longestCommonSubsequence(Array.from("ABCBDAB"), Array.from("BDCABA"))).toBe(4);
  expect(longestCommonSubsequence([0, 1, 2, 3, 4, 5, 7, 6], [0, 1, 2, 3, 4, 5, 6, 7])).toBe(7);
  const [long, other] = [Array.from({ length: 20_000 }, (_, i) => i), Array.from({ length: 20_000 }, (_, i) => -i - 1)];
  expect([editDistance(long, other), longestCommonSubsequence(long, other)]).toEqual([null, null]);
  expect(editDistance(long, long)).toBe(0);
});

test("max-average similarity: Mixed-R1's known answers", async () => {
  const [e1, e2, both] = [
    [1, 0],
    [0, 1],
    [1, 1],
  ];
  const gold = [e1!, both!, e2!];
  const first = maxAverageSimilarity([e1!, e2!], gold);
  expect([first.forward, first.backward, first.value].map((x) => Number(x.toFixed(6)))).toEqual([1, 0.902369, 0.951184]);
  const second = maxAverageSimilarity([e1!, e1!, e1!], gold);
  expect([second.forward, second.backward].map((x) => Number(x.toFixed(6)))).toEqual([1, 0.569036]);
  expect(maxAverageSimilarity([], gold).value).toBe(0);
  expect(() => maxAverageSimilarity([e1!], [])).toThrow(/no token embeddings/);
  expect(() => maxAverageSimilarity([[0, 0]], gold)).toThrow(/not all 0/);
  expect(() => maxAverageSimilarity([[1]], gold)).toThrow(/must be 2 finite numbers/);
  const vectors: Readonly<Record<string, readonly number[]>> = { a: e1!, b: e2! };
  const match = embeddingMatch({ embed: (text) => Array.from(text).map((one) => vectors[one]!), version: "letters" });
  expect(await of(match, "aab", "ab")).toBe(1);
  expect(await of(match, "", "ab")).toBe(0);
});

test("a reference that nothing can be compared with is unscorable, with the reason", async () => {
  const errorOf = async (match: Matcher, reference: unknown) =>
    (await score(match, { prompt: "p", completion: "x", reference: reference as string })).error;
  for (const match of all) {
    for (const reference of ["", " ", [], ["a", ""], {}, null, Number.NaN, [null]])
      expect((await errorOf(match, reference))?.kind).toBe("wrong-column");
    expect((await errorOf(match, undefined))?.kind).toBe("missing-column");
  }
  expect((await errorOf(rouge(), "Кошка"))!.kind).toBe("declined");
  expect((await errorOf(rouge({ by: 2 }), "word"))!.message).toMatch(/no words that this comparison can see/);
  expect(await of(rouge(), "a b", ["Кошка", "a b"])).toBe(1);
});

test("every matcher is from 0 to 1, gives 1 to the reference itself and never throws", async () => {
  for (const match of all)
    await fc.assert(
      fc.asyncProperty(anyText, anyText, async (completion, reference) => {
        const { value, error } = await score(match, { prompt: "p", completion, reference });
        if (value === null) expect(["declined", "wrong-column"]).toContain(error!.kind);
        else {
          expect(value).toBeGreaterThanOrEqual(0);
          expect(value).toBeLessThanOrEqual(1);
        }
        const same = await score(match, { prompt: "p", completion: reference, reference });
        if (same.value !== null) expect(same.value).toBeCloseTo(1, 12);
      }),
      { seed: 1, numRuns: 60 },
    );
});

test("what is symmetric stays the same the other way round", () => {
  const list = fc.array(fc.constantFrom("a", "b", "c"), { maxLength: 8 });
  fc.assert(
    fc.property(list, list, (a, b) => {
      for (const f of [bagF1, bagJaccard, editDistance, longestCommonSubsequence] as const) expect(f(a, b)).toBe(f(b, a));
      expect(editSimilarity(a.join(""), b.join(""))).toBe(editSimilarity(b.join(""), a.join("")));
      // The lists' common part and their distance bound each other.
      expect(editDistance(a, b)!).toBeLessThanOrEqual(a.length + b.length - 2 * longestCommonSubsequence(a, b)!);
    }),
    { seed: 1 },
  );
});

test("data in answers: the whole, the last fenced block, the last piece in prose", () => {
  expect(answerJson('{"a": 1}')?.value).toEqual({ a: 1 });
  expect(answerJson("First\n```json\n[1]\n```\nthen\n```\n[2]\n```")?.value).toEqual([2]);
  expect(answerJson('So [1, 2] or rather {"a": "}]"}, I "think".')?.value).toEqual({ a: "}]" });
  expect(answerJson('He said "so" [3]')?.value).toEqual([3]);
  expect([answerJson("none"), answerJson(""), answerJson("[1, }"), answerJson("{oops}")]).toEqual([null, null, null, null]);
  expect(numbersIn("x1 -2.5, 3e2 and 4.")).toEqual([-2.5, 300, 4]);
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(...Array.from('[]{}"\\`\n1,a ')) }), (text) => void answerJson(text)),
    { seed: 1 },
  );
});

test("long hostile texts take little time", async () => {
  const took = await processorTime(() => {
    for (const sign of ["[", "{", '"', "`", "\\", "1", "(", "a ", "[1,", "```\n"]) {
      const text = sign.repeat(100_000);
      answerJson(text);
      numbersIn(text);
      normalised(text);
    }
  });
  expect(took).toBeLessThan(5000);
});
