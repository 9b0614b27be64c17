import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { GuerdonError } from "../../error.ts";
import { encode, type Files } from "./files.ts";

/** Who holds a run. `born` tells a process from a later one with the same number; null where the system does not say. */
export interface Holder {
  readonly pid: number;
  readonly host: string;
  readonly born: string | null;
}

/** A process's start time in clock ticks since this boot, with the boot's own id (Linux); null elsewhere or when it is gone. */
function bornAt(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
    // The command's name, in parentheses, may hold blanks; the start time is the 20th field after it.
    return `${boot}:${stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19]}`;
  } catch {
    return null; // no /proc on this system, or no such process
  }
}

function alive(holder: Holder): boolean {
  if (holder.host !== hostname()) return true; // cannot be asked from here, so believe the file
  try {
    process.kill(holder.pid, 0);
  } catch (cause) {
    return cause instanceof Error && "code" in cause && cause.code === "EPERM"; // EPERM: alive, another user's
  }
  return holder.born === null || holder.born === bornAt(holder.pid);
}

/** The holder named by a lock file; null where there is none or the file is unreadable (a kill while it was written). */
export function lockHolder(files: Files, directory: string): Holder | null {
  const path = join(directory, "lock.json");
  if (files.size(path) === null) return null;
  try {
    const value = JSON.parse(new TextDecoder().decode(files.read(path))) as Partial<Holder>;
    return typeof value.pid === "number" && typeof value.host === "string"
      ? { pid: value.pid, host: value.host, born: value.born ?? null }
      : null;
  } catch {
    return null; // half-written: its writer was killed
  }
}

/** Whether a living process works on the run. */
export function isHeld(files: Files, directory: string): boolean {
  const holder = lockHolder(files, directory);
  return holder !== null && alive(holder);
}

/**
 * Takes the run for this process, so that two processes cannot write to one folder. The lock of a process that no longer lives is
 * taken over.
 *
 * @returns the function that gives the run back
 * @throws GuerdonError "io" when another process holds it
 */
export function lock(files: Files, directory: string): () => void {
  const path = join(directory, "lock.json");
  const mine = encode(
    JSON.stringify({
      format: "guerdon-lock",
      version: 1,
      pid: process.pid,
      host: hostname(),
      born: bornAt(process.pid),
    } satisfies Holder & {
      format: string;
      version: number;
    }) + "\n",
  );
  const refuse = (holder: Holder): never => {
    const where = holder.host === hostname() ? "" : ` on ${holder.host} (if that process is gone, remove ${path})`;
    throw new GuerdonError("io", `${directory} is in use by process ${holder.pid}${where}: wait until it is done, or stop it first`);
  };
  if (!files.writeNew(path, mine)) {
    const holder = lockHolder(files, directory);
    if (holder !== null && alive(holder)) refuse(holder);
    // Moved away before it is removed: of two processes that find the same stale lock, one fails to move it or to write its own.
    const stale = `${path}.${process.pid}.stale`;
    files.rename(path, stale);
    files.remove(stale);
    if (!files.writeNew(path, mine)) {
      const other = lockHolder(files, directory);
      throw new GuerdonError("io", `${directory} is in use by process ${other?.pid ?? "unknown"}`);
    }
  }
  return () => files.remove(path);
}
