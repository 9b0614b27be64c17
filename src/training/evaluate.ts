import type { Engine } from "../engines/engine.ts";
import type { Split, TextEnvironment, TextTask } from "../environments/environment.ts";
import { GuerdonError } from "../error.ts";
import type { Tokenizer } from "../policies/tokenizer.ts";
import { fromEnvironment, type Coverage, type Reward } from "../rewards/index.ts";
import { rollOut } from "../rollouts/index.ts";
import type { Rollout } from "../rollouts/rollout.ts";
import { majorityAtK, mean, meanInterval, passAtK, shareInterval, shuffled, stream } from "../statistics/index.ts";
import type { Interval } from "../statistics/index.ts";
import { firstError, grade } from "./grade.ts";
import { distinctAnswers } from "./report.ts";
import { interruptible } from "./loop.ts";

export interface EvaluateOptions {
  /** Default 500, or all where the environment lists fewer. */
  readonly tasks?: number;
  /** Answers to each task at temperature 1. Default 16. */
  readonly samples?: number;
  /** Decides which tasks are drawn and how they are answered. Another seed is a fresh evaluation. */
  readonly seed: number;
  /** Default "test": tasks that training never sees. */
  readonly split?: Split;
  /** Default: the environment's own check. */
  readonly reward?: Reward<never>;
  /** The smallest reward that counts as right. Default 1. */
  readonly accept?: number;
  /** For environments that answer back. */
  readonly tokenizer?: Tokenizer;
  /** Rollouts asked of the engine at once; sets speed and memory, not results. Default 1024. */
  readonly rows?: number;
  readonly onProgress?: (progress: { readonly done: number; readonly total: number }) => void;
  readonly signal?: AbortSignal;
}

/**
 * How good a policy is on tasks drawn from one split. All intervals are at 95 %; those of `pass1` and `passAt` are Student's within [0, 1],
 * or Wilson's where each task has all or nothing.
 */
export interface Evaluation {
  readonly tasks: number;
  readonly samples: number;
  readonly seed: number;
  readonly split: Split;
  /** Share of tasks whose most likely answer is right (Wilson). */
  readonly greedy: Interval;
  /** Share of answers at temperature 1 that are right: mean over tasks (over tasks, because answers to one task go together). */
  readonly pass1: Interval;
  /** Probability that one of k answers is right, without bias from all samples: k = 1, 2, 4, ..., samples. */
  readonly passAt: readonly { readonly k: number; readonly value: Interval }[];
  /** Share of tasks whose most frequent whole answer is right (Wilson). */
  readonly majority: Interval;
  /** Mean reward at temperature 1 (t, over tasks). */
  readonly reward: Interval;
  /** Mean number of different answers among a task's samples. */
  readonly distinct: number;
  /** Mean number of tokens in an answer, and the share of answers that the length limit cut. */
  readonly length: number;
  readonly cut: number;
  readonly coverage: Coverage;
  readonly seconds: number;
}

/** Streams of evaluations have names of their own, so that an evaluation in the middle of a run with the same seed draws other numbers. */
const streams = { samples: -1, greedy: -2 } as const;

/**
 * The tasks of an evaluation. Where the environment lists its tasks, each at most once, in an order that the seed decides; else draws from
 * the environment's own distribution, with repetition.
 *
 * @throws GuerdonError "input" when there are fewer than two
 */
export function evaluationTasks(environment: TextEnvironment, split: Split, seed: number, count: number): readonly TextTask[] {
  const listed = environment.tasks?.(split);
  if (listed === undefined) return Array.from({ length: count }, (_, i) => environment.draw(split, stream(seed, "evaluation task", i)));
  if (listed.length < 2)
    throw new GuerdonError(
      "input",
      `The environment "${environment.name}" has ${listed.length} ${split} tasks; an evaluation needs at least two.`,
    );
  return shuffled(listed, stream(seed, "evaluation order")).slice(0, count);
}

/**
 * Evaluates a policy: draws tasks, asks for one greedy answer and several at temperature 1 to each, scores them. The same seed gives the
 * same tasks and, for the same weights, the same numbers.
 *
 * @throws GuerdonError "coverage" when fewer than two tasks could be scored; "usage" for options out of range or an environment without a
 *   check and no reward
 */
