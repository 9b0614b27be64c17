import * as fs from "node:fs";
import { dirname } from "node:path";
import { GuerdonError } from "../../error.ts";

/**
 * Every way in which a run touches the disk, in one place, so that a test can fail or kill at any of them. All calls are synchronous: a
 * step boundary is then really a boundary, and nothing is in flight when a process ends. Paths are as given by the caller.
 */
export interface Files {
  /** Makes a folder and its parents; a folder that is already there is fine. */
  makeFolder(path: string): void;
  /** Creates or overwrites a file and waits until it is on the disk. */
  write(path: string, bytes: Uint8Array): void;
  /** Creates a file that must not exist yet; false when it does. */
  writeNew(path: string, bytes: Uint8Array): boolean;
  /** Adds to the end of a file; not waited for (see `sync`). */
  append(path: string, bytes: Uint8Array): void;
  /** Waits until a file's or a folder's contents are on the disk. */
  sync(path: string): void;
  rename(from: string, to: string): void;
  truncate(path: string, length: number): void;
  /** Removes a file or a whole folder; one that is not there is fine. */
  remove(path: string): void;
  read(path: string): Uint8Array;
  /** Length in bytes; null where there is no such file. */
  size(path: string): number | null;
  isFolder(path: string): boolean;
  /** Names in a folder, sorted; none where there is no such folder. */
  list(path: string): string[];
}

const reasons: Readonly<Record<string, string>> = {
  ENOSPC: "the disk is full: free some space, then continue with the same command",
  EDQUOT: "your disk quota is used up: free some space, then continue with the same command",
  EACCES: "no permission: choose another folder or change its permissions",
  EPERM: "not permitted: choose another folder or change its permissions",
  EROFS: "the file system is read-only: choose another folder",
  ENOTDIR: "a part of the path is a file, not a folder: choose another folder or move that file away",
  EEXIST: "something of another kind is already there: choose another folder or move it away",
  EISDIR: "there is a folder where a file should be: choose another folder or move it away",
  ENOENT: "there is no such file or folder",
  EMFILE: "too many open files: raise the limit (ulimit -n)",
  EIO: "the disk reported an error",
};

const codeOf = (cause: unknown): string => (cause instanceof Error && "code" in cause ? String(cause.code) : "");

/** One sentence for a failed file operation: what was tried, where, why it failed, what to do. */
export function ioError(action: string, path: string, cause: unknown): GuerdonError {
  if (cause instanceof GuerdonError) return cause;
  const code = codeOf(cause);
  const reason = reasons[code] ?? (cause instanceof Error ? cause.message : String(cause));
  return new GuerdonError("io", `cannot ${action} ${path}: ${reason}${code in reasons ? ` (${code})` : ""}`, { cause });
}

function attempt<T>(action: string, path: string, f: () => T): T {
  try {
    return f();
  } catch (cause) {
    throw ioError(action, path, cause);
  }
}

/** As `attempt`, but `missing` where there is nothing at the path. */
function ifThere<T>(action: string, path: string, missing: T, f: () => T): T {
  try {
    return f();
  } catch (cause) {
    if (codeOf(cause) === "ENOENT") return missing;
    throw ioError(action, path, cause);
  }
}

function withOpen(path: string, flags: string, f: (descriptor: number) => void): void {
  const descriptor = fs.openSync(path, flags);
  try {
    f(descriptor);
  } finally {
    fs.closeSync(descriptor);
  }
}

/** `writeSync` may write less than asked for; a full disk shows only at the next call. */
function writeAll(descriptor: number, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length;) done += fs.writeSync(descriptor, bytes, done);
}

/** One folder at a time: with its own `recursive`, Node reports a read-only file system as "no such file" (ENOENT). */
function makeFolder(path: string): void {
  const there = (): boolean => fs.statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
  if (there()) return;
  if (dirname(path) !== path) makeFolder(dirname(path));
  try {
    fs.mkdirSync(path);
  } catch (cause) {
    if (!there()) throw cause; // else another process made it just now
  }
}

/** The real file system; every failure is a GuerdonError("io"). */
export const diskFiles: Files = {
  makeFolder: (path) => attempt("make the folder", path, () => makeFolder(path)),
  write: (path, bytes) =>
    attempt("write", path, () =>
      withOpen(path, "w", (descriptor) => {
        writeAll(descriptor, bytes);
        fs.fsyncSync(descriptor);
      }),
    ),
  writeNew(path, bytes) {
    try {
      withOpen(path, "wx", (descriptor) => writeAll(descriptor, bytes));
      return true;
    } catch (cause) {
      if (codeOf(cause) === "EEXIST") return false;
      throw ioError("write", path, cause);
    }
  },
  append: (path, bytes) => attempt("write", path, () => withOpen(path, "a", (descriptor) => writeAll(descriptor, bytes))),
  sync(path) {
    // Windows cannot open a folder for this, and orders renames by itself.
    if (process.platform === "win32" && fs.statSync(path).isDirectory()) return;
    attempt("write", path, () => withOpen(path, "r", (descriptor) => fs.fsyncSync(descriptor)));
  },
  rename: (from, to) => attempt("write", to, () => fs.renameSync(from, to)),
  truncate: (path, length) => attempt("write", path, () => fs.truncateSync(path, length)),
  remove: (path) => attempt("remove", path, () => fs.rmSync(path, { recursive: true, force: true })),
  read: (path) => attempt("read", path, () => fs.readFileSync(path)),
  size: (path) => ifThere("read", path, null, () => fs.statSync(path).size),
  isFolder: (path) => ifThere("read", path, false, () => fs.statSync(path).isDirectory()),
  list: (path) => ifThere("read", path, [], () => fs.readdirSync(path).sort()),
};

const encoder = new TextEncoder();

export const encode = (text: string): Uint8Array => encoder.encode(text);

/**
 * Replaces a file as a whole: written beside it, waited for, renamed over it. After a kill the path holds the old bytes or the new ones,
 * never a mixture.
 */
export function replace(files: Files, path: string, bytes: Uint8Array): void {
  const temporary = `${path}.partial`;
  files.write(temporary, bytes);
  files.rename(temporary, path);
  files.sync(dirname(path));
}

/** JSON on one line or, with `pretty`, indented, with a newline at the end. */
export const toJson = (value: unknown, pretty = true): Uint8Array => encode(JSON.stringify(value, null, pretty ? 2 : 0) + "\n");

/** Parses a JSON file that must carry this format and a version not newer than ours; a damaged one is an error that names it. */
export function readJson(files: Files, path: string, format: string, version: number): Readonly<Record<string, unknown>> {
  const text = new TextDecoder().decode(files.read(path));
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new GuerdonError("input", `${path} is damaged: it is not JSON (${text.length} characters)`, { cause });
  }
  const record = value as { format?: unknown; version?: unknown } | null;
  if (typeof record !== "object" || record?.format !== format)
    throw new GuerdonError("input", `${path} is not a ${format} file: its field "format" is ${JSON.stringify(record?.format ?? null)}`);
  if (typeof record.version !== "number" || record.version > version)
    throw new GuerdonError(
      "input",
      `${path} has version ${JSON.stringify(record.version ?? null)} of ${format}; this guerdon reads up to version ${version}`,
    );
  return record as Readonly<Record<string, unknown>>;
}
