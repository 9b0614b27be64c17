import fc from "fast-check";
import { expect, test } from "vitest";
import { sorting } from "../../src/environments/index.ts";
import { symbolTokenizer } from "../../src/policies/tokenizer.ts";
import { stream } from "../../src/statistics/stream.ts";

const environment = sorting();
const { check, demonstrate, symbols } = environment as Required<typeof environment>;

test("a sorting task and its answer", () => {
  const task = environment.draw("train", stream(3));
  const numbers = (task.prompt as string).split(" ").slice(0, 6).map(Number);
  expect((task.prompt as string).endsWith(" :")).toBe(true);
  const answer = demonstrate(task, stream(3));
  expect(answer).toBe(numbers.toSorted((a, b) => a - b).join(" "));
  expect(check(answer, task.reference)).toBe(true);
  expect(check(` ${answer}\n`, task.reference)).toBe(true);
  expect(check(numbers.join(" "), task.reference)).toBe(false);
  expect(check(`${answer} 0`, task.reference)).toBe(false);
  const tokenizer = symbolTokenizer(symbols);
  expect(tokenizer.encodePrompt(task.prompt)).toHaveLength(7);
  expect(tokenizer.encode(answer).length + 1).toBe(environment.maxActions);
});

test("demonstrations pass, swapping two different neighbours does not, no string throws", () => {
  fc.assert(
    fc.property(fc.integer(), fc.nat(4), (seed, at) => {
      const task = environment.draw("test", stream(seed));
      const right = demonstrate(task, stream(seed)).split(" ");
      expect(check(right.join(" "), task.reference)).toBe(true);
      if (right[at] === right[at + 1]) return;
      expect(
        check(
          right
            .with(at, right[at + 1]!)
            .with(at + 1, right[at]!)
            .join(" "),
          task.reference,
        ),
      ).toBe(false);
    }),
    { seed: 1 },
  );
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => check(text, "0 3 3 7 14 19") === false),
    { seed: 1 },
  );
});

test("one task in five is held out, by its sorted numbers", () => {
  const key = (id: string): string => id.slice("sorting ".length);
  const train = new Set(Array.from({ length: 500 }, (_, i) => key(environment.draw("train", stream(i, "a")).id)));
  const held = new Set(Array.from({ length: 500 }, (_, i) => key(environment.draw("test", stream(i, "b")).id)));
  expect([...train].filter((one) => held.has(one))).toEqual([]);
  expect(() => sorting({ count: 2, highest: 0 })).toThrow(/none of them is held out/);
  expect(() => sorting({ count: 1 })).toThrow(/count must be/);
});
