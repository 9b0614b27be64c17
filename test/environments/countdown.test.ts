import fc from "fast-check";
import { expect, test } from "vitest";
import { chanceOfCountdown, countdown, countdownUniverse, type CountdownReference } from "../../src/environments/index.ts";
import { crc32, splitOf } from "../../src/environments/text/held-out.ts";
import { symbolTokenizer } from "../../src/policies/tokenizer.ts";
import { below, stream, type Rng } from "../../src/statistics/stream.ts";
import { processorTime } from "../kit/crowding.ts";

const environment = countdown();
const { symbols, check, demonstrate } = environment as Required<typeof environment>;
const draw = (seed: number) => environment.draw(seed % 2 === 0 ? "train" : "test", stream(seed, "task"));
const seeds = fc.integer({ min: 0, max: 1e9 });

test("CRC-32 is the one of zip and Python", () => {
  expect(crc32("123456789")).toBe(0xcbf43926);
  expect(crc32("")).toBe(0);
});

test("the universe has 2,424 tasks, 449 of them held out; numbers up to 20 have 5,640 and 1,091", () => {
  const sizes = [15, 20].map((highest) => {
    const tasks = countdownUniverse({ highest });
    return [tasks.length, tasks.filter(({ split }) => split === "test").length];
  });
  expect(sizes).toEqual([
    [2424, 449],
    [5640, 1091],
  ]);
});

test("500 evaluation tasks hold about 285 distinct ones, and random legal play solves a third", () => {
  const tasks = Array.from({ length: 500 }, (_, i) => environment.draw("test", stream(7, "evaluation", i)));
  const distinct = new Set(tasks.map(({ id }) => id)).size;
  expect(distinct).toBeGreaterThan(265);
  expect(distinct).toBeLessThan(305);
  // 500 tasks played 20 times each, tasks drawn with repetition: a standard error of about 0.01.
  expect(chanceOfCountdown(tasks, stream(7, "chance"))).toBeCloseTo(0.33, 1.3);
});

test("the splits do not overlap, whatever the order of the numbers", () => {
  const ids = (split: "train" | "test") => new Set(Array.from({ length: 3000 }, (_, i) => environment.draw(split, stream(1, split, i)).id));
  const [train, held] = [ids("train"), ids("test")];
  expect([...train].filter((id) => held.has(id))).toEqual([]);
  // Nearly everything is reached: the generator is spread over its universe.
  expect(train.size).toBeGreaterThan(1400);
  expect(splitOf("2 7 9=14")).toBe(splitOf([9, 7, 2].toSorted((a, b) => a - b).join(" ") + "=14"));
});

test("prompts and answers are as calibrated: 110 symbols, 6 and 12 tokens", () => {
  const tokenizer = symbolTokenizer(symbols);
  expect(tokenizer.vocabulary).toBe(110);
  expect(tokenizer.end).toBe(100);
  fc.assert(
    fc.property(seeds, (seed) => {
      const task = draw(seed);
      expect(tokenizer.encodePrompt(task.prompt)).toHaveLength(6);
      const answer = tokenizer.encode(demonstrate(task, stream(seed)));
      expect(answer.length + 1).toBe(environment.maxActions);
    }),
    { seed: 1 },
  );
});

test("a demonstration always passes, for other sizes and operations too", () => {
  const wide = countdown({ count: 4, highest: 12, operations: ["+", "-", "*", "/"] }) as Required<typeof environment>;
  for (let seed = 0; seed < 300; seed++) {
    const task = draw(seed);
    expect(check(demonstrate(task, stream(seed)), task.reference)).toBe(true);
    if (seed % 10 > 0) continue;
    const larger = wide.draw("train", stream(seed));
    expect(wide.check(wide.demonstrate(larger, stream(seed)), larger.reference)).toBe(true);
  }
});

