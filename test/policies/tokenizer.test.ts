import { expect, test } from "vitest";
import { symbolTokenizer } from "../../src/policies/tokenizer.ts";

const tokenizer = symbolTokenizer(["0", "1", "<eos>", "="]);

test("symbols map to ids in order, whitespace of any kind separates them", () => {
  expect(tokenizer.vocabulary).toBe(4);
  expect(tokenizer.end).toBe(2);
  expect(tokenizer.encode(" 1 =\n0  ")).toEqual(Int32Array.of(1, 3, 0));
  expect(tokenizer.decode([1, 3, 0])).toBe("1 = 0");
  expect(tokenizer.encode("")).toEqual(new Int32Array(0));
  expect(
    tokenizer.encodePrompt([
      { role: "user", content: "1 =" },
      { role: "assistant", content: "0" },
    ]),
  ).toEqual(Int32Array.of(1, 3, 0));
  expect(symbolTokenizer(["a"]).end).toBeNull();
});

test("an unknown symbol or id is named", () => {
  expect(() => tokenizer.encode("1 + 1")).toThrow('Symbol 2 of "1 + 1" is "+", which is not in the vocabulary of 4 symbols.');
  expect(() => tokenizer.decode([9])).toThrow("Token id 9 is outside");
  expect(() => symbolTokenizer(["a", "a"])).toThrow('"a" is given twice');
  expect(() => symbolTokenizer(["a b"])).toThrow("whitespace");
});
