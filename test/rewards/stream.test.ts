import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, expect, test } from "vitest";
import { z } from "zod";
import type { Row } from "../../src/data/row.ts";
import { gate, reward, score, sum, type ScoredRow, type Summary } from "../../src/rewards/index.ts";

const folder = mkdtempSync(join(tmpdir(), "guerdon-stream-"));
afterAll(() => rmSync(folder, { recursive: true }));
function file(name: string, rows: readonly unknown[]): string {
  const path = join(folder, name);
  writeFileSync(path, rows.map((row) => (typeof row === "string" ? row : JSON.stringify(row))).join("\n"));
  return path;
}
async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const out: T[] = [];
  for await (const item of items) out.push(item);
  return out;
}
const sleep = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));
const rowsOf = (count: number): (Row & { completion: string })[] =>
  Array.from({ length: count }, (_, i) => ({ prompt: `p${i}`, completion: String(i) }));
const quiet = { onWarning: () => undefined };
const value = reward("value", ({ text }) => Number(text));
const exact = reward("exact", { columns: z.object({ reference: z.string() }) }, ({ text, reference }) => text === reference);

test("a stream gives scores in order, whatever takes how long", async () => {
  const slow = reward("slow", async ({ text }) => {
    await sleep(Number(text) % 7);
    return Number(text);
  });
  const scored = await all(score.stream(slow, rowsOf(60), { concurrency: 5 }));
  expect(scored.map(({ index }) => index)).toEqual(Array.from({ length: 60 }, (_, i) => i));
  expect(scored.map(({ score: { value: one } }) => one)).toEqual(scored.map(({ index }) => index));
  expect(scored[3]!.row).toEqual({ prompt: "p3", completion: "3" });
});

test("rows are read no faster than they are used", async () => {
  let read = 0;
  async function* endless() {
    for (;;) {
      read++;
      yield { prompt: "p", completion: "1" };
    }
  }
  let used = 0;
  for await (const one of score.stream(value, endless())) {
    expect(one.score.value).toBe(1);
    expect(read - used).toBeLessThan(1100);
    if (++used === 5000) break;
  }
  const after = read;
  await sleep(20);
  expect(read).toBe(after);
});

test("one slow answer holds back only so many others", async () => {
  let begun = 0;
  let release = (): void => undefined;
  const first = reward("first", ({ text }) => {
    begun++;
    return text === "0" ? new Promise<number>((resolve) => (release = () => resolve(0))) : 1;
  });
  const scored = all(score.stream(first, rowsOf(5000)));
  await expect.poll(() => begun).toBe(1024);
  await sleep(50);
  expect(begun).toBe(1024);
  release();
  expect(await scored).toHaveLength(5000);
});

test("leaving a stream early tells what is under way", async () => {
  let told = 0;
  const hanging = reward("hanging", ({ text }, { signal }) => {
    if (text === "0") return 1;
    signal.addEventListener("abort", () => told++);
    return new Promise<number>(() => undefined);
  });
  for await (const { score: one } of score.stream(hanging, rowsOf(10), { concurrency: 4 })) {
    expect(one.value).toBe(1);
    break;
  }
  await expect.poll(() => told).toBeGreaterThan(0);
});

test("after an abort a stream gives what was done, then says that it was stopped", async () => {
  const controller = new AbortController();
  const stops = reward("stops", ({ text }) => {
    if (text === "20") controller.abort();
    return 1;
  });
  const seen: ScoredRow[] = [];
  const streaming = (async () => {
    for await (const one of score.stream(stops, rowsOf(1000), { signal: controller.signal, concurrency: 2 })) seen.push(one);
  })();
  await expect(streaming).rejects.toMatchObject({
    code: "interrupted",
    message: expect.stringMatching(/^Scoring was stopped after \d+ rows\.$/),
  });
  expect(seen.length).toBeGreaterThan(18);
  expect(seen.every(({ score: one }) => one.value === 1)).toBe(true);
});

test("rows before a broken line are scored before the error comes", async () => {
  const path = file("broken.jsonl", [...rowsOf(3), "{"]);
  // The sample is read first: a fault among the first rows is seen before anything is scored.
  await expect(all(score.stream(value, path))).rejects.toThrow(/broken\.jsonl line 4 is not JSON/);
  async function* broken() {
    yield* rowsOf(30);
    throw new Error("the network is gone");
  }
  let seen = 0;
  const streaming = (async () => {
    for await (const one of score.stream(value, broken())) seen = one.index + 1;
  })();
  await expect(streaming).rejects.toThrow("the network is gone");
  expect(seen).toBe(30);
});

test("groups are whole within the window, wherever their rows stand; a torn one is an error", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.integer({ min: 0, max: 5 }), { maxLength: 60 }),
      fc.integer({ min: 1, max: 70 }),
      async (groups, window) => {
        const rows = groups.map((group, i) => ({ prompt: `p${group}`, completion: String(i) }));
        const counts = Map.groupBy(groups, (group) => group);
        const size = reward.group("size", (answers) => answers.map(() => answers.length));
        try {
          const scored = await all(score.stream(size, rows, { window }));
          expect(scored.map(({ score: one }) => one.value)).toEqual(groups.map((group) => counts.get(group)!.length));
        } catch (cause) {
          // Only a group that really spans more than the window may be refused.
          expect(cause).toMatchObject({ code: "input", message: expect.stringMatching(/^row \d+: the other rows of its group/) });
          const spans = [...counts.keys()].map((group) => groups.lastIndexOf(group) - groups.indexOf(group));
          expect(Math.max(...spans)).toBeGreaterThanOrEqual(window);
        }
      },
    ),
    { seed: 1 },
  );
});

