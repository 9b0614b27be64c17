import { createHash } from "node:crypto";
import { existsSync, readFileSync, statSync } from "node:fs";
import { dirname, resolve } from "node:path";

/** Names of files that may be part of a reward, for those who watch for changes: code, and what code reads. */
export const sourceName = /\.(?:[cm]?[jt]sx?|json|txt|md|ya?ml)$/;

/** An import or a re-export of a file by a relative path. */
interface Link {
  readonly specifier: string;
  /** What is taken, by its name there and its name here; null for all of it. */
  readonly names: readonly { readonly there: string; readonly here: string }[] | null;
}

const fromClause = /\b(import|export)\s+(type\s+)?([\w$*{}\s,]+?)\s*\bfrom\s*["'](\.{1,2}\/[^"']+)["']/g;
const bare = /\bimport\s*\(?\s*["'](\.{1,2}\/[^"']+)["']/g;

/** What a file imports or passes on. Types leave no trace in what runs. */
function linksOf(text: string): Link[] {
  const links = [...text.matchAll(bare)].map(([, specifier]): Link => ({ specifier: specifier!, names: null }));
  for (const [, , type, clause, specifier] of text.matchAll(fromClause)) {
    const braces = /^\{([^{}]*)\}$/.exec(clause!.trim());
    const names = braces?.[1]!
      .split(",")
      .map((name) => name.trim())
      .filter((name) => name !== "" && !name.startsWith("type "))
      .map((name) => {
        const [there, here] = name.split(/\s+as\s+/);
        return { there: there!, here: here ?? there! };
      });
    if (type === undefined && names?.length !== 0) links.push({ specifier: specifier!, names: names ?? null });
  }
  return links;
}

/** Whether a file does nothing but pass on what other files export, by name. */
function passesOn(text: string): boolean {
  const code = text.replaceAll(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, "");
  const statements = [...code.matchAll(fromClause)];
  return statements.every(([all, word]) => word === "export" && !/\*\s*as\b/.test(all)) && /^[;\s]*$/.test(code.replaceAll(fromClause, ""));
}

/**
 * The files that a module is made of, with their text: itself, every file it imports by a relative path, and so on. Of a file that only
 * passes on other files' exports, such as a room's index.ts, the lines that are used count and the other files are left out.
 */
export function sourceFiles(path: string): ReadonlyMap<string, string> {
  const files = new Map<string, string>();
  const seen = new Set<string>();
  /** @param names what is used of the file; null for all of it */
  const add = (file: string, names: readonly string[] | null): void => {
    if (!existsSync(file) || !statSync(file).isFile()) return;
    const text = readFileSync(file, "utf8");
    const follow = ({ specifier }: Link, wanted: readonly string[] | null) => add(resolve(dirname(file), specifier), wanted);
    if (names === null || !passesOn(text)) {
      if (seen.has(file)) return;
      seen.add(file);
      files.set(file, text);
      for (const link of linksOf(text)) follow(link, link.names?.map(({ there }) => there) ?? null);
      return;
    }
    for (const name of names) {
      if (seen.has(`${file} ${name}`)) continue;
      seen.add(`${file} ${name}`);
      for (const link of linksOf(text)) {
        const found = link.names?.find(({ here }) => here === name);
        if (link.names !== null && found === undefined) continue;
        if (!seen.has(file)) files.set(file, `${files.get(file) ?? ""}${name} from ${link.specifier}\n`);
        follow(link, link.names === null ? [name] : [found!.there]);
      }
    }
  };
  add(resolve(path), null);
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
