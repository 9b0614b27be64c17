import { softplus, sub } from "../arrays/index.ts";
import type { Arr } from "../arrays/index.ts";
import { GuerdonError } from "../error.ts";
import { objective } from "./objective.ts";
import type { Objective } from "./objective.ts";
import { rowLast, rowMeanOf, rowSum, setMean } from "./reductions.ts";

/** Where the number of a row is read from an output of its actions: the last unmasked one, or the sum or mean over them. */
export type ReadRow = "last" | "sum" | "mean";
export const readers = { last: rowLast, sum: rowSum, mean: rowMeanOf } as const satisfies Readonly<Record<ReadRow, unknown>>;

export interface BradleyTerryOptions {
  /** The last action's score (the usual reward model), or the sum or mean over actions. */
  readonly read: ReadRow;
  /** Reads the set column "margin": how much better the chosen one has to be. */
  readonly margin?: boolean;
  /** Reads the set column "label": the probability that member 0 is the better one. */
  readonly softLabels?: boolean;
  /**
   * Pairs may be ties, which the set column "tie" says (1, or a probability). The number is Rao and Kupper's k above 1: a difference below
   * log k is more often a tie than not to be told apart.
   */
  readonly ties?: number;
}

/**
 * Fits a reward model to pairs (Bradley and Terry, 1952; arXiv 1706.03741). With d = r(chosen) - r(rejected) - margin the loss of a pair is
 * -log sigmoid(d); with a label p it is -p log sigmoid(d) - (1 - p) log sigmoid(-d). With ties (Rao and Kupper, 1967)
 * P(win) = sigmoid(d - log k), P(lose) = sigmoid(-d - log k), and the rest, (k^2 - 1) P(win) P(lose), is the tie.
 *
 * Policy output: "score". Set columns: those asked for. Metrics: `accuracy` (share of pairs in the right order), `margin` (mean difference
 * of the rewards).
 *
 * @throws GuerdonError "usage" when `ties` is not above 1
 */
export function bradleyTerry(options: BradleyTerryOptions): Objective {
  const { read, margin = false, softLabels = false, ties } = options;
  if (ties !== undefined && !(ties > 1 && ties < Infinity))
    throw new GuerdonError("usage", `ties must be a number above 1 (1 is no ties: leave it out); it is ${ties}`);
  const set: ("margin" | "label" | "tie")[] = [];
  if (margin) set.push("margin");
  if (softLabels) set.push("label");
  if (ties !== undefined) set.push("tie");
  return objective({
    name: "bradley-terry",
    policy: ["score"],
    logProbs: false,
    set,
    setSize: 2,
    loss({ score }, batch) {
      const { set: columns } = batch.sets;
      const reward = batch.sets.of(readers[read](score, batch));
      const difference = reward.at(1, 0).sub(reward.at(1, 1));
      const d = margin ? difference.sub(columns.margin) : difference;
      const lead = Math.log(ties ?? 1);
      const win = softplus(d.neg().add(lead));
      const lose = softplus(d.add(lead));
      const decided = softLabels ? between(columns.label, win, lose) : win;
      const each = ties === undefined ? decided : between(columns.tie, win.add(lose).sub(Math.log(ties ** 2 - 1)), decided);
      return {
        loss: setMean(each, batch),
        metrics: { accuracy: setMean(difference.greater(0), batch), margin: setMean(difference, batch) },
      };
    },
  });
}

/** p * yes + (1 - p) * no. */
export const between = (p: Arr, yes: Arr, no: Arr): Arr => p.mul(yes).add(sub(1, p).mul(no));
