import { GuerdonError } from "../error.ts";
import { isCacheable, keysOf, type ScoreCache } from "./cache.ts";
import type { Calls } from "./calls.ts";
import { unscorable, type Score } from "./grade.ts";
import type { Reward } from "./reward.ts";
import { unitsOf, type Placed } from "./units.ts";

export interface Done<T> extends Placed<T> {
  readonly score: Score;
}

export interface RunSettings {
  readonly calls: Calls;
  /** Units under way at the same time. */
  readonly concurrency: number;
  /** Rows that a group may span; Infinity for rows in memory. */
  readonly window: number;
  /** Rows before this one are known: they are not given back, and scored only where their group needs them. */
  readonly from: number;
  readonly cache: ScoreCache | null;
  readonly signal: AbortSignal;
  /** Told when answers are scored, whether or not they can be given back yet. */
  readonly onDone: (answers: readonly Done<unknown>[], cached: number) => void;
}

/** Rows that may be scored ahead of the oldest one that is not; bounds the memory of a stream. */
const ahead = 1024;

/**
 * Scores answers as they come and gives them back in their order, in bounded memory: when an early answer takes long, later ones are
 * scored meanwhile, up to a limit. After an abort everything that is not done comes back unscorable, with the reason "aborted".
 */
export async function* run<T>(
  reward: Reward<never>,
  answers: AsyncIterable<Placed<T>>,
  { calls, concurrency, window, from, cache, signal, onDone }: RunSettings,
): AsyncGenerator<Done<T>, void, undefined> {
  const units = unitsOf(reward.scope, answers, window);
  const limit = reward.scope === "row" ? ahead : ahead + window;
  const ready = new Map<number, Done<T>>();
  let next = from;
  let started = from;
  let active = 0;
  let failure: { readonly cause: unknown } | null = null;
  let wake = (): void => undefined;
  let lastPause = performance.now();

  const begin = async (unit: readonly Placed<T>[]): Promise<void> => {
    try {
      const { scores, cached } = signal.aborted
        ? { scores: unit.map(({ index }) => unscorable("aborted", `Scoring was aborted before row ${index + 1}.`)), cached: 0 }
        : await scoreUsable(reward, unit, calls, cache);
      const done = unit.map(({ row, index, group, item, where }, i) => ({
        row,
        index,
        group,
        item,
        where,
        score: placed(scores[i]!, where),
      }));
      const fresh = from === 0 ? done : done.filter(({ index }) => index >= from);
      for (const one of fresh) ready.set(one.index, one);
      onDone(fresh, cached);
    } catch (cause) {
      failure ??= { cause };
    } finally {
      active--;
      wake();
    }
  };

  let ended = false;
  try {
    for (;;) {
      while (!ended && failure === null && active < concurrency && (active === 0 || started - next < limit)) {
        const unit = await nextUnit();
        if (unit === null) break;
        const fresh = unit.filter(({ index }) => index >= from).length;
        if (fresh === 0) continue;
        started += fresh;
        active++;
        void begin(unit);
        if (performance.now() - lastPause > 20) await breathe();
      }
      for (let done = ready.get(next); done !== undefined; done = ready.get(next)) {
        ready.delete(next++);
        yield done;
      }
      if (active === 0 && (ended || failure !== null)) break;
      if (active > 0 && !ready.has(next) && !(active < concurrency && !ended && started - next < limit && failure === null))
        await new Promise<void>((resolve) => (wake = resolve));
    }
    // Rows that were done before the rows failed to come have been given back by now.
    if (failure !== null) throw (failure as { readonly cause: unknown }).cause;
  } finally {
    await units.return();
  }

  /** Synchronous rewards never wait: without a pause now and then, nothing else in the process would get its turn, an abort included. */
  async function breathe(): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve));
    lastPause = performance.now();
  }

  /** The next unit; null at the end, or when the rows failed to come. */
  async function nextUnit(): Promise<readonly Placed<T>[] | null> {
    try {
      const { value, done } = await units.next();
      if (done !== true) return value;
      ended = true;
    } catch (cause) {
      failure ??= { cause };
    }
    return null;
  }
}

/** Answers that no reward can use are not shown to it. */
async function scoreUsable(
  reward: Reward<never>,
  unit: readonly Placed<unknown>[],
  calls: Calls,
  cache: ScoreCache | null,
): Promise<{ readonly scores: readonly Score[]; readonly cached: number }> {
  if (unit.every(({ problem }) => problem === undefined)) return scoreUnit(reward, unit, calls, cache);
  const usable = unit.filter(({ problem }) => problem === undefined);
  const { scores, cached } = usable.length > 0 ? await scoreUnit(reward, usable, calls, cache) : { scores: [], cached: 0 };
  let next = 0;
  return { scores: unit.map(({ problem }) => (problem === undefined ? scores[next++]! : unscorable("missing-column", problem))), cached };
}

async function scoreUnit(
  reward: Reward<never>,
  unit: readonly Placed<unknown>[],
  calls: Calls,
  cache: ScoreCache | null,
): Promise<{ readonly scores: readonly Score[]; readonly cached: number }> {
  if (cache === null) return { scores: whole(reward, unit, await reward.evaluate(unit, calls)), cached: 0 };
  const keys = await keysOf(reward, unit);
  const known = await Promise.all(keys.map(async (key) => (key === null ? undefined : cache.get(key))));
  // A group is asked as a whole or not at all.
  const isMissing = (i: number): boolean => known[i] === undefined || (reward.scope === "group" && known.includes(undefined));
  const missing = unit.flatMap((answer, i) => (isMissing(i) ? [{ answer, i }] : []));
  const fresh =
    missing.length === 0
      ? []
      : whole(
          reward,
          missing,
          await reward.evaluate(
            missing.map(({ answer }) => answer),
            calls,
          ),
        );
  const scores = [...known] as Score[];
  await Promise.all(
    missing.map(async ({ i }, k) => {
      scores[i] = fresh[k]!;
      if (keys[i] !== null && isCacheable(fresh[k]!)) await cache.set(keys[i]!, fresh[k]!);
    }),
  );
  return { scores, cached: unit.length - missing.length };
}

function whole(reward: Reward<never>, unit: readonly unknown[], scores: readonly Score[]): readonly Score[] {
  if (scores.length === unit.length) return scores;
  throw new GuerdonError("internal", `The reward "${reward.name}" was asked for ${unit.length} scores and gave ${scores.length}.`);
}

/** What is wrong with a row's columns is said with the row's place in its file. */
function placed(score: Score, where: string | null): Score {
  const { error } = score;
  if (where === null || (error?.kind !== "missing-column" && error?.kind !== "wrong-column")) return score;
  return { ...score, error: { ...error, message: `${where}: ${error.message}` } };
}
