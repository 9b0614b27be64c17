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
import type { LoraConfig, TransformerConfig } from "../policies/index.ts";
import type { Reward } from "../rewards/index.ts";
import type { Json } from "../statistics/snapshot.ts";
import type { Rng } from "../statistics/stream.ts";
import type { DemonstrationMethod, Method } from "./method.ts";
import { drGrpo, grpo, onlineDpo, raft, supervised } from "./methods.ts";
import type { Rate } from "./schedule.ts";

/** A method in a job: what it is called on disk, and how much it sees in a step. */
export interface Contender {
  /** Folder name: letters, digits and dashes. */
  readonly id: string;
  readonly method: Method;
  readonly tasksPerStep: number;
}

/** A model that is there already: a local folder as Hugging Face writes it (`readModel`), and the adapter to train; without one, all of it. */
export interface Pretrained {
  readonly folder: string;
  readonly lora?: LoraConfig;
}

/**
 * A whole experiment as data: a model from scratch learns the notation from demonstrations, or a pretrained one is taken as it is; then it
 * learns to win from a reward. Both ends are evaluated on held-out tasks. The rivals start from the same weights and get the same seconds.
 */
export interface Job {
  readonly name: string;
  readonly seed: number;
  readonly environment: TextEnvironment;
  /** Absent: the environment's own check. */
  readonly reward?: Reward<never>;
  readonly model: TransformerConfig | Pretrained;
  /** Null: the model is taken as it is. */
  readonly warmUp: { readonly method: DemonstrationMethod; readonly steps: number; readonly tasksPerStep: number } | null;
  readonly contender: Contender;
  readonly steps: number;
  readonly rivals: readonly Contender[];
  /** The seed is the same for all training seeds, so that they are compared on the same tasks. */
  readonly evaluation: {
    readonly tasks: number;
    readonly samples: number;
    readonly seed: number;
    /** Also after every so many steps of the training; absent: at its ends only. */
    readonly every?: number;
  };
  /** What a player who knows the notation and nothing else would get on given tasks; null where no such line is known. */
  readonly chance: ((tasks: readonly TextTask[], rng: Rng) => number) | null;
  /**
   * What this job is, for run.json and for starting it again: its name, the options it was made with, the file that defines it (its absolute
   * path), and the names of methods that took the place of its own.
   */
  readonly options: JobOptions & {
    readonly job: string;
    readonly file?: string;
    readonly methods?: readonly string[];
    /** How to reach the training service that holds the model, where one does. No key is in it. */
    readonly service?: { readonly [key: string]: Json };
  };
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
  readonly evaluateEvery?: number;
}

/** No training seed is likely to be this number. */
const evaluationSeed = 20_261_120;

/** Up over `up` steps, then along a line to 10 %. */
const falling = (peak: number, up: number): Rate => ({ peak, up, floor: 0.1, shape: "linear" });

/** A job of one's own: what to learn, from what, and with which method. Sizes are defaults that `JobOptions` may change. */
export interface JobDefinition {
  readonly name: string;
  /** With `symbols`, the vocabulary of a model from scratch. */
  readonly environment: TextEnvironment;
  /** Default: the environment's own check. */
  readonly reward?: Reward<never>;
  /** The shape of a model from scratch, or where a pretrained one lies. */
  readonly model: (Pick<TransformerConfig, "layers" | "width" | "heads"> & Partial<TransformerConfig>) | Pretrained;
  /** The longest prompt in tokens; needed for a model from scratch whose `context` is not given. */
  readonly longestPrompt?: number;
  /** Supervised steps on the environment's demonstrations (128 examples a step, rate 4e-3, unless said). Absent: none. */
  readonly warmUp?: { readonly steps: number; readonly tasksPerStep?: number; readonly method?: DemonstrationMethod };
  readonly method: Method;
  readonly steps: number;
  /** Default 16. */
  readonly tasksPerStep?: number;
  /** Other methods to compare with, by folder name. */
  readonly rivals?: Readonly<Record<string, Method>>;
  /** Default 500 tasks, 16 samples, at the ends only; `every`: also after every so many steps of the training. */
  readonly evaluation?: { readonly tasks?: number; readonly samples?: number; readonly every?: number };
  readonly chance?: Job["chance"];
}

