/**
 * A process that scores for the server: it loads the user's file and applies its rewards. It may hang, throw, exit or be killed at any point;
 * crew.ts, which starts it, sees to what becomes of its rows.
 */
import { loadRewards } from "../cli/rewards.ts";
import { listen } from "../data/peer.ts";
import type { Score } from "../rewards/index.ts";
import { applier } from "./apply.ts";
import { beatMs, type FromScorer, type Lot, type Offer, type ScoringLimits, type ToScorer } from "./wire.ts";

// Ctrl-C reaches every process of a terminal; this one ends when the server has answered what is under way.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => undefined);
// A promise that the reward's author forgot is no reason to lose the rows that are under way.
process.on("unhandledRejection", (cause) => console.error("The reward left a promise that failed:", cause));

let apply: ((lot: Lot) => void) | null = null;

const post: (message: FromScorer) => void = listen((message) => {
  const given = message as ToScorer;
  if ("open" in given) void open(given.open, given.limits);
  else apply!(given);
});

async function open(source: string, limits: ScoringLimits): Promise<void> {
  try {
    const { rewards, main } = await loadRewards(source);
    const names = Object.keys(rewards);
    const loaded = Object.values(rewards);
    const each = applier(
      loaded.map(({ reward }) => reward),
      limits,
    );
    apply = reporting(each);
    const offer: Offer = {
      rewards: loaded.map(({ reward: { name, scope, parts }, version }, i) => ({
        name,
        export: names[i] === "default" ? name : names[i]!,
        version,
        scope,
        parts,
      })),
      main: main === null ? null : names.indexOf(main),
    };
    post({ offer });
  } catch (cause) {
    post({ failed: cause instanceof Error ? cause.message : String(cause) });
  }
}

/** Longest that a score waits to be posted with others, in milliseconds, while rows are scored without a pause. */
const lingerMs = 5;

/** Posts scores together that come in one turn of the event loop, and signs of life while there is work. */
function reporting(each: ReturnType<typeof applier>): (lot: Lot) => void {
  let ids: number[] = [];
  let scores: Score[] = [];
  let pending = 0;
  let beat: NodeJS.Timeout | null = null;
  let oldest = 0;
  const flush = (): void => {
    if (ids.length === 0) return;
    post({ ids, scores });
    ids = [];
    scores = [];
    if (pending > 0 || beat === null) return;
    clearInterval(beat);
    beat = null;
  };
  // A reward that ends the process takes no finished score along.
  process.on("exit", flush);
  return (lot) => {
    pending += lot.ids.length;
    beat ??= setInterval(() => post({ alive: true }), beatMs);
    each(lot, (done, given) => {
      const now = performance.now();
      if (ids.length === 0) {
        oldest = now;
        setImmediate(flush);
      }
      pending -= done.length;
      for (let i = 0; i < done.length; i++) {
        ids.push(done[i]!);
        scores.push(given[i]!);
      }
      if (now - oldest > lingerMs) flush();
    });
  };
}
