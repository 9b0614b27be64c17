import { createHash } from "node:crypto";
import { existsSync, readFileSync, statSync } from "node:fs";
import { dirname, resolve } from "node:path";

/** Imports of files by a relative path, static and dynamic. */
const relativeImport = /\b(?:from|import)\s*\(?\s*["'](\.{1,2}\/[^"']+)["']/g;

/**
 * A short name for what a module is made of: its own text and that of every file it imports by a relative path, and so on. Another name
 * means that it may behave differently; what it reads while it runs is not part of it.
 */
export function sourceDigest(path: string): string {
  const hash = createHash("sha256");
  const seen = new Set<string>();
  const add = (file: string): void => {
    if (seen.has(file) || !existsSync(file) || !statSync(file).isFile()) return;
    seen.add(file);
    const text = readFileSync(file, "utf8");
    hash.update(`${text.length}\n${text}`);
    for (const [, specifier] of text.matchAll(relativeImport)) add(resolve(dirname(file), specifier!));
  };
  add(resolve(path));
  return hash.digest("hex").slice(0, 16);
}
