import { thisHost } from "../data/index.ts";
import { GuerdonError } from "../error.ts";
import { because } from "./folder.ts";
import { readTokenizer } from "./tokenizer-files.ts";
import type { Tokenizer } from "./tokenizer.ts";

export interface HubOptions {
  /** A branch, tag or commit; "main" unless said. */
  readonly revision?: string;
  /** Folder in which downloaded files are kept; guerdon/tokenizers in the user's folder for caches unless said. */
  readonly cache?: string;
  /** The hub's address; the environment's HF_ENDPOINT or https://huggingface.co unless said. */
  readonly hub?: string;
  readonly signal?: AbortSignal;
}

/** What `readTokenizer` reads. tokenizer.json comes last: where it lies in the cache, the others were fetched before it. */
const files = ["tokenizer_config.json", "chat_template.jinja", "generation_config.json", "config.json", "tokenizer.json"];

/**
 * The tokenizer and chat template of a model on the Hugging Face hub. Files are downloaded once and then read from the cache, so that later
 * runs need no network; a branch that moved on is not looked at again. A gated model needs the environment variable HF_TOKEN.
 *
 * @param id for instance "Qwen/Qwen3-8B"
 * @throws GuerdonError "usage" for what is no id; "io" when a file is neither in the cache nor to be had, saying what to do offline; as
 *   `readTokenizer`
 */
export async function hubTokenizer(id: string, options: HubOptions = {}): Promise<Tokenizer> {
  const { revision = "main", signal } = options;
  if (!/^[\w.-]+\/[\w.-]+$/.test(id) || id.includes("..") || !/^[\w.-]+$/.test(revision))
    throw new GuerdonError(
      "usage",
      `${JSON.stringify(id)}${revision === "main" ? "" : ` at ${JSON.stringify(revision)}`} is no model of the hub. Give one as owner/name, or the folder of a model.`,
    );
  const folder = `${cacheFolder(options.cache)}/${id.replace("/", "--")}/${revision}`;
  const host = await thisHost();
  if (await host.exists(`${folder}/tokenizer.json`)) return readTokenizer(folder);
  const hub = (options.hub ?? environment("HF_ENDPOINT") ?? "https://huggingface.co").replace(/\/$/, "");
  for (const name of files) {
    const content = await download(`${hub}/${id}/resolve/${revision}/${name}`, id, folder, signal);
    if (content !== null) await host.writeAtomic(`${folder}/${name}`, content);
    else if (name === "tokenizer.json")
      throw new GuerdonError("io", `${id} on ${hub} has no tokenizer.json. Give the folder of a model that has one.`);
  }
  return readTokenizer(folder);
}

/** The tokenizer of a model's folder, or of a model on the hub. A folder is what exists, or begins as only a path does. */
export async function anyTokenizer(name: string, options: HubOptions = {}): Promise<Tokenizer> {
  const looksLocal = /^([./~\\]|[A-Za-z]:)/.test(name) || name.split("/").length !== 2;
  if (looksLocal || (await (await thisHost()).exists(name))) return readTokenizer(name);
  return hubTokenizer(name, options);
}

const environment = (name: string): string | undefined => (typeof process === "object" ? process.env?.[name] || undefined : undefined);

function cacheFolder(given: string | undefined): string {
  const home = environment("HOME") ?? environment("USERPROFILE");
  const folder = given ?? environment("XDG_CACHE_HOME") ?? (home === undefined ? undefined : `${home}/.cache`);
  if (folder === undefined)
    throw new GuerdonError("usage", "There is no folder for caches: neither XDG_CACHE_HOME nor HOME is set. Give `cache`.");
  return given ?? `${folder}/guerdon/tokenizers`;
}

/** A file's bytes; null when the hub says that there is none. */
async function download(address: string, id: string, folder: string, signal: AbortSignal | undefined): Promise<Uint8Array | null> {
  const token = environment("HF_TOKEN");
  const refuse = (why: string, cause?: unknown): GuerdonError =>
    new GuerdonError(
      "io",
      `The tokenizer of ${id} is not in ${folder}, and ${address} ${why}. Without a network, give the folder of a downloaded model instead ` +
        `(tokenizer.json, tokenizer_config.json, and chat_template.jinja where the model has one), or copy its files into that cache folder.`,
      { cause },
    );
  let response: Response;
  try {
    response = await fetch(address, {
      headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
      ...(signal && { signal }),
    });
    if (response.ok) return new Uint8Array(await response.arrayBuffer());
  } catch (cause) {
    if (signal?.aborted) throw new GuerdonError("interrupted", `The download of ${address} was interrupted.`, { cause });
    const inner: unknown = cause instanceof Error ? (cause.cause ?? cause) : cause;
    throw refuse(`cannot be reached (${because(inner)})`, cause);
  }
  if (response.status === 404) return null;
  const gated = response.status === 401 || response.status === 403;
  throw refuse(
    `answered HTTP ${response.status}${gated ? ": the model does not exist or needs a token in the environment variable HF_TOKEN" : ""}`,
  );
}
