import { spawn } from "node:child_process";
import { constants } from "node:fs";
import { access, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, delimiter, join } from "node:path";
import { GuerdonError } from "../error.ts";
import type { RunOptions, RunResult } from "./host.ts";

/** See `Host.find`. */
export async function findProgram(program: string): Promise<string | null> {
  for (const folder of (process.env["PATH"] ?? "").split(delimiter)) {
    const path = join(folder, program);
    if (folder === "" || program !== basename(program)) continue;
    const runs = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (runs) return path;
  }
  return null;
}

/** See `Host.run`. */
export async function runProgram(program: string, args: readonly string[], options: RunOptions): Promise<RunResult> {
  const { files, keep = [], signal } = options;
  const names = [...Object.keys(files), ...keep];
  const stray = names.find((name) => name !== basename(name) || name.startsWith("."));
  if (stray !== undefined) throw new GuerdonError("usage", `"${stray}" is no name of a file.`);
  const path = await findProgram(program);
  if (path === null) throw new GuerdonError("io", `There is no program ${program} on this machine's PATH.`);
  const isolation = await isolated();
  if (signal?.aborted) throw new GuerdonError("interrupted", `${program} was not started.`);
  const folder = await mkdtemp(join(tmpdir(), "guerdon-run-"));
  try {
    for (const [name, content] of Object.entries(files)) await writeFile(join(folder, name), content);
    const ended = await started([...isolation, "/bin/sh", "-c", limits(options), "sh", path, ...args], folder, program, options);
    const kept: Record<string, Uint8Array> = {};
    for (const name of keep) {
      const content = await readFile(join(folder, name)).catch(() => null); // it did not make it
      if (content) kept[name] = content;
    }
    return { ...ended, files: kept };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Limits that hold even when nobody is left to end the program: memory, processor time, file size, no core dumps. */
const limits = ({ memoryMiB, timeoutMs, outputLimit }: RunOptions): string =>
  `ulimit -c 0; ulimit -v ${memoryMiB * 1024}; ulimit -t ${Math.ceil(timeoutMs / 1000) + 1}; ulimit -f ${Math.ceil(outputLimit / 512)}; exec "$@"`;

function started(command: readonly string[], cwd: string, program: string, options: RunOptions): Promise<Omit<RunResult, "files">> {
  const { timeoutMs, outputLimit, signal } = options;
  return new Promise((resolve, reject) => {
    // A process group of its own, so that everything in it can be ended at once.
    const child = spawn(command[0]!, command.slice(1), { cwd, env: {}, stdio: ["ignore", "pipe", "pipe"], detached: true });
    let end: RunResult["end"] = "exited";
    let cancelled = false;
    let left = outputLimit;
    const texts = { stdout: "", stderr: "" };
    const kill = (): void => {
      try {
        if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
      } catch (cause) {
        if (!(cause instanceof Error && "code" in cause && cause.code === "ESRCH")) throw cause;
      }
    };
    const stop = (why: RunResult["end"]) => (): void => {
      if (end === "exited") end = why;
      kill();
    };
    const timer = setTimeout(stop("timeout"), timeoutMs);
    const cancel = (): void => {
      cancelled = true;
      kill();
    };
    signal?.addEventListener("abort", cancel);
    for (const name of ["stdout", "stderr"] as const)
      child[name].on("data", (bytes: Buffer) => {
        texts[name] += bytes.subarray(0, Math.max(0, left)).toString("utf8");
        left -= bytes.length;
        if (left < 0) stop("output")();
      });
    const done = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", cancel);
    };
    child.on("error", (cause) => {
      done();
      reject(new GuerdonError("io", `Cannot run ${program}: ${cause.message}.`, { cause }));
    });
    child.on("close", (code) => {
      done();
      kill(); // what it may have left behind
      if (cancelled) reject(new GuerdonError("interrupted", `${program} was stopped.`));
      else resolve({ end, code, ...texts });
    });
  });
}

let known: Promise<readonly string[]> | undefined;

/** The command that takes a program's network and processes from it, as far as this machine lets us; nothing where it does not. */
function isolated(): Promise<readonly string[]> {
  return (known ??= (async () => {
    const unshare = await findProgram("unshare");
    const setpriv = await findProgram("setpriv");
    const parts = [
      ...(setpriv ? [[setpriv, "--pdeathsig", "KILL", "--"]] : []),
      ...(unshare
        ? [[unshare, "--user", "--map-root-user", "--net", "--ipc", "--pid", "--fork", "--kill-child", "--mount-proc", "--"]]
        : []),
    ];
    const works = await Promise.all(
      parts.map(
        (part) =>
          new Promise<boolean>((resolve) => {
            const trial = spawn(part[0]!, [...part.slice(1), "/bin/sh", "-c", "exit 0"], { stdio: "ignore", env: {} });
            trial.on("error", () => resolve(false));
            trial.on("close", (code) => resolve(code === 0));
          }),
      ),
    );
    return parts.filter((_, i) => works[i]).flat();
  })());
}
