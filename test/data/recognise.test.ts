import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import {
  explicitPreference,
  openRows,
  type Message,
  recognise,
  rowProblems,
  scorableRow,
  type RecogniseOptions,
} from "../../src/data/index.ts";

const folder = mkdtempSync(join(tmpdir(), "guerdon-recognise-"));
afterAll(() => rmSync(folder, { recursive: true }));
type Cells = Readonly<Record<string, unknown>>;
const user = (content: string): Message => ({ role: "user", content });
const assistant = (content: string): Message => ({ role: "assistant", content });
const see = (rows: readonly Cells[], options?: RecogniseOptions) => recognise([...new Set(rows.flatMap(Object.keys))], rows, options);

/** A row of every format of the formats' documents, the kind it is, the commands that take it, and its roles that have other names. */
const formats: readonly [name: string, row: Cells, kind: string, commands: readonly string[], renamed?: Cells][] = [
  ["TRL language modelling", { text: "The sky is blue." }, "conversations", []],
  ["TRL language modelling, conversational", { messages: [user("q"), assistant("a")] }, "conversations", ["score"]],
  ["TRL prompt-only", { prompt: "The sky is" }, "prompts", ["eval"]],
  ["TRL prompt-only, conversational", { prompt: [user("q")] }, "prompts", ["eval"]],
  ["TRL prompt-completion", { prompt: "The sky is", completion: " blue." }, "answers", ["score"]],
  ["TRL prompt-completion, conversational", { prompt: [user("q")], completion: [assistant("a")] }, "answers", ["score"]],
  ["TRL preference", { prompt: "The sky is", chosen: " blue.", rejected: " green." }, "preference", []],
  ["TRL preference, conversational", { prompt: [user("q")], chosen: [assistant("a")], rejected: [assistant("b")] }, "preference", []],
  ["TRL preference, implicit", { chosen: "The sky is blue.", rejected: "The sky is green." }, "preference", []],
  [
    "TRL preference, implicit and conversational",
    { chosen: [user("q"), assistant("a")], rejected: [user("q"), assistant("b")] },
    "preference",
    [],
  ],
  ["TRL unpaired preference", { prompt: "The sky is", completion: " blue.", label: true }, "unpaired", ["score"]],
  ["TRL stepwise", { prompt: "9.8 or 9.11?", completions: ["0.8 > 0.11.", "9.8."], labels: [true, true] }, "stepwise", ["score"]],
  ["OpenRLHF request", { query: ["p a"], prompts: ["p"], labels: [null] }, "openrlhf-request", ["serve"]],
  ["OpenRLHF data", { input: "2 + 2", answer: "4" }, "prompts", ["eval"], { prompt: "input", reference: "answer" }],
  [
    "verl",
    {
      data_source: "gsm8k",
      prompt: [user("q")],
      ability: "math",
      reward_model: { style: "rule", ground_truth: "4" },
      extra_info: { index: 0 },
    },
    "verl",
    ["eval"],
    { reference: "reward_model.ground_truth" },
  ],
  [
    "verl with answers",
    { data_source: "gsm8k", prompt: [user("q")], reward_model: { style: "rule", ground_truth: "4" }, completion: "4" },
    "verl",
    ["score"],
    { reference: "reward_model.ground_truth" },
  ],
  ["RewardBench 1", { prompt: "q", chosen: "a", rejected: "b", subset: "hep-js", id: 3 }, "preference", []],
  [
    "RewardBench 2",
    { id: "1", prompt: "q", chosen: ["a"], rejected: ["b", "c", "d"], num_correct: 1, total_completions: 4, subset: "Focus" },
    "best-of-n",
    [],
  ],
  [
    "ProcessBench",
    { id: "gsm8k-0", generator: "m", problem: "q", steps: ["one", "two"], final_answer_correct: true, label: -1 },
    "process-bench",
    ["score"],
    { prompt: "problem" },
  ],
  ["answers with a solution", { prompt: "q", completion: "a", solution: "4" }, "answers", ["score"], { reference: "solution" }],
  [
    "answers under other names",
    { question: "q", completion: "a", expected: "4" },
    "answers",
    ["score"],
    { prompt: "question", reference: "expected" },
  ],
];

test.each(formats)("%s", (_, row, kind, commands, renamed = {}) => {
  const recognition = see([row]);
  expect(recognition).toMatchObject({ kind, commands, problems: [] });
  expect(Object.fromEntries(Object.entries(recognition.mapping).filter(([role, source]) => role !== source))).toEqual(renamed);
  expect(rowProblems(recognition, row)).toEqual([]);
});

