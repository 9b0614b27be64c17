import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { serveEngine } from "../../src/server/tinker/serve.ts";
import type { EngineServer } from "../../src/server/tinker/serve.ts";
import { guerdon } from "../cli/guerdon.ts";
import { tinyModel } from "../server/tinker/model.ts";

const root = resolve(import.meta.dirname, "../..");
const page = readFileSync(join(root, "docs/cluster.md"), "utf8");
const files = Object.fromEntries([...page.matchAll(/^```ts ([\w.-]+)\n([\s\S]*?)^```$/gm)].map(([, file, text]) => [file!, text!]));
const folder = mkdtempSync(join(tmpdir(), "guerdon-docs-"));
const model = await tinyModel();
let server: EngineServer;

beforeAll(async () => {
  mkdirSync(join(folder, "node_modules"));
  symlinkSync(root, join(folder, "node_modules/guerdon"), "dir");
  symlinkSync(model.folder, join(folder, "model"), "dir");
  writeFileSync(join(folder, "package.json"), '{"type":"module"}');
  server = await serveEngine(join(folder, "model"), { port: 0, data: join(folder, "data") });
  for (const [file, text] of Object.entries(files)) writeFileSync(join(folder, file), text.replace("http://127.0.0.1:8500", server.url));
});
afterAll(async () => {
  await server.close();
  model.remove();
  rmSync(folder, { recursive: true, force: true });
});

test("two lines change", () => {
  const [here, there] = [files["train.ts"]!.split("\n"), files["train-there.ts"]!.split("\n")];
  expect(there.length).toBe(here.length);
  expect(there.filter((line, i) => line !== here[i]).length).toBe(2);
});

test("both programs train", async () => {
  const ran = await Promise.all(
    ["train.ts", "train-there.ts"].map(
      (file) =>
        new Promise<string>((done, fail) =>
          execFile(process.execPath, ["--conditions=guerdon-source", file], { cwd: folder }, (error, out, said) =>
            error ? fail(new Error(`${file}: ${said}`, { cause: error })) : done(out),
          ),
        ),
    ),
  );
  for (const out of ran) {
    const steps = out.trim().split("\n");
    expect(steps.length).toBe(2);
    for (const line of steps) expect(line).toMatch(/^\d -?\d[\d.e-]* \d[\d.e-]*$/);
  }
});

test("the command line trains the configuration here and there", async () => {
  const line = /^guerdon (train .*) --dry-run$/m.exec(page)![1]!.replace("http://127.0.0.1:8500", server.url).split(" ");
  for (const words of [line.slice(0, 2), [...line, "--dry-run"], line]) {
    const { status, said } = await guerdon([...words, "--directory", join("runs", String(words.length))], folder);
    expect(status, said).toBe(0);
  }
});

test("the numbers of the page are those of the files", () => {
  for (const name of ["skyrl", "tinker-sdk", "round-trip", "ceiling"]) expect(page).toContain(`<!-- results: ${name} -->`);
  expect(page).not.toContain("Not measured yet");
});
