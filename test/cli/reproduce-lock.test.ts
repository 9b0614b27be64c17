import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { guerdon, type Ended } from "./guerdon.ts";

const root = mkdtempSync(join(tmpdir(), "guerdon-reproduce-lock-"));
afterAll(() => rmSync(root, { recursive: true }));
const source = join(import.meta.dirname, "../../src");

/** A paper whose trials wait until the file `until` is there, and leave a line in the file "log" each. */
function write(slug: string, until: string): string {
  writeFileSync(
    join(root, `${slug}.ts`),
    `
import { appendFileSync, existsSync } from "node:fs";
import { setTimeout } from "node:timers/promises";
import { mean } from "${source}/papers/estimates.ts";
const arm = (name, steps) => async (seed) => {
  while (!existsSync("${until}")) await setTimeout(10);
  appendFileSync("log", "${slug} " + name + " " + seed + "\\n");
  return { steps: steps + seed / 1e6 };
};
export const paper = {
  slug: "${slug}", title: "A fake", year: 2025, arxiv: null, family: "reward design", summary: "Fake.", parts: ["credit/center"],
  claim: {
    label: "mechanism", statement: "Few steps.", falsifiedBy: "Many.", budget: "The same.", notMiniaturised: "Nothing.",
    arms: { method: arm("method", 1), broken: arm("broken", 3) },
    method: "method", baseline: "broken", mustFail: ["broken"], seeds: 2, seconds: 600,
    checks: [
      { say: "steps of the method", of: mean("method", "steps"), below: 1.5 },
      { say: "steps without the part", of: mean("broken", "steps"), above: 2 },
    ],
  },
};
`,
  );
  return `./${slug}.ts`;
}

test("a claim is run by one process at a time, and another claim beside it", async () => {
  const held = ["reproduce", write("held", "go"), "--processes", "1"];
  const free = ["reproduce", write("free", "free.ts"), "--processes", "1"];
  const go = () => writeFileSync(join(root, "go"), "");
  let others: Promise<readonly [Ended, Ended]> | null = null;
  const first = await guerdon(held, root, (_, said) => {
    if (said.includes("held: 4 trials")) others ??= Promise.all([guerdon(held, root), guerdon(free, root)]).finally(go);
  });
  const [second, other] = await others!;
  expect(second.said).toMatch(/^guerdon: \.guerdon.trials.held is in use by process \d+: wait until it is done, or stop it first\n$/);
  expect(second.status).toBe(2);
  expect(other.status, other.said).toBe(0);
  expect(first.status, first.said).toBe(0);
  const log = readFileSync(join(root, "log"), "utf8").trim().split("\n");
  expect(log.toSorted()).toEqual(
    ["free", "held"].flatMap((slug) => ["broken", "method"].flatMap((arm) => [1000, 1001].map((seed) => `${slug} ${arm} ${seed}`))),
  );
  // What is done is given back.
  expect(existsSync(join(root, ".guerdon", "trials", "held", "lock.json"))).toBe(false);
});