describe("what is wrong is said", () => {
  test.each<[Cells, Cells, string]>([
    [{ prompt: "p", chosen: "a", rejected: "b" }, { prompt: "p", chosen: "a", rejected: "a" }, '"chosen" and "rejected" are equal'],
    [{ prompt: "p", chosen: "a", rejected: "b" }, { prompt: "p", chosen: "a" }, '"rejected" is missing'],
    [
      { prompt: "p", chosen: "a", rejected: "b" },
      { prompt: "p", chosen: "a", rejected: 3 },
      '"rejected" is a number, not text or a list of messages',
    ],
    [
      { chosen: "Q: a", rejected: "Q: b" },
      { chosen: "Q: a", rejected: "Q: a and b" },
      expect.stringMatching(/"rejected" begins with the whole other answer/) as string,
    ],
    [
      { chosen: "Q: a", rejected: "Q: b" },
      { chosen: "yes", rejected: "no" },
      'there is no prompt, and "chosen" and "rejected" have no beginning in common',
    ],
    [
      { prompt: "p", chosen: ["a"], rejected: ["b"], num_correct: 1 },
      { prompt: "p", chosen: ["a", "b"], rejected: ["b"], num_correct: 1 },
      '"num_correct" is not the length of "chosen"',
    ],
    [
      { prompt: "p", completions: ["a"], labels: [true] },
      { prompt: "p", completions: ["a"], labels: [] },
      '"completions" and "labels" have different lengths',
    ],
    [{ problem: "p", steps: ["a"], label: 0 }, { problem: "p", steps: ["a"], label: 1 }, '"label" is neither -1 nor the index of a step'],
    [{ prompt: "p", completion: "a", label: true }, { prompt: "p", completion: "a", label: 2 }, '"label" is a number, not true or false'],
    [
      { prompt: [user("q")] },
      { prompt: [{ role: "bot", content: "q" }] },
      expect.stringMatching(/^"prompt": the message 1 has a role other than system, user/) as string,
    ],
    [{ prompt: [user("q")] }, { prompt: [{ role: "user" }] }, '"prompt": the message 1 has no content'],
    [
      { data_source: "d", prompt: "p", reward_model: { ground_truth: "1" } },
      { data_source: "d", prompt: "p", reward_model: {} },
      '"reward_model.ground_truth" is missing',
    ],
    [{ query: ["a"], prompts: ["a"] }, { query: ["a"], prompts: [] }, '"query" and "prompts" have different lengths'],
    [{ messages: [user("q"), assistant("a")] }, { messages: [user("q")] }, 'no message of "messages" is an assistant\'s'],
  ])("%j", (good, bad, problem) => {
    const recognition = see([good, good, bad]);
    expect(rowProblems(recognition, good)).toEqual([]);
    expect(rowProblems(recognition, bad)).toEqual([problem]);
  });

  test("tool calls need no content, parts are content", () => {
    const call = { role: "assistant", tool_calls: [{ type: "function", function: { name: "f", arguments: {} } }] };
    const row = {
      messages: [user("q"), call, { role: "tool", name: "f", content: "1" }, { role: "assistant", content: [{ type: "text", text: "a" }] }],
    };
    expect(rowProblems(see([row]), row)).toEqual([]);
  });

  test("two references, two prompts, no format", () => {
    const two = [{ prompt: "p", completion: "c", answer: "1", solution: "2" }];
    expect(see(two).problems).toEqual([
      expect.stringMatching(/^The reference could be "answer" or "solution": say --columns reference=solution/),
    ]);
    expect(see(two, { columns: { reference: "solution" } })).toMatchObject({ problems: [], mapping: { reference: "solution" } });
    expect(see([{ question: "p", input: "c" }]).problems[0]).toMatch(/^The prompt could be "question" or "input"/);
    expect(see([{ foo: 1 }])).toMatchObject({ kind: "unknown", problems: [expect.stringMatching(/^No format has these columns/)] });
    expect(see([{ prompt: "p", response: "a" }])).toMatchObject({
      kind: "prompts",
      notes: ['If "response" is the answer to score, say --columns completion=response'],
    });
    expect(see([{ prompt: "p", response: "a" }], { columns: { completion: "response" } })).toMatchObject({
      kind: "answers",
      commands: ["score"],
    });
    expect(() => see([{ prompt: "p" }], { columns: { completion: "answr" } })).toThrow(
      /There is no column "answr" to take the completion from\. The columns are prompt/,
    );
  });
});

