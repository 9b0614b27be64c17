import { GuerdonError } from "../error.ts";
import type { Rng } from "../statistics/stream.ts";

/** How to draw; see SampleOptions. */
export interface Choice {
  /** 0 takes the most likely token. */
  readonly temperature: number;
  /** 0 keeps all. */
  readonly topK: number;
  /** 1 keeps all. */
  readonly topP: number;
}

/** The last draw of a drawer, overwritten by the next one. */
export interface Drawn {
  token: number;
  /** Of the distribution drawn from: after temperature, top-k and top-p. 0 when greedy. */
  logProb: number;
}

/**
 * A function that draws one token from row `row` of logits [rows, vocabulary], in float64, with one uniform number a token (inverse
 * distribution function over ids in order; none when greedy). Its result depends on that row and that uniform alone, so neither the
 * composition nor the order of a batch changes what is drawn.
 *
 * Temperature divides the logits; then the `topK` most likely tokens are kept; then the smallest set of most likely tokens whose
 * probability, among the kept, reaches `topP`. Equal logits: the lower id is more likely.
 *
 * @param fixed the logits of a row stay as they are for as long as the drawer is used, so that what has to be computed of them is computed
 *   once: for finite policies, which are drawn from many times in a state. Default false
 */
export function drawer(
  vocabulary: number,
  { temperature, topK, topP }: Choice,
  fixed = false,
): (logits: ArrayLike<number>, row: number, rng: Rng) => Drawn {
  const sorted = (topK > 0 && topK < vocabulary) || topP < 1 ? new Float64Array(vocabulary) : null;
  const drawn: Drawn = { token: 0, logProb: 0 };
  const known = fixed ? new Map<number, Prepared>() : null;
  const shared = new Float64Array(vocabulary);

  function prepare(logits: ArrayLike<number>, row: number): Prepared {
    const weights = fixed ? new Float64Array(vocabulary) : shared;
    const at = row * vocabulary;
    let best = 0;
    let sum = 0;
    for (let i = 0; i < vocabulary; i++) {
      const logit = logits[at + i]!;
      sum += logit;
      if (logit > logits[at + best]!) best = i;
    }
    const top = logits[at + best]!;
    let total = 0;
    if (temperature > 0) for (let i = 0; i < vocabulary; i++) total += weights[i] = Math.exp((logits[at + i]! - top) / temperature);
    if (!Number.isFinite(top) || Number.isNaN(sum))
      throw new GuerdonError("non-finite", "The logits are not finite: the model's parameters have diverged.");
    if (sorted && temperature > 0) total = keepLikely(weights, sorted, topK, topP);
    return { best, weights, total };
  }

  return (logits, row, rng) => {
    let prepared = known?.get(row);
    if (prepared === undefined) {
      prepared = prepare(logits, row);
      known?.set(row, prepared);
    }
    const { best, weights, total } = prepared;
    drawn.token = best;
    drawn.logProb = 0;
    if (temperature === 0) return drawn;
    const target = rng() * total;
    let below = 0;
    for (let i = 0; i < vocabulary; i++) {
      const weight = weights[i]!;
      if (weight === 0) continue;
      below += weight;
      drawn.token = i;
      if (below > target) break;
    }
    drawn.logProb = Math.log(weights[drawn.token]! / total);
    return drawn;
  };
}

/** What a row of logits comes to: its most likely token, and the weights of all tokens with their sum. */
interface Prepared {
  readonly best: number;
  readonly weights: Float64Array;
  readonly total: number;
}

/** Sets the weights of all but the likely tokens to 0 and returns the sum of the rest. `sorted` is work space. */
function keepLikely(weights: Float64Array, sorted: Float64Array, topK: number, topP: number): number {
  const n = weights.length;
  sorted.set(weights);
  sorted.sort();
  const most = topK > 0 ? Math.min(topK, n) : n;
  let mass = 0;
  for (let i = 1; i <= most; i++) mass += sorted[n - i]!;
  const enough = topP < 1 ? topP * mass : Infinity;
  let kept = 0;
  let sum = 0;
  while (kept < most && (kept === 0 || sum < enough)) sum += sorted[n - ++kept]!;
  const least = sorted[n - kept]!;
  let ties = 0;
  for (let i = 1; i <= kept && sorted[n - kept - 1 + i] === least; i++) ties++;
  for (let i = 0; i < n; i++) if (weights[i]! < least || (weights[i] === least && ties-- <= 0)) weights[i] = 0;
  return sum;
}

/** Entropy in nats of softmax(logits[row]), at temperature 1. */
export function entropyOf(logits: ArrayLike<number>, row: number, vocabulary: number): number {
  const at = row * vocabulary;
  let top = -Infinity;
  for (let i = 0; i < vocabulary; i++) if (logits[at + i]! > top) top = logits[at + i]!;
  let total = 0;
  let dot = 0;
  for (let i = 0; i < vocabulary; i++) {
    const shifted = logits[at + i]! - top;
    const weight = Math.exp(shifted);
    total += weight;
    dot += weight * shifted;
  }
  return Math.log(total) - dot / total;
}