/** Every text that solves a task, by trying all equations over all numbers: slow, and not the code under test. */
function solutions({ numbers, target }: CountdownReference): Set<string> {
  const found = new Set<string>();
  const order = [0, 1, 2];
  for (const i of order)
    for (const j of order.filter((k) => k !== i))
      for (const first of ["+", "-"]) {
        const [a, b, c] = [numbers[i]!, numbers[j]!, numbers[3 - i - j]!];
        const middle = first === "+" ? a + b : a - b;
        if (middle < 1) continue;
        if (middle + c === target)
          for (const sum of [`${middle} + ${c}`, `${c} + ${middle}`]) found.add(`${a} ${first} ${b} = ${middle} , ${sum} = ${target}`);
        if (middle - c === target) found.add(`${a} ${first} ${b} = ${middle} , ${middle} - ${c} = ${target}`);
        if (c - middle === target) found.add(`${a} ${first} ${b} = ${middle} , ${c} - ${middle} = ${target}`);
      }
  return found;
}

test("an answer passes exactly when it is one of the task's solutions", () => {
  for (let seed = 0; seed < 2000; seed++) {
    const task = draw(seed);
    const right = solutions(task.reference as CountdownReference);
    for (const answer of right) expect(check(answer, task.reference)).toBe(true);
    const rng = stream(seed, "corrupt");
    const tokens = demonstrate(task, rng).split(" ");
    const changed = tokens.with(below(rng, tokens.length), symbols[below(rng, symbols.length)]!).join(" ");
    expect(check(changed, task.reference), changed).toBe(right.has(changed));
  }
});

const corruptions: Record<string, (answer: string, reference: CountdownReference, rng: Rng) => string> = {
  "a wrong result": (answer) => answer.replace(/= (\d+)/, (_, result: string) => `= ${Number(result) + 1}`),
  "a number used twice": (answer) => {
    const a = Number.parseInt(answer, 10);
    return `${a} + ${a} = ${2 * a} , ${answer.split(" , ")[1]!}`;
  },
  "a number that was not given": (answer) => answer.replace(/^\d+/, "98"),
  "an extra equation": (answer, { target }) => `${answer} , ${target} + 0 = ${target}`,
  "one equation too few": (answer) => answer.split(" , ")[0]!,
  "nothing but the target": (_, { target }) => String(target),
  "another target": (answer) => answer.replace(/\d+$/, (target) => String(Number(target) + 1)),
  "no comma": (answer) => answer.replace(",", ""),
  "text after the answer": (answer) => `${answer} !`,
  "the end token as text": (answer) => `${answer} <eos>`,
  "a sign in front": (answer) => `+ ${answer}`,
  "leading zeros": (answer) => `0${answer}`,
  "words for digits": (answer) => answer.replace(/^\d+/, "٧"),
  "the answer twice": (answer) => `${answer} , ${answer}`,
};

test.each(Object.entries(corruptions))("never passes: %s", (kind, corrupt) => {
  for (let seed = 0; seed < 300; seed++) {
    const task = draw(seed);
    const reference = task.reference as CountdownReference;
    // Doubling a number is right when it was given twice.
    if (kind === "a number used twice" && new Set(reference.numbers).size < 3) continue;
    const rng = stream(seed, "corrupt");
    const answer = corrupt(demonstrate(task, rng), reference, rng);
    expect(check(answer, reference), answer).toBe(false);
  }
});

test("results below 1 and fractions never pass", () => {
  expect(check("2 - 7 = -5 , 9 - -5 = 14", { numbers: [2, 7, 9], target: 14 })).toBe(false);
  expect(check("5 - 5 = 0 , 0 + 7 = 7", { numbers: [5, 5, 7], target: 7 })).toBe(false);
  const divide = countdown({ operations: ["/", "+"] }) as Required<typeof environment>;
  expect(divide.check("7 / 2 = 3.5 , 3.5 + 9 = 12.5", { numbers: [2, 7, 9], target: 12.5 })).toBe(false);
  expect(divide.check("8 / 2 = 4 , 4 + 9 = 13", { numbers: [2, 8, 9], target: 13 })).toBe(true);
  // Not an operation of this task.
  expect(check("8 / 2 = 4 , 4 + 9 = 13", { numbers: [2, 8, 9], target: 13 })).toBe(false);
});

