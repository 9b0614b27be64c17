import { GuerdonError } from "../error.ts";
import { upper } from "./intervals.ts";
import type { Interval } from "./intervals.ts";
import { incompleteBeta } from "./special.ts";
import { normal } from "./stream.ts";
import type { Rng } from "./stream.ts";

/** What is believed about a share: Beta(alpha, beta). Uniform at (1, 1); n observations with s successes turn it into (1 + s, 1 + n - s). */
export interface Beta {
  readonly alpha: number;
  readonly beta: number;
}

/**
 * The belief after new observations. Earlier ones count `keep` times as much as before, so that the belief can follow a share that moves:
 * alpha <- keep alpha + (1 - keep) prior.alpha + successes, and beta likewise with failures (MoPPS, arXiv 2507.04632).
 *
 * @param seen counts, not shares; at least 0, and not necessarily whole (pseudo-counts)
 * @param options.keep in [0, 1]; 1 forgets nothing, 0 everything but the prior
 * @param options.prior where forgetting leads to, uniform unless said
 * @throws GuerdonError "input" for counts below 0 or not finite
 */
export function betaUpdate(
  belief: Beta,
  seen: { readonly successes: number; readonly failures: number },
  options: { readonly keep?: number; readonly prior?: Beta } = {},
): Beta {
  const { keep = 1, prior = { alpha: 1, beta: 1 } } = options;
  checkedBeta(belief);
  checkedBeta(prior);
  const { successes, failures } = seen;
  if (!(successes >= 0 && failures >= 0 && Number.isFinite(successes + failures)))
    throw new GuerdonError(
      "input",
      `a Beta belief is updated with counts of at least 0; got ${successes} successes and ${failures} failures`,
    );
  if (!(keep >= 0 && keep <= 1))
    throw new GuerdonError("usage", `the part of earlier observations to keep must be in [0, 1]; it is ${keep}`);
  return {
    alpha: keep * belief.alpha + (1 - keep) * prior.alpha + successes,
    beta: keep * belief.beta + (1 - keep) * prior.beta + failures,
  };
}

/** alpha / (alpha + beta). */
export function betaMean(belief: Beta): number {
  checkedBeta(belief);
  return belief.alpha / (belief.alpha + belief.beta);
}

/** alpha beta / ((alpha + beta)^2 (alpha + beta + 1)). */
export function betaVariance(belief: Beta): number {
  const expected = betaMean(belief);
  return (expected * (1 - expected)) / (belief.alpha + belief.beta + 1);
}

/** The share below which the truth lies with probability p, in [0, 1]. */
export function betaQuantile(belief: Beta, p: number): number {
  const { alpha, beta } = checkedBeta(belief);
  if (!(p >= 0 && p <= 1)) throw new GuerdonError("usage", `betaQuantile needs a probability in [0, 1]; got ${p}`);
  // Near 1 the doubles are too coarse for the answer's digits, so the smaller end is the one that is searched.
  if (p > incompleteBeta(0.5, alpha, beta)) return 1 - lowerQuantile(beta, alpha, 1 - p);
  return lowerQuantile(alpha, beta, p);
}

/** The central credible interval around the mean; `n` counts what the prior stands for too. */
export function betaInterval(belief: Beta, level = 0.95): Interval {
  const tail = 1 - upper(level);
  return {
    estimate: betaMean(belief),
    low: betaQuantile(belief, tail),
    high: betaQuantile(belief, 1 - tail),
    n: belief.alpha + belief.beta,
    level,
  };
}

/** A share drawn from the belief (Thompson sampling), as G / (G + G') with gamma-distributed G and G'. The number of uniforms drawn varies. */
export function betaSample(belief: Beta, rng: Rng): number {
  const { alpha, beta } = checkedBeta(belief);
  const success = logGammaSample(alpha, rng);
  return 1 / (1 + Math.exp(logGammaSample(beta, rng) - success));
}

/**
 * The log of a gamma-distributed number with scale 1 (Marsaglia and Tsang, 2000). A shape below 1 is drawn from shape + 1 and a power of a
 * uniform, which underflows for small shapes unless it stays a log.
 */
function logGammaSample(shape: number, rng: Rng): number {
  if (shape < 1) return logGammaSample(shape + 1, rng) + Math.log(1 - rng()) / shape;
  const d = shape - 1 / 3;
  const c = 1 / Math.sqrt(9 * d);
  for (;;) {
    const z = normal(rng);
    const v = (1 + c * z) ** 3;
    if (v > 0 && Math.log(1 - rng()) < 0.5 * z * z + d * (1 - v + Math.log(v))) return Math.log(d * v);
  }
}

/** Bisection on [0, 1/2] down to neighbouring doubles. */
function lowerQuantile(alpha: number, beta: number, p: number): number {
  let [low, high] = [0, 0.5];
  for (;;) {
    const middle = (low + high) / 2;
    if (middle === low || middle === high) return middle;
    if (incompleteBeta(middle, alpha, beta) < p) low = middle;
    else high = middle;
  }
}

function checkedBeta(belief: Beta): Beta {
  const { alpha, beta } = belief;
  if (!(alpha > 0 && beta > 0 && Number.isFinite(alpha + beta)))
    throw new GuerdonError("input", `a Beta belief needs positive, finite alpha and beta; got ${alpha} and ${beta}`);
  return belief;
}
