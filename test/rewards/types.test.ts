import { expect, expectTypeOf, test } from "vitest";
import { z } from "zod";
import { gate, reward, score, sum, type Reward, type Score, type ScoredRow } from "../../src/rewards/index.ts";

// The type checker is the judge here: an @ts-expect-error without an error fails `npm run types`.
const correct = reward("correct", { columns: z.object({ reference: z.string() }) }, ({ text, reference }) => text === reference);
const tested = reward("tested", { columns: z.object({ tests: z.array(z.string()), limit: z.number().default(3) }) }, ({ tests, limit }) => {
  expectTypeOf(tests).toEqualTypeOf<string[]>();
  expectTypeOf(limit).toEqualTypeOf<number>();
  return tests.length <= limit;
});
const brief = reward("brief", ({ text }) => text.length < 400);
const quality = gate(brief, sum({ correct, tested }, { weights: { tested: 0.1 } }));
interface Question {
  readonly prompt: string;
  readonly completion?: string | undefined;
  reference: string;
}
const row = { prompt: "p", completion: "c" };

test("columns, parts and lengths are typed", async () => {
  expectTypeOf(correct).toEqualTypeOf<Reward<{ reference: string }>>();
  // Lists keep their length, single rows give single scores.
  expectTypeOf(await score(brief, row)).toEqualTypeOf<Score>();
  const [first] = await score(correct, [{ ...row, reference: "r" }]);
  expectTypeOf(first).toEqualTypeOf<Score>();
  const list: (typeof row)[] = [row];
  expectTypeOf((await score(brief, list))[0]).toEqualTypeOf<Score | undefined>();
  // A composed reward needs the columns of all its parts; a default may be left out.
  await score(quality, { ...row, reference: "r", tests: ["t"] });
  expectTypeOf(await score(correct, { ...row, reference: "r", more: true })).toEqualTypeOf<Score>();
  const [listed] = await score(quality, [{ ...row, reference: "r", tests: ["t"], limit: 2, more: true }]);
  expectTypeOf(listed).toEqualTypeOf<Score>();
  // Rows may be typed by an interface, which has no index signature, and the scores are the caller's own list.
  const typed: Question[] = [{ ...row, reference: "r" }];
  expectTypeOf(await score(correct, typed)).toEqualTypeOf<Score[]>();
  expectTypeOf(await score(correct, typed[0]!)).toEqualTypeOf<Score>();
  const said = await score(brief, [{ prompt: [{ role: "user", content: "p" }], completion: [{ role: "assistant", content: "c" }] }]);
  expectTypeOf(said).toEqualTypeOf<[Score]>();
  // @ts-expect-error `tests` is missing
  await score(quality, { ...row, reference: "r" });
  // @ts-expect-error `reference` is misspelt
  await score(correct, [{ ...row, refrence: "r" }]);
  // @ts-expect-error an interface without the column
  await score(tested, typed);
  // @ts-expect-error `reference` has the wrong type
  await score(correct, { ...row, reference: 3 });
  // @ts-expect-error no prompt
  await score(brief, { completion: "c" });
  // @ts-expect-error a weight for an unknown part
  expect(() => sum({ correct, brief }, { weights: { breif: 0.1 } })).toThrow("breif");
  // @ts-expect-error an undeclared column
  reward("r", ({ reference }) => reference === "x");
  // @ts-expect-error a string is no grade
  reward("r", ({ text }) => text);
  // @ts-expect-error a group reward returns one grade for each answer
  reward.group("r", () => 1);
  // @ts-expect-error a whole reward cannot take the place of one that needs nothing
  const free: Reward = correct;
  expect((await score(free, row)).error?.kind).toBe("missing-column");
});

test("streams, iterables and files are typed too", async () => {
  async function* rows() {
    yield { ...row, reference: "r" };
  }
  expectTypeOf(await score(correct, rows())).toEqualTypeOf<Score[]>();
  for await (const one of score.stream(correct, rows())) expectTypeOf(one).toEqualTypeOf<ScoredRow>();
  // @ts-expect-error `reference` is missing
  score.stream(correct, [row]);
  // @ts-expect-error `reference` is missing
  score.stream(quality, rows());
  const ofFile = () => score(correct, "answers.jsonl");
  expectTypeOf(ofFile).returns.resolves.toEqualTypeOf<Score[]>();
});