/**
 * Makes a job: a function of a seed and, for reduced runs, of sizes. The default export of a configuration file of `guerdon train` is what
 * this returns.
 *
 * @throws GuerdonError "usage" for a model that is neither, or a rival whose name cannot be its folder's; when the job is made and the environment lacks what it needs:
 *   symbols, demonstrations
 */
export function defineJob(definition: JobDefinition): (options: JobOptions) => Job {
  const { name, environment, reward, model, warmUp, chance = null } = definition;
  const id = folderName(definition.method.name);
  for (const rival of Object.keys(definition.rivals ?? {}))
    if (rival === id || rival === "warm-up" || rival !== folderName(rival))
      throw new GuerdonError(
        "usage",
        `The rival "${rival}" of the job "${name}" names its folder: use small letters, digits and dashes, and not "${id}" or "warm-up", which are taken.`,
      );
  // The definition may be JavaScript, or was never type-checked.
  if (typeof model !== "object" || model === null)
    throw new GuerdonError(
      "usage",
      `The model of the job "${name}" is ${JSON.stringify(model)}: give the shape of one from scratch, { layers, width, heads }, or where one lies, { folder }.`,
    );
  return (options) => {
    const { seed, warmUpSteps = warmUp?.steps, steps = definition.steps } = options;
    const { demonstrations = warmUp?.tasksPerStep ?? 128, tasksPerStep = definition.tasksPerStep ?? 16 } = options;
    const { evaluationTasks = definition.evaluation?.tasks ?? 500, samples = definition.evaluation?.samples ?? 16 } = options;
    const every = options.evaluateEvery ?? definition.evaluation?.every;
    if (warmUp !== undefined && environment.demonstrate === undefined)
      throw new GuerdonError("usage", `The environment "${environment.name}" has no demonstrations to warm a model up with.`);
    /** A method with its share of data. */
    const contender = (id: string, method: Method): Contender =>
      method.data === "demonstrations"
        ? { id, method, tasksPerStep: demonstrations }
        : { id, method: { ...method, groupSize: options.groupSize ?? method.groupSize }, tasksPerStep };
    return {
      name,
      seed,
      environment,
      ...(reward && { reward }),
      model: "folder" in model ? model : shapeOf(definition, model, options),
      warmUp: warmUp
        ? {
            method: warmUp.method ?? supervised({ learningRate: falling(4e-3, 20) }),
            steps: warmUpSteps ?? warmUp.steps,
            tasksPerStep: demonstrations,
          }
        : null,
      contender: contender(id, definition.method),
      steps,
      rivals: Object.entries(definition.rivals ?? {}).map(([id, method]) => contender(id, method)),
      evaluation: {
        tasks: evaluationTasks,
        samples,
        seed: options.evaluationSeed ?? evaluationSeed,
        ...(every !== undefined && { every }),
      },
      chance,
      options: { ...options, job: name },
    };
  };
}

/**
 * A job with other methods in place of its own: the first is what it trains with; the rest, the job's own method and the job's rivals are
 * what it is compared with. Methods get the job's number of tasks a step; answers to each as they say, unless the job was made with a
 * `groupSize`.
 *
 * @param methods by folder name; one that the job has already takes that one's place
 * @throws GuerdonError "usage" for no method
 */
export function withMethods(job: Job, methods: Readonly<Record<string, Method>>): Job {
  const { groupSize } = job.options;
  const given = Object.entries(methods).map(([id, method]): Contender => {
    if (method.data === "demonstrations") return { id, method, tasksPerStep: job.warmUp?.tasksPerStep ?? job.contender.tasksPerStep };
    return { id, method: { ...method, groupSize: groupSize ?? method.groupSize }, tasksPerStep: job.contender.tasksPerStep };
  });
  const [contender, ...others] = given;
  if (contender === undefined) throw new GuerdonError("usage", "withMethods needs at least one method.");
  const own = [job.contender, ...job.rivals].filter(({ id }) => !Object.hasOwn(methods, id));
  return { ...job, contender, rivals: [...others, ...own] };
}

