import { spawnSync } from "node:child_process";
import { expect, test } from "vitest";
import { z } from "zod";
import { expectReward, fromScorer, reward, RewardAssertionError, score, sum } from "../../src/rewards/index.ts";

const exact = reward("exact", { columns: z.object({ reference: z.string() }) }, ({ text, reference }) => text === reference);
const right = { prompt: "p", completion: "x", reference: "x" };
const wrong = { prompt: "p", completion: "a long wrong answer", reference: "x" };

test("claims that hold", async () => {
  await expectReward(exact).toPrefer(right, wrong);
  await expectReward(exact).toPrefer(right, wrong, { margin: 1 });
  await expectReward(exact).toScore(wrong, 0);
  await expectReward(reward("third", () => 1 / 3)).toScore(right, 0.3333, { tolerance: 1e-3 });
  await expectReward(exact).toBeUnscorable({ prompt: "p", completion: "x" }, "missing-column");
  await expectReward(exact).toBeUnscorable({ prompt: "p" });
  // Both rows answer one prompt, so a reward of groups compares them.
  const rank = reward.group("rank", (answers) =>
    answers.map(({ text }) => answers.filter((other) => other.text.length > text.length).length),
  );
  await expectReward(rank).toPrefer(right, wrong);
});

test("claims that do not hold say what was, with parts and reasons", async () => {
  const long = sum({ exact, long: reward("long", ({ text }) => text.length) });
  const error = await expectReward(long)
    .toPrefer(right, wrong)
    .catch((cause: unknown) => cause);
  expect(error).toBeInstanceOf(RewardAssertionError);
  expect(error).toMatchObject({ name: "AssertionError", actual: [2, 19], operator: "toPrefer" });
  expect((error as Error).message).toBe(
    'Expected the reward "sum(exact, long)" to prefer the first row, but the scores are 2 (exact 1, long 1) and 19 (exact 0, long 19).',
  );
  await expect(expectReward(exact).toPrefer(right, right)).rejects.toThrow(/prefer the first row, but the scores are 1 and 1/);
  await expect(expectReward(exact).toScore(right, 0)).rejects.toThrow('Expected the reward "exact" to score 0, but the score is 1.');
  const mute = reward("mute", () => null);
  await expect(expectReward(mute).toScore(right, 0)).rejects.toThrow(/the score is unscorable \(declined: The reward "mute" could not say/);
  await expect(expectReward(mute).toPrefer(right, wrong)).rejects.toThrow(/unscorable/);
  await expect(expectReward(mute).toBeUnscorable(right, "timeout")).rejects.toMatchObject({ actual: "declined", expected: "timeout" });
  await expect(expectReward(exact).toBeUnscorable(right)).rejects.toThrow(/to be unscorable, but the score is 1/);
  await expect(expectReward(exact).toScore(right, Number.NaN)).rejects.toThrow(/finite number/);
  // @ts-expect-error the row lacks a column that the reward needs
  await expect(expectReward(exact).toScore({ prompt: "p", completion: "x" }, 0)).rejects.toThrow(/missing-column/);
});

test("node:test shows them as failed tests", () => {
  const source = `
    import test from "node:test";
    import { expectReward, reward } from ${JSON.stringify(new URL("../../src/rewards/index.ts", import.meta.url).href)};
    const long = reward("long", ({ text }) => text.length);
    test("holds", () => expectReward(long).toPrefer({ prompt: "p", completion: "bb" }, { prompt: "p", completion: "a" }));
    test("fails", () => expectReward(long).toScore({ prompt: "p", completion: "bb" }, 3));
  `;
  const { NODE_OPTIONS: _, NODE_TEST_CONTEXT: __, FORCE_COLOR: ___, ...env } = process.env;
  const { stdout, status } = spawnSync(process.execPath, ["--conditions=guerdon-source", "--input-type=module", "--eval", source], {
    encoding: "utf8",
    env,
  });
  expect(stdout).toMatch(/pass 1/);
  expect(stdout).toMatch(/fail 1/);
  expect(stdout).toContain('Expected the reward "long" to score 3, but the score is 2.');
  expect(stdout).toMatch(/actual: 2,[\s\S]*expected: 3/);
  expect(status).toBe(1);
});

test("a scorer of autoevals", async () => {
  const seen: unknown[] = [];
  const levenshtein = fromScorer(
    (given) => {
      seen.push(given);
      return { name: "Levenshtein", score: given.output === given.expected ? 1 : 0, metadata: { rationale: "compared" } };
    },
    { name: "levenshtein" },
  );
  expect(await score(levenshtein, { ...right, topic: "t" })).toEqual({ value: 1, note: "compared" });
  expect(seen).toEqual([{ input: "p", output: "x", expected: "x", topic: "t" }]);
  const strict = fromScorer(() => ({ score: 1 }), { name: "strict", needs: "expected" });
  // @ts-expect-error the row needs a reference
  expect((await score(strict, { prompt: "p", completion: "x" })).error!.kind).toBe("missing-column");
  expect((await score(strict, right)).value).toBe(1);
});

test("scores that such a scorer cannot give", async () => {
  const errorOf = async (returned: unknown) =>
    (
      await score(
        fromScorer(() => returned as null, { name: "s" }),
        right,
      )
    ).error!;
  expect(await errorOf({ score: null, metadata: { rationale: "refused" } })).toMatchObject({ kind: "declined" });
  expect(await errorOf(null)).toMatchObject({ kind: "declined" });
  expect(await errorOf({ score: Number.NaN })).toMatchObject({ kind: "not-finite" });
  expect(await errorOf({ points: 3 })).toMatchObject({
    kind: "not-a-grade",
    message: 'The scorer "s" returned {"points":3}, which has no score.',
  });
  expect(await errorOf("good")).toMatchObject({ kind: "not-a-grade" });
  expect(await errorOf(undefined)).toMatchObject({ kind: "not-a-grade" });
  expect(await errorOf({ score: 0, error: new Error("no key") })).toMatchObject({
    kind: "threw",
    message: 'The scorer "s" failed: no key.',
  });
  const thrown = fromScorer(() => Promise.reject(new Error("down")), { name: "s" });
  expect((await score(thrown, right)).error!.kind).toBe("threw");
});

test("an assertion of promptfoo", async () => {
  const seen: unknown[] = [];
  const assertion = fromScorer(
    (output, context) => {
      seen.push([output, context]);
      return { pass: false, score: 0.4, reason: "too long", namedScores: { tone: 0.8 } };
    },
    { name: "assert", shape: "promptfoo" },
  );
  expect(await score(assertion, right)).toEqual({ value: 0.4, note: "too long", parts: { tone: 0.8 } });
  expect(seen).toEqual([["x", { prompt: "p", vars: { reference: "x" } }]]);
  expect(
    (
      await score(
        fromScorer(() => true, { name: "b", shape: "promptfoo" }),
        right,
      )
    ).value,
  ).toBe(1);
  expect(
    (
      await score(
        fromScorer(() => 0.5, { name: "n", shape: "promptfoo" }),
        right,
      )
    ).value,
  ).toBe(0.5);
});
