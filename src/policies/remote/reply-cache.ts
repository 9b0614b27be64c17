import { thisHost } from "../../data/host.ts";
import type { Sample } from "./reply.ts";

/** Replies on disk, by the content of the request. */
export interface ReplyCache {
  /** A name for this request: a hash of all that decides its answer, and nothing else (no key, no header). */
  key(request: unknown): Promise<string>;
  get(key: string): Promise<readonly Sample[] | null>;
  put(key: string, samples: readonly Sample[]): Promise<void>;
}

const format = "guerdon reply";
const version = 1;

/**
 * A folder with a small JSON file for each request that was answered. The files hold the answers and not the requests. A file of another
 * version, or one that is damaged, counts as absent and is replaced.
 */
export function replyCache(folder: string): ReplyCache {
  const fileOf = (key: string): string => `${folder}/${key.slice(0, 2)}/${key}.json`;
  return {
    async key(request) {
      const bytes = new TextEncoder().encode(sorted(request));
      return Array.from(new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)), (byte) => byte.toString(16).padStart(2, "0")).join(
        "",
      );
    },
    async get(key) {
      const host = await thisHost();
      const file = fileOf(key);
      if (!(await host.exists(file))) return null;
      return samplesOf(await host.readText(file));
    },
    async put(key, samples) {
      const host = await thisHost();
      await host.writeAtomic(fileOf(key), `${JSON.stringify({ format, version, samples })}\n`);
    },
  };
}

function samplesOf(text: string): readonly Sample[] | null {
  let entry: unknown;
  try {
    entry = JSON.parse(text);
  } catch {
    return null; // cut or overwritten by something else: asked for again, and replaced
  }
  if (typeof entry !== "object" || entry === null || !("format" in entry) || !("version" in entry) || !("samples" in entry)) return null;
  if (entry.format !== format || entry.version !== version || !Array.isArray(entry.samples)) return null;
  const whole = entry.samples.every((one: unknown) => typeof one === "object" && one !== null && "text" in one && "stop" in one);
  return whole ? (entry.samples as Sample[]) : null;
}

/** JSON with the fields of every object in alphabetical order, so that the order in which options were written does not count. */
const sorted = (value: unknown): string =>
  JSON.stringify(value, (_, inner: unknown) =>
    typeof inner === "object" && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );
