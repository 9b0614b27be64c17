import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { availableParallelism, cpus, totalmem } from "node:os";

/** On what a run ran: for comparing numbers later. Nothing here decides a result, so none of it is compared on resume. */
export interface Machine {
  readonly versions: { readonly guerdon: string; readonly node: string; readonly jax: string };
  readonly platform: string;
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGiB: number;
  /** The user's own repository: commit, and whether files differ from it; null outside a repository. */
  readonly git: { readonly commit: string; readonly changed: boolean } | null;
}

/** guerdon's own package.json (the same number of folders up in src and in dist). */
export function packageJson(): { readonly version: string; readonly dependencies: Readonly<Record<string, string>> } {
  return JSON.parse(readFileSync(new URL("../../../package.json", import.meta.url), "utf8"));
}

function gitState(folder: string): Machine["git"] {
  const git = (...options: string[]) =>
    execFileSync("git", options, { cwd: folder, encoding: "utf8", timeout: 5000, stdio: ["ignore", "pipe", "ignore"] }).trim();
  try {
    return { commit: git("rev-parse", "HEAD"), changed: git("status", "--porcelain", "--untracked-files=no") !== "" };
  } catch {
    return null; // no git here, or not a repository
  }
}

/** The machine as it is now. */
export function describeMachine(folder: string = process.cwd()): Machine {
  const { version, dependencies } = packageJson();
  return {
    versions: { guerdon: version, node: process.versions.node, jax: dependencies["@jax-js/jax"] ?? "unknown" },
    platform: `${process.platform}-${process.arch}`,
    cpu: cpus()[0]?.model.trim() ?? "unknown",
    cores: availableParallelism(),
    memoryGiB: Math.round((totalmem() / 2 ** 30) * 10) / 10,
    git: gitState(folder),
  };
}
