import type { Column, Key, Scored } from "../credit/scored.ts";
import type { Coverage } from "../rewards/index.ts";
import type { Rollout } from "../rollouts/rollout.ts";
import type { Snapshot } from "../statistics/snapshot.ts";
import type { Evaluation } from "./evaluate.ts";
import type { Finding } from "./health.ts";
import type { At } from "./schedule.ts";

/** What the rollouts of one step look like; of tasks that were asked again, the first answers. */
export interface RolloutSummary {
  /** Over all scored answers. `deviation` is the sample deviation. */
  readonly reward: { readonly mean: number; readonly deviation: number };
  /** Groups with at least two scored answers; in how many all rewards are equal; mean of the sample deviations within groups. */
  readonly groups: { readonly count: number; readonly identical: number; readonly deviation: number };
  /** Mean entropy of the acting policy in nats a token, over all its tokens; null where it was not recorded. */
  readonly entropy: number | null;
  /** k3 estimate of KL(policy || reference) in nats a token; null without a reference. */
  readonly kl: number | null;
  /** The policy's own tokens in an answer. `cut`: share of answers that the length limit ended. */
  readonly lengths: { readonly mean: number; readonly max: number; readonly cut: number; readonly limit: number };
  readonly coverage: Coverage;
  /** Mean number of different answers in a group. */
  readonly distinct: number;
  /**
   * Parts of the reward: mean and deviation over scored answers (`deviation` within groups), and `explains`, the share of the reward's
   * variance within groups that a straight line through this part alone accounts for.
   */
  readonly parts: Readonly<Record<string, { readonly mean: number; readonly deviation: number; readonly explains: number }>>;
}

/** What one step of `train` reports. */
export interface TrainReport {
  /** Steps taken, from 1. */
  readonly index: number;
  readonly at: At;
  readonly phase: string;
  /** Mean over the step's updates; null when there was nothing to learn from, so no update was made. */
  readonly loss: number | null;
  /** Largest of the step's updates, before clipping. */
  readonly gradientNorm: number | null;
  readonly learningRate: number;
  /** Null in phases that train on demonstrations. */
  readonly rollouts: (RolloutSummary & { readonly drawn: readonly DrawnRollout[] }) | null;
  /** Shortcuts into `rollouts`, null in phases without them. */
  readonly reward: RolloutSummary["reward"] | null;
  readonly groups: RolloutSummary["groups"] | null;
  readonly kl: number | null;
  readonly entropy: number | null;
  /** Share of tokens whose gradient the clip stopped, of all and by side; null where the objective does not clip. */
  readonly clip: { readonly region: number; readonly low: number; readonly high: number } | null;
  /** |log-probability of the trainer - of the sampler| at the first update, in nats a token; null in phases without rollouts. */
  readonly gap: { readonly mean: number; readonly maximum: number } | null;
  /** Share of tokens whose importance weight the correction cut; null without a correction. */
  readonly corrected: number | null;
  /** Share of the groups that were asked again in another context; null where the method never does. */
  readonly again: number | null;
  /** The objective's own metrics, mean over the step's updates. */
  readonly metrics: Readonly<Record<string, number>>;
  readonly seconds: { readonly sampling: number; readonly scoring: number; readonly preparing: number; readonly updating: number };
  /** Held-out evaluation right after this step, if it was due. */
  readonly evaluation: Evaluation | null;
  /** Known failure patterns that show for the first time. */
  readonly findings: readonly Finding[];
  /** Everything needed to go on from here. Valid until the next step. */
  save(): Promise<Readonly<Record<string, Snapshot>>>;
}

/** A rollout with its grade, for people to read. */
export interface DrawnRollout {
  readonly rollout: Rollout;
  /** Null: could not be scored. */
  readonly reward: number | null;
  readonly parts: Readonly<Record<string, number | null>>;
  /** Mean advantage of its tokens; null where it did not enter the update, or the method has no advantages. */
  readonly advantage: number | null;
}

const mean = (values: ArrayLike<number>): number => {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i]!;
  return values.length === 0 ? 0 : sum / values.length;
};

/** Sum of squared distances from the mean. */
const squares = (values: ArrayLike<number>, centre: number): number => {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += (values[i]! - centre) ** 2;
  return sum;
};

/** Sample deviation; 0 for fewer than two values. */
const deviation = (values: ArrayLike<number>): number =>
  values.length < 2 ? 0 : Math.sqrt(squares(values, mean(values)) / (values.length - 1));

/** The numbers of the rows of each group, in the order of first appearance. */
function rowsByGroup(key: Key): number[][] {
  const groups = new Map<number, number[]>();
  key.forEach((k, row) => {
    const rows = groups.get(k);
    if (rows === undefined) groups.set(k, [row]);
    else rows.push(row);
  });
  return [...groups.values()];
}

/** A column minus the means of its groups. */
function withinGroups(column: Column, groups: readonly (readonly number[])[]): Float64Array {
  const out = new Float64Array(column.length);
  for (const rows of groups) {
    const centre = mean(rows.map((r) => column[r]!));
    for (const r of rows) out[r] = column[r]! - centre;
  }
  return out;
}

/** Squared correlation of two columns that both have mean 0; 0 when one of them does not vary. */
function explained(x: Float64Array, y: Float64Array): number {
  let xy = 0;
  let xx = 0;
  let yy = 0;
  for (let i = 0; i < x.length; i++) {
    xy += x[i]! * y[i]!;
    xx += x[i]! ** 2;
    yy += y[i]! ** 2;
  }
  return xx < 1e-18 || yy < 1e-18 ? 0 : (xy * xy) / (xx * yy);
}

