import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { trialFile, type Trial } from "../../src/papers/trials.ts";

const root = mkdtempSync(join(tmpdir(), "guerdon-trials-"));
afterAll(() => rmSync(root, { recursive: true }));

const trial = (seed: number): Trial => ({ arm: "method", seed, seconds: 0.5, measured: { steps: seed + 0.25 } });

test("a quick look that is done takes no trial of an interrupted run along", () => {
  const folder = join(root, "canon");
  const file = trialFile(folder, "1234");
  for (const seed of [1000, 0, 1001, 1]) file.keep(trial(seed));
  file.remove([0, 1, 2, 3]);
  file.close();
  const again = trialFile(folder, "1234");
  expect(again.find("method", 0)).toBeUndefined();
  expect([1000, 1001].map((seed) => again.find("method", seed))).toEqual([trial(1000), trial(1001)]);
  again.remove([1000, 1001]);
  again.close();
  expect(readdirSync(folder)).toEqual([]);
});

test("trials of other code are not found, and their file goes", () => {
  const folder = join(root, "xpo");
  const file = trialFile(folder, "1234");
  file.keep(trial(1));
  file.close();
  const other = trialFile(folder, "5678");
  expect(other.find("method", 1)).toBeUndefined();
  other.close();
  expect(readdirSync(folder)).toEqual([]);
});

test("a claim is one process's at a time, and giving it back twice takes it from nobody", () => {
  const folder = join(root, "inpo");
  const file = trialFile(folder, "1234");
  expect(() => trialFile(folder, "1234")).toThrow(/inpo is in use by process \d+/);
  file.close();
  const next = trialFile(folder, "1234");
  file.close();
  expect(() => trialFile(folder, "1234")).toThrow(/is in use/);
  next.close();
});
