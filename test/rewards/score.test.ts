import fc from "fast-check";
import { afterEach, expect, test, vi } from "vitest";
import { z } from "zod";
import { coverage, reward, score, type Score } from "../../src/rewards/index.ts";
import { placeOf } from "../../src/rewards/place.ts";
import type { Row } from "../../src/data/row.ts";

const brief = reward("brief", ({ text }) => text.length < 10);
const rowOf = (completion: string): Row & { completion: string } => ({ prompt: "p", completion });
const rowsOf = (count: number) => Array.from({ length: count }, (_, i) => rowOf(String(i)));
const warn = vi.spyOn(console, "warn").mockImplementation(() => undefined);
afterEach(() => warn.mockClear());

test("one row gives one score, a list gives a list, in order", async () => {
  expect(await score(brief, rowOf("short"))).toEqual({ value: 1 });
  expect(await score(brief, [rowOf("short"), rowOf("much too long")])).toEqual([{ value: 1 }, { value: 0 }]);
  expect(await score(brief, [])).toEqual([]);
  const slow = reward("slow", async ({ text }) => {
    await new Promise((resolve) => setTimeout(resolve, Number(text) % 3));
    return Number(text);
  });
  const scores = await score(slow, rowsOf(50), { concurrency: 7 });
  expect(scores.map(({ value }) => value)).toEqual(Array.from({ length: 50 }, (_, i) => i));
});

test("the text is the final assistant text, whatever the format", async () => {
  const seen: string[] = [];
  const spy = reward("spy", ({ text }) => seen.push(text));
  await score(spy, [
    { prompt: "p", completion: "plain" },
    { prompt: "p", completion: [{ role: "assistant", content: "one" }] },
    {
      prompt: "p",
      completion: [
        { role: "assistant", content: "first" },
        { role: "user", content: "and?" },
        { role: "assistant", content: "last" },
        { role: "tool", content: "result" },
      ],
    },
    { prompt: "p", completion: "" },
  ]);
  expect(seen).toEqual(["plain", "one", "last", ""]);
  const [none, missing] = await score(spy, [{ prompt: "p", completion: [{ role: "user", content: "x" }] }, { prompt: "p" }]);
  expect(none.error).toEqual({
    kind: "wrong-column",
    message: 'The completion has no assistant message with text for the reward "spy" to score.',
  });
  expect(missing.error?.kind).toBe("missing-column");
});

const returned: [unknown, Score][] = [
  [0.5, { value: 0.5 }],
  [-3, { value: -3 }],
  [true, { value: 1 }],
  [false, { value: 0 }],
  [null, { value: null, error: { kind: "declined", message: 'The reward "r" could not say (null).' } }],
  [Number.NaN, { value: null, error: { kind: "not-finite", message: 'The reward "r" returned NaN.' } }],
  [-Infinity, { value: null, error: { kind: "not-finite", message: 'The reward "r" returned -Infinity.' } }],
  [
    undefined,
    {
      value: null,
      error: { kind: "not-a-grade", message: 'The reward "r" returned undefined. It must return a number, true, false, null or a score.' },
    },
  ],
  [
    "1",
    {
      value: null,
      error: { kind: "not-a-grade", message: 'The reward "r" returned "1". It must return a number, true, false, null or a score.' },
    },
  ],
  [
    [1],
    {
      value: null,
      error: { kind: "not-a-grade", message: 'The reward "r" returned [1]. It must return a number, true, false, null or a score.' },
    },
  ],
  [
    3n,
    {
      value: null,
      error: { kind: "not-a-grade", message: 'The reward "r" returned 3. It must return a number, true, false, null or a score.' },
    },
  ],
  [
    { value: 2, note: "why", parts: { a: 1, b: null } },
    { value: 2, note: "why", parts: { a: 1, b: null } },
  ],
  [{ value: Number.NaN }, { value: null, error: { kind: "not-finite", message: 'The reward "r" returned NaN.' } }],
  [
    { value: null, error: { kind: "unparsable", message: "no box" } },
    { value: null, error: { kind: "unparsable", message: "no box" } },
  ],
  // An error wins over a value: what could not be graded has no grade.
  [
    { value: 1, error: { kind: "unparsable", message: "no box" } },
    { value: null, error: { kind: "unparsable", message: "no box" } },
  ],
  [
    { value: 1, parts: { a: Number.NaN } },
    { value: null, error: { kind: "not-a-grade", message: expect.stringContaining("parts") as string } },
  ],
];

