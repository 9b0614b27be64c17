import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readTokenizer } from "../../src/policies/tokenizer-files.ts";
import { endings } from "../../src/policies/tokenizer.ts";
import type { Tokenizer } from "../../src/policies/tokenizer.ts";

const golden = join(import.meta.dirname, "../golden/tokenizer");
interface Case {
  readonly text: string;
  readonly ids: number[];
  readonly prompt: number[];
  readonly decoded: string;
}

describe("a byte-level BPE, against Hugging Face's own tokenizers library", async () => {
  const { vocabulary, cases } = JSON.parse(await readFile(join(golden, "golden.json"), "utf8")) as { vocabulary: number; cases: Case[] };
  let tokenizer: Tokenizer;
  beforeAll(async () => {
    tokenizer = await readTokenizer(golden);
  });
  test("vocabulary and end token", () => {
    expect(tokenizer.vocabulary).toBe(vocabulary);
    expect(tokenizer.end).toBe(1);
  });
  test.each(cases)("$text", ({ text, ids, prompt, decoded }) => {
    expect([...tokenizer.encode(text)]).toEqual(ids);
    expect([...tokenizer.encodePrompt(text)]).toEqual(prompt);
    expect(tokenizer.decode(Int32Array.from(ids))).toBe(decoded);
  });
  test("messages are refused, not joined", () => {
    expect(() => tokenizer.encodePrompt([{ role: "user", content: "hello" }])).toThrow(/prompt of 1 messages.*Give the prompt as a text/);
  });
});

describe("files that are not right", async () => {
  const folder = await mkdtemp(join(tmpdir(), "guerdon-tokenizer-"));
  afterAll(() => rm(folder, { recursive: true }));
  const write = (name: string, text: string) => writeFile(join(folder, name), text);

  test("each gives one error that names the file", async () => {
    await expect(readTokenizer(folder)).rejects.toThrow(/has no tokenizer\.json/);
    await write("tokenizer.json", "{");
    await expect(readTokenizer(folder)).rejects.toThrow(/tokenizer\.json is not JSON/);
    await write("tokenizer.json", "{}");
    await expect(readTokenizer(folder)).rejects.toThrow(/tokenizer\.json cannot be used/);
    await write("tokenizer.json", await readFile(join(golden, "tokenizer.json"), "utf8"));
    await write("tokenizer_config.json", `{ "eos_token": "<stop>" }`);
    await expect(readTokenizer(folder)).rejects.toThrow(
      /tokenizer_config\.json: eos_token is "<stop>", which tokenizer\.json does not have/,
    );
  });
  test("without eos_token the end comes from generation_config.json, then from nowhere; further ends are stops", async () => {
    await write("tokenizer.json", await readFile(join(golden, "tokenizer.json"), "utf8"));
    await write("tokenizer_config.json", "{}");
    expect((await readTokenizer(folder)).end).toBe(null);
    await write("generation_config.json", `{ "eos_token_id": [2, 1] }`);
    expect(await readTokenizer(folder)).toMatchObject({ end: 2, stops: [1] });
    // As of chat models: the tokenizer names the end of a turn, the model also ends at that of a document.
    await write("tokenizer_config.json", `{ "eos_token": "<|im_end|>" }`);
    const chat = await readTokenizer(folder);
    expect(chat).toMatchObject({ end: 2, stops: [1] });
    expect(endings(chat, [7, 1])).toEqual([2, 1, 7]);
    await write("generation_config.json", `{ "eos_token_id": 2 }`);
    expect((await readTokenizer(folder)).stops).toBeUndefined();
  });
});