export async function evaluate(engine: Engine, environment: TextEnvironment, options: EvaluateOptions): Promise<Evaluation> {
  const { samples = 16, seed, split = "test", accept = 1, rows = 1024, onProgress, signal } = options;
  const reward = options.reward ?? fromEnvironment(environment);
  const wanted = options.tasks ?? 500;
  if (!Number.isInteger(wanted) || wanted < 2)
    throw new GuerdonError("usage", `evaluate: tasks is ${wanted}; it must be a whole number of at least 2.`);
  if (!Number.isInteger(samples) || samples < 1)
    throw new GuerdonError("usage", `evaluate: samples is ${samples}; it must be a whole number of at least 1.`);
  const began = performance.now();
  const tasks = evaluationTasks(environment, split, seed, wanted);
  const count = tasks.length;
  const total = count * (samples + 1);
  let done = 0;

  const answers = async (groupSize: number, temperature: number, step: number): Promise<Rollout[]> => {
    const out: Rollout[] = [];
    const perCall = Math.max(1, Math.floor(rows / groupSize));
    for (let first = 0; first < count; first += perCall) {
      await interruptible(signal);
      const asked: readonly TextTask[] = tasks.slice(first, first + perCall);
      const { tokenizer } = options;
      const drawn = await rollOut(engine, environment, asked, {
        groupSize,
        seed,
        step,
        firstTask: first,
        sampling: { temperature },
        ...(tokenizer && { tokenizer }),
        ...(signal && { signal }),
      });
      out.push(...drawn);
      onProgress?.({ done: (done += drawn.length), total });
    }
    return out;
  };
  const greedy = await answers(1, 0, streams.greedy);
  const sampled = await answers(samples, 1, streams.samples);

  const graded = await grade(reward, [...greedy, ...sampled], signal ? { signal } : {});
  const values = graded.scores.map((s) => s.value);
  const right = (value: number): boolean => value >= accept;

  const greedyValues = values.slice(0, count).filter((v) => v !== null);
  const perTask = tasks.map((_, i) => scoredAnswers(sampled, values.slice(count), i * samples, samples)).filter((own) => own.length > 0);
  if (greedyValues.length < 1 || perTask.length < 2)
    throw new GuerdonError("coverage", `The evaluation could not be scored: ${graded.coverage.text}.${firstError(graded.scores)}`);
  const correct = perTask.map((own) => own.filter(({ value }) => right(value)).length);
  const passAt = powersOfTwo(samples).flatMap((k) => {
    const enough = perTask.flatMap((own, i) => (own.length >= k ? [passAtK(own.length, correct[i]!, k)] : []));
    return enough.length < 2 ? [] : [{ k, value: rateInterval(enough) }];
  });
  return {
    tasks: count,
    samples,
    seed,
    split,
    greedy: shareInterval(greedyValues.filter(right).length, greedyValues.length),
    pass1: rateInterval(perTask.map((own, i) => correct[i]! / own.length)),
    passAt,
    majority: shareInterval(perTask.filter((own) => right(majorityValue(own))).length, perTask.length),
    reward: meanInterval(perTask.map((own) => mean(own.map(({ value }) => value)))),
    distinct: distinctAnswers(sampled),
    length: mean(sampled.map((r) => r.mask.reduce((sum, m) => sum + m, 0))),
    cut: mean(sampled.map((r) => (r.stop === "length" ? 1 : 0))),
    coverage: graded.coverage,
    seconds: (performance.now() - began) / 1000,
  };
}

/** The mean of rates in [0, 1], one a task. Where all are 0 or 1 it is a share: Student's interval has no width when they are alike. */
function rateInterval(rates: readonly number[]): Interval {
  if (rates.every((rate) => rate === 0 || rate === 1)) return shareInterval(rates.filter((rate) => rate === 1).length, rates.length);
  const { low, high, ...rest } = meanInterval(rates);
  return { ...rest, low: Math.max(0, low), high: Math.min(1, high) };
}

interface ScoredAnswer {
  readonly answer: string;
  readonly value: number;
}

/** The answers [from, from + count) that could be scored. */
function scoredAnswers(rollouts: readonly Rollout[], values: readonly (number | null)[], from: number, count: number): ScoredAnswer[] {
  const out: ScoredAnswer[] = [];
  for (let i = from; i < from + count; i++) {
    const value = values[i]!;
    if (value !== null) out.push({ answer: rollouts[i]!.completion ?? rollouts[i]!.row.actions.join(" "), value });
  }
  return out;
}

/** The value of the most frequent answer; of equally frequent ones the first drawn. */
function majorityValue(own: readonly ScoredAnswer[]): number {
  const winner = majorityAtK(
    own.map(({ answer }) => answer),
    own.length,
  );
  return own.find(({ answer }) => answer === winner)!.value;
}

/** 1, 2, 4, ... below n, and n itself. */
function powersOfTwo(n: number): number[] {
  const out = [];
  for (let k = 1; k < n; k *= 2) out.push(k);
  return [...out, n];
}

/** An evaluation as flat metrics. */
export function evaluationMetrics(evaluation: Evaluation): Record<string, number | null> {
  const { coverage: c } = evaluation;
  const out: Record<string, number | null> = {
    greedy: evaluation.greedy.estimate,
    pass1: evaluation.pass1.estimate,
    "pass1/low": evaluation.pass1.low,
    "pass1/high": evaluation.pass1.high,
    [`majority${evaluation.samples}`]: evaluation.majority.estimate,
    reward: evaluation.reward.estimate,
    distinct: evaluation.distinct,
    length: evaluation.length,
    cut: evaluation.cut,
    coverage: c.scored / c.total,
  };
  for (const { k, value } of evaluation.passAt) if (k > 1) out[`pass${k}`] = value.estimate;
  return out;
}