/**
 * Summary of one step's rollouts.
 *
 * @param rollouts all answers to the tasks as they were posed
 * @param table the scored ones
 * @param learnt those that the step learns from (with the token column "reference" if there is a reference policy)
 * @param limit the longest answer, in tokens
 */
export function summarise(
  rollouts: readonly Rollout[],
  table: Scored,
  learnt: Pick<Scored, "rollouts" | "token">,
  coverage: Coverage,
  limit: number,
): RolloutSummary {
  const groups = rowsByGroup(table.keys.group);
  // A group of one is compared with nothing.
  const spread = groups.filter((rows) => rows.length > 1).map((rows) => deviation(rows.map((r) => table.reward[r]!)));
  const reward = withinGroups(table.reward, groups);
  const parts: Record<string, { mean: number; deviation: number; explains: number }> = {};
  for (const [name, column] of Object.entries(table.parts)) {
    const within = withinGroups(column, groups);
    parts[name] = {
      mean: mean(column),
      deviation: Math.sqrt(squares(within, 0) / Math.max(1, within.length)),
      explains: explained(within, reward),
    };
  }
  const lengths = rollouts.map((r) => r.mask.reduce((sum, m) => sum + m, 0));
  return {
    reward: { mean: mean(table.reward), deviation: deviation(table.reward) },
    groups: { count: spread.length, identical: spread.filter((d) => d < 1e-9).length, deviation: mean(spread) },
    entropy: meanEntropy(rollouts),
    kl: meanKl(learnt),
    lengths: {
      mean: mean(lengths),
      max: lengths.reduce((a, b) => Math.max(a, b), 0),
      cut: mean(rollouts.map((r) => (r.stop === "length" ? 1 : 0))),
      limit,
    },
    coverage,
    distinct: distinctAnswers(rollouts),
    parts,
  };
}

function meanEntropy(rollouts: readonly Rollout[]): number | null {
  let sum = 0;
  let count = 0;
  for (const { recorded, mask } of rollouts) {
    const entropy = recorded?.["entropy"];
    if (entropy === undefined) return null;
    for (let j = 0; j < mask.length; j++)
      if (mask[j] === 1) {
        sum += entropy[j]!;
        count++;
      }
  }
  return count === 0 ? null : sum / count;
}

function meanKl(table: Pick<Scored, "rollouts" | "token">): number | null {
  const reference = table.token["reference"];
  if (reference === undefined) return null;
  let sum = 0;
  let count = 0;
  table.rollouts.forEach(({ behaviourLogProbs, mask }, row) => {
    for (let j = 0; j < mask.length; j++)
      if (mask[j] === 1) {
        const d = reference[row]![j]! - behaviourLogProbs[j]!;
        sum += Math.exp(d) - d - 1;
        count++;
      }
  });
  return count === 0 ? null : sum / count;
}

/** Mean over groups of the number of different action sequences. */
export function distinctAnswers(rollouts: readonly Rollout[]): number {
  const groups = new Map<string, Set<string>>();
  for (const { group, row } of rollouts) {
    const answers = groups.get(group) ?? new Set<string>();
    answers.add(row.actions.join(" "));
    groups.set(group, answers);
  }
  return mean([...groups.values()].map((answers) => answers.size));
}

/**
 * A report as flat metrics. Our names first, then TRL's for the same numbers (`reward`, `reward_std`, `frac_reward_zero_std`, `kl`,
 * `entropy`, `clip_ratio/region_mean`, `completions/mean_length`, `completions/clipped_ratio`), so that curves can be laid over each other.
 */
export function metricsOf(report: TrainReport): Record<string, number | null> {
  const out: Record<string, number | null> = { loss: report.loss, gradientNorm: report.gradientNorm, learningRate: report.learningRate };
  for (const [name, value] of Object.entries(report.metrics)) out[`objective/${name}`] = value;
  const { rollouts: r } = report;
  if (r === null) return out;
  const identical = r.groups.count === 0 ? null : r.groups.identical / r.groups.count;
  Object.assign(out, {
    "reward/mean": r.reward.mean,
    "reward/deviation": r.reward.deviation,
    "groups/count": r.groups.count,
    "groups/identical": identical,
    "groups/deviation": r.groups.deviation,
    "answers/distinct": r.distinct,
    "length/mean": r.lengths.mean,
    "length/max": r.lengths.max,
    "length/cut": r.lengths.cut,
    coverage: r.coverage.total === 0 ? null : r.coverage.scored / r.coverage.total,
    "gap/mean": report.gap?.mean ?? null,
    "gap/maximum": report.gap?.maximum ?? null,
  });
  if (report.corrected !== null) out["gap/corrected"] = report.corrected;
  if (report.again !== null) out["groups/again"] = report.again;
  for (const [name, part] of Object.entries(r.parts)) {
    out[`part/${name}/mean`] = part.mean;
    out[`part/${name}/deviation`] = part.deviation;
  }
  if (report.clip !== null)
    Object.assign(out, { "clip/low": report.clip.low, "clip/high": report.clip.high, "clip_ratio/region_mean": report.clip.region });
  return {
    ...out,
    reward: r.reward.mean,
    reward_std: r.groups.deviation,
    frac_reward_zero_std: identical,
    kl: r.kl,
    entropy: r.entropy,
    "completions/mean_length": r.lengths.mean,
    "completions/clipped_ratio": r.lengths.cut,
  };
}
