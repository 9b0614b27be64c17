import { execFile } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { serve } from "../../src/server/index.ts";
import { guerdon } from "../cli/guerdon.ts";

const root = resolve(import.meta.dirname, "../..");
const page = readFileSync(join(root, "docs/writing-a-reward.md"), "utf8");
/** The page's blocks in their order: what is written to which file, and what is run. */
const blocks = [...page.matchAll(/^```(\w+)(?: ([\w.]+))?\n([\s\S]*?)^```$/gm)].map(([, language, file, text]) => ({
  language,
  file,
  text: text!,
}));
const last = (file: string): string => blocks.findLast((block) => block.file === file)!.text;
const folder = mkdtempSync(join(tmpdir(), "guerdon-docs-"));

beforeAll(() => {
  // As in a project that has installed the package and zod.
  mkdirSync(join(folder, "node_modules"));
  symlinkSync(root, join(folder, "node_modules/guerdon"), "dir");
  symlinkSync(join(root, "node_modules/zod"), join(folder, "node_modules/zod"), "dir");
  writeFileSync(join(folder, "package.json"), '{"type":"module"}');
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test("every command of the page does what it says, with the files as they are at that point", async () => {
  let ran = 0;
  for (const { language, file, text } of blocks) {
    if (file !== undefined && file !== "reply") writeFileSync(join(folder, file), text);
    if (language !== "sh") continue;
    for (const line of text
      .trim()
      .split("\n")
      .filter((one) => one.startsWith("guerdon score") && !one.includes("--watch"))) {
      const { status, said } = await guerdon(line.split(" ").slice(1), folder);
      expect(status, `${line}\n${said}`).toBe(0);
      ran++;
    }
  }
  expect(ran).toBe(4);
  expect(existsSync(join(folder, "scored.jsonl"))).toBe(true);
});

test("its reward passes its tests", async () => {
  for (const file of ["reward.ts", "reward.test.ts"]) writeFileSync(join(folder, file), last(file));
  const { out, code } = await new Promise<{ out: string; code: number | string | undefined }>((done) =>
    execFile(
      process.execPath,
      ["--conditions=guerdon-source", "--test", "reward.test.ts"],
      { cwd: folder, env: process.env },
      (cause, out) => done({ out, code: cause === null ? 0 : (cause as { code?: number }).code }),
    ),
  );
  expect(code, out).toBe(0);
  expect(out).toMatch(/pass 3\b/);
});

test("its request has its reply, and the other rewards load", async () => {
  for (const file of ["reward.ts", "slow.ts"]) writeFileSync(join(folder, file), last(file));
  const server = await serve(join(folder, "reward.ts"), { port: 0, processes: 1 });
  try {
    const request = /-d '(.*)'/.exec(blocks.find(({ text }) => text.startsWith("curl"))!.text)![1]!;
    const response = await fetch(`${server.url}/v1/score`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: request,
    });
    const wanted = JSON.parse(last("reply")) as { scores: object[]; reward: { name: string } };
    expect(await response.json()).toMatchObject({ scores: wanted.scores, reward: { name: wanted.reward.name } });
  } finally {
    await server.close();
  }
  expect((await guerdon(["score", "answers.jsonl", "--reward", "./slow.ts#best"], folder)).status).toBe(0);
});
