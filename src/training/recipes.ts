import {
  chanceOfCountdown,
  countdown,
  sorting,
  type CountdownOptions,
  type SortingOptions,
  type TextEnvironment,
  type TextTask,
} from "../environments/index.ts";
import { GuerdonError } from "../error.ts";
import type { TransformerConfig } from "../policies/index.ts";
import type { Rng } from "../statistics/stream.ts";
import { drGrpo, grpo, onlineDpo, raft, supervised, type DemonstrationMethod, type Method, type RolloutOptions } from "./methods.ts";
import type { Rate } from "./schedule.ts";

/** A method in a job: what it is called on disk, and how much it sees in a step. */
export interface Contender {
  /** Folder name: letters, digits and dashes. */
  readonly id: string;
  readonly method: Method;
  readonly tasksPerStep: number;
}

/**
 * A whole experiment as data: a model from scratch learns the notation from demonstrations, then to win from a reward; both ends are
 * evaluated on held-out tasks. The rivals start from the same warm-up and get the same seconds.
 */
export interface Job {
  readonly name: string;
  readonly seed: number;
  readonly environment: TextEnvironment;
  readonly model: TransformerConfig;
  readonly warmUp: { readonly method: DemonstrationMethod; readonly steps: number; readonly tasksPerStep: number };
  readonly contender: Contender;
  readonly steps: number;
  readonly rivals: readonly Contender[];
  /** The seed is the same for all training seeds, so that they are compared on the same tasks. */
  readonly evaluation: { readonly tasks: number; readonly samples: number; readonly seed: number };
  /** What a player who knows the notation and nothing else would get on given tasks; null where no such line is known. */
  readonly chance: ((tasks: readonly TextTask[], rng: Rng) => number) | null;
  /** What this job is, for run.json and for starting it again: its name, the options it was made with, and the file that defines it. */
  readonly options: JobOptions & { readonly job: string; readonly file?: string };
}

/** Sizes that a reduced run (tests, CI) sets smaller. */
export interface JobOptions {
  readonly seed: number;
  readonly layers?: number;
  readonly width?: number;
  readonly warmUpSteps?: number;
  readonly steps?: number;
  /** Demonstrations in a supervised step. */
  readonly demonstrations?: number;
  /** Tasks in a step of reinforcement, and answers to each. */
  readonly tasksPerStep?: number;
  readonly groupSize?: number;
  readonly evaluationTasks?: number;
  readonly samples?: number;
  readonly evaluationSeed?: number;
}

/** No training seed is likely to be this number. */
const evaluationSeed = 20_261_120;

/** Up over `up` steps, then along a line to 10 %. */
const falling = (peak: number, up: number): Rate => ({ peak, up, floor: 0.1, shape: "linear" });

function job(
  name: string,
  environment: TextEnvironment,
  options: JobOptions,
  sizes: { readonly layers: number; readonly warmUpSteps: number; readonly steps: number; readonly longestPrompt: number },
  chance: Job["chance"],
): Job {
  const { seed, layers = sizes.layers, width = 64, warmUpSteps = sizes.warmUpSteps, steps = sizes.steps, demonstrations = 128 } = options;
  const { tasksPerStep = 16, groupSize = 16, evaluationTasks = 500, samples = 16 } = options;
  const { symbols, maxActions } = environment;
  if (symbols === undefined) throw new GuerdonError("usage", `The environment "${environment.name}" has no symbols to make a model for.`);
  const drawing: RolloutOptions = { groupSize, learningRate: falling(5e-4, 5) };
  return {
    name,
    seed,
    environment,
    model: {
      layers,
      width,
      heads: 4,
      vocabulary: symbols.length,
      context: sizes.longestPrompt + maxActions,
      norm: "layer",
      positions: "learned",
      activation: "gelu",
      tied: false,
    },
    warmUp: { method: supervised({ learningRate: falling(4e-3, 20) }), steps: warmUpSteps, tasksPerStep: demonstrations },
    contender: { id: "grpo", method: grpo({ ...drawing, as: "paper", scale: { ddof: 1, epsilon: 1e-4 }, kl: null }), tasksPerStep },
    steps,
    rivals: [
      { id: "dr-grpo", method: drGrpo({ ...drawing, maxActions }), tasksPerStep },
      { id: "raft", method: raft(drawing), tasksPerStep },
      { id: "online-dpo", method: onlineDpo({ ...drawing, learningRate: falling(2.5e-4, 5), beta: 0.3, perTask: 4 }), tasksPerStep },
      { id: "supervised", method: supervised({ learningRate: falling(5e-4, 5) }), tasksPerStep: demonstrations },
    ],
    evaluation: { tasks: evaluationTasks, samples, seed: options.evaluationSeed ?? evaluationSeed },
    chance,
    options: { ...options, job: name },
  };
}

/**
 * The main job: CountDown with three numbers of 1 to 15, plus and minus. A transformer of 163,584 weights (3 layers, 64 wide) sees 700 steps of
 * 128 demonstrations (AdamW, rate 4e-3), then 250 steps of GRPO on 16 tasks x 16 answers (rate 5e-4, one on-policy update a step, no KL
 * term, advantage (r - mean) / (sample deviation + 1e-4), mean over an answer's tokens and then over answers).
 *
 * RLOO is not among the rivals: with one update a step and answers of one length its gradient is Dr.GRPO's times a constant, which Adam
 * removes.
 */
export function countdownJob(options: JobOptions & CountdownOptions): Job {
  const { count = 3 } = options;
  const environment = countdown(options);
  // The numbers, "=", the target, ":".
  const sizes = { layers: 3, warmUpSteps: 700, steps: 250, longestPrompt: count + 3 };
  return job("countdown", environment, options, sizes, (tasks, rng) => chanceOfCountdown(tasks, rng, options));
}

/** Sorting six numbers of 0 to 19: 2 layers, 90 steps of demonstrations, 200 of GRPO; otherwise as `countdownJob`. */
export function sortingJob(options: JobOptions & SortingOptions): Job {
  const { count = 6 } = options;
  return job("sorting", sorting(options), options, { layers: 2, warmUpSteps: 90, steps: 200, longestPrompt: count + 1 }, null);
}

/** The built-in jobs by name. */
export const jobs: Readonly<Record<string, (options: JobOptions) => Job>> = { countdown: countdownJob, sorting: sortingJob };
