import { expect, test } from "vitest";
import { largest, mean, median, ratio, type Check } from "../../src/papers/index.ts";
import { verdict } from "../../src/papers/verdict.ts";
import { columns, somePaper } from "./kit.ts";

const results = columns({ method: [1, 2, 3, 4, 5], baseline: [2, 3, 5, 4, 6], broken: [1, -1, 1, -1, 0] });
const check = (one: Omit<Check, "say">) => verdict(somePaper({ checks: [{ say: "x", ...one }] }), results).checks[0]!;

test("the whole interval has to lie beyond the threshold, not only its middle", () => {
  // [1.03676, 4.96324]
  expect(check({ of: mean("method", "x"), above: 2.9 })).toMatchObject({ estimate: 3, holds: false });
  expect(check({ of: mean("method", "x"), above: 1.0367 }).holds).toBe(true);
  expect(check({ of: mean("method", "x"), above: 1.0368 }).holds).toBe(false);
  expect(check({ of: mean("method", "x"), above: 1, below: 5 }).holds).toBe(true);
  expect(check({ of: mean("method", "x"), above: 1, below: 4.9 }).holds).toBe(false);
});

test("the threshold itself does not count", () => {
  expect(check({ of: largest("method", "x"), below: 5 }).holds).toBe(false);
  expect(check({ of: largest("method", "x"), below: 5.01 })).toMatchObject({ holds: true, p: null, above: null, below: 5.01, level: 1 });
});

test("with two thresholds the larger p-value counts", () => {
  const of = mean("method", "x");
  expect(check({ of, above: 1, below: 4.9 }).p).toBe(of.p!(results, "below", 4.9));
  expect(check({ of, above: 1 }).p).toBe(of.p!(results, "above", 1));
});

test("an interval without an end never clears a threshold, and stands as null", () => {
  const result = check({ of: ratio("method", "broken", "x", { seeds: (seed) => seed < 3 }), above: 0 });
  expect(result).toMatchObject({ low: null, high: null, holds: false });
});

test("a part of the card's claim that does not show is reported, and is no part of the verdict", () => {
  const passing = { say: "x", of: mean("method", "x"), above: -1e9 };
  const refuted = [{ say: "y", of: mean("method", "x"), above: 1e9, why: "a test" }];
  const paper = somePaper({ checks: [passing] });
  expect(verdict({ ...paper, claim: { ...paper.claim, refuted } }, results)).toMatchObject({
    holds: true,
    checks: [{ say: "x", holds: true }],
    refuted: [{ say: "y", holds: false, above: 1e9, why: "a test" }],
  });
});

test("a claim holds when all of its checks do, and the bootstrap repeats itself", () => {
  const checks = [
    { say: "a", of: median("method", "x"), above: 0 },
    { say: "b", of: largest("baseline", "x"), below: 6, changed: { card: "below 7", why: "a test" } },
  ];
  const first = verdict(somePaper({ checks }), results);
  expect(first.holds).toBe(false);
  expect(first.checks.map(({ holds }) => holds)).toEqual([true, false]);
  expect(first.checks[1]!.changed).toEqual({ card: "below 7", why: "a test" });
  expect(verdict(somePaper({ checks }), results)).toEqual(first);
  expect(verdict(somePaper({ checks: checks.slice(0, 1) }), results).holds).toBe(true);
});