test("whitespace does not matter, and no string makes the check throw", () => {
  expect(check("7-2=5,5+9=14\n", { numbers: [2, 7, 9], target: 14 })).toBe(true);
  const reference = { numbers: [2, 7, 9], target: 14 };
  const pieces = fc.array(fc.constantFrom(...symbols, " ", "\n", "e9"), { maxLength: 30 }).map((list) => list.join(" "));
  fc.assert(
    fc.property(fc.oneof(fc.string({ unit: "binary", maxLength: 200 }), pieces), (text) => typeof check(text, reference) === "boolean"),
    { seed: 1, numRuns: 2000 },
  );
  expect(() => check("1", "nonsense")).toThrow(/reference is \{ numbers, target \}/);
});

test("look-alikes do not pass, and a million characters are refused at once", async () => {
  const reference = { numbers: [7, 2, 9], target: 14 };
  expect(check("7-2=5,5+9=14", reference)).toBe(true);
  const alike = [
    "+7 - 2 = 5",
    "07 - 2 = 5",
    "7 \u2212 2 = 5",
    "\uff17 - 2 = 5",
    "\u0667 - 2 = 5",
    "7 - 2 = 5.0",
    "7 - 2 = 5 = 5",
    "7 - 2 = 5 ,",
  ];
  for (const first of alike) expect(check(`${first} , 5 + 9 = 14`, reference), first).toBe(false);
  const million = 1e6;
  const long = [
    "1".repeat(million),
    ",".repeat(million),
    `7${" ".repeat(million)}x , 5 + 9 = 14`,
    `7 - 2 = 5${" ".repeat(million)}x, 5 + 9 = 14`,
  ];
  for (const text of long) expect(await processorTime(() => expect(check(text, reference)).toBe(false))).toBeLessThan(250);
});

test("each way to win is demonstrated as often as any other, and five numbers are no burden", async () => {
  const task = { id: "t", prompt: "1 5 5 = 9 :", reference: { numbers: [1, 5, 5], target: 9 } };
  const seen = new Map<string, number>();
  for (let seed = 0; seed < 4000; seed++) {
    const answer = demonstrate(task, stream(seed, "way"));
    seen.set(answer, (seen.get(answer) ?? 0) + 1);
  }
  // By hand: (5 + 5) - 1 in two orders, and 5 + (5 - 1) or (5 - 1) + 5 for either five.
  expect([...seen.keys()].toSorted()).toEqual(["5 + 5 = 10 , 10 - 1 = 9", "5 - 1 = 4 , 4 + 5 = 9", "5 - 1 = 4 , 5 + 4 = 9"]);
  for (const count of seen.values()) expect(Math.abs(count - 4000 / 3)).toBeLessThan(130);

  const large = countdown({ count: 5, operations: ["+", "-", "*", "/"] }) as Required<typeof environment>;
  const took = await processorTime(() => {
    for (let seed = 0; seed < 20; seed++) {
      const drawn = large.draw("train", stream(seed));
      expect(large.check(large.demonstrate(drawn, stream(seed)), drawn.reference)).toBe(true);
    }
  });
  expect(took).toBeLessThan(2000);
});

test("options that cannot work are refused at once", () => {
  expect(() => countdown({ count: 2, highest: 1 })).toThrow(/1 tasks in all and none of them is held out/);
  expect(() => countdown({ count: 1 })).toThrow(/count must be 2 to 5/);
  expect(() => countdown({ highest: 100 })).toThrow(/highest must be/);
  expect(() => countdown({ operations: [] })).toThrow(/operations must be some of/);
});
