import { GuerdonError } from "../error.ts";
import { below, shuffled } from "../statistics/stream.ts";
import type { Rng } from "../statistics/stream.ts";
import { examples } from "./build.ts";
import type { ExtraColumns } from "./build.ts";
import { checkFinite, rowsByKey } from "./columns.ts";
import type { Examples, Sets } from "./examples.ts";
import { select } from "./reshape.ts";
import type { Column, Key, Scored } from "./scored.ts";

/** Which answers of a group become pairs; equal scores never do. */
export type PairRule =
  /** The best answer against the worst. */
  | { readonly kind: "best-worst" }
  /** The best against one drawn from those below it. */
  | { readonly kind: "best-random"; readonly rng: Rng }
  /** The best against the best of those below it. */
  | { readonly kind: "best-second" }
  /** All pairs whose scores differ by at least `margin`. */
  | ({ readonly kind: "margin"; readonly margin: number } & AtMost)
  /** Answers that score at least `accepted` against those that do not. */
  | ({ readonly kind: "accepted-rejected"; readonly accepted: number } & AtMost)
  /** Pairs of two answers that differ in this key of the table, the better one first: for instance of the policy and of its reference. */
  | ({ readonly kind: "across"; readonly key: string } & AtMost);

/** All pairs of a group, or at most so many of them, drawn at random. */
export type AtMost = { readonly perTask?: never } | { readonly perTask: number; readonly rng: Rng };

export type PairOptions = PairRule & {
  /** Taken off an answer's score for each action of the policy's own, before scores are compared. Default 0. */
  readonly lengthPenalty?: number;
  /** Further columns, as `examples` takes them. */
  readonly columns?: ExtraColumns;
  /** "all": answers that no pair uses are rows too, for an objective on rows beside the one on pairs. Default "paired". */
  readonly rows?: "paired" | "all";
};

/**
 * Pairs of answers of one group, the chosen one first; every answer that a pair uses is a row once. Token and row columns are those of
 * `examples`. Member column: "score". Set columns: "margin" (the difference of the scores) and "label" (1).
 *
 * @returns null when no group has a pair, because the scores in each do not differ (enough)
 * @throws GuerdonError "non-finite" naming the row
 */
export function pairs<X>(table: Scored<X>, options: PairOptions): Examples<X> | null {
  const score = penalised(table, options.lengthPenalty ?? 0);
  const key = options.kind === "across" ? table.keys[options.key] : undefined;
  if (options.kind === "across" && key === undefined)
    throw new GuerdonError("input", `the table has no key ${options.key}; it has ${Object.keys(table.keys).join(", ")}`);
  const found = [...rowsByKey(table.keys.group).values()].flatMap((rows) => pairsOf(rows, score, options, key));
  const margin = Float32Array.from(found, ([chosen, rejected]) => score[chosen]! - score[rejected]!);
  const from = examples(table, options.columns);
  const used = options.rows === "all" ? [...table.rollouts.keys()] : null;
  return withSets(from, found, 2, used, (members) => ({
    member: { score: Float32Array.from(members, (i) => score[i]!) },
    set: { label: new Float32Array(found.length).fill(1), margin },
  }));
}

export interface ListOptions {
  /** With it there is a member column "target": softmax(score / temperature) in each list. */
  readonly temperature?: number;
}

/**
 * One list a group, best answer first. Member columns: "score", "rank" (0 for the best; equal scores share the better rank), and
 * "target" if a temperature is given. Shorter lists end in empty places.
 *
 * @returns null when no group has two answers
 * @throws GuerdonError "non-finite" naming the row
 */
