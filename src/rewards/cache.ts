import { thisHost, type Host } from "../data/host.ts";
import { GuerdonError } from "../error.ts";
import { canonical } from "./canonical.ts";
import type { Score } from "./grade.ts";
import type { Answer, Reward } from "./reward.ts";

/** Where scores are kept by key. A `Map<string, Score>` is one. */
export interface ScoreCache {
  get(key: string): Score | undefined | Promise<Score | undefined>;
  set(key: string, score: Score): unknown;
}

/** A cache that writes behind: `flush` waits until all that was set is on the disk, and throws what went wrong. */
export interface FolderCache extends ScoreCache {
  flush(): Promise<void>;
}

const format = "guerdon-score-cache";
const formatVersion = 1;

/**
 * A cache of one reward's scores in a folder: a file of JSON lines for each reward and version, to which scores are added as they come.
 * Several processes may use it at once. After a kill at most the last scores are missing. The scores of the reward, not their rows, are
 * held in memory: about 200 bytes each.
 *
 * @throws GuerdonError "input" for a file of another format; "io" when it cannot be read
 */
export async function folderCache(
  folder: string,
  { name, version }: Pick<Reward<never>, "name" | "version">,
  host?: Host,
): Promise<FolderCache> {
  const machine = host ?? (await thisHost());
  const readable = name.replaceAll(/[^a-zA-Z0-9]+/g, "-").slice(0, 40);
  const path = `${folder}/${readable}-${(await machine.digest(canonical([name, version])!)).slice(0, 12)}.jsonl`;
  const header = JSON.stringify({ format, version: formatVersion, reward: name, rewardVersion: version });
  const known = new Map<string, Score>();
  if (!(await machine.writeNew(path, header + "\n"))) await load(machine, path, known);

  let waiting: string[] = [];
  let writing: Promise<void> | null = null;
  let failure: unknown = null;
  const write = async (): Promise<void> => {
    while (waiting.length > 0 && failure === null) {
      const lines = waiting.join("");
      waiting = [];
      try {
        await machine.append(path, lines);
      } catch (cause) {
        failure = cause;
      }
    }
    writing = null;
  };
  return {
    get: (key) => known.get(key),
    set(key, score) {
      known.set(key, score);
      waiting.push(JSON.stringify([key, score]) + "\n");
      writing ??= write();
    },
    async flush() {
      await writing;
      if (failure !== null) throw failure;
    },
  };
}

async function load(host: Host, path: string, into: Map<string, Score>): Promise<void> {
  let isHeader = true;
  for await (const line of host.readLines(path)) {
    const value = parsed(line);
    if (isHeader) {
      const { format: found, version } = (value ?? {}) as { format?: unknown; version?: unknown };
      if (found !== format || version !== formatVersion)
        throw new GuerdonError(
          "input",
          `${path} is not a cache of scores of version ${formatVersion}. Remove it or choose another folder.`,
        );
      isHeader = false;
    } else if (Array.isArray(value) && value.length === 2 && typeof value[0] === "string") into.set(value[0], value[1] as Score);
  }
  // What a kill cut off must not run into the next line.
  const { size } = (await host.stat(path))!;
  if (size > 0 && (await host.readRange(path, size - 1, size))[0] !== 10) await host.append(path, "\n");
}

/** A line that a kill cut off is no entry: its row is scored again. */
function parsed(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

let thisMachine: Promise<Host> | undefined;

/**
 * The key of an answer's score: what the reward is (name and version, which holds its options), the row and, for rewards that look at
 * whole groups, the group's rows and the answer's place among them. Null when a row is not plain data and therefore has no key.
 */
export async function keysOf(
  reward: Pick<Reward<never>, "name" | "version" | "scope">,
  unit: readonly Answer[],
): Promise<readonly (string | null)[]> {
  const machine = await (thisMachine ??= thisHost());
  const rows = unit.map(({ row }) => canonical(row));
  const identity = canonical([formatVersion, reward.name, reward.version])!;
  if (reward.scope !== "group") return Promise.all(rows.map(async (row) => (row === null ? null : machine.digest(`${identity}${row}`))));
  const whole = rows.includes(null) ? null : await machine.digest(`${identity}${rows.join(",")}`);
  return rows.map((_, i) => (whole === null ? null : `${whole}/${i}`));
}

/** Only what was wholly graded is kept: a null may be a failure that is gone tomorrow. */
export const isCacheable = ({ value, parts = {} }: Score): boolean => value !== null && !Object.values(parts).includes(null);
