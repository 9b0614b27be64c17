import fc from "fast-check";
import { expect, test } from "vitest";
import { citations, quotes, readXml, score, tagContents, tags, thinkTags, xml, type Reward } from "../../../src/rewards/index.ts";
import { citedNumbers, quotesIn } from "../../../src/rewards/verify/structure/citations.ts";
import { processorTime } from "../../kit/crowding.ts";

const valueOf = async (one: Reward, completion: string) => (await score(one, { prompt: "p", completion })).value;
const all = (one: Reward, completions: readonly string[]) => Promise.all(completions.map((completion) => valueOf(one, completion)));

test("think tags: one pair, first, with something in it and after it", async () => {
  expect(await all(thinkTags(), ["<think>a</think>b", " <think>\na\n</think>\n\nb"])).toEqual([1, 1]);
  const wrong = [
    "",
    "b",
    "<think>a",
    "<think>a</think>",
    "<think> </think>b",
    "x<think>a</think>b",
    "<think>a</think>b</think>",
    "<think>a<think>b</think>c</think>d",
    "<think>a</think><think>b</think>c",
    "a</think>b",
  ];
  expect(await all(thinkTags(), wrong)).toEqual(wrong.map(() => 0));
  expect(await all(thinkTags({ opened: true }), ["a</think>b", "<think>a</think>b"])).toEqual([1, 0]);
  expect(
    await all(thinkTags({ answer: "answer" }), [
      "<think>a</think> <answer>b</answer>",
      "<think>a</think> b",
      "<think>a</think><answer>b</answer>c",
    ]),
  ).toEqual([1, 0, 0]);
  expect(() => thinkTags({ answer: "a b" })).toThrow(/must be a name/);
});

test("tags in order, each once, and nothing else", async () => {
  const order = tags(["think", "tool_call"]);
  expect(
    await all(order, [
      "<think>a</think>\n<tool_call>b</tool_call>\n",
      "<tool_call>b</tool_call><think>a</think>",
      "<think>a</think>x<tool_call>b</tool_call>",
      "<think>a</think>",
      "<think></think><tool_call>b</tool_call>",
    ]),
  ).toEqual([1, 0, 0, 0, 0]);
  expect(tagContents("<a>1</a> <b>2</b>", ["a", "b"])).toEqual(["1", "2"]);
  expect(await valueOf(tags(["a"], { empty: true }), "<a></a>")).toBe(1);
  expect(() => tags([])).toThrow(/tag names/);
  expect(() => tags(["a", "a"])).toThrow(/different/);
});

test("XML: one root, nesting, attributes, entities", async () => {
  const right = [
    "<a/>",
    '<?xml version="1.0"?><a x="1" y=\'2\'><b>t &amp; &#233;</b><!-- c --><![CDATA[<&]]></a>',
    "<ns:a>\n <ns:b/>\n</ns:a>",
    "<é/>",
  ];
  for (const text of right) expect(readXml(text)).not.toHaveProperty("error");
  const wrong = [
    "",
    "text",
    "<a>",
    "<a></b>",
    "<a/><b/>",
    "<a/>x",
    "<a x=1/>",
    '<a x="1" x="2"/>',
    "<a>&nope;</a>",
    "<a>a < b</a>",
    "<1/>",
    "<!DOCTYPE a><a/>",
    "<a><!-- x -- y --></a>",
    "</a>",
  ];
  for (const text of wrong) expect(readXml(text)).toHaveProperty("error");
  expect(await all(xml({ root: "r", elements: ["i"] }), ["```xml\n<r><i/></r>\n```", "<r/>", "<x><i/></x>", "none"])).toEqual([1, 0, 0, 0]);
});

const sources = ["The sky is blue — and so is the sea.", "Roses are “red”, violets are not."];
const cited = async (one: Reward<{ readonly sources: readonly string[] }>, completion: string) =>
  (await score(one, { prompt: "p", completion, sources })).value;

test("citation marks name sources", async () => {
  expect(citedNumbers("a [1], b [2, 3] c [4-6] d [x] e[7;8] [2024-01-01]")).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
  expect(await cited(citations(), "Blue [1], red [2].")).toBe(1);
  expect(await cited(citations(), "Blue [1], red [2], green [3], odd [0].")).toBe(0.5);
  expect(await cited(citations(), "No marks.")).toBe(0);
  expect((await score(citations(), { prompt: "p", completion: "[1]", sources: [] })).error!.kind).toBe("wrong-column");
});

test("quotations stand in the sources", async () => {
  expect(await cited(quotes(), 'It says "The sky is  blue - and so" there.')).toBe(1);
  expect(await cited(quotes(), "It says “sky is green today” and „Roses are red“.")).toBe(0);
  expect(await cited(quotes(), '"sky is blue" [1], "sky is blue" [2], "sky is blue" [9]')).toBeCloseTo(1 / 3, 12);
  expect(await cited(quotes(), '"The sky ... so is the sea"')).toBe(1);
  expect(await cited(quotes(), '"so is the sea ... The sky"')).toBe(0);
  expect(await cited(quotes(), 'A "scare quote", and "... ... ... ..."')).toBeNull();
  expect(quotesIn('«a b c» "d e f". [12]', 3)).toEqual([
    { text: "a b c", source: null },
    { text: "d e f", source: 12 },
  ]);
});

test("no text makes these throw, hang or leave their range", async () => {
  const pieces = fc.string({
    unit: fc.constantFrom(
      "<think>",
      "</think>",
      "<a>",
      "</a>",
      "<a ",
      "x='1'",
      "<!--",
      "-->",
      "<![CDATA[",
      "]]>",
      '"',
      "“",
      "[1",
      "]",
      "&",
      " ",
      "word ",
      "…",
    ),
  });
  const needs: readonly Reward<{ readonly sources: readonly string[] }>[] = [thinkTags(), tags(["a"]), xml(), citations(), quotes()];
  await fc.assert(
    fc.asyncProperty(fc.oneof(pieces, fc.string({ unit: "binary" })), async (completion) => {
      for (const one of needs) {
        const { value, error } = await score(one, { prompt: "p", completion, sources });
        if (value === null) expect(error!.kind).toBe("declined");
        else expect(value >= 0 && value <= 1).toBe(true);
      }
    }),
    { seed: 1 },
  );
  const took = await processorTime(async () => {
    for (const sign of ["<think>", "<a ", "<a x='", "<!--", "<a>", "[1,", '"', "„", "[1-", " ", "<![CDATA["])
      for (const one of needs) await cited(one, sign.repeat(50_000));
  });
  expect(took).toBeLessThan(8000);
});