test.each(returned)("a function that returns %s", async (value, expected) => {
  const one = await score(
    reward("r", () => value as number),
    rowOf("x"),
  );
  expect(one).toEqual(expected);
  expect(JSON.parse(JSON.stringify(one))).toEqual(one);
});

test("whatever a function returns, a score is a finite number or null with a reason", async () => {
  await fc.assert(
    fc.asyncProperty(fc.anything({ withBigInt: true, withSparseArray: true, withMap: true }), async (value) => {
      const { value: graded, error } = await score(
        reward("r", () => value as number),
        rowOf("x"),
      );
      expect(graded === null ? error !== undefined : Number.isFinite(graded) && error === undefined).toBe(true);
    }),
    { seed: 1 },
  );
});

test("a throw shows the user's message and the user's own file and line", async () => {
  const thrower = reward("thrower", () => {
    throw new Error("no luck");
  });
  const late = reward("late", async () => {
    await Promise.resolve();
    throw new TypeError("later");
  });
  const text = reward("text", () => {
    // eslint-disable-next-line no-throw-literal -- users do this
    throw "plain text";
  });
  expect((await score(thrower, rowOf("x"))).error).toEqual({
    kind: "threw",
    message: expect.stringMatching(/^The reward "thrower" threw at .*test\/rewards\/score\.test\.ts:\d+: no luck$/),
  });
  expect((await score(late, rowOf("x"))).error!.message).toMatch(/score\.test\.ts:\d+: later$/);
  expect((await score(text, rowOf("x"))).error!.message).toBe('The reward "text" threw: "plain text"');
});

test("the place is found in the stacks of all engines, past this package and its dependencies", () => {
  const own = new URL("../../src/rewards/", import.meta.url);
  const placeIn = (...frames: string[]): string | null =>
    placeOf(Object.assign(new Error("x"), { stack: ["Error: x", ...frames].join("\n") }));
  expect(placeIn(`    at once (${own.href}calls.ts:1:2)`, "    at grade (file:///home/me/my%20code/reward.ts:12:9)")).toBe(
    "/home/me/my code/reward.ts:12",
  );
  expect(placeIn("    at async file:///a/reward.ts:3:4")).toBe("/a/reward.ts:3");
  expect(
    placeIn("    at JSON.parse (<anonymous>)", "    at x (/a/node_modules/zod/v4.js:1:1)", String.raw`    at C:\me\reward.ts:5:1`),
  ).toBe("C:/me/reward.ts:5");
  expect(placeIn("grade@https://example.org/reward.js:7:3")).toBe("https://example.org/reward.js:7");
  expect(placeIn("    at node:internal/process/task_queues:105:5")).toBeNull();
  expect(placeOf("no error")).toBeNull();
});

test("columns are declared, typed and checked", async () => {
  const exact = reward(
    "exact",
    { columns: z.object({ reference: z.string(), tolerance: z.number().default(2) }) },
    ({ text, reference, tolerance }) => Math.abs(Number(text) - Number(reference)) <= tolerance,
  );
  expect(await score(exact, { prompt: "p", completion: "5", reference: "6" })).toEqual({ value: 1 });
  const bad = await score(exact, { prompt: "p", completion: "5", reference: 6 as unknown as string });
  expect(bad.error?.kind).toBe("wrong-column");
  expect(bad.error?.message).toMatch(/^The reward "exact" cannot use the column "reference": /);
  const missing = await score(exact, { prompt: "p", completion: "5" } as unknown as { prompt: string; reference: string });
  expect(missing).toEqual({
    value: null,
    error: { kind: "missing-column", message: '"reference" is missing (needed by the reward "exact").' },
  });
  const broken = reward("broken", { columns: z.object({ reference: z.string().refine(() => JSON.parse("{") as boolean) }) }, () => 1);
  expect((await score(broken, { prompt: "p", completion: "5", reference: "6" })).error?.kind).toBe("threw");
});

test("at most `concurrency` calls are under way, and never fewer than could be", async () => {
  let now = 0;
  let most = 0;
  let full = (): void => undefined;
  const four = new Promise<void>((resolve) => (full = resolve));
  const counting = reward("counting", async () => {
    most = Math.max(most, ++now);
    if (now === 4) full();
    // The first ones wait for the fourth.
    await four;
    await new Promise((resolve) => setTimeout(resolve, 2));
    now--;
    return 1;
  });
  await score(counting, rowsOf(30), { concurrency: 4, timeoutMs: 60_000 });
  expect(most).toBe(4);
});

