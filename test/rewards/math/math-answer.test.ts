import { resolve } from "node:path";
import { expect, test } from "vitest";
import { extractAnswer, mathAnswer, sameAnswer, score } from "../../../src/rewards/index.ts";
import { settle } from "../../../src/rewards/verify/math/same-answer.ts";
import { inTime, processorTime } from "../../kit/crowding.ts";
import { heldOut, readPairs, type Pair } from "./corpus.ts";

const pairs = readPairs();
/** For verdicts that come long before it, however slow the machine is. */
const ample = { deadlineMs: 60_000 };
const answerOf = (pair: Pair): string | undefined => (pair.completion === undefined ? pair.answer : extractAnswer(pair.completion)?.answer);

test("the corpus is as large and as mixed as promised", () => {
  const categories = Map.groupBy(pairs, ({ category }) => category);
  expect(pairs.length).toBeGreaterThanOrEqual(600);
  expect(categories.size).toBeGreaterThanOrEqual(20);
  for (const [name, list] of categories) expect(list.length, name).toBeGreaterThanOrEqual(20);
  expect(pairs.filter(({ same }) => !same).length / pairs.length).toBeGreaterThanOrEqual(0.4);
  expect(new Set(pairs.map((pair) => JSON.stringify(pair))).size).toBe(pairs.length);
});

test.each(["tuning", "held out"])("at least 99 % of the %s pairs are judged right", async (part) => {
  const wrong: string[] = [];
  const list = pairs.filter((pair) => heldOut(pair) === (part === "held out"));
  for (const pair of list) {
    const answer = answerOf(pair);
    const verdict = answer === undefined ? "different" : (await sameAnswer(answer, pair.reference, ample)).verdict;
    if (verdict !== (pair.same ? "same" : "different")) wrong.push(`${answer} | ${pair.reference}: ${verdict}`);
  }
  expect(wrong.length, part === "tuning" ? wrong.join("\n") : "").toBeLessThanOrEqual(list.length / 100);
});

test("pairs that came later are judged right, one by one", async () => {
  for (const pair of readPairs(resolve(import.meta.dirname, "later.jsonl"))) {
    const answer = answerOf(pair);
    const verdict = answer === undefined ? "different" : (await sameAnswer(answer, pair.reference, ample)).verdict;
    expect(verdict, `${answer} | ${pair.reference}`).toBe(pair.same ? "same" : "different");
  }
});

test("the fast stages settle nearly everything without the symbolic library", () => {
  const open = pairs.filter((pair) => {
    const answer = answerOf(pair);
    return answer !== undefined && !("verdict" in settle(answer, pair.reference, {}, performance.now() + ample.deadlineMs));
  });
  expect(open.length).toBeLessThanOrEqual(pairs.length / 100);
});

test.each([
  ["So \\boxed{\\frac{1}{2}}.", "\\frac{1}{2}", "boxed"],
  ["\\boxed{\\text{a {b} c}}", "\\text{a {b} c}", "boxed"],
  ["\\boxed 7", "7", "boxed"],
  ["\\boxed{1} and \\boxed{2}", "1, 2", "boxed"],
  ["First \\boxed{1}. Then I tried something else and found \\boxed{2}", "2", "boxed"],
  ["The answer is 42.", "42", "phrase"],
  ["**Answer:** $x = 5$", "x = 5", "phrase"],
  ["#### 1,234", "1,234", "phrase"],
  ["Final Answer: The largest $n$ is 34. I hope it is correct.", "34", "phrase"],
  ["Result:\n```\n3.5\n```", "3.5", "fence"],
  ["so we get 3 + 4 = 7", "7", "last"],
  ["x = 3", "x = 3", "last"],
  ["(1, 2]", "(1, 2]", "last"],
  ["<think>\\boxed{9}</think>The answer is 10", "10", "phrase"],
])("extracts from %j", (text, answer, from) => {
  expect(extractAnswer(text)).toEqual({ answer, from });
});

test.each([[""], ["   "], ["I do not know what to say here."], ["<think>\\boxed{9}"], ["The answer is not 7."]])(
  "finds no answer in %j",
  (text) => {
    expect(extractAnswer(text)).toBeNull();
  },
);

test("only the places that are asked for", () => {
  expect(extractAnswer("The answer is 42.", { places: ["boxed"] })).toBeNull();
});

test("a verdict names the stage that decided", async () => {
  expect(await sameAnswer("\\frac12", "\\frac12", ample)).toEqual({ verdict: "same", stage: "text" });
  expect(await sameAnswer("(B)", "B", ample)).toEqual({ verdict: "same", stage: "choice" });
  expect(await sameAnswer("0.5", "\\frac12", ample)).toEqual({ verdict: "same", stage: "value" });
  expect(await sameAnswer("\\int_0^1 x^2\\,dx", "\\frac13", ample)).toEqual({ verdict: "same", stage: "symbolic" });
});

test("what doubles cannot tell apart is not called the same", async () => {
  // Ramanujan's number is a whole number up to the twelfth digit after the point.
  expect(await sameAnswer("e^{\\pi\\sqrt{163}}", "262537412640768744", ample)).toMatchObject({
    verdict: "cannot say",
    reason: "undecided",
  });
});

