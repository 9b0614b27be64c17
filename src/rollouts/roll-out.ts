import type { Engine, SampleOptions, SampleRequest } from "../engines/engine.ts";
import type { Task, TextEnvironment, TextTask } from "../environments/environment.ts";
import { GuerdonError } from "../error.ts";
import type { TextSequence } from "../policies/policy.ts";
import { stream } from "../statistics/stream.ts";
import type { Rollout } from "./rollout.ts";
import { takeTurns, type TurnTokens } from "./turns.ts";

/** How actions are drawn; the answer's length is the environment's unless said here. */
export type SamplingOptions = Omit<SampleOptions, "maxActions" | "signal"> & { readonly maxActions?: number };

export interface RollOutOptions {
  /** Answers to each task. */
  readonly groupSize: number;
  readonly seed: number;
  /** The training step, or any whole number that sets one call apart from another. */
  readonly step: number;
  /** The name of the random streams; default "rollout". A second policy that answers the same tasks takes another, or both draw alike. */
  readonly stream?: string;
  readonly sampling?: SamplingOptions;
  /** Tasks of this step that were rolled out before: a second call in a step goes on counting, and draws other answers. */
  readonly firstTask?: number;
  /** The policy's tokenizer: needed where the environment answers back. */
  readonly tokenizer?: TurnTokens;
  /** The most turns of the policy in one rollout, where the environment answers back. */
  readonly maxTurns?: number;
  readonly signal?: AbortSignal;
}

/** What can be asked. */
export type Answering<X> = Pick<Engine<X>, "sample">;

/**
 * Asks an engine, or a reader that answers tasks, for `groupSize` answers to each task. The rollouts come back group by group in the order of the tasks; those of one group
 * share `group`, which is unique within a run (two draws of one task in a step are two groups). Answer k to task i draws from
 * `stream(seed, options.stream, step, i * groupSize + k)`, so neither order nor chunking changes results.
 *
 * Where the environment has `respond`, policy and environment take turns (see `takeTurns`), and `tokenizer` must be given.
 *
 * @throws GuerdonError "usage" for a group size or a number of turns that is not a positive whole number, or a missing tokenizer; "interrupted" when aborted
 */
export function rollOut(
  engine: Answering<TextSequence>,
  environment: TextEnvironment,
  tasks: readonly TextTask[],
  options: RollOutOptions,
): Promise<Rollout<TextSequence, TextTask>[]>;
export function rollOut<X>(
  engine: Answering<X>,
  environment: { readonly maxActions: number },
  tasks: readonly Task[],
  options: RollOutOptions,
): Promise<Rollout<X>[]>;
export async function rollOut<X>(
  engine: Answering<X>,
  environment: { readonly maxActions: number } & Partial<Pick<TextEnvironment, "name" | "respond">>,
  tasks: readonly Task[],
  options: RollOutOptions,
): Promise<Rollout<X>[]> {
  const { groupSize, seed, step, sampling = {}, firstTask = 0, tokenizer, maxTurns = 16, signal } = options;
  const { stream: first = "rollout" } = options;
  if (!Number.isInteger(groupSize) || groupSize < 1)
    throw new GuerdonError("usage", `rollOut: groupSize must be a whole number of at least 1, not ${groupSize}.`);
  if (!Number.isInteger(maxTurns) || maxTurns < 1)
    throw new GuerdonError("usage", `rollOut: maxTurns must be a whole number of at least 1, not ${maxTurns}.`);
  if (signal?.aborted) throw new GuerdonError("interrupted", "The rollouts were interrupted.", { cause: signal.reason });
  const name = (row: number, turn: number): readonly (string | number)[] => (turn === 0 ? [first, step, row] : [first, step, row, turn]);
  const requests = tasks.flatMap((task, i) =>
    Array.from({ length: groupSize }, (_, k): SampleRequest<X> => {
      const row = (firstTask + i) * groupSize + k;
      return { task, group: `${step}:${firstTask + i}`, rng: stream(seed, ...name(row, 0)) };
    }),
  );
  const sampleOptions: SampleOptions = { maxActions: environment.maxActions, ...sampling, ...(signal ? { signal } : {}) };
  const { respond } = environment;
  if (respond === undefined) return await engine.sample(requests, sampleOptions);
  if (tokenizer === undefined)
    throw new GuerdonError(
      "usage",
      `The environment "${environment.name}" answers back, so rollOut needs the policy's tokenizer to show its answers: pass { tokenizer }.`,
    );
  // By the overloads, only text engines meet an environment that answers back.
  return (await takeTurns({
    engine: engine as Answering<unknown> as Answering<TextSequence>,
    respond: (task, turns) => respond.call(environment, task as TextTask, turns),
    requests: requests as SampleRequest<unknown>[] as SampleRequest<TextSequence>[],
    sampleOptions,
    tokenizer,
    maxTurns,
    rng: (request, turn) => stream(seed, ...name(firstTask * groupSize + request, turn)),
  })) as Rollout<unknown>[] as Rollout<X>[];
}