test("a deadline makes a typed null, tells the function, and the rest is scored", async () => {
  let told = 0;
  const hangs = reward("hangs", ({ text }, { signal }) => {
    if (text !== "1") return 1;
    signal.addEventListener("abort", () => told++);
    return new Promise<number>(() => undefined);
  });
  const scores = await score(hangs, rowsOf(3), { timeoutMs: 20 });
  expect(scores.map(({ value }) => value)).toEqual([1, null, 1]);
  expect(scores[1]!.error).toEqual({ kind: "timeout", message: 'The reward "hangs" gave no answer within 20 ms.' });
  expect(told).toBe(1);
});

test("retries try again after a throw or a timeout, not after an answer", async () => {
  const tries = new Map<string, number>();
  const flaky = reward("flaky", ({ text }) => {
    const count = (tries.get(text) ?? 0) + 1;
    tries.set(text, count);
    if (text === "null") return null;
    if (count <= Number(text)) throw new Error("busy");
    return 1;
  });
  const scores = await score(flaky, [rowOf("1"), rowOf("5"), rowOf("null")], { retries: 1 });
  expect(scores.map(({ value }) => value)).toEqual([1, null, null]);
  expect(scores[1].error!.message).toMatch(/busy \(2 tries\)$/);
  expect(Object.fromEntries(tries)).toEqual({ "1": 2, "5": 2, null: 1 });
});

test("an abort keeps what is done; the rest says so", async () => {
  const controller = new AbortController();
  const stops = reward("stops", ({ text }) => {
    if (text === "2") controller.abort();
    return text < "3" ? 1 : new Promise<number>(() => undefined);
  });
  const scores = await score(stops, rowsOf(5), { concurrency: 1, signal: controller.signal, minimumCoverage: 1 });
  expect(scores.map(({ value }) => value)).toEqual([1, 1, 1, null, null]);
  expect(scores[4]!.error!.kind).toBe("aborted");
  const hanging = reward("hanging", () => new Promise<number>(() => undefined));
  const later = new AbortController();
  setTimeout(() => later.abort(), 10);
  expect((await score(hanging, rowOf("x"), { signal: later.signal })).error!.kind).toBe("aborted");
});

test("an abort reaches even a reward that never waits", async () => {
  const controller = new AbortController();
  setTimeout(() => controller.abort(), 5);
  const busy = reward("busy", () => {
    const until = performance.now() + 2;
    while (performance.now() < until);
    return 1;
  });
  const scores = await score(busy, rowsOf(500), { signal: controller.signal });
  expect(scores.at(-1)!.error!.kind).toBe("aborted");
});

test("too little coverage stops the run early, in one sentence", async () => {
  let calls = 0;
  const poor = reward("poor", ({ text }) => {
    calls++;
    return text.endsWith("0") ? 1 : null;
  });
  const failing = score(poor, rowsOf(1000), { minimumCoverage: 0.8 });
  await expect(failing).rejects.toMatchObject({
    code: "coverage",
    message: expect.stringMatching(
      /^The reward "poor" cannot reach the minimum coverage of 80 % of 1000 rows: scored \d+ of \d+; 20\d unscorable: 20\d declined\. The first is row 2: /,
    ),
  });
  expect(calls).toBeLessThan(300);
  expect(await score(poor, rowsOf(10), { minimumCoverage: 0.1 })).toHaveLength(10);
});

test("a reward that scored nothing is reported", async () => {
  const silent = reward("silent", () => null);
  await score(silent, rowsOf(3));
  expect(warn).toHaveBeenCalledWith(
    'The reward "silent" scored nothing: scored 0 of 3; 3 unscorable: 3 declined. Row 1: The reward "silent" could not say (null).',
  );
  const said: string[] = [];
  await score(silent, rowsOf(2), { onWarning: (sentence) => said.push(sentence) });
  expect(said).toHaveLength(1);
  warn.mockClear();
  await score(silent, rowOf("alone"));
  await score(brief, rowsOf(3));
  expect(warn).not.toHaveBeenCalled();
});

test("progress counts rows", async () => {
  const seen: string[] = [];
  const picky = reward("picky", ({ text }) => (text === "1" ? null : 1));
  await score(picky, rowsOf(3), {
    concurrency: 1,
    onProgress: ({ done, total, unscorable }) => seen.push(`${done}/${total} ${unscorable}`),
  });
  expect(seen).toEqual(["1/3 0", "2/3 1", "3/3 1"]);
});

