import { minibatches, select } from "../credit/index.ts";
import type { Examples } from "../credit/index.ts";
import type { Engine, UpdateOptions } from "../engines/engine.ts";
import { GuerdonError } from "../error.ts";
import { outputsOf } from "../objectives/index.ts";
import { below, deviation, mean, shuffled, stream } from "../statistics/index.ts";
import type { Rng } from "../statistics/index.ts";
import { throwIfAborted } from "./loop.ts";
import type { RewardForm } from "./reward-forms.ts";
import { fitMetrics, judgements, rewardsOn, type FitMetrics } from "./reward-metrics.ts";
import { step } from "./step.ts";

export interface FitProgress {
  /** Which model of the ensemble, or which fold. */
  readonly member: number;
  readonly epoch: number;
  readonly epochs: number;
  /** Mean over the epoch's steps. */
  readonly loss: number;
}

export interface FitOptions<X, E extends Engine<X> = Engine<X>> {
  readonly form: RewardForm;
  readonly examples: Examples<X>;
  /** A new engine for each model: `(member) => hostEngine({ policy, seed: member })`. */
  readonly engine: (member: number) => E | Promise<E>;
  /** Passes over the data. Default 20. */
  readonly epochs?: number;
  /** Pairs, or rows where there are no pairs, in a step. Default 64. */
  readonly batchSize?: number;
  /** Default 3e-3, for small networks; for a pretrained language model 1e-5 is usual. */
  readonly learningRate?: number;
  /** Default AdamW with betas 0.9 and 0.999, epsilon 1e-8, weight decay 0.01, gradient norm clipped at 1. */
  readonly optimizer?: Partial<Omit<UpdateOptions, "learningRate">>;
  /** Decides the split, the order of the data and the bootstraps. Default 0. */
  readonly seed?: number;
  readonly onProgress?: (progress: FitProgress) => void;
  readonly signal?: AbortSignal;
}

/** A fitted model, with mean and standard deviation of its rewards on the data that it was fitted to. */
export interface FittedMember<X, E extends Engine<X> = Engine<X>> {
  readonly engine: E;
  readonly centre: number;
  readonly scale: number;
}

/** What `fitReward` found: `saveReward` writes it, `loadReward` (rewards/) reads it as a reward. */
export interface RewardFit<X, E extends Engine<X> = Engine<X>> {
  readonly form: RewardForm;
  readonly members: readonly FittedMember<X, E>[];
  /** On the examples that were held out, by the ensemble's mean; null where none were. */
  readonly heldOut: FitMetrics | null;
}

/**
 * Fits a reward model: splits the examples, takes optimizer steps of the form's objective, and measures on what was held out. With several
 * members, each is fitted to its own bootstrap of the same data. Same options, same result.
 *
 * Rows of one task (`examples.tasks`, usually the prompt) are never on both sides of a split.
 *
 * @param options.heldOut share of the tasks to hold out (0: none), or other examples. Default 0.2
 * @param options.members models in the ensemble. Default 1
 * @throws GuerdonError "usage" for numbers out of range, "input" for examples that do not fit the form or are too few, both before anything is fitted;
 *   "non-finite" and "interrupted" on the way
 */
export async function fitReward<X, E extends Engine<X> = Engine<X>>(
  options: FitOptions<X, E> & { readonly heldOut?: number | Examples<X>; readonly members?: number },
): Promise<RewardFit<X, E>> {
  const { form, examples, seed = 0, heldOut = 0.2, members = 1 } = options;
  whole("fitReward: members", members, 1);
  if (typeof heldOut === "number" && !(heldOut >= 0 && heldOut < 1))
    throw new GuerdonError("usage", `fitReward: heldOut is ${heldOut}; it must be a share of at least 0 and below 1, or examples.`);
  const [train, held] = typeof heldOut === "number" ? split(examples, heldOut, stream(seed, "held out")) : ([examples, heldOut] as const);
  if (held !== null) judgements(form, held);
  const fitted: FittedMember<X, E>[] = [];
  try {
    for (let m = 0; m < members; m++)
      fitted.push(await fitOne(members === 1 ? train : bootstrap(train, stream(seed, "bootstrap", m)), m, options));
    return { form, members: fitted, heldOut: held === null ? null : await fitMetrics(form, fitted, held) };
  } catch (error) {
    for (const { engine } of fitted) engine.dispose?.();
    throw error;
  }
}

/**
 * The same metrics, each time on another part of the data that the model was not fitted to (cross-validation): one entry a fold. The engines
 * are disposed.
 *
 * @param options.folds how many parts; at least 2, at most the number of tasks
 */
export async function crossValidate<X, E extends Engine<X> = Engine<X>>(
  options: FitOptions<X, E> & { readonly folds: number },
): Promise<FitMetrics[]> {
  const { form, examples, folds, seed = 0 } = options;
  whole("crossValidate: folds", folds, 2);
  const groups = shuffled(groupsOf(examples), stream(seed, "folds"));
  if (groups.length < folds)
    throw new GuerdonError("input", `crossValidate: ${folds} folds need at least as many tasks; the examples have ${groups.length}.`);
  const found: FitMetrics[] = [];
  for (let fold = 0; fold < folds; fold++) {
    const train = pick(examples, groups.filter((_, g) => g % folds !== fold).flat());
    const held = pick(examples, groups.filter((_, g) => g % folds === fold).flat());
    const member = await fitOne(train, fold, options);
    try {
      found.push(await fitMetrics(form, [member], held));
    } finally {
      member.engine.dispose?.();
    }
  }
  return found;
}