describe("implicit preferences", () => {
  test.each<[Parameters<typeof explicitPreference>[0], object]>([
    [
      { chosen: "The sky is blue.", rejected: "The sky is green." },
      { prompt: "The sky is", chosen: " blue.", rejected: " green." },
    ],
    [
      { chosen: "Q: 12", rejected: "Q: 13" },
      { prompt: "Q: 1", chosen: "2", rejected: "3" },
    ],
    [
      { chosen: "smile \u{1f600}", rejected: "smile \u{1f601}" },
      { prompt: "smile ", chosen: "\u{1f600}", rejected: "\u{1f601}" },
    ],
    [
      { chosen: [user("q"), assistant("a")], rejected: [user("q"), assistant("b")] },
      { prompt: [user("q")], chosen: [assistant("a")], rejected: [assistant("b")] },
    ],
    [
      { prompt: "q", chosen: [user("q"), assistant("a")], rejected: [user("q"), assistant("b")] },
      { prompt: [user("q")], chosen: [assistant("a")], rejected: [assistant("b")] },
    ],
    [
      { prompt: [user("q")], chosen: [assistant("a")], rejected: [assistant("b")] },
      { prompt: [user("q")], chosen: [assistant("a")], rejected: [assistant("b")] },
    ],
  ])("%j", (row, explicit) => {
    expect(explicitPreference(row, "pairs.jsonl row 1")).toEqual(explicit);
  });

  test("equal answers are refused with their row", () => {
    expect(() => explicitPreference({ chosen: "a", rejected: "a" }, "pairs.jsonl row 3")).toThrow(
      'pairs.jsonl row 3: "chosen" and "rejected" are equal.',
    );
  });

  test("prompt and answers put together are what was there", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), fc.string({ unit: "grapheme" }), fc.string({ unit: "grapheme" }), (shared, a, b) => {
        const row = { chosen: shared + a, rejected: shared + b };
        let explicit;
        try {
          explicit = explicitPreference(row, "row 1");
        } catch {
          // Refused: equal, one the beginning of the other, or nothing in common.
          const whole = row.chosen.startsWith(row.rejected) || row.rejected.startsWith(row.chosen);
          expect(whole || row.chosen[0] !== row.rejected[0] || /^[ \ud800-\udbff]/.test(row.chosen)).toBe(true);
          return;
        }
        const { prompt, chosen, rejected } = explicit as unknown as Record<string, string>;
        expect([prompt! + chosen!, prompt! + rejected!]).toEqual([row.chosen, row.rejected]);
        expect(Math.min(prompt!.length, chosen!.length, rejected!.length)).toBeGreaterThan(0);
      }),
      { seed: 1 },
    );
  });
});

describe("rows to score", () => {
  async function rowsOf(name: string, content: string, options = {}) {
    const path = join(folder, name);
    writeFileSync(path, content);
    const file = await openRows(path, options);
    const toRow = scorableRow(file);
    const rows = [];
    for await (const { row } of file.rows()) rows.push(toRow(row));
    return rows;
  }

  test("prompt, completion and reference have their names, all columns stay", async () => {
    const verl = { data_source: "d", prompt: [user("q")], reward_model: { style: "rule", ground_truth: "4" }, completion: "4" };
    expect(await rowsOf("verl.jsonl", JSON.stringify(verl))).toEqual([{ ...verl, reference: "4" }]);
    const bench = { problem: "p", steps: ["a", "b"], label: 1 };
    expect(await rowsOf("bench.jsonl", JSON.stringify(bench))).toEqual([{ ...bench, prompt: "p", completion: "a\n\nb" }]);
    const stepwise = { prompt: "p", completions: ["a", "b"], labels: [true, false] };
    expect(await rowsOf("steps.jsonl", JSON.stringify(stepwise))).toEqual([{ ...stepwise, completion: "a\n\nb", steps: ["a", "b"] }]);
    const chat = { messages: [user("q"), assistant("a"), user("r"), assistant("b")] };
    expect(await rowsOf("chat.jsonl", JSON.stringify(chat))).toEqual([
      { ...chat, prompt: chat.messages.slice(0, 3), completion: [assistant("b")] },
    ]);
    expect(
      await rowsOf("named.jsonl", '{"q":"p","out":"c","gold":{"x":1}}', {
        columns: { prompt: "q", completion: "out", reference: "gold.x" },
      }),
    ).toEqual([{ q: "p", out: "c", gold: { x: 1 }, prompt: "p", completion: "c", reference: 1 }]);
  });

  test("CSV cells that hold messages, lists and labels are read as such; an answer that looks like a list stays text", async () => {
    const cell = (value: unknown) => `"${JSON.stringify(value).replaceAll('"', '""')}"`;
    const csv = `prompt,completion,label,tests\n${cell([user("q")])},"[1, 2]",True,${cell(["t"])}\n${cell([user("r")])},"[3]",false,\n`;
    expect(await rowsOf("cells.csv", csv)).toEqual([
      { prompt: [user("q")], completion: "[1, 2]", label: true, tests: ["t"] },
      { prompt: [user("r")], completion: "[3]", label: false },
    ]);
  });

  test("files without anything to score say what they are and who takes them", async () => {
    await expect(rowsOf("p.jsonl", '{"prompt":"p"}')).rejects.toThrow(
      /p\.jsonl holds prompts, and rows to score need a completion\. They are taken by guerdon eval\./,
    );
    await expect(rowsOf("two.jsonl", '{"prompt":"p","completion":"c","answer":1,"target":2}')).rejects.toThrow(
      /two\.jsonl: The reference could be "answer" or "target"/,
    );
    await expect(rowsOf("r.jsonl", '{"prompt":"p","response":"c"}')).rejects.toThrow(/say --columns completion=response\./);
  });
});