test("options out of range are refused", async () => {
  await expect(score(brief, rowOf("x"), { concurrency: 0 })).rejects.toMatchObject({ code: "usage" });
  await expect(score(brief, rowOf("x"), { minimumCoverage: 80 })).rejects.toThrow(/minimumCoverage must be from 0 to 1, not 80/);
  await expect(score(brief, rowOf("x"), { timeoutMs: Number.NaN })).rejects.toThrow(/timeoutMs/);
  expect((await score(brief, rowOf("x"), { timeoutMs: Infinity })).value).toBe(1);
  expect(() => reward("", () => 1)).toThrow(/needs a name/);
});

test("a group reward gets whole groups, wherever their rows stand", async () => {
  const lots: string[][] = [];
  const rank = reward.group("rank", (answers) => {
    lots.push(answers.map(({ text }) => text));
    return answers.map((_, i) => i);
  });
  const row = (prompt: string, completion: string, group?: string) => ({ prompt, completion, ...(group ? { group } : {}) });
  const scores = await score(rank, [
    row("a", "a1"),
    row("b", "b1"),
    row("a", "a2"),
    row("a", "x1", "x"),
    row("b", "b2"),
    row("b", "x2", "x"),
  ]);
  expect(lots.toSorted((p, q) => (p[0]! < q[0]! ? -1 : 1))).toEqual([
    ["a1", "a2"],
    ["b1", "b2"],
    ["x1", "x2"],
  ]);
  expect(scores.map(({ value }) => value)).toEqual([0, 0, 1, 0, 1, 1]);
});

test("a group with a row that cannot be used is unscorable as a whole", async () => {
  const rank = reward.group("rank", { columns: z.object({ reference: z.string() }) }, (answers) => answers.map(() => 1));
  const rows = [
    { prompt: "a", completion: "1", reference: "r" },
    { prompt: "a", completion: "2", reference: undefined as unknown as string },
    { prompt: "b", completion: "3", reference: "r" },
  ];
  const scores = await score(rank, rows);
  expect(scores.map(({ error }) => error?.kind)).toEqual(["missing-column", "missing-column", undefined]);
  expect(scores[0]!.error!.message).toMatch(/needs whole groups, and row 2 of this one cannot be used/);
});

test("a batch reward gets many rows; one throw is not the others' grade", async () => {
  const sizes: number[] = [];
  const batch = reward.batch("batch", { size: 4 }, (answers) => {
    sizes.push(answers.length);
    if (answers.some(({ text }) => text === "5")) throw new Error("overloaded");
    return answers.map(({ text }) => Number(text));
  });
  const scores = await score(batch, rowsOf(10));
  expect(sizes).toEqual([4, 4, 2]);
  expect(scores.map(({ value }) => value)).toEqual([0, 1, 2, 3, null, null, null, null, 8, 9]);
  expect(scores[4]!.error!.kind).toBe("threw");
  const short = reward.batch("short", () => [1]);
  expect((await score(short, rowsOf(2)))[0]!.error!.message).toBe(
    'The reward "short" got 2 answers and returned 1 grades. It must return one grade for each.',
  );
});

test("coverage is counted and said", () => {
  const unscored = (kind: "timeout" | "unparsable"): Score => ({ value: null, error: { kind, message: "" } });
  const scores: Score[] = [
    ...Array.from({ length: 1988 }, () => ({ value: 1 })),
    ...Array.from({ length: 3 }, () => unscored("unparsable")),
    ...Array.from({ length: 9 }, () => unscored("timeout")),
  ];
  const all = coverage(scores);
  expect(all.text).toBe("scored 1,988 of 2,000; 12 unscorable: 9 timeouts, 3 unparsable");
  expect(all).toMatchObject({ total: 2000, scored: 1988, unscorable: 12, reasons: { timeout: 9, unparsable: 3 } });
  expect(coverage([]).text).toBe("scored 0 of 0");
  expect(
    coverage([
      { value: 1, parts: { a: 1, b: null } },
      { value: 0, parts: { a: 0, b: null } },
    ]),
  ).toMatchObject({
    parts: { a: { total: 2, scored: 2, mean: 0.5 }, b: { total: 2, scored: 0, mean: null } },
    silent: ["b"],
    text: 'scored 2 of 2; the part "b" scored none of its 2',
  });
  expect(() => coverage([{ value: null }])).toThrow(/must say why/);
});
