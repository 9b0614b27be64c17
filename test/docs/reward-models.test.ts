import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, expect, test } from "vitest";
import { serve } from "../../src/server/index.ts";
import { guerdon } from "../cli/guerdon.ts";

const root = resolve(import.meta.dirname, "../..");
const page = readFileSync(join(root, "docs/reward-models.md"), "utf8");
const folder = mkdtempSync(join(tmpdir(), "guerdon-docs-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test("the page, top to bottom: its files fit a reward, and its commands use it", async () => {
  mkdirSync(join(folder, "node_modules"));
  symlinkSync(root, join(folder, "node_modules/guerdon"), "dir");
  writeFileSync(join(folder, "package.json"), '{"type":"module"}');
  const said: string[] = [];
  for (const [, language, file, text] of page.matchAll(/^```(\w+)(?: ([\w.-]+))?\n([\s\S]*?)^```$/gm)) {
    if (file !== undefined) writeFileSync(join(folder, file), text!);
    if (language !== "sh") continue;
    for (const line of text!.trim().split("\n")) {
      const [program, ...words] = line.split(" ");
      if (program === "node")
        said.push(execFileSync(process.execPath, ["--conditions=guerdon-source", ...words], { cwd: folder, encoding: "utf8" }));
      else {
        const { status, out, said: told } = await guerdon([...words, "--json"], folder);
        expect(status, told).toBe(0);
        said.push(out);
      }
    }
  }
  const [fitted, , scored] = said;
  const folds = /five folds: (.*)/.exec(fitted!)![1]!.split(" ").map(Number);
  expect(folds).toHaveLength(5);
  for (const accuracy of folds) expect(accuracy).toBeGreaterThan(0.65);
  expect(scored).toContain("liked");
  // The short answer with a box, the short one without, the long one.
  const values = (await scores()).map(({ score }) => score);
  expect(values[0]).toBeGreaterThan(values[1]!);
  expect(values[1]).toBeGreaterThan(values[2]!);
});

test("the reward of the page is served", async () => {
  const server = await serve(join(folder, "my-reward.ts"), { port: 0, processes: 1 });
  try {
    const [row] = readFileSync(join(folder, "rows.jsonl"), "utf8").split("\n");
    const response = await fetch(`${server.url}/v1/score`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ rows: [JSON.parse(row!)] }),
    });
    const [{ score: scored }] = (await scores()) as [{ score: number }];
    expect(await response.json()).toMatchObject({ scores: [{ value: scored }], reward: { name: "liked" } });
  } finally {
    await server.close();
  }
});

async function scores(): Promise<{ score: number }[]> {
  const { status, said } = await guerdon(
    ["score", "rows.jsonl", "--reward", "./my-reward.ts", "--out", "scored.jsonl", "--overwrite"],
    folder,
  );
  expect(status, said).toBe(0);
  return readFileSync(join(folder, "scored.jsonl"), "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as { score: number });
}