test("batch rewards get what comes, row rewards beside groups too", async () => {
  const sizes: number[] = [];
  const batch = reward.batch("batch", { size: 500 }, (answers) => {
    sizes.push(answers.length);
    return answers.map(({ text }) => Number(text));
  });
  const scored = await all(score.stream(batch, rowsOf(2500)));
  expect(scored.map(({ score: one }) => one.value)).toEqual(Array.from({ length: 2500 }, (_, i) => i));
  expect(sizes).toEqual([500, 500, 24, 500, 500, 24, 452]);
  const rank = reward.group("rank", (answers) => answers.map((_, i) => i));
  const rows = [...rowsOf(2), ...rowsOf(2)];
  expect((await all(score.stream(sum({ rank, value }), rows))).map(({ score: one }) => one.value)).toEqual([0, 1, 1, 2]);
});

test("an async iterable and a file are scored as a whole too", async () => {
  async function* rows() {
    yield* rowsOf(3);
  }
  expect(await score(value, rows())).toEqual([{ value: 0 }, { value: 1 }, { value: 2 }]);
  const totals: unknown[] = [];
  const path = file("three.jsonl", rowsOf(3));
  expect(await score(value, path, { onProgress: ({ total }) => totals.push(total) })).toEqual([{ value: 0 }, { value: 1 }, { value: 2 }]);
  expect(totals).toEqual([3, 3, 3]);
});

test("a column that the file lacks is said before anything is scored: file, row, column and the reward that needs it", async () => {
  let calls = 0;
  const counting = reward("counting", () => ++calls);
  const misspelt = file(
    "misspelt.jsonl",
    rowsOf(3).map((row) => ({ ...row, refrence: "1" })),
  );
  const message =
    /^.*misspelt\.jsonl row 1: The part "exact": "reference" is missing \(needed by the reward "exact"\)\. The columns are prompt, completion, refrence\. /;
  await expect(score(sum({ counting, exact }), misspelt)).rejects.toMatchObject({ code: "input", message: expect.stringMatching(message) });
  // Behind a gate as well.
  await expect(score(gate(counting, exact), misspelt)).rejects.toThrow(/"reference" is missing \(needed by the reward "exact"\)/);
  expect(calls).toBe(0);
  expect((await score(exact, misspelt, { columns: { reference: "refrence" } })).map(({ value: one }) => one)).toEqual([0, 1, 0]);
});

test("a row that lacks what others have is unscorable with its place", async () => {
  const path = file("hole.jsonl", [{ ...rowsOf(1)[0], reference: "0" }, "", rowsOf(1)[0], { ...rowsOf(1)[0], reference: 3 }]);
  const [one, two, three] = await score(exact, path);
  expect(one).toEqual({ value: 1 });
  expect(two!.error).toEqual({
    kind: "missing-column",
    message: `${path} row 2 (line 3): "reference" is missing (needed by the reward "exact").`,
  });
  expect(three!.error!.message).toMatch(/hole\.jsonl row 3 \(line 4\): The reward "exact" cannot use the column "reference": /);
});

test("an answer to nobody knows what is unscorable, and never one group with others", async () => {
  const size = reward.group("size", (answers) => answers.map(() => answers.length));
  const path = file("no-prompt.jsonl", [
    { prompt: "p", completion: "a" },
    { completion: "b" },
    { completion: "c", prompt: null },
    { prompt: "p", completion: "d" },
  ]);
  const scores = await score(size, path);
  expect(scores.map(({ value: one }) => one)).toEqual([2, null, null, 2]);
  expect(scores[1]!.error).toEqual({ kind: "missing-column", message: `${path} row 2: "prompt" is missing.` });
  await expect(score(value, file("none.jsonl", [{ completion: "1" }]))).rejects.toThrow(
    /none\.jsonl has no prompt\. .*--columns prompt=question/,
  );
});

test("minimum coverage also ends a stream: at once where the total is known, else at the end", async () => {
  let calls = 0;
  const poor = reward("poor", ({ text }) => {
    calls++;
    return text.endsWith("0") ? 1 : null;
  });
  await expect(all(score.stream(poor, rowsOf(1000), { minimumCoverage: 0.8 }))).rejects.toMatchObject({ code: "coverage" });
  expect(calls).toBeLessThan(400);
  async function* rows() {
    yield* rowsOf(50);
  }
  await expect(all(score.stream(poor, rows(), { minimumCoverage: 0.8 }))).rejects.toThrow(/80 % of 50 rows: scored 5 of 50; 45 unscorable/);
});

test("what calls cost is added up, also that of calls that fail", async () => {
  const judge = reward("judge", async ({ text }, { spend }) => {
    await sleep(1);
    spend({ tokens: 100, dollars: 0.25 });
    if (text === "2") throw new Error("bad reply");
    spend({ tokens: 10 });
    return 1;
  });
  const summaries: Summary[] = [];
  await score(judge, rowsOf(4), { ...quiet, onSummary: (one) => summaries.push(one) });
  expect(summaries).toHaveLength(1);
  expect(summaries[0]).toMatchObject({ total: 4, scored: 3, mean: 1, cached: 0, cost: { tokens: 430, dollars: 1 } });
  const wrong = reward("wrong", (_, { spend }) => {
    spend({ tokens: Number.NaN });
    return 1;
  });
  expect((await score(wrong, rowsOf(1)))[0]!.error!.message).toMatch(/spend: "tokens" must be a finite number of at least 0, not NaN/);
});
