import fc from "fast-check";
import { expect, test } from "vitest";
import { followsInstruction, instructions, knownInstructions, score, type Instruction } from "../../../src/rewards/index.ts";
import { countSentences } from "../../../src/rewards/verify/structure/instructions.ts";
import { processorTime } from "../../kit/crowding.ts";

/** For each type: arguments, a text that follows, a text that does not. */
const known: Readonly<Record<Instruction, readonly (readonly [Readonly<Record<string, unknown>>, string, string])[]>> = {
  "keywords:existence": [
    [{ keywords: ["sun", "moon"] }, "The Sun and the moon.", "The sun alone."],
    [{ keywords: ["c++"] }, "I write C++.", "I write C."],
  ],
  "keywords:frequency": [
    [{ keyword: "go", frequency: 2, relation: "at least" }, "Go, go!", "Go."],
    [{ keyword: "go", frequency: 2, relation: "less than" }, "Go.", "Go, go!"],
  ],
  "keywords:forbidden_words": [
    [{ forbidden_words: ["cat", "été"] }, "A category of concatenations, étés.", "A Cat."],
    [{ forbidden_words: ["été"] }, "Hiver.", "L'Été."],
  ],
  "keywords:letter_frequency": [
    [{ letter: "e", let_frequency: 3, let_relation: "at least" }, "EeE", "ee"],
    [{ letter: "#", let_frequency: 1, let_relation: "less than" }, "none", "a #tag"],
  ],
  "language:response_language": [
    [{ language: "de" }, "Das ist ein kleiner Satz, der nicht zu kurz ist.", "This is a sentence that is not too short."],
    [{ language: "ja" }, "これは日本語の文です。", "这是一个中文句子。 This is the other half of it and the rest."],
    [{ language: "hi" }, "यह एक छोटा वाक्य है और यह हिन्दी में है।", "Это предложение на русском языке."],
    [{ language: "ko" }, "이것은 한국어 문장입니다.", "This is English."],
  ],
  "length_constraints:number_sentences": [
    [{ num_sentences: 2, relation: "at least" }, "One here. Two there!", "Only Dr. Smith came."],
    [{ num_sentences: 2, relation: "less than" }, "Just one, e.g. this.", "One. Two."],
  ],
  "length_constraints:number_paragraphs": [
    [{ num_paragraphs: 2 }, "First.\n***\nSecond.", "First.\n\nSecond."],
    [{ num_paragraphs: 2 }, "***\nFirst.\n***\nSecond.", "First. *** *** Second."],
  ],
  "length_constraints:number_words": [
    [{ num_words: 3, relation: "at least" }, "one two-three", "one two"],
    [{ num_words: 3, relation: "less than" }, "zwei Wörter", "one two three"],
  ],
  "length_constraints:nth_paragraph_first_word": [
    [{ num_paragraphs: 2, nth_paragraph: 2, first_word: "president" }, "First.\n\n\"President's day.", "President.\n\nSecond."],
    [{ num_paragraphs: 2, nth_paragraph: 1, first_word: "so" }, "So, yes.\n\nTwo.", "So, yes.\n\nTwo.\n\nThree."],
  ],
  "detectable_content:number_placeholders": [[{ num_placeholders: 2 }, "Dear [name], at [place].", "Dear [name]."]],
  "detectable_content:postscript": [
    [{ postscript_marker: "P.S." }, "Bye.\nP.S. One more.", "Bye. PS one more."],
    [{ postscript_marker: "P.P.S" }, "Bye.\np. p. s. more", "Bye.\nP.S. One more."],
    [{ postscript_marker: "Nota bene" }, "nota bene: x", "nota"],
    [{ postscript_marker: "toString" }, "tostring", "x"],
  ],
  "detectable_format:number_bullet_lists": [
    [{ num_bullets: 2 }, "* one\n* two", "* one\n* two\n* three"],
    [{ num_bullets: 2 }, "- one\n  - two", "**bold** line\n* one"],
  ],
  "detectable_format:constrained_response": [[{}, "Well. My answer is maybe.", "My answer is perhaps."]],
  "detectable_format:number_highlighted_sections": [
    [{ num_highlights: 2 }, "*one* and **two**", "*one* and two"],
    [{ num_highlights: 1 }, "a *b* c", "a ** c * d"],
  ],
  "detectable_format:multiple_sections": [[{ section_spliter: "SECTION", num_sections: 2 }, "SECTION 1\na\nSECTION 2\nb", "SECTION 1\nab"]],
  "detectable_format:json_format": [
    [{}, '{"a": [1, 2]}', "{a: 1}"],
    [{}, '```json\n{"a": 1}\n```', 'Here: {"a": 1}'],
  ],
  "detectable_format:title": [[{}, "<<A poem>>\nroses", "<< >>\nroses"]],
  "combination:two_responses": [
    [{}, "One.\n******\nTwo.", "One.\n******\nOne."],
    [{}, "One. ****** Two.", "One. ****** Two. ****** Three."],
  ],
  "combination:repeat_prompt": [[{ prompt_to_repeat: "Write a poem." }, "write a poem.\nRoses", "Roses. Write a poem."]],
  "startend:end_checker": [[{ end_phrase: "That is all." }, 'Yes. "That is ALL."', "That is all. Or not"]],
  "startend:quotation": [[{}, ' "Quoted." ', '"Quoted.']],
  "change_case:capital_word_frequency": [
    [{ capital_frequency: 2, capital_relation: "at least" }, "NASA and the EU-27", "NASA and Esa"],
    [{ capital_frequency: 1, capital_relation: "less than" }, "no capitals Here", "I"],
  ],
  "change_case:english_capital": [
    [{}, "ALL OF THIS, AND 2 MORE.", "ALL but one."],
    [{}, "OK", "DAS IST EIN SATZ, DER NICHT AUF ENGLISCH IST UND DER ZU LANG IST."],
  ],
  "change_case:english_lowercase": [
    [{}, "all of this, and 2 more.", "All of this."],
    [{}, "ok", "das ist ein satz, der nicht auf englisch ist und der zu lang ist."],
  ],
  "punctuation:no_comma": [[{}, "One and two.", "One, two."]],
};
const cases = Object.entries(known).flatMap(([instruction, list]) =>
  list.map((one, i) => [`${instruction} ${i + 1}`, instruction, ...one] as const),
);

