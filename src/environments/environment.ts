import type { Rng } from "../statistics/stream.ts";
import type { Message } from "../data/row.ts";

/** One thing to do. `id` is stable: the same task has the same id in every run. */
export interface Task<P = unknown> {
  readonly id: string;
  readonly prompt: P;
  /** What the environment's check compares an answer with. */
  readonly reference?: unknown;
  /** Names that reports may group by, for instance a subset. They reach rewards too. */
  readonly tags?: Readonly<Record<string, string>>;
  /** The data's own columns, of any type, for rewards that declare them. */
  readonly columns?: Readonly<Record<string, unknown>>;
}
export type TextTask = Task<string | readonly Message[]>;

export type Split = "train" | "test";

/**
 * Poses tasks in text and says how it answers back. Tasks of the two splits never overlap. All functions are pure: the same stream
 * gives the same task, the same answer gives the same grade.
 */
export interface TextEnvironment {
  readonly name: string;
  /** Draws one task of a split. */
  draw(split: Split, rng: Rng): TextTask;
  /** All tasks of a split, where they can be listed (a file of prompts). */
  tasks?(split: Split): readonly TextTask[];
  /** Whether an answer is right, or a grade in [0, 1]. Never throws on any string. */
  check?(completion: string, reference: unknown): boolean | number;
  /** A right answer, for supervised warm-up. */
  demonstrate?(task: TextTask, rng: Rng): string;
  /**
   * The task with a share of a right answer given away, for methods that ask again where nobody found one (`withRetry`): the hint stands in
   * the prompt, and `check` grades what is added to it.
   *
   * @param share in [0, 1)
   */
  hint?(task: TextTask, share: number, rng: Rng): TextTask;
  /** The environment's next turn; `turns` is what was said since the prompt, the policy's last answer at the end. Null ends the rollout. Absent: one turn. */
  respond?(task: TextTask, turns: readonly Message[]): string | null;
  /** The whole vocabulary, for policies that are made from scratch (policies/tokenizer.ts, `symbolTokenizer`). */
  readonly symbols?: readonly string[];
  /** The longest answer in tokens. */
  readonly maxActions: number;
}