const defaults = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.01, clipNorm: 1 } as const;

async function fitOne<X, E extends Engine<X>>(train: Examples<X>, member: number, options: FitOptions<X, E>): Promise<FittedMember<X, E>> {
  const { form, epochs = 20, batchSize = 64, learningRate = 3e-3, seed = 0, onProgress, signal } = options;
  whole("fitReward: epochs", epochs, 1);
  whole("fitReward: batchSize", batchSize, 1);
  const update: UpdateOptions = { ...defaults, ...options.optimizer, learningRate };
  const units = judgements(form, train).labels.length;
  if (units < 2)
    throw new GuerdonError("input", `fitReward: there ${units === 1 ? "is 1 example" : "are no examples"} to fit to; give at least 2.`);
  const engine = await options.engine(member);
  try {
    const missing = outputsOf(form.objective).filter((name) => !engine.outputs.includes(name));
    if (missing.length > 0)
      throw new GuerdonError(
        "usage",
        `fitReward: the form needs the output ${missing.join(", ")}, and the engine's policy has ${engine.outputs.join(", ")}. Give the policy a score head of that size.`,
      );
    const parts = Math.ceil((train.sets?.weight.length ?? train.rows.length) / batchSize);
    for (let epoch = 0; epoch < epochs; epoch++) {
      const losses: number[] = [];
      for (const part of minibatches(train, parts, stream(seed, "order", member, epoch))) {
        throwIfAborted(signal);
        losses.push((await step(engine, [{ examples: part, objective: form.objective }], update)).loss);
      }
      onProgress?.({ member, epoch: epoch + 1, epochs, loss: mean(losses) });
    }
    // Probabilities are on one scale already.
    if (form.reading.kind === "steps") return { engine, centre: 0, scale: 1 };
    const rewards = await rewardsOn(form, engine, train);
    // Where all rewards are the same there is no scale to bring them to.
    return { engine, centre: mean(rewards), scale: deviation(rewards, { ddof: 0 }) || 1 };
  } catch (error) {
    engine.dispose?.();
    throw error;
  }
}

/** What a split must not tear apart: rows of one task, and members of one set. */
function groupsOf<X>({ rows, tasks, sets }: Examples<X>): number[][] {
  // Each row points to another of its group; who points to itself stands for the group.
  const root = Array.from(rows, (_, i) => i);
  const find = (i: number): number => (root[i] === i ? i : (root[i] = find(root[i]!)));
  const first = new Map<string, number>();
  tasks?.forEach((task, i) => {
    if (!first.has(task)) first.set(task, i);
    root[i] = first.get(task)!;
  });
  sets?.members.forEach((own, k) => {
    const other = sets.members[k - (k % sets.size)]!;
    if (own >= 0 && other >= 0) root[find(own)] = find(other);
  });
  return [...Map.groupBy(rows.keys(), find).values()];
}

/** Some rows, in their old order. */
const pick = <X>(examples: Examples<X>, rows: readonly number[]): Examples<X> =>
  select(
    examples,
    rows.toSorted((a, b) => a - b),
  );

function split<X>(examples: Examples<X>, share: number, rng: Rng): readonly [train: Examples<X>, held: Examples<X> | null] {
  if (share === 0) return [examples, null];
  const groups = shuffled(groupsOf(examples), rng);
  const count = Math.max(1, Math.round(share * groups.length));
  if (groups.length - count < 1)
    throw new GuerdonError(
      "input",
      `fitReward: the examples have ${groups.length} ${groups.length === 1 ? "task" : "tasks"}, too few to hold some out. Give more, or heldOut: 0.`,
    );
  return [pick(examples, groups.slice(count).flat()), pick(examples, groups.slice(0, count).flat())];
}

/** As many tasks drawn with replacement, as weights: a task that was drawn twice counts twice. */
function bootstrap<X>(examples: Examples<X>, rng: Rng): Examples<X> {
  const groups = groupsOf(examples);
  const times = new Float32Array(examples.rows.length);
  for (let n = 0; n < groups.length; n++) for (const row of groups[below(rng, groups.length)]!) times[row]! += 1;
  const drawn = [...times.keys()].filter((row) => times[row]! > 0);
  const { sets } = examples;
  return select(
    {
      ...examples,
      weight: examples.weight.map((w, i) => w * times[i]!),
      ...(sets && { sets: { ...sets, weight: sets.weight.map((w, s) => w * times[sets.members[s * sets.size]!]!) } }),
    },
    drawn,
  );
}

function whole(name: string, value: number, least: number): void {
  if (!Number.isInteger(value) || value < least)
    throw new GuerdonError("usage", `${name} is ${value}; it must be a whole number of at least ${least}.`);
}
