import { calls, thrownMessage } from "../rewards/calls.ts";
import type { Reward, Score } from "../rewards/index.ts";
import { groupOf } from "../rewards/units.ts";
import type { Answer } from "../rewards/reward.ts";
import type { Lot, ScoringLimits } from "./wire.ts";

type Done = (ids: readonly number[], scores: readonly Score[]) => void;

/** Longest stretch of work, in milliseconds, after which everything else in the process gets its turn. */
const stretchMs = 20;

/**
 * Applies rewards to lots of rows as they come: a reward of single answers row by row, so that each score is there as soon as it can be;
 * others lot by lot. Never throws.
 */
export function applier(rewards: readonly Reward<never>[], { concurrency, timeoutMs }: ScoringLimits): (lot: Lot, done: Done) => void {
  const limited = calls({ concurrency, timeoutMs, retries: 0, signal: new AbortController().signal });
  let lastPause = performance.now();

  async function evaluate(reward: Reward<never>, answers: readonly Answer[]): Promise<readonly Score[]> {
    try {
      const scores = await reward.evaluate(answers, limited);
      if (scores.length === answers.length) return scores;
      return answers.map(() => failed(`The reward "${reward.name}" was asked for ${answers.length} scores and gave ${scores.length}.`));
    } catch (cause) {
      return answers.map(() => failed(thrownMessage(`The reward "${reward.name}"`, cause)));
    }
  }

  async function evaluateOne(reward: Reward<never>, answer: Answer, id: number, done: Done): Promise<void> {
    done([id], await evaluate(reward, [answer]));
  }

  async function apply({ reward: which, ids, rows }: Lot, done: Done): Promise<void> {
    const reward = rewards[which]!;
    const answers = rows.map((row, index): Answer => ({
      row,
      index,
      group: reward.scope === "group" ? groupOf(row, `row ${index + 1}`) : "",
    }));
    if (reward.scope !== "row") return done(ids, await evaluate(reward, answers));
    for (const [i, answer] of answers.entries()) {
      void evaluateOne(reward, answer, ids[i]!, done);
      // One step of those under way; after a stretch of work, whatever else waits: other requests, signs of life.
      await Promise.resolve();
      if (performance.now() - lastPause <= stretchMs) continue;
      await new Promise((resolve) => setTimeout(resolve));
      lastPause = performance.now();
    }
  }
  return (lot, done) => void apply(lot, done);
}

const failed = (message: string): Score => ({ value: null, error: { kind: "threw", message } });
