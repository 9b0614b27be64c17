import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { run } from "../../src/cli/program.ts";
import { tinyModel } from "../server/tinker/model.ts";
import type { Ended } from "./guerdon.ts";

const root = mkdtempSync(join(tmpdir(), "guerdon-wrong-"));
const here = process.cwd();
let model: Awaited<ReturnType<typeof tinyModel>>;
beforeAll(async () => {
  model = await tinyModel();
  symlinkSync(model.folder, join(root, "tiny"), "dir");
  for (const name of ["folder", "folder.ts", "broken", "run"]) mkdirSync(join(root, name));
  const files = {
    "throws.ts": 'throw new Error("boom");\n',
    "number.ts": "export default 3;\n",
    "junk.parquet": "x".repeat(300),
    "broken/config.json": "x\n",
    "lines.txt": "\n\n",
    "run/run.json": `{"format":"guerdon-run","version":1,"configuration":{},"source":{},"seed":0}`,
    "run/status.json": "{",
    "answers.jsonl": '{"prompt":"the","completion":"of"}\n',
  };
  for (const [name, text] of Object.entries(files)) writeFileSync(join(root, name), text);
  process.chdir(root);
});
afterAll(() => {
  process.chdir(here);
  model.remove();
  rmSync(root, { recursive: true });
});

/** A command line, in this process: many of them start faster so. */
async function guerdon(...words: string[]): Promise<Ended> {
  const texts = { stdout: "", stderr: "" };
  const spies = (["stdout", "stderr"] as const).map((name) =>
    vi.spyOn(process[name], "write").mockImplementation((text) => {
      texts[name] += String(text);
      return true;
    }),
  );
  try {
    return { status: await run(words), out: texts.stdout, said: texts.stderr };
  } finally {
    for (const spy of spies) spy.mockRestore();
  }
}

test.each<readonly [line: string, sentence: RegExp]>([
  ["train throws.ts", /^guerdon: throws\.ts threw while it was loaded: Error: boom \(.+:\d+\)$/],
  ["train number.ts", /default export must be what defineJob returns; it is a number$/],
  ["train folder.ts", /^guerdon: folder\.ts is a folder, and a file is needed$/],
  ["train countdown --threads 99999", /It must be a whole number, 1 to 256\./],
  ["score answers.jsonl --reward ./folder", /^guerdon: \.\/folder is a folder/],
  ["inspect junk.parquet", /^guerdon: junk\.parquet cannot be read as Parquet: /],
  ["sample broken the", /^guerdon: broken\/config\.json is not JSON: /],
  ["sample tiny folder", /^guerdon: folder is a folder: give a prompt, or a file with a prompt a line$/],
  ["sample tiny junk.parquet", /^guerdon: junk\.parquet cannot be read as Parquet: /],
  ["sample tiny lines.txt", /^guerdon: lines\.txt has no line with a prompt$/],
  ["sample tiny the --checkpoint best", /^guerdon: --checkpoint best: tiny is a model, and runs have checkpoints$/],
  ["eval tiny answers.json", /^guerdon: there is no answers\.json\. Did you mean answers\.jsonl\?$/],
  ["eval tiny countdown --tasks 1", /It must be a whole number, 2 or more\./],
  ["runs list folders", /^guerdon: there is no folders\. Did you mean folder\?$/],
  ["runs show run", /^guerdon: run\/status\.json is damaged: it is not JSON \(1 characters\)$/],
  ["bench --seeds 3", /^guerdon: --seeds goes with bench main-job$/],
  ["bench main-job --tiny", /^guerdon: --tiny does not go with main-job$/],
  ["doctor --model nowhere", /^guerdon: --model nowhere is not an address\. Give one such as /],
])("%s: one sentence, and status 2", async (line, sentence) => {
  const { status, out, said } = await guerdon(...line.split(" "));
  expect(said.trimEnd()).toMatch(sentence);
  expect(said.trimEnd()).not.toContain("\n");
  expect(status).toBe(2);
  expect(out).toBe("");
});

test("a file of prompts is shown row by row in its order, one prompt too", async () => {
  writeFileSync(join(root, "prompts.csv"), "prompt\nthe\nof\nan\n");
  const { status, out, said } = await guerdon("sample", "tiny", "prompts.csv", "--max-tokens", "2", "--json");
  expect(status, said).toBe(0);
  expect((JSON.parse(out) as { samples: { prompt: string }[] }).samples.map(({ prompt }) => prompt)).toEqual(["the", "of", "an"]);
  writeFileSync(join(root, "one.jsonl"), '{"prompt":"the"}\n');
  expect((await guerdon("sample", "tiny", "one.jsonl", "--max-tokens", "2")).status).toBe(0);
});
