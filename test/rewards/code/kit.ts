import { beforeAll, expect, it } from "vitest";
import { runTests, sandboxPids, type RunTestsOptions, type TestResult } from "../../../src/rewards/index.ts";
import { inTime } from "../../kit/crowding.ts";
import { alive } from "../../kit/process.ts";

/** For programs and queries that end by themselves: long before it, however slow the machine is. */
export const ampleMs = 60_000;

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
    await runTests(honest, [{ kind: "output", stdin: "21\n", stdout: "42" }], { ...options, timeoutMs: ampleMs });
  });

  it.each(programs)("$name", async ({ program, ends }) => {
    const before = sandboxPids();
    const { timeoutMs: limit = 1000 } = options;
    const timeoutMs = ends.includes("timeout") ? limit : ampleMs;
    const results = await inTime(
      () => runTests(program, [{ kind: "output", stdin: "21\n", stdout: "the secret answer is 42" }], { ...options, timeoutMs }),
      (crowd) => timeoutMs + slackMs * crowd,
    );
    const [result] = results;
    expect(result!.passed).toBe(false);
    expect(ends, `${result!.why}: ${result!.message}`).toContain(result!.why);
    const now = sandboxPids();
    for (const pid of before) if (!now.includes(pid)) await expect.poll(() => alive(pid)).toBe(false);
    const [after] = await runTests(honest, [{ kind: "output", stdin: "21\n", stdout: "42" }], { ...options, timeoutMs: ampleMs });
    expect(after).toEqual({ passed: true });
  });
}