/** The shape of a model from scratch for an environment. */
function shapeOf(
  { environment, longestPrompt }: JobDefinition,
  model: Exclude<JobDefinition["model"], Pretrained>,
  options: JobOptions,
): TransformerConfig {
  const { symbols, maxActions, name } = environment;
  if (symbols === undefined)
    throw new GuerdonError("usage", `The environment "${name}" has no symbols to make a model for: give the folder of a pretrained model.`);
  const context = model.context ?? (longestPrompt === undefined ? undefined : longestPrompt + maxActions);
  if (context === undefined)
    throw new GuerdonError("usage", `A model from scratch needs longestPrompt, the most tokens that a prompt of "${name}" has.`);
  const { layers = model.layers, width = model.width } = options;
  return {
    norm: "layer",
    positions: "learned",
    activation: "gelu",
    tied: false,
    vocabulary: symbols.length,
    ...model,
    context,
    layers,
    width,
  };
}

/** "Dr.GRPO" -> "dr-grpo" */
const folderName = (name: string): string => name.toLowerCase().replaceAll(/[^a-z0-9]+/g, "-");

/** What the two built-in jobs have in common. */
const builtIn = ({ maxActions }: TextEnvironment): Pick<JobDefinition, "method" | "rivals"> => {
  const learningRate = falling(5e-4, 5);
  return {
    method: grpo({ as: "paper", learningRate, scale: { ddof: 1, epsilon: 1e-4 }, kl: null }),
    rivals: {
      "dr-grpo": drGrpo({ learningRate, maxActions }),
      raft: raft({ learningRate }),
      "online-dpo": onlineDpo({ learningRate: falling(2.5e-4, 5), beta: 0.3, perTask: 4 }),
      supervised: supervised({ learningRate }),
    },
  };
};

/**
 * The main job: CountDown with three numbers of 1 to 15, plus and minus. A transformer of 163,584 weights (3 layers, 64 wide) sees 700
 * steps of 128 demonstrations (AdamW, rate 4e-3), then 250 steps of GRPO on 16 tasks x 16 answers (rate 5e-4, one on-policy update a
 * step, no KL term, advantage (r - mean) / (sample deviation + 1e-4), mean over an answer's tokens and then over answers).
 *
 * RLOO is not among the rivals: with one update a step and answers of one length its gradient is Dr.GRPO's times a constant, which Adam
 * removes.
 */
export function countdownJob(options: JobOptions & CountdownOptions): Job {
  const environment = countdown(options);
  return defineJob({
    name: "countdown",
    environment,
    model: { layers: 3, width: 64, heads: 4 },
    // The numbers, "=", the target, ":".
    longestPrompt: (options.count ?? 3) + 3,
    warmUp: { steps: 700 },
    steps: 250,
    ...builtIn(environment),
    chance: (tasks, rng) => chanceOfCountdown(tasks, rng, options),
  })(options);
}

/** Sorting six numbers of 0 to 19: 2 layers, 90 steps of demonstrations, 200 of GRPO; otherwise as `countdownJob`. */
export function sortingJob(options: JobOptions & SortingOptions): Job {
  const environment = sorting(options);
  return defineJob({
    name: "sorting",
    environment,
    model: { layers: 2, width: 64, heads: 4 },
    longestPrompt: (options.count ?? 6) + 1,
    warmUp: { steps: 90 },
    steps: 200,
    ...builtIn(environment),
  })(options);
}

/** The built-in jobs by name. */
export const jobs: Readonly<Record<string, (options: JobOptions) => Job>> = { countdown: countdownJob, sorting: sortingJob };
