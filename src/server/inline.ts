import type { Reward, Score } from "../rewards/index.ts";
import { applier } from "./apply.ts";
import type { Scoring, Work } from "./crew.ts";
import type { ScoringLimits } from "./wire.ts";

/**
 * Scores in this very thread: for a reward that was handed over as an object, which cannot be sent to another process. One that never yields
 * stops the server with it.
 */
export function inline(reward: Reward<never>, limits: ScoringLimits): Scoring {
  const apply = applier([reward], limits);
  const idlers = new Set<() => void>();
  let rows = 0;
  let stop: (() => void)[] = [];

  function submit({ rows: given, deadline, onScore }: Work): void {
    const open = new Set(given.keys());
    rows += open.size;
    const settle = (index: number, score: Score): void => {
      if (!open.delete(index)) return;
      rows--;
      onScore(index, score);
      if (open.size === 0) {
        clearTimeout(timer);
        stop = stop.filter((one) => one !== end);
      }
      if (rows > 0) return;
      for (const idler of idlers) idler();
      idlers.clear();
    };
    const late = `The reward "${reward.name}" gave no answer within ${limits.timeoutMs} ms.`;
    const all = (score: Score): void => [...open].forEach((index) => settle(index, score));
    const timer = setTimeout(
      () => all({ value: null, error: { kind: "timeout", message: late } }),
      Math.max(0, deadline - performance.now()) + 60,
    );
    const end = (): void => all({ value: null, error: { kind: "aborted", message: "The server was stopped before this row was scored." } });
    stop.push(end);
    apply({ reward: 0, ids: [...given.keys()], rows: given }, (ids, scores) => ids.forEach((index, i) => settle(index, scores[i]!)));
  }

  const { name, version, scope, parts } = reward;
  return {
    offer: { rewards: [{ name, export: name, version, scope, parts }], main: 0 },
    rows: () => rows,
    ready: () => 1,
    submit,
    idle: () => (rows === 0 ? Promise.resolve() : new Promise((resolve) => idlers.add(resolve))),
    async close() {
      for (const end of stop) end();
    },
  };
}
