import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { mainJob, type MainJobFile } from "../../src/training/main-job.ts";
import { countdownJob } from "../../src/training/recipes.ts";

/**
 * The main job with two numbers instead of three and a smaller model, through the same code from the warm-up to the results file. Seeds 1 to
 * 3 gained 19, 21 and 21 points when this size was chosen; 10 are asked of another seed.
 */
test("the main job at reduced size learns from the reward, and nothing looks wrong on the way", async () => {
  const directory = mkdtempSync(join(tmpdir(), "guerdon-main-job-"));
  try {
    const output = join(directory, "results.json");
    const findings: string[] = [];
    const run = mainJob({
      job: (options) => countdownJob({ ...options, count: 2, layers: 2, width: 32, warmUpSteps: 150, steps: 100, evaluationTasks: 200 }),
      seeds: [4],
      directory: join(directory, "run"),
      output,
    });
    let result: MainJobFile;
    for (;;) {
      const next = await run.next();
      if (next.done) {
        result = next.value;
        break;
      }
      if (next.value.kind === "step") findings.push(...next.value.report.findings.map(({ sentence }) => sentence));
    }
    const { before, after } = result.seeds[0]!;
    const gain = (name: string) => Number(after[name]) - Number(before[name]);
    expect(gain("pass1")).toBeGreaterThan(0.1);
    expect(gain("greedy")).toBeGreaterThanOrEqual(0);
    expect(gain("pass16")).toBeGreaterThan(-0.05);
    expect(gain("distinct")).toBeLessThan(0);
    expect(findings).toEqual([]);
    expect(JSON.parse(readFileSync(output, "utf8"))).toEqual(result);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});
