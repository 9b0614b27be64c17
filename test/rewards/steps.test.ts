import { expect, test } from "vitest";
import { z } from "zod";
import { reward, score, type Reward } from "../../src/rewards/index.ts";

const lengths = reward.steps("lengths", ({ steps }) => steps.map((step) => step.length));
const row = { prompt: "p", completion: "one\n\nthree" };

test("steps come from a column of texts, of spans, or from the turns of a conversation", async () => {
  expect(await score(lengths, { ...row, steps: ["one", "three"] })).toEqual({ value: 4, steps: [3, 5] });
  expect(
    (
      await score(lengths, {
        ...row,
        steps: [
          { from: 0, to: 3 },
          { from: 5, to: 10 },
        ],
      })
    ).steps,
  ).toEqual([3, 5]);
  const completion = [
    { role: "assistant" as const, content: "look" },
    { role: "tool" as const, content: "a wall" },
    { role: "assistant" as const, content: "go" },
  ];
  expect((await score(lengths, { prompt: "p", completion })).steps).toEqual([4, 2]);
});

test("steps become a value in the way that was asked for", async () => {
  const values = await Promise.all(
    (["mean", "min", "product", "last", "sum"] as const).map(async (value) => {
      // Known answers of the aggregations of step probabilities.
      const one = reward.steps("prm", { value }, () => [0.9, 0.8, 0.5, 0.95]);
      return (await score(one, { ...row, steps: ["a", "b", "c", "d"] })).value!;
    }),
  );
  [0.7875, 0.5, 0.342, 0.95, 3.15].forEach((expected, i) => expect(values[i]).toBeCloseTo(expected, 12));
  expect(() => reward.steps("prm", { value: "median" as never }, () => [])).toThrow(/must be one of mean/);
});

test("columns are typed beside the steps; a whole score may be returned", async () => {
  const one = reward.steps("one", { columns: z.object({ bonus: z.number() }) }, ({ steps, bonus }) => ({
    value: bonus,
    steps: steps.map(() => bonus),
    note: "n",
  }));
  expect(await score(one, { ...row, steps: ["a"], bonus: 2 })).toEqual({ value: 2, steps: [2], note: "n" });
  // @ts-expect-error bonus is missing
  expect((await score(one, { ...row, steps: ["a"] })).error!.kind).toBe("missing-column");
});

test("what is no number for each step is unscorable, with what was returned", async () => {
  const kindOf = async (returned: unknown) =>
    (
      await score(
        reward.steps("r", () => returned as number[]),
        { ...row, steps: ["a", "b"] },
      )
    ).error!;
  expect((await kindOf([1])).message).toMatch(/got 2 steps and returned 1 numbers/);
  expect((await kindOf([1, Number.NaN])).kind).toBe("not-finite");
  expect((await kindOf([1, "2"])).message).toMatch(/returned "2" for step 2/);
  expect((await kindOf(null)).kind).toBe("declined");
  expect((await kindOf(3)).kind).toBe("not-a-grade");
  expect((await score(lengths, row)).error).toEqual({
    kind: "missing-column",
    message: '"steps" is missing (needed by the reward "lengths").',
  });
  for (const steps of [
    [],
    [{ from: 3, to: 2 }],
    [{ from: 0, to: 99 }],
    [
      { from: 0, to: 3 },
      { from: 2, to: 4 },
    ],
    ["a", null],
    "a",
  ])
    expect((await score(lengths as unknown as Reward, { ...row, steps })).error!.kind).toBe("wrong-column");
});
