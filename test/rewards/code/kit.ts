import { beforeAll, expect, it } from "vitest";
import { runTests, sandboxPids, type RunTestsOptions, type TestResult } from "../../../src/rewards/index.ts";
import { timed } from "../../kit/crowding.ts";

export const alive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false; // there is no such process
  }
};

export interface Hostile {
  readonly name: string;
  readonly program: string;
  /** How it may end. Never as passed. */
  readonly ends: readonly TestResult["why"][];
}

/**
 * Each program in turn: it ends within its limit and the slack, with a typed failure; the one after it finds nothing of it and is right; the
 * process that it was killed with is gone.
 */
export function hostile(programs: readonly Hostile[], options: RunTestsOptions, honest: string, slackMs: number): void {
  // Starting the first sandbox is no program's doing.
  beforeAll(async () => {
    await runTests(honest, [{ kind: "output", stdin: "21\n", stdout: "42" }], { ...options, timeoutMs: 30_000 });
  }, 60_000);

  it.each(programs)("$name", async ({ program, ends }) => {
    const before = sandboxPids();
    const { timeoutMs: limit = 1000 } = options;
    // Those that end by themselves have time for it on any machine.
    const timeoutMs = ends.includes("timeout") ? limit : 10 * limit;
    const {
      result: results,
      took,
      crowd,
    } = await timed(() =>
      runTests(program, [{ kind: "output", stdin: "21\n", stdout: "the secret answer is 42" }], { ...options, timeoutMs }),
    );
    const [result] = results;
    expect(result!.passed).toBe(false);
    expect(ends, `${result!.why}: ${result!.message}`).toContain(result!.why);
    expect(took).toBeLessThan(timeoutMs + slackMs * crowd);
    const now = sandboxPids();
    for (const pid of before) if (!now.includes(pid)) await expect.poll(() => alive(pid)).toBe(false);
    const [after] = await runTests(honest, [{ kind: "output", stdin: "21\n", stdout: "42" }], { ...options, timeoutMs: 10_000 });
    expect(after).toEqual({ passed: true });
  });
}
