import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import fc from "fast-check";
import { afterAll, expect, test } from "vitest";
import type { Row } from "../../src/data/row.ts";
import { canonical } from "../../src/rewards/canonical.ts";
import { reward, score, sum, type Score, type Summary } from "../../src/rewards/index.ts";

const root = mkdtempSync(join(tmpdir(), "guerdon-cache-"));
afterAll(() => rmSync(root, { recursive: true }));
const rowOf = (completion: string, more: object = {}): Row & { completion: string } => ({ prompt: "p", completion, ...more });

/** A reward that counts its calls. */
function counted(options: { version?: string } = {}) {
  const seen: string[] = [];
  const one = reward("counted", options, ({ text }) => {
    seen.push(text);
    return text === "null" ? null : text.length;
  });
  return { reward: one, seen };
}

test("a score is found again by reward, version and row; only what was graded is kept", async () => {
  const cache = new Map<string, Score>();
  const one = counted();
  const rows = [rowOf("a"), rowOf("bb"), rowOf("null")];
  const first = await score(one.reward, rows, { cache });
  expect(cache.size).toBe(2);
  const summaries: Summary[] = [];
  expect(await score(one.reward, rows, { cache, onSummary: (summary) => summaries.push(summary) })).toEqual(first);
  expect(one.seen).toEqual(["a", "bb", "null", "null"]);
  expect(summaries[0]).toMatchObject({ cached: 2, scored: 2 });
  const other = counted({ version: "2" });
  await score(other.reward, rows, { cache });
  expect(other.seen).toHaveLength(3);
  // Another column is another row, in whatever order the keys stand.
  await score(one.reward, [rowOf("a", { reference: "x" })], { cache });
  await score(one.reward, [{ reference: "x", completion: "a", prompt: "p" } as Row], { cache });
  expect(one.seen).toEqual(["a", "bb", "null", "null", "a"]);
});

test("a sum with a part that failed is not kept", async () => {
  const cache = new Map<string, Score>();
  const bad = reward("bad", () => null);
  const good = reward("good", () => 1);
  expect((await score(sum({ bad, good }, { missing: "skip" }), rowOf("x"), { cache })).value).toBe(1);
  expect(cache.size).toBe(0);
});

test("groups are found only as the same group; batches row by row", async () => {
  const cache = new Map<string, Score>();
  const seen: string[][] = [];
  const rank = reward.group("rank", (answers) => {
    seen.push(answers.map(({ text }) => text));
    return answers.map((_, i) => i);
  });
  await score(rank, [rowOf("a"), rowOf("b")], { cache });
  expect(await score(rank, [rowOf("a"), rowOf("b")], { cache })).toEqual([{ value: 0 }, { value: 1 }]);
  expect(await score(rank, [rowOf("b"), rowOf("a")], { cache })).toEqual([{ value: 0 }, { value: 1 }]);
  await score(rank, [rowOf("a"), rowOf("b"), rowOf("c")], { cache });
  expect(seen).toEqual([
    ["a", "b"],
    ["b", "a"],
    ["a", "b", "c"],
  ]);
  const lots: number[] = [];
  const batch = reward.batch("batch", (answers) => {
    lots.push(answers.length);
    return answers.map(({ text }) => text.length);
  });
  await score(batch, [rowOf("a"), rowOf("b")], { cache });
  expect((await score(batch, [rowOf("ccc"), rowOf("b"), rowOf("dd")], { cache })).map(({ value }) => value)).toEqual([3, 1, 2]);
  expect(lots).toEqual([2, 2]);
});

test("a folder keeps scores between processes, survives a torn line, and says what is not its own", async () => {
  const folder = join(root, "kept");
  const rows = Array.from({ length: 300 }, (_, i) => rowOf("x".repeat(i)));
  const one = counted();
  const first = await score(one.reward, rows, { cache: folder });
  const [name] = readdirSync(folder);
  expect(name).toMatch(/^counted-[\w-]{12}\.jsonl$/);
  expect(JSON.parse(readFileSync(join(folder, name!), "utf8").split("\n")[0]!)).toEqual({
    format: "guerdon-score-cache",
    version: 1,
    reward: "counted",
    rewardVersion: "1",
  });
  const lines = readFileSync(join(folder, name!), "utf8").split("\n");
  expect(lines).toHaveLength(302);
  writeFileSync(join(folder, name!), lines.slice(0, 201).join("\n").slice(0, -5));
  const again = counted();
  expect(await score(again.reward, rows, { cache: folder })).toEqual(first);
  expect(again.seen).toHaveLength(101);
  const third = counted();
  expect(await score(third.reward, rows, { cache: folder })).toEqual(first);
  expect(third.seen).toEqual([]);
  writeFileSync(join(folder, name!), '{"format":"something"}\n');
  await expect(score(third.reward, rows, { cache: folder })).rejects.toMatchObject({
    code: "input",
    message: expect.stringMatching(/is not a cache of scores/),
  });
  writeFileSync(join(root, "file"), "");
  await expect(score(third.reward, rows, { cache: join(root, "file") })).rejects.toMatchObject({ code: "io" });
});

test("equal data has one canonical text, different data has different ones", () => {
  const shuffled = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(shuffled);
    if (typeof value !== "object" || value === null) return value;
    return Object.fromEntries(
      Object.entries(value)
        .reverse()
        .map(([key, inner]) => [key, shuffled(inner)]),
    );
  };
  fc.assert(
    fc.property(fc.jsonValue(), fc.jsonValue(), (a, b) => {
      expect(canonical(shuffled(a))).toBe(canonical(a));
      expect(canonical(a) === canonical(b)).toBe(isDeepStrictEqual(a, b));
    }),
    { seed: 1 },
  );
  const apart = [
    null,
    undefined,
    Number.NaN,
    Infinity,
    -Infinity,
    0,
    -0,
    "",
    "null",
    "undefined",
    1,
    1n,
    "1",
    [],
    {},
    [null],
    [undefined],
    { a: undefined },
    { a: null },
    ["a,b"],
    ["a", "b"],
    "\ud800",
    "\udfff",
  ];
  expect(new Set(apart.map(canonical)).size).toBe(apart.length);
});

test("what is no plain data has no key and is scored each time", async () => {
  const cyclic: { self?: unknown } = {};
  cyclic.self = cyclic;
  for (const value of [() => 1, new Date(), new Map(), Symbol("x"), cyclic, { [Symbol("x")]: 1 }]) expect(canonical({ value })).toBeNull();
  const one = counted();
  const cache = new Map<string, Score>();
  for (let i = 0; i < 2; i++) await score(one.reward, rowOf("a", { when: new Date() }), { cache });
  expect(one.seen).toEqual(["a", "a"]);
});
