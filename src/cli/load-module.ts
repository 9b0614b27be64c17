import { registerHooks } from "node:module";
import { statSync } from "node:fs";
import { relative, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { GuerdonError } from "../error.ts";
import { mustExist } from "./folders.ts";

const own = new URL("../", import.meta.url).href;

/** "file:line" of a module that does not compile: Node puts it first on the stack. */
const placeOf = (cause: Error, path: string): string => cause.stack?.split("\n")[0]?.match(/^(?:file:\/\/)?(.+:\d+)$/)?.[1] ?? path;

/** " (file:line)" of the first place on the stack that is neither Node's nor Guerdon's own; nothing where there is none. */
function thrownAt(cause: unknown): string {
  const stack = cause instanceof Error ? (cause.stack ?? "") : "";
  const places = [...stack.matchAll(/(?:file:\/\/|\()(\/[^\n]*?:\d+):\d+\)?$/gm)].map(([, place]) => decodeURI(place!));
  const place = places.find((one) => !one.startsWith(fileURLToPath(own)));
  return place === undefined ? "" : ` (${relative("", place)})`;
}

/** One sentence for a module that cannot be loaded, or null when its own code threw. */
function sentence(cause: unknown, path: string): string | null {
  if (!(cause instanceof Error)) return null;
  const code = "code" in cause ? String(cause.code) : "";
  if (code === "ERR_UNSUPPORTED_TYPESCRIPT_SYNTAX")
    return `${placeOf(cause, path)}: ${cause.message.replace(" is not supported in strip-only mode", "")} cannot be used here, because Node only strips types: write a plain object or a union of strings instead`;
  if (cause instanceof SyntaxError && cause.message === "Cannot use import statement outside a module")
    return `${placeOf(cause, path)}: Node does not take this file for a module: write "type": "module" into the nearest package.json`;
  if (code === "ERR_INVALID_TYPESCRIPT_SYNTAX" || cause instanceof SyntaxError) return `${placeOf(cause, path)}: ${cause.message}`;
  const missing = /^Cannot find package '([^']+)'/.exec(cause.message)?.[1];
  if (code === "ERR_MODULE_NOT_FOUND" && missing !== undefined)
    return `${path} imports ${missing}, which is not installed there: npm install ${missing}`;
  if (code === "EACCES") return `${path} or a file that it imports may not be read: ${cause.message}`;
  if (code === "ERR_MODULE_NOT_FOUND" || code === "ERR_PACKAGE_PATH_NOT_EXPORTED") return `${path}: ${cause.message}`;
  return null;
}

const loaded = new Set<string>();

/** The user's files that `loadExport` has loaded, those that they import included; guerdon's own and packages are left out. */
export const loadedFiles = (): readonly string[] => [...loaded];

async function importWatched(path: string): Promise<unknown> {
  const hooks = registerHooks({
    // Whatever the project has installed, its "guerdon" is the one that runs: this one would not know the arrays and errors of a second copy.
    resolve: (specifier, context, nextResolve) =>
      nextResolve(specifier, /^guerdon(\/|$)/.test(specifier) ? { ...context, parentURL: import.meta.url } : context),
    load(url, context, nextLoad) {
      if (url.startsWith("file:") && !url.startsWith(own) && !url.includes("/node_modules/")) loaded.add(fileURLToPath(url.split("?")[0]!));
      return nextLoad(url, context);
    },
  });
  try {
    return await import(pathToFileURL(resolve(path)).href);
  } finally {
    hooks.deregister();
  }
}

/**
 * Imports a user's TypeScript or JavaScript file and gives one of its exports.
 *
 * @throws GuerdonError "input" naming file and line for a file that is missing, does not compile, or lacks the export
 */
export async function loadExport(path: string, name = "default"): Promise<unknown> {
  const module = await loadModule(path);
  const names = Object.keys(module);
  if (!(name in module))
    throw new GuerdonError(
      "input",
      name === "default"
        ? `${path} has no default export: end it with \`export default job({ ... })\``
        : `${path} has no export named ${name}; it has ${names.join(", ") || "none"}`,
    );
  return module[name];
}

/**
 * Imports a user's TypeScript or JavaScript file.
 *
 * @throws GuerdonError "input" naming file and line for a file that is missing, does not compile or throws
 */
export async function loadModule(path: string): Promise<Readonly<Record<string, unknown>>> {
  mustExist(path);
  if (statSync(path).isDirectory()) throw new GuerdonError("input", `${path} is a folder, and a file is needed`);
  try {
    return (await importWatched(path)) as Readonly<Record<string, unknown>>;
  } catch (cause) {
    if (cause instanceof GuerdonError) throw cause;
    const text = sentence(cause, path);
    throw new GuerdonError("input", text ?? `${path} threw while it was loaded: ${String(cause)}${thrownAt(cause)}`, { cause });
  }
}
