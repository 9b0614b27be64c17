import { GuerdonError } from "../error.ts";
import type { Snapshot, Stateful } from "../statistics/snapshot.ts";
import { checkFinite } from "./columns.ts";
import type { Column } from "./scored.ts";

/**
 * Changes the rewards of a step before credit is given, by what all rewards so far were. It cannot be a part of a reward: rewards are
 * functions of their rows, may be cached, and are asked in any order, so a running mean in one would differ from run to run. It sees each
 * step's table once, in order, and its state is saved with the run, so that a resumed run goes on bit by bit.
 */
export interface RewardTransform {
  readonly name: string;
  /** What the rewards become. They are added to what it remembers first. */
  apply(reward: Column): Column;
  readonly state: Stateful;
}

/**
 * (r - mean) / deviation, both over all rewards so far (population deviation, by Welford's recurrence); 0 while all were equal. With one
 * scale for all answers it changes no order, and no optimum at a given divergence.
 */
export const runningStandardise = (): RewardTransform =>
  running("running mean and deviation", (r, { mean, deviation }) => (r - mean) / (deviation > 0 ? deviation : 1));

/** r kept within one deviation of the mean, both over all rewards so far. */
export const runningClip = (): RewardTransform =>
  running("running clip", (r, { mean, deviation }) => Math.min(Math.max(r, mean - deviation), mean + deviation));

/** (r - least) / (greatest - least) of all rewards so far, in [0, 1]; 0 while all were equal. */
export const runningMinmax = (): RewardTransform =>
  running("running minimum and maximum", (r, { least, greatest }) => (greatest > least ? (r - least) / (greatest - least) : 0));

/** Of all rewards so far, at least one. */
interface Seen {
  readonly mean: number;
  readonly deviation: number;
  readonly least: number;
  readonly greatest: number;
}

/** Count, mean, sum of squared differences from the mean, least, greatest. */
type Sums = readonly [count: number, mean: number, squares: number, least: number, greatest: number];
const nothing: Sums = [0, 0, 0, 0, 0];

function running(name: string, change: (reward: number, seen: Seen) => number): RewardTransform {
  let sums = nothing;
  return {
    name,
    apply(reward) {
      checkFinite(reward, "reward");
      let [count, mean, squares, least, greatest] = sums;
      for (const r of reward) {
        const before = r - mean;
        mean += before / ++count;
        squares += before * (r - mean);
        least = count === 1 ? r : Math.min(least, r);
        greatest = count === 1 ? r : Math.max(greatest, r);
      }
      sums = [count, mean, squares, least, greatest];
      const seen = { mean, deviation: Math.sqrt(squares / Math.max(1, count)), least, greatest };
      return reward.map((r) => change(r, seen));
    },
    state: {
      snapshot: async () => ({ version: 1, json: { name, sums }, tensors: {} }),
      async restore(saved) {
        sums = restored(saved, name);
      },
    },
  };
}

function restored({ version, json }: Snapshot, name: string): Sums {
  const { name: theirs, sums } = (json ?? {}) as { readonly name?: unknown; readonly sums?: unknown };
  if (version !== 1 || theirs !== name || !Array.isArray(sums) || sums.length !== nothing.length || !sums.every(Number.isFinite))
    throw new GuerdonError(
      "input",
      `The checkpoint's reward transform is ${JSON.stringify(theirs ?? null)} (version ${version}), and this run's is "${name}": resume with the same one.`,
    );
  return sums as unknown as Sums;
}
