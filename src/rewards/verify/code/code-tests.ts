import { z } from "zod";
import { GuerdonError } from "../../../error.ts";
import { unscorable, type Grade } from "../../grade.ts";
import { reward, type Reward } from "../../reward.ts";
import { lastProgram } from "./extract.ts";
import type { Failure, ProgramJob, ProgramResult, Use, Used } from "./program.ts";
import { inSandbox, type SandboxKind } from "./sandboxes.ts";
import { readTests, type CodeTest } from "./tests.ts";
import { sameOutput, sameValue } from "./values.ts";

export type CodeLanguage = "javascript" | "typescript" | "python";

export interface RunTestsOptions {
  readonly language: CodeLanguage;
  /** For all tests of one program together, in milliseconds; 5,000 for JavaScript and TypeScript, 10,000 for Python unless said. */
  readonly timeoutMs?: number;
  /** What a program may hold, in MiB; 64 for JavaScript and TypeScript, 256 for Python unless said. For Python at most 256. */
  readonly memoryMiB?: number;
  /** The most characters that a program may write in one test; 1,000,000 unless said. */
  readonly outputLimit?: number;
  /** See `sameValue`; 1e-6 unless said. */
  readonly tolerance?: number;
  readonly signal?: AbortSignal;
}

/** What came of one test. */
export interface TestResult {
  readonly passed: boolean;
  /** Why not. Everything but "wrong" is what stopped the program from giving an answer. */
  readonly why?: "wrong" | Failure;
  readonly message?: string;
}

const aliases: Record<CodeLanguage, readonly string[]> = {
  javascript: ["javascript", "js", "mjs", "node", "jsx"],
  typescript: ["typescript", "ts", "mts", "javascript", "js"],
  python: ["python", "py", "python3"],
};

/** Said so that bundlers for pages do not take the modules below for files to ship: a page has its own way to the one that it can use. */
const here = import.meta.url;
const javascript: SandboxKind = {
  name: "JavaScript",
  module: new URL("./javascript-peer.ts", here),
  start: { kind: "worker", memoryMiB: 512, page: () => new Worker(new URL("./javascript-peer.js", import.meta.url), { type: "module" }) },
  needs: "quickjs-emscripten",
};
const python: SandboxKind = {
  name: "Python",
  module: new URL("../../../data/peers/python.ts", here),
  start: {
    kind: "process",
    memoryMiB: 1024,
    reads: ["pyodide"],
    // The memory of the interpreter itself, 256 MiB; and no code from text, which would be a way to JavaScript.
    flags: ["--wasm-max-mem-pages=4096", "--disallow-code-generation-from-strings"],
  },
  spare: 1,
  needs: "pyodide",
};

/**
 * Runs a program against tests in a sandbox, one result a test, in order. The program has no files, network, environment or processes of
 * this machine. What tests expect never enters its interpreter: outputs and values are compared here, and assertions run in an interpreter
 * of their own, into which only what the program returned comes. The exception is a test marked `inside`, which the program can read while
 * it runs.
 *
 * JavaScript and TypeScript run in QuickJS in a worker, Python (3.14, standard library only) in Pyodide in a process of its own.
 *
 * @throws GuerdonError "usage" for options out of range; "missing-dependency", "io", "unsupported" when there can be no sandbox;
 *   "interrupted" when the signal was aborted
 */
export async function runTests(program: string, tests: readonly CodeTest[], options: RunTestsOptions): Promise<TestResult[]> {
  const { language, timeoutMs, memoryMiB, outputLimit, tolerance } = resolved(options);
  const uses = tests.map((test): Use => {
    if (test.kind === "output") return { kind: "output", stdin: test.stdin };
    if (test.kind === "call") return { kind: "call", name: test.name, args: test.args };
    return test;
  });
  const job: ProgramJob = { source: program, typescript: language === "typescript", uses, timeoutMs, memoryMiB, outputLimit };
  const outcome = await inSandbox<ProgramJob, ProgramResult>(language === "python" ? python : javascript, job, timeoutMs, options.signal);
  if (outcome.kind === "done") return tests.map((test, i) => verdict(test, outcome.value.used[i], tolerance));
  if (outcome.kind === "threw") throw new GuerdonError("internal", `The sandbox failed: ${outcome.reason}.`);
  const why = outcome.kind === "ended" ? "crash" : outcome.kind;
  return tests.map(() => ({ passed: false, why, message: outcome.reason }));
}