test("there are 25 types, each with known answers", () => {
  expect(knownInstructions).toHaveLength(25);
  expect(Object.keys(known).sort()).toEqual([...knownInstructions].sort());
});

test.each(cases)("%s", (_, instruction, given, right, wrong) => {
  expect(followsInstruction(instruction, given, right)).toBe(true);
  expect(followsInstruction(instruction, given, wrong)).toBe(false);
});

test("sentences with abbreviations, numbers and no end", () => {
  const counts = ["Mr. A. Smith paid 3.50 dollars. He left", "What?! Yes.", "...", "", "Wait… what? No."].map(countSentences);
  expect(counts).toEqual([2, 2, 0, 0, 2]);
});

const row = (completion: string, ids: readonly string[], kwargs: readonly Readonly<Record<string, unknown>>[]) => ({
  prompt: "p",
  completion,
  instruction_id_list: ids,
  kwargs,
});
const two = ["punctuation:no_comma", "length_constraints:number_words"];
const args = [{}, { num_words: 3, relation: "at least", keyword: null }];

test("a row's instructions: all, a share, loosely", async () => {
  expect(await score(instructions(), row("one two three", two, args))).toEqual({ value: 1, parts: { [two[0]!]: 1, [two[1]!]: 1 } });
  expect((await score(instructions(), row("one two", two, args))).value).toBe(0);
  expect((await score(instructions({ by: "share" }), row("one two", two, args))).value).toBe(0.5);
  const introduced = row("Sure, here it is:\nall lower case\nHope that helps!", ["change_case:english_lowercase"], [{}]);
  expect((await score(instructions(), introduced)).value).toBe(0);
  expect((await score(instructions({ loose: true }), introduced)).value).toBe(1);
  expect((await score(instructions(), row(" ", ["punctuation:no_comma"], [{}]))).value).toBe(0);
  const twice = row("a b", ["punctuation:no_comma", "punctuation:no_comma"], [{}, {}]);
  expect(Object.keys((await score(instructions(), twice)).parts!)).toEqual(["punctuation:no_comma", "punctuation:no_comma 2"]);
});

test("what cannot be told, and rows that ask for it wrongly, are unscorable", async () => {
  const language = row("Paris", ["language:response_language"], [{ language: "fr" }]);
  expect((await score(instructions(), language)).error!.kind).toBe("declined");
  const both = row("Paris, Rome", ["language:response_language", "punctuation:no_comma"], [{ language: "fr" }, {}]);
  expect((await score(instructions(), both)).value).toBe(0);
  const messageOf = async (...given: Parameters<typeof row>) => (await score(instructions(), row(...given))).error!.message;
  expect(await messageOf("x", ["keywords:existance"], [{}])).toMatch(/unknown instruction "keywords:existance"/);
  expect(await messageOf("x", ["keywords:existence"], [{}])).toMatch(/needs a list of texts as "keywords", not undefined/);
  expect(await messageOf("x", two, [{}])).toMatch(/2 instructions and 1 kwargs/);
  expect(await messageOf("x", ["language:response_language"], [{ language: "tlh" }])).toMatch(/"tlh" cannot be told/);
  expect(() => followsInstruction("toString", {}, "x")).toThrow(/no instruction "toString"/);
});

test("no text makes a check throw or hang", async () => {
  const text = fc.oneof(
    fc.string({ unit: "binary" }),
    fc.string({ unit: fc.constantFrom(..."*-<>[]\"'.,!?\n aA1P. S{}`".split("")), maxLength: 200 }),
  );
  fc.assert(
    fc.property(text, (one) => {
      for (const [, instruction, given] of cases) expect([true, false, null]).toContain(followsInstruction(instruction, given, one));
    }),
    { seed: 1, numRuns: 60 },
  );
  const took = await processorTime(() => {
    for (const sign of ["*", "<<", "[", "a ", ". ", "\n", '"', "p. ", 'x""'])
      for (const [, instruction, given] of cases) followsInstruction(instruction, given, sign.repeat(20_000));
  });
  expect(took).toBeLessThan(8000);
});
