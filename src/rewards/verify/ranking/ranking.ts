import { GuerdonError } from "../../../error.ts";
import { unscorable, type Score } from "../../grade.ts";
import { reward, type Reward } from "../../reward.ts";
import { answerJson } from "../answer-data.ts";
import { columns, isRecord, type Check } from "../columns.ts";
import { longestCommonSubsequence } from "../text/distance.ts";

/** What is relevant: ids, or ids with grades of at least 0. */
export type Relevance = readonly string[] | Readonly<Record<string, number>>;

/** A ranking names each id once: later mentions are neither hits nor places. */
const distinct = (ranking: readonly string[]): string[] => [...new Set(ranking)];

const gradesOf = (relevance: Relevance): ReadonlyMap<string, number> =>
  Array.isArray(relevance)
    ? new Map((relevance as readonly string[]).map((id) => [id, 1]))
    : new Map(Object.entries(relevance as Readonly<Record<string, number>>));

/** Ids with a grade above 0. */
const relevantIds = (relevance: Relevance): ReadonlySet<string> =>
  new Set([...gradesOf(relevance)].flatMap(([id, grade]) => (grade > 0 ? [id] : [])));

/**
 * Normalised discounted cumulative gain: the sum of (2^grade - 1) / log2(place + 1) over the ranking, places from 1, divided by that of the
 * ideal ranking of all relevant ids, even when the ranking is shorter than these.
 *
 * @param at only the first so many places count, in both; all unless said
 * @returns a number from 0 to 1; null when nothing is relevant
 */
export function ndcg(ranking: readonly string[], relevance: Relevance, at = Infinity): number | null {
  const grades = gradesOf(relevance);
  const gain = (list: readonly number[]): number =>
    list.reduce((total, grade, i) => (i < at ? total + (2 ** grade - 1) / Math.log2(i + 2) : total), 0);
  const ideal = gain([...grades.values()].sort((a, b) => b - a));
  if (!(ideal > 0)) return null;
  return gain(distinct(ranking).map((id) => grades.get(id) ?? 0)) / ideal;
}

/**
 * 1 / the place of the first relevant id; 0 when there is none. Its mean over rows is the mean reciprocal rank (MRR).
 *
 * @returns a number from 0 to 1; null when nothing is relevant
 */
export function reciprocalRank(ranking: readonly string[], relevance: Relevance, at = Infinity): number | null {
  const relevant = relevantIds(relevance);
  if (relevant.size === 0) return null;
  const place = distinct(ranking).findIndex((id) => relevant.has(id));
  return place < 0 || place >= at ? 0 : 1 / (place + 1);
}

/**
 * Average precision: the mean over all relevant ids of the precision at the place of each, 0 for those that are not ranked. Its mean over
 * rows is MAP.
 *
 * @returns a number from 0 to 1; null when nothing is relevant
 */
export function averagePrecision(ranking: readonly string[], relevance: Relevance, at = Infinity): number | null {
  const relevant = relevantIds(relevance);
  if (relevant.size === 0) return null;
  let hits = 0;
  let total = 0;
  for (const [i, id] of distinct(ranking).entries()) if (i < at && relevant.has(id)) total += ++hits / (i + 1);
  return total / Math.min(relevant.size, at);
}

/** The ids that an answer ranks: a JSON list of texts or numbers, or else its lines, without the signs and numbers of a list. */
export function rankingIn(text: string): string[] {
  const found = answerJson(text)?.value;
  if (Array.isArray(found) && found.every((one) => typeof one === "string" || typeof one === "number")) return found.map(String);
  return text
    .split("\n")
    .map((line) => line.replace(/^\s*(?:[-*•]|\d+[.)])\s+/u, "").trim())
    .filter((line) => line !== "");
}

export interface RankingOptions {
  /** "ndcg" unless said. */
  readonly by?: "ndcg" | "reciprocal-rank" | "average-precision";
  /** Only the first so many places count; all unless said. */
  readonly at?: number;
  readonly name?: string;
}

