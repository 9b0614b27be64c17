import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { prompts } from "../../src/environments/index.ts";
import { stream } from "../../src/statistics/stream.ts";

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "guerdon-prompts-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

function file(name: string, lines: readonly unknown[]): string {
  const path = join(folder, name);
  writeFileSync(path, lines.map((line) => (typeof line === "string" ? line : JSON.stringify(line))).join("\n"));
  return path;
}
const rows = Array.from({ length: 40 }, (_, i) => ({ prompt: `What is ${i} + 1?`, solution: String(i + 1), level: i % 3 }));

test("a file of prompts and references becomes an environment, and says what it was taken for", async () => {
  const environment = await prompts(file("sums.jsonl", rows), { testShare: 0.25 });
  expect(environment.name).toBe("sums");
  expect(environment.recognised).toBe("reference <- solution; 30 training and 10 test tasks");
  const [first] = environment.tasks("train");
  expect(first).toMatchObject({
    id: expect.stringMatching(/^sums \d+$/),
    reference: expect.any(String),
    columns: { level: expect.any(Number) },
  });
  expect(environment.check!("  5\n", "5")).toBe(true);
  expect(environment.check!("5.", "5")).toBe(false);
  expect(environment.check!("5", 5)).toBe(true);
  expect(environment.tasks("test")).toContain(environment.draw("test", stream(1)));
});

test("the split depends on the seed alone, and equal prompts stay together", () => {
  const twice = [...rows, ...rows];
  const test1 = prompts(twice, { seed: 1 }).tasks("test");
  expect(test1).toEqual(prompts(twice, { seed: 1 }).tasks("test"));
  expect(test1).not.toEqual(prompts(twice, { seed: 2 }).tasks("test"));
  const train = new Set(
    prompts(twice, { seed: 1 })
      .tasks("train")
      .map(({ prompt }) => prompt),
  );
  expect(test1.filter(({ prompt }) => train.has(prompt))).toEqual([]);
  expect(test1).toHaveLength(8);
});

test("a column can give the split", () => {
  const given = [
    { prompt: "a", part: "train" },
    { prompt: "b", part: "test" },
  ];
  const environment = prompts(given, { columns: { split: "part" } });
  expect(environment.tasks("train").map(({ prompt }) => prompt)).toEqual(["a"]);
  expect("check" in environment).toBe(false);
  expect(environment.recognised).toBe("no reference; 1 training and 1 test tasks");
  expect(() => prompts([...given, { prompt: "a", part: "test" }], { columns: { split: "part" } })).toThrow(
    /^row 3 is a test row, and row 1 with the same prompt is a train row/,
  );
  expect(() => prompts([{ prompt: "a", part: "dev" }], { columns: { split: "part" } })).toThrow(
    'row 1: "part" must be "train" or "test", not "dev"',
  );
});

test("messages are prompts too, and a check can be given", () => {
  const message = (content: string) => [{ role: "user", content }];
  const environment = prompts(
    [
      { prompt: message("x"), answer: { number: 3 } },
      { prompt: message("y"), answer: { number: 4 } },
    ],
    { check: (text, reference) => Number(text) === (reference as { number: number }).number },
  );
  expect(environment.check!("3", { number: 3 })).toBe(true);
  expect(environment.tasks("train")).toHaveLength(1);
});

test("verl's rows and those of other names are taken as they are", async () => {
  const verl = ["a", "b"].map((text) => ({
    data_source: "d",
    prompt: [{ role: "user", content: text }],
    reward_model: { style: "rule", ground_truth: text },
  }));
  const environment = await prompts(file("verl.jsonl", verl));
  expect(environment.recognised).toBe("reference <- reward_model.ground_truth; 1 training and 1 test tasks");
  expect(environment.tasks("train")[0]).toMatchObject({ reference: expect.stringMatching(/^[ab]$/) });
  const asked = await prompts(
    file("asked.jsonl", [
      { question: "a", solution: "1" },
      { question: "b", solution: "2" },
    ]),
  );
  expect(asked.recognised).toBe("prompt <- question; reference <- solution; 1 training and 1 test tasks");
  const csv = join(folder, "rows.csv");
  writeFileSync(csv, "prompt,answer\na,1\nb,2\n");
  expect((await prompts(csv)).tasks("test")[0]).toMatchObject({ reference: expect.stringMatching(/^[12]$/) });
});

