import { createHash } from "node:crypto";
import { existsSync, readFileSync, statSync } from "node:fs";
import { dirname, resolve } from "node:path";

/** Imports of files by a relative path, static and dynamic. */
const relativeImport = /\b(?:from|import)\s*\(?\s*["'](\.{1,2}\/[^"']+)["']/g;

/** Names of files that may be part of a reward, for those who watch for changes: code, and what code reads. */
export const sourceName = /\.(?:[cm]?[jt]sx?|json|txt|md|ya?ml)$/;

/** The files that a module is made of: itself, every file it imports by a relative path, and so on, with their text. */
export function sourceFiles(path: string): ReadonlyMap<string, string> {
  const files = new Map<string, string>();
  const add = (file: string): void => {
    if (files.has(file) || !existsSync(file) || !statSync(file).isFile()) return;
    const text = readFileSync(file, "utf8");
    files.set(file, text);
    for (const [, specifier] of text.matchAll(relativeImport)) add(resolve(dirname(file), specifier!));
  };
  add(resolve(path));
  return files;
}

/**
 * A short name for what a module is made of. Another name means that it may behave differently; what it reads while it runs, and packages,
 * are not part of it.
 */
export function sourceDigest(path: string): string {
  const hash = createHash("sha256");
  for (const text of sourceFiles(path).values()) hash.update(`${text.length}\n${text}`);
  return hash.digest("hex").slice(0, 16);
}
