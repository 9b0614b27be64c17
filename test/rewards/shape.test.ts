import fc from "fast-check";
import { expect, test } from "vitest";
import {
  cosineBetween,
  cosineLength,
  lengthBand,
  lengthOf,
  overlongPenalty,
  repetition,
  repetitionPenalty,
  reward,
  score,
  softOverlong,
  targetLength,
  type Reward,
} from "../../src/rewards/index.ts";

const words = (count: number) => ({ prompt: "p", completion: "w ".repeat(count) });

test("length in words, characters or whatever a function counts", async () => {
  expect([lengthOf(" a  b\nc ", "words"), lengthOf("a👍é", "characters"), lengthOf("abc", (text) => text.length * 2)]).toEqual([3, 3, 6]);
  const odd = cosineLength(
    reward("r", () => 1),
    { limit: 3, unit: () => Number.NaN },
  );
  expect((await score(odd, words(1))).error!.kind).toBe("threw");
  expect((await score(lengthBand({ to: 3, unit: () => -1 }), words(1))).error!.kind).toBe("threw");
});

test("soft overlong punishment (DAPO): limit 20480 with a buffer of 4096", () => {
  const at = (length: number) => overlongPenalty(length, { limit: 20480, buffer: 4096 });
  expect([at(0), at(16384), at(18432), at(20480), at(20481)]).toEqual([0, 0, -0.5, -1, -1]);
});

test("soft overlong as a reward", async () => {
  const soft = softOverlong({ limit: 10, buffer: 4, unit: "words" });
  const scores = await score(soft, [words(6), words(8), words(10), words(11)]);
  expect(scores.map(({ value }) => value)).toEqual([0, -0.5, -1, -1]);
  expect(() => softOverlong({ limit: 10, buffer: 11, unit: "words" })).toThrow(/at most the limit/);
});

test("the cosine reward: right answers 2 to 1, wrong ones -10 to 0, too long -10", async () => {
  expect([cosineBetween(0, 10, 2, 1), cosineBetween(5, 10, 2, 1), cosineBetween(10, 10, 2, 1)]).toEqual([2, 1.5, 1]);
  const shaped = (right: number) =>
    cosineLength(
      reward("right", () => right),
      { limit: 10, unit: "words" },
    );
  const values = async (right: number) =>
    (await score(shaped(right), [words(0), words(5), words(10), words(99)])).map(({ value }) => value);
  expect(await values(1)).toEqual([2, 1.5, -10, -10]);
  expect(await values(0)).toEqual([-10, -5, -10, -10]);
  expect(await score(shaped(1), words(5))).toEqual({ value: 1.5, parts: { right: 1 } });
  expect(() =>
    cosineLength(
      reward("r", () => 1),
      { limit: 0, unit: "words" },
    ),
  ).toThrow(/above 0/);
});

test("bands and targets", async () => {
  const band = lengthBand({ from: 4, to: 6, fade: 2, unit: "words" });
  expect((await score(band, [2, 3, 4, 6, 7, 8].map(words))).map(({ value }) => value)).toEqual([0, 0.5, 1, 1, 0.5, 0]);
  expect((await score(lengthBand({ to: 2, unit: "words" }), [words(2), words(3)])).map(({ value }) => value)).toEqual([1, 0]);
  const target = targetLength({ unit: "words" });
  expect((await score(target, { ...words(10), target_length: 10 })).value).toBe(1);
  expect((await score(target, { ...words(11), target_length: 10 })).value).toBe(1);
  expect((await score(target, { ...words(20), target_length: 10 })).value).toBeCloseTo(Math.exp(-1), 12);
  expect((await score(target as unknown as Reward, words(1))).error!.kind).toBe("missing-column");
  expect((await score(target, { ...words(1), target_length: 0 })).error!.kind).toBe("wrong-column");
});

test("repetition of n-grams", async () => {
  expect(repetition("a a a a", 2)).toBeCloseTo(2 / 3, 12);
  expect([repetition("a b c d", 2), repetition("a", 2), repetition("", 1)]).toEqual([0, 0, 0]);
  expect((await score(repetitionPenalty({ size: 2, most: 3 }), { prompt: "p", completion: "A a a a" })).value).toBeCloseTo(-2, 12);
  expect((await score(repetitionPenalty(), { prompt: "p", completion: "a b c" })).value).toBe(0);
  expect(() => repetitionPenalty({ size: 0 })).toThrow(/at least 1/);
});

test("shaping stays in its range for any text", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), fc.integer({ min: 1, max: 5 }), (text, n) => {
      expect(repetition(text, n)).toBeGreaterThanOrEqual(0);
      expect(repetition(text, n)).toBeLessThan(1);
      const penalty = overlongPenalty(lengthOf(text, "characters"), { limit: 5, buffer: n });
      expect(penalty).toBeGreaterThanOrEqual(-1);
      expect(penalty).toBeLessThanOrEqual(0);
    }),
    { seed: 1 },
  );
});
