import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { trialFile, type Trial } from "../../src/papers/trials.ts";

const folder = mkdtempSync(join(tmpdir(), "guerdon-trials-"));
afterAll(() => rmSync(folder, { recursive: true }));

const trial = (seed: number): Trial => ({ arm: "method", seed, seconds: 0.5, measured: { steps: seed + 0.25 } });

test("a quick look that is done takes no trial of an interrupted run along", () => {
  const file = trialFile(folder, "canon", "1234");
  for (const seed of [1000, 0, 1001, 1]) file.keep(trial(seed));
  file.remove([0, 1, 2, 3]);
  const again = trialFile(folder, "canon", "1234");
  expect(again.find("method", 0)).toBeUndefined();
  expect([1000, 1001].map((seed) => again.find("method", seed))).toEqual([trial(1000), trial(1001)]);
  again.remove([1000, 1001]);
  expect(readdirSync(folder)).toEqual([]);
});

test("trials of other code are not found, and their file goes", () => {
  trialFile(folder, "canon", "1234").keep(trial(1));
  trialFile(folder, "canon-2", "1234").keep(trial(1));
  expect(trialFile(folder, "canon", "5678").find("method", 1)).toBeUndefined();
  expect(readdirSync(folder)).toEqual(["canon-2.1234.jsonl"]);
});
