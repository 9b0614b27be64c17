import { div, exp, log1p, maximum, minimum, softplus, square, sub } from "../arrays/index.ts";
import type { Arr } from "../arrays/index.ts";
import { GuerdonError } from "../error.ts";
import { objective } from "./objective.ts";
import type { Batch, Objective } from "./objective.ts";
import { rowMeanOf, rowSum, setMean } from "./reductions.ts";

/**
 * What a row's log-probability is measured against: the token column "reference" (a reference policy), the row column "anchor" (the
 * log-probability of the whole row under anything else, for instance a geometric mixture of policies), or nothing.
 */
export type Against = "reference" | "anchor" | "none";

/** The columns that `logRatio` needs. */
export const againstColumns = (against: Against): { token: "reference"[]; row: "anchor"[] } => ({
  token: against === "reference" ? ["reference"] : [],
  row: against === "anchor" ? ["anchor"] : [],
});

/** log pi(row) minus the same of what it is measured against, summed over the row's unmasked tokens: [N]. */
export function logRatio(logProbs: Arr, batch: Batch<"reference", "anchor", string, string>, against: Against): Arr {
  if (against === "reference") return rowSum(logProbs.sub(batch.token.reference), batch);
  const total = rowSum(logProbs, batch);
  return against === "anchor" ? total.sub(batch.row.anchor) : total;
}

export interface PairLossOptions {
  /** Strength of the pull towards the reference; for "ipo" the target margin is 1 / (2 beta). */
  readonly beta: number;
  /** Default "reference". */
  readonly against?: Against;
  /** Probability that a pair's order is wrong (conservative DPO). Default 0. Not together with softLabels. */
  readonly smoothing?: number;
  /** Reads the set column "label": the probability that member 0 is the better one. */
  readonly softLabels?: boolean;
  /** Reads the set column "margin" and subtracts it from the pair's margin h: how much better the chosen one has to be, in nats. */
  readonly margin?: boolean;
}

/**
 * Losses on pairs (member 0 is the chosen one), as functions of h, the difference of the two rows' log-ratios:
 * - "dpo" (arXiv 2305.18290): -log sigmoid(beta h);
 * - "ipo" (arXiv 2310.12036): (h - 1 / (2 beta))^2;
 * - "hinge" (SLiC, arXiv 2305.10425): max(0, 1 - beta h).
 * With a label p the loss is p f(h) + (1 - p) f(-h); smoothing is p = 1 - smoothing.
 *
 * Coefficients: beta, smoothing. Metrics: `margin` (beta h, the implicit reward difference), `accuracy` (share of pairs with h > 0),
 * `chosen` and `rejected` (implicit rewards).
 *
 * @throws GuerdonError "usage" when an option is out of range
 */
export function pairLoss(kind: "dpo" | "ipo" | "hinge", options: PairLossOptions): Objective {
  const { beta, against = "reference", smoothing = 0, softLabels = false, margin: withMargin = false } = options;
  if (!(beta > 0)) throw new GuerdonError("usage", `beta must be positive; it is ${beta}`);
  if (!(smoothing >= 0 && smoothing < 0.5)) throw new GuerdonError("usage", `smoothing must be in [0, 0.5); it is ${smoothing}`);
  if (softLabels && smoothing > 0) throw new GuerdonError("usage", "soft labels already say how sure a pair is: leave smoothing out");
  const set: ("label" | "margin")[] = [];
  if (softLabels) set.push("label");
  if (withMargin) set.push("margin");

  return objective({
    name: kind,
    ...againstColumns(against),
    set,
    setSize: 2,
    coefficients: { beta, smoothing },
    loss({ logProbs }, batch, c) {
      const ratio = batch.sets.of(logRatio(logProbs, batch, against));
      const chosen = ratio.at(1, 0);
      const rejected = ratio.at(1, 1);
      const raw = chosen.sub(rejected);
      const h = withMargin ? raw.sub(batch.sets.set.margin) : raw;
      const f = (x: Arr): Arr => {
        if (kind === "dpo") return softplus(x.mul(c.beta).neg());
        if (kind === "ipo") return square(x.sub(div(0.5, c.beta)));
        return maximum(sub(1, x.mul(c.beta)), 0);
      };
      const p = softLabels ? batch.sets.set.label : sub(1, c.smoothing);
      const each = p.mul(f(h)).add(sub(1, p).mul(f(h.neg())));
      return {
        loss: setMean(each, batch),
        metrics: {
          margin: setMean(raw.mul(c.beta), batch),
          accuracy: setMean(raw.greater(0), batch),
          chosen: setMean(chosen.mul(c.beta), batch),
          rejected: setMean(rejected.mul(c.beta), batch),
        },
      };
    },
  });
}

/**
 * Odds-ratio preference optimisation (ORPO, arXiv 2403.07691), without a reference: with a the mean log-probability of a token,
 * -a(chosen) + lambda * -log sigmoid(log-odds(chosen) - log-odds(rejected)), log-odds(a) = a - log(1 - exp a).
 *
 * Coefficient: lambda. Metrics: `logOdds` (the difference), `nll`.
 */
export const orpo = (options: { readonly lambda: number }): Objective =>
  objective({
    name: "orpo",
    setSize: 2,
    coefficients: { lambda: options.lambda },
    loss({ logProbs }, batch, c) {
      const a = batch.sets.of(rowMeanOf(logProbs, batch));
      // A certain answer (a = 0) has infinite odds; the bound keeps them finite.
      const bounded = minimum(a, -1e-7);
      const odds = bounded.sub(log1p(exp(bounded).neg()));
      const difference = odds.at(1, 0).sub(odds.at(1, 1));
      const nll = setMean(a.at(1, 0).neg(), batch);
      const loss = nll.add(setMean(softplus(difference.neg()), batch).mul(c.lambda));
      return { loss, metrics: { logOdds: setMean(difference, batch), nll } };
    },
  });
