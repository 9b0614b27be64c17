import type { Arr, Arrays } from "../arrays/index.ts";
import type { ServedLoss } from "../engines/engine.ts";
import type { Aggregation } from "./reductions.ts";

/** The table an objective sees: [N, T] token arrays, [N] row arrays, [S, size] sets. */
export interface Batch<T extends string = never, R extends string = never, M extends string = never, S extends string = never> {
  /** [N, T]; 0 where padded or masked. */
  readonly mask: Arr;
  /** [N] */
  readonly weight: Arr;
  readonly token: Arrays<T>;
  readonly row: Arrays<R>;
  readonly sets: {
    /** [S, size]; 0 where a set is shorter. */
    readonly mask: Arr;
    /** [S] */
    readonly weight: Arr;
    readonly member: Arrays<M>;
    readonly set: Arrays<S>;
    /** Gathers a row quantity [N] into [S, size]; 0 where a set is shorter. */
    of(perRow: Arr): Arr;
  };
}

/** That an objective is exactly one of the losses that training services compute themselves, but for the weights of its aggregation. */
export interface Served {
  readonly name: ServedLoss["name"];
  /** The token column below the ratio's fraction. */
  readonly against: string;
  readonly aggregation: Aggregation;
  /** The loss's settings, from the objective's coefficients. */
  readonly config: (coefficients: Readonly<Record<string, number>>) => Readonly<Record<string, number>>;
}

export interface ObjectiveSpec<P extends string, T extends string, R extends string, M extends string, S extends string, C extends string> {
  readonly name: string;
  /** Policy outputs beyond logProbs: "entropy", "value", "score" (or "score.0", "score.1", ...). */
  readonly policy?: readonly P[];
  /** False where the loss does not read logProbs (a value loss, a reward model's loss); then no engine need compute them. */
  readonly logProbs?: boolean;
  /** Token columns, row columns, set-member columns and set columns of the examples that the loss reads. */
  readonly token?: readonly T[];
  readonly row?: readonly R[];
  readonly member?: readonly M[];
  readonly set?: readonly S[];
  /** Reads `batch.sets`. */
  readonly sets?: boolean;
  /** Every set must have exactly this many members and none empty (2 for pairs). */
  readonly setSize?: number;
  /** Numbers that a schedule may change from step to step. */
  readonly coefficients?: Readonly<Record<C, number>>;
  /** The loss is linear in the policy outputs, so its gradient needs no forward pass. Checked by a test, not trusted. */
  readonly linear?: boolean;
  /** Checked by a test, not trusted. */
  readonly served?: Served;
  loss(
    policy: Arrays<P | "logProbs">,
    batch: Batch<T, R, M, S>,
    coefficients: Arrays<C>,
  ): Arr | { loss: Arr; metrics: Readonly<Record<string, Arr>> };
}

/** An objective with its column names erased, so that lists of objectives have one type. Made by `objective` and `combine`. */
export interface Objective {
  readonly name: string;
  readonly needs: {
    /** Outputs beyond logProbs; `outputsOf` lists all of them. */
    readonly policy: readonly string[];
    readonly logProbs: boolean;
    readonly token: readonly string[];
    readonly row: readonly string[];
    readonly member: readonly string[];
    readonly set: readonly string[];
    readonly sets: boolean;
    readonly setSize: number | null;
  };
  readonly coefficients: Readonly<Record<string, number>>;
  readonly linear: boolean;
  readonly served?: Served;
  readonly loss: (
    policy: Arrays,
    batch: Batch<string, string, string, string>,
    coefficients: Arrays,
  ) => { loss: Arr; metrics: Readonly<Record<string, Arr>> };
}

/**
 * Declares an objective: its name, the columns and outputs it reads, the coefficients a schedule may change, and the loss (a scalar,
 * minimised). The declaration types the batch, so a misspelt column does not compile.
 */
export function objective<
  const P extends string = never,
  const T extends string = never,
  const R extends string = never,
  const M extends string = never,
  const S extends string = never,
  const C extends string = never,
>(spec: ObjectiveSpec<P, T, R, M, S, C>): Objective {
  const { policy = [], token = [], row = [], member = [], set = [] } = spec;
  return {
    name: spec.name,
    needs: {
      policy,
      logProbs: spec.logProbs !== false,
      token,
      row,
      member,
      set,
      sets: spec.sets === true || spec.setSize !== undefined || member.length + set.length > 0,
      setSize: spec.setSize ?? null,
    },
    coefficients: spec.coefficients ?? {},
    linear: spec.linear === true,
    ...(spec.served && { served: spec.served }),
    loss(outputs, batch, coefficients) {
      const result = spec.loss(outputs as Arrays<P | "logProbs">, batch as Batch<T, R, M, S>, coefficients as Arrays<C>);
      return "loss" in result ? result : { loss: result, metrics: {} };
    },
  };
}

/** The policy outputs that an objective reads, and gets gradients for: what to ask of `forward`. */
export const outputsOf = (objective: Objective): string[] => [...(objective.needs.logProbs ? ["logProbs"] : []), ...objective.needs.policy];
