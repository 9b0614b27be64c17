import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { tinyRun } from "../runs/tiny-run.ts";
import { guerdon } from "./guerdon.ts";

const root = mkdtempSync(join(tmpdir(), "guerdon-cli-"));
beforeAll(async () => {
  await tinyRun(join(root, "runs", "one"), { steps: 20 });
  await tinyRun(join(root, "runs", "two"), { steps: 12 });
});
afterAll(() => rmSync(root, { recursive: true }));

describe("usage", () => {
  test("mistakes end with status 2 and one sentence that says what was probably meant", async () => {
    const cases: readonly (readonly [string[], RegExp])[] = [
      [["trian"], /^guerdon: unknown command 'trian'\. Did you mean train\? See `\.\/guerdon --help`\.\n$/],
      [["train", "countdown", "--stpes", "3"], /^guerdon: unknown option '--stpes'\. Did you mean --steps\?/],
      [
        ["train", "countdown", "--steps", "many"],
        /^guerdon: option '--steps <n>' argument 'many' is invalid\. It must be a whole number, 1 or more\./,
      ],
      [["train"], /^guerdon: missing required argument 'job'\./],
      [
        ["train", "countdown", "--directory", "--dry-run"],
        /^guerdon: option '--directory <folder>' needs a value, and --dry-run is the next option\. Where it is the value: --directory=--dry-run\. See/,
      ],
      [
        ["runs", "export", "one", "--to=csv", "--out", "--checkpoint=best"],
        /^guerdon: option '--out <path>' needs a value, and --checkpoint is/,
      ],
      [["sample", "one", "--seed", "-n", "4"], /^guerdon: option '--seed <n>' needs a value, and -n is the next option/],
      [["runs", "show", "runs/oen"], /^guerdon: there is no runs\/oen\. Did you mean runs\/one\?\n$/],
      [["runs", "show", "one", "--metric", "rewrad"], /^guerdon: no run has the metric rewrad\. Did you mean reward\? There are: /],
      [
        ["runs", "export", "one", "--to", "cvs", "--out", "x"],
        /^guerdon: --to cvs: it must be one of csv, parquet, tensorboard, model\. Did you mean csv\?\n$/,
      ],
    ];
    for (const [words, sentence] of cases) {
      const { status, out, said } = await guerdon(words, root);
      expect(said).toMatch(sentence);
      expect(status, said).toBe(2);
      expect(out).toBe("");
    }
  });

  test("with --json an error is a document too", async () => {
    const { status, out } = await guerdon(["runs", "show", "runs/none", "--json"], root);
    expect(status).toBe(2);
    expect(JSON.parse(out)).toEqual({ error: { code: "input", message: expect.stringContaining("there is no runs/none") } });
  });

  test("help is on stdout, starts fast, and every example in it is a command", async () => {
    const { status, out } = await guerdon(["--help"], root);
    expect(status).toBe(0);
    const commands = [...out.matchAll(/^  ([a-z]+) .*\[|^  (runs|doctor|init|bench) /gm)].map((match) => match[1] ?? match[2]!);
    expect(commands).toEqual(expect.arrayContaining(["train", "resume", "eval", "sample", "runs", "init", "doctor", "bench"]));
    expect([...out.matchAll(/^  \$ \.\/guerdon (\w+)/gm)].map((match) => match[1])).toSatisfy((names: string[]) =>
      names.every((name) => commands.includes(name)),
    );
  });
});

describe("runs", () => {
  test("list", async () => {
    const { status, out } = await guerdon(["runs", "list"], root);
    expect(status).toBe(0);
    expect(out).toMatch(/^run +state +step +reward/);
    expect(out).toMatch(/one +finished +20/);
    const { out: json } = await guerdon(["runs", "list", "--json"], root);
    expect(JSON.parse(json)).toMatchObject({
      runs: [
        { name: "one", state: "finished", step: 20 },
        { name: "two", step: 12 },
      ],
    });
  });

  test("show", async () => {
    const { status, out } = await guerdon(["runs", "show", "one", "--metric", "reward"], root);
    expect(status).toBe(0);
    for (const word of ["one  finished, step 20", "settings", "lock", "reward", "└", "evaluations", "checkpoints"])
      expect(out).toContain(word);
    expect(out).not.toContain("\x1b");
    const { out: json } = await guerdon(["runs", "show", "one", "--metric", "reward", "--json"], root);
    const shown = JSON.parse(json) as { metric: { points: number[][] } };
    expect(shown).toMatchObject({
      name: "one",
      configuration: { process: "lock", steps: 20 },
      evaluations: [{ step: 5 }, { step: 10 }, { step: 15 }, { step: 20 }],
    });
    expect(shown.metric.points).toHaveLength(20);
  });

  test("compare", async () => {
    const { status, out } = await guerdon(["runs", "compare", "one", "two", "--metric", "reward"], root);
    expect(status).toBe(0);
    for (const line of [/● one/, /○ two/, /^steps +20 +12$/m]) expect(out).toMatch(line);
  });

  test("export to CSV and TensorBoard", async () => {
    expect((await guerdon(["runs", "export", "one", "two", "--to", "csv", "--out", "all.csv"], root)).out).toBe("all.csv\n");
    const lines = readFileSync(join(root, "all.csv"), "utf8").trimEnd().split("\n");
    expect(lines[0]).toBe("run,step,phase,kind,loss,gradientNorm,reward,seconds,time,best");
    expect(lines).toHaveLength(1 + 20 + 4 + 12 + 2);
    expect((await guerdon(["runs", "export", "one", "--to", "csv", "--out", "all.csv"], root)).said).toContain("all.csv exists already");
    expect((await guerdon(["runs", "export", "one", "--to", "tensorboard", "--out", "events"], root)).status).toBe(0);
    expect(
      readFileSync(join(root, "events", "one", "events.out.tfevents.0.guerdon"))
        .subarray(23, 36)
        .toString(),
    ).toBe("brain.Event:2");
  });

  test("export to Parquet, or the line that installs what it needs", async () => {
    const { status, said } = await guerdon(["runs", "export", "one", "--to", "parquet", "--out", "all.parquet"], root);
    if (status === 0) expect(readFileSync(join(root, "all.parquet")).subarray(0, 4).toString()).toBe("PAR1");
    else
      expect([status, said]).toEqual([
        2,
        "guerdon: Parquet files are written by DuckDB, which is not installed: npm install @duckdb/node-api (or export to csv)\n",
      ]);
  });

  test("a run without its end is shown up to its last whole line", async () => {
    const path = join(root, "runs", "two", "metrics.jsonl");
    writeFileSync(path, readFileSync(path, "utf8") + '{"step":13,"ph');
    const { status, out } = await guerdon(["runs", "show", "two", "--metric", "reward"], root);
    expect(status).toBe(0);
    expect(out).toContain("step 12");
  });
});

test("doctor says what is there and what is optional", async () => {
  const { status, out } = await guerdon(["doctor", "--json"], root);
  expect(status).toBe(0);
  const { ok, checks } = JSON.parse(out) as { ok: boolean; checks: { name: string; state: string }[] };
  expect(ok).toBe(true);
  expect(checks.map(({ name }) => name)).toEqual([
    "Node",
    "WebAssembly vectors",
    "threads",
    "memory",
    "disk",
    "WebGPU",
    "@duckdb/node-api",
    "hyparquet",
    "@cortex-js/compute-engine",
    "quickjs-emscripten",
    "pyodide",
    "@yowasp/yosys",
  ]);
});
