import { GuerdonError } from "../error.ts";
import type { Stepwise } from "./stepwise.ts";

/** A sequence that a search found. */
export interface Found {
  readonly actions: readonly number[];
  /** Sum of the scores of its actions. */
  readonly score: number;
  /** Sum of the log-probabilities of its actions under the policy. */
  readonly logProb: number;
  /** False where the sequence was cut at `maxActions`. */
  readonly finished: boolean;
}

export interface BeamOptions<S> {
  /** Sequences kept after each action; 1 is greedy decoding. */
  readonly width: number;
  readonly maxActions: number;
  /**
   * What is added up: the policy's log-probability (default), or that minus the log-probability of this reference in the same states. The
   * second is the implicit reward of a policy trained from preferences; where the reference is not flat it prefers what the reference
   * rarely says.
   */
  readonly against?: Pick<Stepwise<S>, "logProbs">;
}

/** A sequence that has not ended. */
interface Prefix<S> {
  readonly state: S;
  readonly actions: readonly number[];
  readonly score: number;
  readonly logProb: number;
}

/**
 * Beam search: at each step all next actions of the kept sequences are scored, and the best `width` sequences are kept. A sequence that ends
 * leaves the beam and competes with the others at the end, by its whole sum; sequences still open at `maxActions` come last. The search
 * stops early where no open sequence can overtake the best `width` finished ones, which is known only for log-probabilities: they never
 * rise. Actions with score -Infinity (or that the reference forbids) are never taken. Equal scores are ordered by position in the beam and
 * number of the action.
 *
 * One call of `logProbs` an action, for all kept sequences together.
 *
 * @returns at most `width` sequences, best first
 * @throws GuerdonError "usage" for a width or length that is not a positive whole number; "non-finite" for a score that is NaN or Infinity
 */
export async function beamSearch<S>(steps: Stepwise<S>, start: S, options: BeamOptions<S>): Promise<Found[]> {
  const { width, maxActions, against } = options;
  for (const [name, value] of Object.entries({ width, maxActions }))
    if (!(Number.isInteger(value) && value >= 1))
      throw new GuerdonError("usage", `beamSearch: ${name} must be a whole number of at least 1, not ${value}.`);

  let open: Prefix<S>[] = [{ state: start, actions: [], score: 0, logProb: 0 }];
  let finished: Found[] = [];
  for (let depth = 0; depth < maxActions && open.length > 0; depth++) {
    if (against === undefined && finished.length === width && finished.at(-1)!.score >= open[0]!.score) break;
    const states = open.map(({ state }) => state);
    const own = await steps.logProbs(states);
    const other = against === undefined ? null : await against.logProbs(states);
    const candidates: { readonly from: Prefix<S>; readonly action: number; readonly score: number; readonly logProb: number }[] = [];
    for (const [i, from] of open.entries())
      for (let action = 0; action < own[i]!.length; action++) {
        const logProb = own[i]![action]!;
        const score = other === null ? logProb : logProb - other[i]![action]!;
        if (logProb === -Infinity || (other !== null && other[i]![action] === -Infinity)) continue;
        if (!Number.isFinite(score))
          throw new GuerdonError("non-finite", `beamSearch: action ${action} after [${from.actions.join(", ")}] has the score ${score}.`);
        candidates.push({ from, action, score: from.score + score, logProb: from.logProb + logProb });
      }
    candidates.sort((a, b) => b.score - a.score);
    open = [];
    for (const { from, action, score, logProb } of candidates) {
      if (open.length === width) break;
      const actions = [...from.actions, action];
      const state = steps.next(from.state, action);
      if (state === null) finished.push({ actions, score, logProb, finished: true });
      else open.push({ state, actions, score, logProb });
    }
    finished = finished.toSorted((a, b) => b.score - a.score).slice(0, width);
  }
  const cut = open.map(({ actions, score, logProb }): Found => ({ actions, score, logProb, finished: false }));
  return [...finished, ...cut].slice(0, width);
}
