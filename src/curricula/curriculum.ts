import type { Scored } from "../credit/scored.ts";
import type { Split, Task, TextTask } from "../environments/environment.ts";
import type { Stateful } from "../statistics/snapshot.ts";
import type { Rng } from "../statistics/stream.ts";

/** Where tasks come from: drawn one by one, and listed where there is a list. */
export interface Tasks<T extends Task = TextTask> {
  readonly name: string;
  draw(split: Split, rng: Rng): T;
  tasks?(split: Split): readonly T[];
}

/** When tasks are picked. Curricula derive their random streams from it. */
export interface Moment {
  readonly seed: number;
  /** The training step. */
  readonly step: number;
  /** Which round of picking in this step, from 0. */
  readonly round: number;
}

/** Picks the next tasks. */
export interface Curriculum<T extends Task = TextTask> {
  readonly name: string;
  /** The next `count` tasks. */
  pick(count: number, moment: Moment): readonly T[] | Promise<readonly T[]>;
  /** Told how the tasks that it picked went. */
  observe?(table: Scored<unknown>): void;
  /** The reward or success rate that it expects on a task; absent when it expects nothing. */
  expected?(task: T): number;
  /** What it remembers from step to step; absent when it remembers nothing. */
  readonly state?: Stateful;
  /** Rounds of picking in a step, until there are enough groups with a signal; absent: one round, whatever comes of it. See `gather`. */
  readonly rounds?: number;
}
