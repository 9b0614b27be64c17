import fc from "fast-check";
import { expect, test } from "vitest";
import type { Message } from "../../../src/data/row.ts";
import {
  expectationsMet,
  score,
  toolCallMatch,
  toolCallScore,
  toolCallsIn,
  toolTurn,
  toolUse,
  toolUseMatch,
  type ToolCall,
} from "../../../src/rewards/index.ts";

const call = (name: string, args: Readonly<Record<string, unknown>> = {}): ToolCall => ({ name, arguments: args });
const gold = [call("weather", { city: "Paris", day: "mon" }), call("calc", { e: "1+1" })];

test("graded calls: ToolRL's known answers", () => {
  expect(toolCallScore([call("weather", { city: "Paris", day: "tue" })], gold)).toBe(-0.5);
  expect(toolCallScore([call("weather", { city: "Rome" }), call("calc", { e: "1+1" })], gold)).toBe(0.5);
  expect(toolCallScore([], gold)).toBe(-3);
  expect(toolCallScore(gold, gold)).toBe(3);
  expect(toolCallScore(null, gold)).toBe(-3);
  expect(toolCallScore([call("calc")], [])).toBe(0);
});

test("graded calls: order counts only for the shortcut, each call serves once, values by type", () => {
  // All names, parameters and values are right in another order: S = S_max.
  expect(toolCallScore([...gold].reverse(), gold)).toBe(3);
  const twice = [call("f", { a: 1 }), call("f", { a: 2 })];
  // One call for two: names 1/2, the call (1 + 1), nothing left for the second; S_max = 1 + 2 + 2.
  expect(toolCallScore([call("f", { a: 1 })], twice)).toBeCloseTo((6 * 2.5) / 5 - 3, 12);
  expect(toolCallScore([call("f", { a: "1" })], [call("f", { a: 1 })])).toBeCloseTo((6 * 2) / 3 - 3, 12);
});

const xml = (...blocks: readonly string[]) => `<think>…</think>${blocks.map((block) => `<tool_call>\n${block}\n</tool_call>`).join("\n")}`;
const json = (one: ToolCall): string => JSON.stringify(one);

test("calls are found in messages, tags and bare JSON", () => {
  expect(toolCallsIn("", xml(json(gold[0]!), json(gold[1]!)))).toEqual(gold);
  expect(toolCallsIn("", xml(`${json(gold[0]!)}\n${json(gold[1]!)}`))).toEqual(gold);
  expect(toolCallsIn("", xml(`[${json(gold[0]!)}]`))).toEqual([gold[0]]);
  expect(toolCallsIn("", json(gold[0]!))).toEqual([gold[0]]);
  expect(toolCallsIn("", '{"name": "f", "parameters": {"a": 1}}')).toEqual([call("f", { a: 1 })]);
  expect(toolCallsIn("", "The weather is fine.")).toEqual([]);
  expect(toolCallsIn("", '{"temperature": 3}')).toEqual([]);
  for (const broken of [
    "<tool_call>",
    "</tool_call>",
    xml("{oops"),
    xml('{"name": 1}'),
    xml(json(gold[0]!), "<tool_call>"),
    xml('{"name": "f", "arguments": [1]}'),
  ])
    expect(toolCallsIn("", broken)).toBeNull();
  const message = {
    role: "assistant",
    content: "",
    tool_calls: [{ id: "1", type: "function", function: { name: "f", arguments: '{"a": 1}' } }],
  } as const;
  expect(toolCallsIn([message], "")).toEqual([call("f", { a: 1 })]);
});

test("a reward of exact, unordered or graded calls", async () => {
  const values = async (completion: string | readonly Message[], wanted: readonly ToolCall[] = gold) =>
    Promise.all(
      (["exact", "set", "graded"] as const).map(
        async (by) => (await score(toolCallMatch({ by }), { prompt: "p", completion, tool_calls: wanted })).value,
      ),
    );
  expect(await values(xml(...gold.map(json)))).toEqual([1, 1, 3]);
  expect(await values(xml(...[...gold].reverse().map(json)))).toEqual([0, 1, 3]);
  expect(await values(xml("{oops"))).toEqual([0, 0, -3]);
  expect(await values("no call", [])).toEqual([1, 1, 0]);
  expect(await values(xml(json(gold[0]!)), [])).toEqual([0, 0, 0]);
  // A message that only calls has no content.
  const silent = { role: "assistant", tool_calls: [{ function: { name: "calc", arguments: { e: "1+1" } } }] } as unknown as Message;
  expect(await values([silent], [gold[1]!])).toEqual([1, 1, 3]);
  const wrong = await score(toolCallMatch(), { prompt: "p", completion: "x", tool_calls: [{ nome: "f" }] });
  expect(wrong.error).toMatchObject({ kind: "wrong-column" });
});

