import { GuerdonError } from "../error.ts";

/*
 * The files of a model folder. `node:` modules are imported when a function is called, so that the rest of this room also loads in a
 * browser, where a folder is one clear error.
 */

type NodeFiles = typeof import("node:fs/promises") & { readonly join: (folder: string, name: string) => string };

async function nodeFiles(folder: string): Promise<NodeFiles> {
  try {
    const path = await import("node:path");
    return { ...(await import("node:fs/promises")), join: (folder, name) => path.join(folder, name) };
  } catch (cause) {
    throw new GuerdonError("unsupported", `${folder}: model folders can be read and written in Node only.`, { cause });
  }
}

/** What a caught error says. */
export const because = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause));

/** Whether an error of a file operation says that the file or folder is not there. */
const missing = (error: unknown): boolean =>
  error instanceof Error && "code" in error && (error.code === "ENOENT" || error.code === "ENOTDIR");

/** Bytes of a file in the folder, or null when there is none. @throws GuerdonError "io" when it cannot be read */
export async function readOptional(folder: string, name: string): Promise<Uint8Array<ArrayBuffer> | null> {
  const files = await nodeFiles(folder);
  try {
    return await files.readFile(files.join(folder, name));
  } catch (cause) {
    if (missing(cause)) return null;
    throw new GuerdonError("io", `${files.join(folder, name)} cannot be read: ${because(cause)}`, {
      cause,
    });
  }
}

/** A JSON object in a file of the folder, with readers that name file and field when a field is not what it must be. */
export interface Fields {
  readonly file: string;
  readonly all: Readonly<Record<string, unknown>>;
  number(name: string, otherwise?: number): number;
  boolean(name: string, otherwise: boolean): boolean;
  text(name: string, otherwise?: string): string;
  /** An error about this field: `problem` completes the sentence "<file>: <field> ...". */
  refuse(name: string, problem: string, code?: "input" | "unsupported"): GuerdonError;
}

const say = (value: unknown): string => (value === undefined ? "is missing" : `is ${JSON.stringify(value)}`);

/** Readers over an object that came from `file`; null counts as missing, as in transformers' own files. */
export function fields(file: string, all: Readonly<Record<string, unknown>>): Fields {
  const refuse: Fields["refuse"] = (name, problem, code = "input") => new GuerdonError(code, `${file}: ${name} ${problem}.`);
  return {
    file,
    all,
    refuse,
    number(name, otherwise) {
      const value = all[name] ?? otherwise;
      if (typeof value !== "number" || !Number.isFinite(value)) throw refuse(name, `${say(value)}, not a number`);
      return value;
    },
    boolean(name, otherwise) {
      const value = all[name] ?? otherwise;
      if (typeof value !== "boolean") throw refuse(name, `${say(value)}, not true or false`);
      return value;
    },
    text(name, otherwise) {
      const value = all[name] ?? otherwise;
      if (typeof value !== "string") throw refuse(name, `${say(value)}, not a text`);
      return value;
    },
  };
}

/** Reads a JSON object, or null when there is no such file. @throws GuerdonError "input" when it is not a JSON object */
export async function readFields(folder: string, name: string): Promise<Fields | null> {
  const bytes = await readOptional(folder, name);
  if (bytes === null) return null;
  const file = (await nodeFiles(folder)).join(folder, name);
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder().decode(bytes));
  } catch (cause) {
    throw new GuerdonError("input", `${file} is not JSON: ${because(cause)}`, { cause });
  }
  if (!isRecord(value)) throw new GuerdonError("input", `${file} must hold a JSON object.`);
  return fields(file, value);
}

/** Reads a JSON object that must be there. @throws GuerdonError "input" that says what the folder should hold */
export async function requireFields(folder: string, name: string): Promise<Fields> {
  const found = await readFields(folder, name);
  if (found === null)
    throw new GuerdonError("input", `${folder} has no ${name}. Give the folder of a model as Hugging Face's save_pretrained writes it.`);
  return found;
}

export const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/**
 * Writes files into a folder, which is made when it is not there. Each file is written under another name and then renamed, so that a
 * reader never sees half of one; they get their names in the order given, so put last what readers look for first.
 */
export async function writeFiles(folder: string, contents: Readonly<Record<string, Uint8Array | string>>): Promise<void> {
  const files = await nodeFiles(folder);
  const begun: { readonly from: string; readonly to: string }[] = [];
  try {
    await files.mkdir(folder, { recursive: true });
    for (const [name, content] of Object.entries(contents)) {
      const from = files.join(folder, `.${name}.partial`);
      const file = await files.open(from, "w");
      begun.push({ from, to: files.join(folder, name) });
      try {
        await file.writeFile(content);
        await file.sync();
      } finally {
        await file.close();
      }
    }
    for (const { from, to } of begun) await files.rename(from, to);
  } catch (cause) {
    for (const { from } of begun) await files.rm(from, { force: true });
    throw new GuerdonError("io", `${folder} cannot be written: ${because(cause)}`, { cause });
  }
}

/** A JSON file's text, as transformers writes them. */
export const jsonText = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`;