test("what is missing or contradictory is named with file and line", async () => {
  await expect(prompts(file("two.jsonl", [{ prompt: "a", answer: "1", solution: "2" }]))).rejects.toThrow(
    /two\.jsonl: the reference could be "answer" or "solution"\. Say which/,
  );
  await expect(prompts(file("no-prompt.jsonl", [{ task: "a", answer: "1" }]))).rejects.toThrow(
    /no-prompt\.jsonl row 1: the column "prompt" is missing/,
  );
  await expect(prompts(file("hole.jsonl", [{ prompt: "a", answer: "1" }, "", { prompt: "b" }]))).rejects.toThrow(
    /hole\.jsonl row 2 \(line 3\): the reference "answer" is missing/,
  );
  await expect(prompts(file("bad.jsonl", [{ prompt: 3 }]))).rejects.toThrow(/row 1: "prompt" must be text or a list/);
  expect(() => prompts([])).toThrow("there are no rows");
  expect(() => prompts([{ prompt: "only" }])).toThrow(/cannot be split/);
  expect(() => prompts(rows, { testShare: 1.5 })).toThrow(/above 0 and at most 1/);
  const only = prompts([{ prompt: "only" }, { prompt: "only" }], { testShare: 1 });
  expect([only.tasks("train").length, only.tasks("test").length]).toEqual([0, 2]);
  const unclear = await prompts(
    file("two.jsonl", [
      { prompt: "a", answer: "1", solution: "2" },
      { prompt: "b", answer: "1", solution: "3" },
    ]),
    { columns: { reference: "solution" } },
  );
  expect(unclear.recognised).toMatch(/^reference <- solution/);
});

test("a reference that no text can equal needs a check", () => {
  const rows = [
    { prompt: "a", reference: { x: 1 } },
    { prompt: "b", reference: [1] },
  ];
  expect(() => prompts(rows)).toThrow(/row 1: the reference "reference" is \{"x":1\}, and no text equals that/);
  expect(prompts(rows, { check: (text, reference) => text === JSON.stringify(reference) }).check?.("[1]", [1])).toBe(true);
});

test("written solutions can be shown, and their beginnings given away", () => {
  const user = { role: "user", content: "What is 1 + 2?" } as const;
  const rows = [
    { prompt: "What is 1 + 2?", answer: "3", solution: "First: 1.\nThen two more: 3.", split: "train" },
    { prompt: [user, { role: "assistant", content: "Hm." }], answer: "3", solution: "three", split: "test" },
  ];
  const columns = { reference: "answer", solution: "solution", split: "split" };
  const from = prompts(rows, { columns });
  const [[task], [chat]] = [from.tasks("train"), from.tasks("test")];
  expect(from.demonstrate!(task!, stream(1))).toBe(rows[0]!.solution);
  expect(from.hint!(task!, 0.5, stream(1)).prompt).toBe("What is 1 + 2?\n\nA solution begins like this:\nFirst: 1.\nThen");
  expect(from.hint!(task!, 0.5, stream(1)).reference).toBe("3");
  expect(from.hint!(task!, 0, stream(1))).toBe(task);
  // A solution of one word would be given away whole.
  expect(from.hint!(chat!, 0.9, stream(1))).toBe(chat);
  const longer = prompts([{ ...rows[1]!, solution: "it is three" }], { columns });
  const [hinted] = longer.tasks("test").map((one) => longer.hint!(one, 0.6, stream(1)).prompt);
  expect(hinted).toEqual([
    { role: "user", content: "What is 1 + 2?\n\nA solution begins like this:\nit is" },
    { role: "assistant", content: "Hm." },
  ]);
  expect(() => prompts([{ ...rows[0]!, solution: 3 }], { columns })).toThrow(/row 1: the solution "solution" is missing/);
});