function verdict(test: CodeTest, used: Used | undefined, tolerance: number): TestResult {
  if (used === undefined) return { passed: false, why: "crash", message: "it was never run" };
  if ("message" in used) return { passed: false, why: used.kind === "assertion" ? "wrong" : used.kind, message: used.message };
  const passed =
    used.kind === "held"
      ? test.kind === "assert"
      : used.kind === "output"
        ? test.kind === "output" && sameOutput(test.stdout, used.stdout)
        : test.kind === "call" && sameValue(test.returns, used.value, { tolerance });
  return passed ? { passed } : { passed, why: "wrong", message: "the answer is wrong" };
}

export interface CodeTestsOptions extends Omit<RunTestsOptions, "signal"> {
  /** "all" (unless said): 1 when every test passes, else 0. "share": the share of tests that pass. */
  readonly credit?: "all" | "share";
  /** How reports call it; "code-tests" unless said. */
  readonly name?: string;
}

/**
 * A reward for programs: the last code block of the answer is run against the column `tests` (see `readTests`) in a sandbox. 0 to 1. The
 * parts are `test 1`, `test 2`, ...; the note says why the first test that failed did.
 *
 * What is the program's fault is 0 with a note: a wrong value, an exception, no code in the answer, too much time, memory or output, a crash
 * of its interpreter (twice in a row). What is not its fault is unscorable: tests that cannot be read, a sandbox that cannot be started, a
 * missing package, an assertion that cannot be judged from outside (mark it `inside`). See docs/code-rewards.md.
 *
 * @throws GuerdonError "usage" for options out of range
 */
export function codeTests({ credit = "all", name = "code-tests", ...options }: CodeTestsOptions): Reward<{ tests: unknown }> {
  const version = JSON.stringify({ version: 1, credit, ...resolved(options) });
  if (credit !== "all" && credit !== "share") throw new GuerdonError("usage", `codeTests: credit must be "all" or "share".`);
  return reward(
    name,
    { version, columns: z.object({ tests: z.unknown() }) },
    async ({ text, tests: column }, { signal }): Promise<Grade> => {
      let tests: CodeTest[];
      try {
        tests = readTests(column);
      } catch (cause) {
        if (cause instanceof GuerdonError) return unscorable("wrong-column", cause.message);
        throw cause;
      }
      const program = lastProgram(text, aliases[options.language]);
      if (program === null) return { value: 0, note: `there is no ${options.language} code in the answer` };
      const results = await runTests(program, tests, { ...options, signal });
      const unreadable = results.find(({ why }) => why === "no-plain-data");
      if (unreadable) return unscorable("unparsable", `A test cannot be judged from outside: ${unreadable.message}.`);
      const passed = results.filter((result) => result.passed).length;
      const first = results.findIndex((result) => !result.passed);
      return {
        value: credit === "share" ? passed / results.length : passed === results.length ? 1 : 0,
        parts: Object.fromEntries(results.map((result, i) => [`test ${i + 1}`, result.passed ? 1 : 0])),
        ...(first < 0
          ? {}
          : { note: `${passed} of ${results.length} tests passed; test ${first + 1}: ${tidy(results[first]!.message ?? "")}` }),
      };
    },
  );
}

/** Text from a program, fit for a report: without control characters, and short. */
const tidy = (text: string): string => text.replace(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, " ").slice(0, 300);

function resolved({ language, timeoutMs, memoryMiB, outputLimit = 1_000_000, tolerance = 1e-6 }: Omit<RunTestsOptions, "signal">) {
  if (!Object.hasOwn(aliases, language))
    throw new GuerdonError("usage", `codeTests: language must be javascript, typescript or python, not ${String(language)}.`);
  const options = {
    language,
    timeoutMs: timeoutMs ?? (language === "python" ? 10_000 : 5000),
    memoryMiB: memoryMiB ?? (language === "python" ? 256 : 64),
    outputLimit,
    tolerance,
  };
  for (const [option, least, most] of [
    ["timeoutMs", 1, 3_600_000],
    ["memoryMiB", 1, language === "python" ? 256 : 512],
    ["outputLimit", 0, 1e8],
    ["tolerance", 0, 1],
  ] as const)
    if (!(options[option] >= least && options[option] <= most))
      throw new GuerdonError("usage", `codeTests: ${option} must be from ${least} to ${most}, not ${options[option]}.`);
  return options;
}