export function lists<X>(table: Scored<X>, options: ListOptions = {}): Examples<X> | null {
  const { temperature } = options;
  if (temperature !== undefined && !(temperature > 0))
    throw new GuerdonError("usage", `temperature must be positive; it is ${temperature}`);
  const score = penalised(table, 0);
  const found = [...rowsByKey(table.keys.group).values()].filter((rows) => rows.length >= 2).map((rows) => byScore(rows, score));
  const size = Math.max(0, ...found.map((rows) => rows.length));
  return withSets(examples(table), found, size, null, () => {
    const member: Record<string, Float32Array> = {
      score: padded(found, size, (rows) => rows.map((i) => score[i]!)),
      rank: padded(found, size, (rows) => rows.map((i) => rows.findIndex((j) => score[j] === score[i]))),
    };
    if (temperature !== undefined) member["target"] = padded(found, size, (rows) => softmax(rows.map((i) => score[i]! / temperature)));
    return { member, set: {} };
  });
}

function pairsOf(rows: readonly number[], score: Column, rule: PairRule, key: Key | undefined): (readonly [number, number])[] {
  const order = byScore(rows, score);
  const best = order[0]!;
  const lower = order.filter((i) => score[i]! < score[best]!);
  switch (rule.kind) {
    case "best-worst":
      return lower.length === 0 ? [] : [[best, lower.at(-1)!]];
    case "best-second":
      return lower.length === 0 ? [] : [[best, lower[0]!]];
    case "best-random":
      return lower.length === 0 ? [] : [[best, lower[below(rule.rng, lower.length)]!]];
    case "margin":
      return atMost(
        ordered(order, (i, j) => score[i]! > score[j]! && score[i]! - score[j]! >= rule.margin),
        rule,
      );
    case "across":
      return atMost(
        ordered(order, (i, j) => score[i]! > score[j]! && key![i] !== key![j]),
        rule,
      );
    case "accepted-rejected": {
      const accepted = order.filter((i) => score[i]! >= rule.accepted);
      const rejected = order.filter((i) => score[i]! < rule.accepted);
      return atMost(
        accepted.flatMap((i) => rejected.map((j) => [i, j] as const)),
        rule,
      );
    }
  }
}

/** All pairs of an order, better first, for which a condition holds. */
const ordered = (order: readonly number[], holds: (i: number, j: number) => boolean): (readonly [number, number])[] =>
  order.flatMap((i, k) => order.slice(k + 1).flatMap((j) => (holds(i, j) ? [[i, j] as const] : [])));

const atMost = <T>(all: readonly T[], limit: AtMost): T[] =>
  limit.perTask === undefined ? [...all] : shuffled(all, limit.rng).slice(0, limit.perTask);

/** Best first; equal scores in the order of the table. */
const byScore = (rows: readonly number[], score: Column): number[] => rows.toSorted((i, j) => score[j]! - score[i]! || i - j);

function penalised(table: Scored<unknown>, penalty: number): Column {
  checkFinite(table.reward, "reward");
  return table.reward.map((reward, i) => reward - penalty * table.rollouts[i]!.mask.reduce((n, m) => n + (m > 0 ? 1 : 0), 0));
}

function softmax(x: readonly number[]): number[] {
  const top = Math.max(...x);
  const total = x.reduce((sum, v) => sum + Math.exp(v - top), 0);
  return x.map((v) => Math.exp(v - top) / total);
}

const padded = (
  sets: readonly (readonly number[])[],
  size: number,
  column: (rows: readonly number[]) => readonly number[],
): Float32Array => {
  const out = new Float32Array(sets.length * size);
  for (const [s, rows] of sets.entries()) out.set(column(rows), s * size);
  return out;
};

/** Sets of weight 1, with the rows that some set uses or with those given. */
function withSets<X>(
  from: Examples<X>,
  found: readonly (readonly number[])[],
  size: number,
  given: readonly number[] | null,
  columns: (members: readonly number[]) => Pick<Sets, "member" | "set">,
): Examples<X> | null {
  if (found.length === 0) return null;
  const rows = given ?? [...new Set(found.flat())].toSorted((i, j) => i - j);
  const place = new Map(rows.map((row, to) => [row, to]));
  const members = new Int32Array(found.length * size).fill(-1);
  for (const [s, set] of found.entries())
    members.set(
      set.map((row) => place.get(row)!),
      s * size,
    );
  return {
    ...select(from, rows),
    sets: { size, members, weight: new Float32Array(found.length).fill(1), ...columns(found.flat()) },
  };
}