/**
 * How well an answer ranks: a JSON list of ids, or one id a line. Column `relevant`: the relevant ids, or ids with grades. A row where
 * nothing is relevant is unscorable.
 *
 * @returns a reward from 0 to 1
 * @throws GuerdonError "usage" when `at` is no whole number of at least 1
 */
export function rankingMatch({ by = "ndcg", at = Infinity, name = by }: RankingOptions = {}): Reward<{ readonly relevant: Relevance }> {
  if (!(at === Infinity || (Number.isInteger(at) && at >= 1)))
    throw new GuerdonError("usage", `rankingMatch: at must be a whole number of at least 1, not ${at}.`);
  const measure = by === "ndcg" ? ndcg : by === "reciprocal-rank" ? reciprocalRank : averagePrecision;
  return reward(
    name,
    { version: `1 ${by} ${at}`, columns: columns<{ relevant: Relevance }, { relevant: Relevance }>({ relevant: relevance }) },
    (answer): Score | number => {
      return (
        measure(rankingIn(answer.text), answer.relevant, at) ??
        unscorable("declined", "Nothing is relevant in this row, so no ranking is better than another.")
      );
    },
  );
}

const relevance: Check<Relevance> = (cell) => {
  if (Array.isArray(cell)) return cell.every((id) => typeof id === "string") ? { value: cell } : "must be a list of texts";
  if (!isRecord(cell)) return "must be a list of ids, or ids with grades";
  const bad = Object.entries(cell).find(([, grade]) => !(typeof grade === "number" && grade >= 0 && grade <= 100));
  return bad === undefined
    ? { value: cell as Readonly<Record<string, number>> }
    : `has the grade ${String(bad[1])} for "${bad[0]}", but grades are from 0 to 100`;
};

/** What an answer that puts things into an order is worth. */
export interface Reordering {
  /** Whether it names every item exactly once and nothing else. */
  readonly isPermutation: boolean;
  /** The longest common subsequence with the right order, as a share of its items; 0 to 1. */
  readonly inOrder: number;
}

/**
 * Compares an order of items with the right one.
 *
 * @param right at least one item, each once
 * @returns null when the lists are too long to be compared in about a second
 * Source: arXiv 2506.01908 (frame re-ordering), where validity counts 0.25, order 0.5 and format 0.25.
 */
export function reordering<T>(given: readonly T[], right: readonly T[]): Reordering | null {
  const longest = longestCommonSubsequence(given, right);
  if (longest === null) return null;
  const items = new Set(right);
  const isPermutation = given.length === right.length && new Set(given).size === given.length && given.every((item) => items.has(item));
  return { isPermutation, inOrder: longest / right.length };
}

/**
 * How well an answer puts items into the right order, with its parts: "format" (a JSON list stands in it), "permutation" (it names every
 * item once) and "order" (the share of items in order), with weights 0.25, 0.25 and 0.5. Column `order`: the items in the right order.
 *
 * @returns a reward from 0 to 1
 * Source: arXiv 2506.01908.
 */
export function reorderingMatch({ name = "reordering" }: { readonly name?: string } = {}): Reward<{
  readonly order: readonly (string | number)[];
}> {
  type Order = { readonly order: readonly (string | number)[] };
  const order: Check<Order["order"]> = (cell) => {
    if (!Array.isArray(cell) || cell.length === 0 || !cell.every((one) => typeof one === "string" || Number.isFinite(one)))
      return "must be a list of texts or numbers with at least one";
    return new Set(cell).size === cell.length ? { value: cell } : "names an item twice";
  };
  return reward(name, { columns: columns<Order, Order>({ order }) }, ({ text, order: right }): Score => {
    const found = answerJson(text)?.value;
    if (!Array.isArray(found)) return { value: 0, parts: { format: 0, permutation: 0, order: 0 } };
    const result = reordering<unknown>(found, right);
    if (result === null) return unscorable("declined", "The lists are too long to be compared in about a second.");
    const parts = { format: 1, permutation: result.isPermutation ? 1 : 0, order: result.inOrder };
    return { value: 0.25 + 0.25 * parts.permutation + 0.5 * parts.order, parts };
  });
}