test("graded calls are from -3 to 3, and 3 for the right ones", () => {
  const calls = fc.array(
    fc.record({
      name: fc.constantFrom("f", "g"),
      arguments: fc.dictionary(fc.constantFrom("a", "b", "__proto__"), fc.jsonValue(), { maxKeys: 3 }),
    }),
    { maxLength: 4 },
  );
  fc.assert(
    fc.property(calls, calls, (given, right) => {
      const value = toolCallScore(given, right);
      expect(value).toBeGreaterThanOrEqual(-3);
      expect(value).toBeLessThanOrEqual(3);
      if (right.length > 0) expect(toolCallScore(right, right)).toBe(3);
    }),
    { seed: 1 },
  );
  fc.assert(
    fc.property(
      fc.string({ unit: fc.constantFrom("<tool_call>", "</tool_call>", "{", "}", '"name":', '"f"', "\n", "[", "]") }),
      (text) => void toolCallsIn(text, text),
    ),
    { seed: 1 },
  );
});

test("tool use: FTRL's known answers", () => {
  expect(toolUse(2, 5, 3).f1).toBe(0.5);
  expect(toolTurn({ kind: "calls", met: 2, calls: 5 })).toBeCloseTo(2 / 3, 6);
  expect(toolTurn({ kind: "calls", met: 2, calls: 5 }, "squared")).toBeCloseTo(0.8, 12);
  expect(toolTurn({ kind: "calls", met: 2, calls: 2 })).toBeCloseTo(4 / 3, 12);
  expect([toolTurn({ kind: "empty" }), toolTurn({ kind: "broken" })]).toEqual([-0.5, -0.3]);
  expect(toolTurn({ kind: "answer", hasAnswer: true, left: 1 })).toBe(0.5);
  expect(toolTurn({ kind: "answer", hasAnswer: false, left: 0 })).toBe(0.5);
  expect(toolTurn({ kind: "answer", hasAnswer: false, left: 2 })).toBe(0);
  expect(toolUse(0, 0, 3)).toEqual({ precision: 1, rate: 0, f1: 0 });
});

test("expectations are met by every comma part, each once", () => {
  const expected = { search: ["Paris, France", "Rome"], calc: ["2"] };
  const met = (...results: (readonly [string, string])[]) =>
    expectationsMet(
      results.map(([name, output]) => ({ name, output })),
      expected,
    );
  expect(met(["search", "PARIS is in france."])).toBe(1);
  expect(met(["search", "Paris, Texas"])).toBe(0);
  expect(met(["search", "Rome"], ["search", "Rome"])).toBe(1);
  expect(met(["search", "Rome, Paris and France"])).toBe(1);
  expect(met(["calc", "2"], ["other", "2"], ["search", "rome"])).toBe(2);
});

test("a conversation's tool use as a reward", async () => {
  const turn = (id: string, name: string, output: string): Message[] => [
    { role: "assistant", content: "", tool_calls: [{ id, type: "function", function: { name, arguments: "{}" } }] },
    { role: "tool", content: output, tool_call_id: id },
  ];
  const completion = [...turn("1", "search", "Rome"), ...turn("2", "search", "nothing"), { role: "assistant" as const, content: "Rome." }];
  const row = { prompt: "p", completion, expected: { search: ["Rome"] } };
  expect(await score(toolUseMatch(), row)).toEqual({
    value: 2 / 3,
    parts: { precision: 0.5, rate: 1, f1: 2 / 3 },
    note: "1 of 1 met in 2 calls",
  });
  expect((await score(toolUseMatch({ by: "precision" }), row)).value).toBe(0.5);
  expect((await score(toolUseMatch(), { ...row, completion: "no tools" })).value).toBe(0);
  expect((await score(toolUseMatch(), { ...row, expected: {} })).error!.kind).toBe("declined");
  expect((await score(toolUseMatch(), { ...row, expected: { search: ["", "x"] } })).error!.kind).toBe("wrong-column");
});
