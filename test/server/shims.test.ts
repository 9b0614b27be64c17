import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { guerdon } from "../cli/guerdon.ts";
import { closedPort } from "../kit/closed-port.ts";
import { open, type Client } from "./client.ts";

const python = process.env["GUERDON_TEST_PYTHON"] ?? "python3";
const here = mkdtempSync(join(tmpdir(), "guerdon-shim-"));
const token = "a-token-that-nobody-prints";
let server: Client;

interface Called {
  readonly status: number;
  readonly out: string;
  readonly said: string;
}

/** Runs a script with a shim of that trainer at hand. */
async function call(trainer: string, script: string, words: readonly string[] = [], env: Record<string, string> = {}): Promise<Called> {
  const folder = mkdtempSync(join(here, "call-"));
  writeFileSync(join(folder, "guerdon_reward.py"), (await guerdon(["shim", trainer], here)).out);
  return new Promise((resolve) => {
    execFile(
      python,
      [join(import.meta.dirname, script), folder, ...words],
      { env: { ...process.env, GUERDON_URL: server.url, GUERDON_TOKEN: token, GUERDON_REWARD: "answer", GUERDON_TIMEOUT: "100", ...env } },
      (cause, out, said) => resolve({ status: cause === null ? 0 : Number(cause.code), out, said }),
    );
  });
}

beforeAll(async () => {
  const file = join(here, "reward.ts");
  const library = JSON.stringify(join(import.meta.dirname, "../../src/index.ts"));
  writeFileSync(join(here, "package.json"), '{"type":"module"}');
  // One part that knows, one that cannot always say, one that sees the whole row.
  writeFileSync(
    file,
    `import { reward, sum } from ${library};
const right = reward("right", (row) => row.text === row.reference);
const sure = reward("sure", ({ text }) => (text === "null" ? null : 1));
export const answer = sum({ right, sure });
export const row = reward("row", (row) => ({ value: 1, note: JSON.stringify(row) }));
`,
  );
  server = await open({ token }, file);
});
afterAll(async () => {
  await server.close();
  rmSync(here, { recursive: true, force: true });
});

describe("TRL", () => {
  test("the call of its trainer: null is None, columns arrive, what cannot be sent is left out, names of metrics are fixed", async () => {
    const { out, said, status } = await call("trl", "call_trl.py");
    expect(status, said).toBe(0);
    const { rewards, metrics, extra, name } = JSON.parse(out) as Record<string, unknown>;
    expect(rewards).toEqual([2, 1, null]);
    expect(name).toBe("guerdon_reward");
    expect(metrics).toEqual({ "guerdon/unscorable": [1 / 3], "guerdon/right": [1 / 3], "guerdon/sure": [1] });
    expect(extra).toEqual({ guerdon_note: ["", "", expect.stringContaining('"sure"')] });
    expect(said).toContain("the column 'picture' holds a object, which is not sent to the reward");
  });

  test("what the reward sees of a row", async () => {
    const { out } = await call("trl", "call_trl.py", ["--by-hand"], { GUERDON_REWARD: "row" });
    const note = (JSON.parse(out) as { extra: { guerdon_note: string[] } }).extra.guerdon_note[1]!;
    expect(JSON.parse(note)).toEqual({
      prompt: [{ role: "user", content: "6 x 7?" }],
      completion: [{ role: "assistant", content: "41" }],
      text: "41",
      solution: "42",
      reference: "42",
      weight: null,
      number: 1,
    });
  });
});

describe("verl", () => {
  test("every row has the same keys, async, sync and in a batch", async () => {
    const { out, said } = await call("verl", "call_verl.py", ['["42", "41", "null"]'], { GUERDON_UNSCORABLE: "0" });
    expect(said).toBe("");
    const row = (score: number, unscorable: number, right: number, sure: number) => ({
      score,
      unscorable,
      right,
      right_unscored: 0,
      sure,
      sure_unscored: 1 - sure,
    });
    const rows = [row(2, 0, 1, 1), row(1, 0, 0, 1), row(0, 1, 0, 0)];
    expect(JSON.parse(out)).toEqual({ async: rows, sync: rows, batch: rows, none: [] });
  });

  test("an answer without a score is an error that says why, unless it is to count as 0", async () => {
    const { status, said } = await call("verl", "call_verl.py", ['["null"]']);
    expect(status).toBe(1);
    expect(said).toMatch(/GuerdonError: declined: .*"sure".*GUERDON_UNSCORABLE=0/);
  });
});

test("no server is one clear error", async () => {
  await using nobody = await closedPort();
  const { status, said, out } = await call("verl", "call_verl.py", ['["42"]'], { GUERDON_URL: nobody.url, GUERDON_TIMEOUT: "1" });
  expect(status).toBe(1);
  const last = said.trim().split("\n").at(-1)!;
  expect(last).toContain(nobody.url);
  expect(last).toMatch(/ cannot be reached: .*Is `guerdon serve` running there\? GUERDON_URL says where to look/);
  expect(said + out).not.toContain(token);
});

test.each([
  ["a wrong token", { GUERDON_TOKEN: "another" }, /HTTP 401: .*Set the environment variable GUERDON_TOKEN/],
  ["no reward named", { GUERDON_REWARD: "" }, /Set the environment variable GUERDON_REWARD to one of the rewards of \S+: answer, row/],
])("%s is one clear error", async (_, env, message) => {
  const { status, said, out } = await call("verl", "call_verl.py", ['["42"]'], env);
  expect(status).toBe(1);
  expect(said.trim().split("\n").at(-1)).toMatch(message);
  expect(said + out).not.toContain(token);
});

test("the files need the standard library of Python 3.8 and nothing else", async () => {
  for (const trainer of ["trl", "verl"]) {
    const { out } = await guerdon(["shim", trainer], here);
    const imports = [...out.matchAll(/^(?:import|from) (\w+)/gm)].map(([, name]) => name);
    const standard = ["asyncio", "concurrent", "datetime", "http", "json", "math", "os", "time", "urllib", "warnings"];
    expect(imports.filter((name) => !standard.includes(name!))).toEqual([]);
    expect(out).not.toContain("# guerdon: client");
    expect(out.length).toBeLessThan(10_000);
  }
  expect(readFileSync(join(import.meta.dirname, "../../src/cli/shims/client.py"), "utf8")).not.toMatch(/match .*:\n|:=/);
});
