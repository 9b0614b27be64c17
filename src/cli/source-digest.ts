import { createHash } from "node:crypto";
import { existsSync, readFileSync, statSync } from "node:fs";
import { isBuiltin } from "node:module";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

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

const fromPackage = /\b(?:import|export)\s+(?!type\b)(?:[\w$*{}\s,]+?\s*\bfrom\s*)?["']((?:@[\w.-]+\/)?[\w.-]+)((?:\/[^"']+)?)["']/g;

/**
 * What files take from packages: the file of each import that leads into this package, and "name version" of each other one. Packages that
 * are only loaded when they are needed (`await import`) are left out: they need not be installed.
 */
function packagesOf(files: ReadonlyMap<string, string>): { readonly own: readonly string[]; readonly others: readonly string[] } {
  const own = new Set<string>();
  const others = new Set<string>();
  for (const [file, text] of files)
    for (const [, name, rest] of text.matchAll(fromPackage)) {
      if (name === "guerdon") own.add(fileURLToPath(import.meta.resolve(`${name}${rest}`)));
      else if (!isBuiltin(name!)) others.add(`${name} ${installedVersion(name!, dirname(file))}`);
    }
  return { own: [...own], others: [...others].sort() };
}

/** The version of a package as a file in `folder` would import it. */
function installedVersion(name: string, folder: string): string {
  for (let at = folder; ; at = dirname(at)) {
    const about = join(at, "node_modules", name, "package.json");
    if (existsSync(about)) return String((JSON.parse(readFileSync(about, "utf8")) as { readonly version?: unknown }).version);
    if (dirname(at) === at) return "not found";
  }
}

/**
 * As `sourceDigest`, for what must not be taken for unchanged when a package changed: with the version of each package that the files
 * import, and with all files behind an import from this package by its name.
 */
export function completeDigest(path: string): string {
  const files = new Map(sourceFiles(path));
  let packages = packagesOf(files);
  for (const file of packages.own) for (const [name, text] of sourceFiles(file)) files.set(name, text);
  if (packages.own.length > 0) packages = packagesOf(files);
  return digestOf([...files.values(), ...packages.others]);
}

/**
 * A short name for what a module is made of. Another name means that it may behave differently; what it reads while it runs, and packages,
 * are not part of it.
 */
export function sourceDigest(path: string): string {
  return digestOf([...sourceFiles(path).values()]);
}

function digestOf(texts: readonly string[]): string {
  const hash = createHash("sha256");
  for (const text of texts) hash.update(`${text.length}\n${text}`);
  return hash.digest("hex").slice(0, 16);
}
