import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";

/** Whether a process runs. One that has ended, and that nobody has asked about since, does not. */
export function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch {
    return false; // there is no such process
  }
  if (process.platform !== "linux") return true;
  try {
    return !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false; // it has gone meanwhile
  }
}

/** What a process printed, and how it ended. */
export interface Ended {
  readonly out: string;
  readonly err: string;
  readonly status: number | null;
}

/** Runs this Node in a process of its own: one process has one device setting. */
export function node(...args: readonly string[]): Ended {
  const { stdout, stderr, status } = spawnSync(process.execPath, ["--no-warnings", ...args], { encoding: "utf8", timeout: 300_000 });
  return { out: stdout.trim(), err: stderr.trim(), status };
}

/** Runs code that has the array library as `A`, `attempt` for the error of a call, and `print` for JSON. */
export function runCode(code: string): Ended {
  const index = new URL("../../src/arrays/index.ts", import.meta.url).href;
  return node(
    "--input-type=module",
    "--eval",
    `import * as A from ${JSON.stringify(index)};
    const attempt = async (f) => { try { return await f(); } catch (e) { return e.code + ": " + e.message; } };
    const print = (x) => console.log(JSON.stringify(x));
    ${code}`,
  );
}