test("what cannot be said has a reason", async () => {
  expect(await sameAnswer("4", " ")).toMatchObject({ verdict: "cannot say", reason: "no reference" });
  expect(await sameAnswer("\\int_0^1 x^2\\,dx", "\\frac13", { symbolic: false })).toMatchObject({
    verdict: "cannot say",
    reason: "undecided",
  });
  expect(await sameAnswer("4", "x".repeat(3000))).toMatchObject({ verdict: "cannot say", reason: "too long" });
});

test("a deadline holds, and the next pair is judged", async () => {
  const hard = "\\int_0^1 \\frac{x^{999}\\sin^{99} x}{(1+x)^{77}}dx";
  const { verdict } = await inTime(
    () => sameAnswer(hard, "\\frac{1}{3}", { deadlineMs: 150 }),
    (crowd) => 150 + 250 * crowd,
  );
  expect(["cannot say", "different"]).toContain(verdict);
  expect(await sameAnswer("2 + 2", "4", ample)).toMatchObject({ verdict: "same" });
  expect(await sameAnswer("\\int_0^2 x\\,dx", "2", ample)).toMatchObject({ verdict: "same" });
});

test("the tolerance is the rule of decimals unless given", async () => {
  const said = async (answer: string, reference: string, tolerance?: number) =>
    (await sameAnswer(answer, reference, tolerance === undefined ? ample : { ...ample, tolerance })).verdict;
  expect(await said("0.333333", "1/3")).toBe("same");
  expect(await said("0.33", "1/3")).toBe("different");
  expect(await said("0.33", "1/3", 0.01)).toBe("same");
  expect(await said("3.14", "\\pi", 0.001)).toBe("same");
  expect(await said("3.1", "\\pi", 0.001)).toBe("different");
  expect(await said("1000000.0", "1000001")).toBe("different");
  expect(await said("1234567.8", "1234567.9")).toBe("different");
});

const answered = (completion: string, reference: string | readonly string[]) => ({ prompt: "?", completion, reference });

test("as a reward: 1, 0, and null where nobody can say", async () => {
  const scores = await score(mathAnswer(ample), [
    answered("So \\boxed{42}", "42"),
    answered("So \\boxed{41}", "42"),
    answered("I have no idea about that one", "42"),
    answered("So \\boxed{42}", ""),
    answered("So \\boxed{\\frac{1}{2}}", "We see that it is \\boxed{0.5}."),
    answered("72", "Half of 144 is 72.\n#### 72"),
  ]);
  expect(scores.map(({ value }) => value)).toEqual([1, 0, 0, null, 1, 1]);
  expect(scores[3]?.error).toMatchObject({ kind: "unparsable" });
});

test("a list of references: any of them, or all", async () => {
  const any = await score(mathAnswer(ample), [answered("\\boxed{2}", ["2", "3"]), answered("\\boxed{4}", ["2", "3"])]);
  expect(any.map(({ value }) => value)).toEqual([1, 0]);
  const all = await score(mathAnswer({ ...ample, references: "all" }), [
    answered("\\boxed{2}", ["2", "3"]),
    answered("\\boxed{3, 2}", ["2", "3"]),
    answered("\\boxed{2, 3, 5}", ["2", "3"]),
  ]);
  expect(all.map(({ value }) => value)).toEqual([0, 1, 0]);
});

test("options that make no sense are refused, and options are part of the version", () => {
  expect(() => mathAnswer({ tolerance: -1 })).toThrow(/tolerance/);
  expect(() => mathAnswer({ deadlineMs: 0 })).toThrow(/deadlineMs/);
  expect(mathAnswer({ tolerance: 0.1 }).version).not.toBe(mathAnswer().version);
});

test.each([
  ["\\sin(x)^{50}", "0", "different"],
  ["\\sin(x)^{50} + x", "x", "different"],
  ["\\sin(1)^{50}", "0", "different"],
  ["\\sin^{50} x", "\\sin^{49}x \\sin x", "same"],
  ["(\\sqrt2 - 1)^{10}", "3363 - 2378\\sqrt2", "same"],
  ["(\\sqrt2 \\sqrt3 - \\sqrt6)^2", "0", "same"],
])("high powers are small, and are not lost beside what they are added to: %s and %s", async (answer, reference, verdict) => {
  expect((await sameAnswer(answer, reference, ample)).verdict).toBe(verdict);
});

test.each([
  ["１２．５", "12.5", "same"],
  ["ｘ＋１", "x+1", "same"],
  ["٣٤", "34", "same"],
  ["१२", "12", "same"],
  ["𝟏𝟐", "12", "same"],
  ["１２", "21", "different"],
  ["￼", "1", "different"],
])("digits of other scripts are digits: %s and %s", async (answer, reference, verdict) => {
  expect((await sameAnswer(answer, reference, ample)).verdict).toBe(verdict);
});

test("many signs of plus-minus take no time", async () => {
  const took = await processorTime(async () => {
    expect((await sameAnswer(`1${"\\pm 1".repeat(390)}`, "1", ample)).verdict).toBe("different");
  });
  expect(took).toBeLessThan(2000);
});
