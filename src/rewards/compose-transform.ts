import { GuerdonError } from "../error.ts";
import type { Message } from "../data/row.ts";
import { canonical } from "./canonical.ts";
import { changed, changedNames, requireFinite, versionOf, withPart } from "./compose-parts.ts";
import { quoted, unscorable, type Score } from "./grade.ts";
import type { Answer, Reward } from "./reward.ts";

export interface ClipOptions {
  /** No bound unless said. */
  readonly low?: number;
  /** No bound unless said. */
  readonly high?: number;
  readonly name?: string;
}

/**
 * A reward kept between two bounds. The value before is the part under the reward's name.
 *
 * @throws GuerdonError "usage" for no bound, or bounds in the wrong order
 */
export function clip<Needs extends object>(inner: Reward<Needs>, { low = -Infinity, high = Infinity, name }: ClipOptions): Reward<Needs> {
  if (!(low <= high) || (low === -Infinity && high === Infinity))
    throw new GuerdonError("usage", `clip: low (${low}) must be at most high (${high}), and one of them must be given.`);
  return changed("clip", inner, { name, low: String(low), high: String(high) }, ({ value }) => ({
    value: Math.min(Math.max(value, low), high),
  }));
}

/**
 * A reward bent into bounds: "sigmoid" into (0, 1), "tanh" into (-1, 1). Order is kept, large differences far from 0 are not. Centre it
 * first.
 *
 * @param options.steepness factor before bending, above 0; 1 unless said
 * @throws GuerdonError "usage" for a steepness that is not above 0
 */
export function squash<Needs extends object>(
  inner: Reward<Needs>,
  { by, steepness = 1, name }: { readonly by: "sigmoid" | "tanh"; readonly steepness?: number; readonly name?: string },
): Reward<Needs> {
  if (!(steepness > 0 && steepness < Infinity)) throw new GuerdonError("usage", `squash: steepness must be above 0, not ${steepness}.`);
  const bend = by === "sigmoid" ? sigmoid : Math.tanh;
  return changed("squash", inner, { name, by, steepness }, ({ value }) => ({ value: bend(steepness * value) }));
}

/**
 * A line through knots [t, weight], t rising. "line": straight between knots; "hold": the weight of the last knot until the next. Constant
 * before the first and after the last knot.
 */
export interface Schedule {
  readonly knots: readonly (readonly [t: number, weight: number])[];
  /** "line" unless said. */
  readonly between?: "line" | "hold";
}

/**
 * The weight of a schedule at t.
 *
 * @throws GuerdonError "usage" for no knots, knots whose t does not rise, or numbers that are not finite
 */
export function scheduleAt({ knots, between = "line" }: Schedule, t: number): number {
  if (
    knots.length === 0 ||
    knots.some(([at, weight], i) => !Number.isFinite(at) || !Number.isFinite(weight) || (i > 0 && at <= knots[i - 1]![0]))
  )
    throw new GuerdonError("usage", `A schedule needs knots [t, weight] of finite numbers with rising t, not ${quoted(knots)}.`);
  const next = knots.findIndex(([at]) => at > t);
  if (next === 0) return knots[0]![1];
  const [from, before] = knots.at(next < 0 ? -1 : next - 1)!;
  if (next < 0 || between === "hold") return before;
  const [to, after] = knots[next]!;
  return before + ((after - before) * (t - from)) / (to - from);
}

/**
 * A reward times a weight that changes with time: `scheduled(format, { knots: [[0, 2], [150, 1]] })` halves it over 150 updates. Time is a
 * number in the row: `weightsVersion`, the count of updates to the policy that wrote the answer, which rows made of rollouts have.
 *
 * @param options.column the column with the time; "weightsVersion" unless said
 * @throws GuerdonError "usage" for a schedule without knots, or whose t does not rise
 */
export function scheduled<Needs extends object, const Column extends string = "weightsVersion">(
  inner: Reward<Needs>,
  { column, name, ...schedule }: Schedule & { readonly column?: Column; readonly name?: string },
): Reward<Needs & { readonly [C in Column]: number }> {
  const from: string = column ?? "weightsVersion";
  scheduleAt(schedule, 0);
  return changed<Needs>("scheduled", inner, { name, column: from, schedule }, ({ value, steps }, row) => {
    const t = row[from];
    if (typeof t !== "number" || !Number.isFinite(t))
      return unscorable(
        t === undefined ? "missing-column" : "wrong-column",
        `A scheduled reward needs the time as a number in the column "${from}", not ${quoted(t)}.`,
      );
    const weight = scheduleAt(schedule, t);
    return { value: weight * value, ...(steps ? { steps: steps.map((step) => weight * step) } : {}) };
  });
}

/**
 * A reward less what is usual. `at` is a number; or "group", the mean over the scored answers to the same prompt (a reward of groups, for
 * which at least two must be scored); or the column with reference answers to the prompt, whose mean is taken (see `preference`).
 *
 * @throws GuerdonError "usage" for a number that is not finite
 */
export function centre<Needs extends object>(
  inner: Reward<Needs>,
  { at, name }: { readonly at: number | "group"; readonly name?: string },
): Reward<Needs>;
export function centre<Needs extends object, const Column extends string>(
  inner: Reward<Needs>,
  { at, name }: { readonly at: { readonly references: Column }; readonly name?: string },
): Reward<Needs & WithReferences<Column>>;
export function centre(
  inner: Reward,
  { at, name }: { readonly at: number | "group" | { readonly references: string }; readonly name?: string },
): Reward {
  if (typeof at === "object")
    return againstReferences("centre", inner, { name, column: at.references }, (value, references) => value - mean(references));
  if (at !== "group") {
    requireFinite("centre", "at", at);
    return changed("centre", inner, { name, at }, ({ value }) => ({ value: value - at }));
  }
  return {
    name: name ?? `centre(${inner.name})`,
    version: versionOf("centre", { at, inner: versionOf(inner.name, inner.version) }),
    scope: "group",
    parts: changedNames("centre", inner),
    async evaluate(answers, calls) {
      const scores = await inner.evaluate(answers, calls);
      const values = new Map<string, number[]>();
      answers.forEach(({ group }, i) => {
        const { value } = scores[i]!;
        if (value !== null) values.set(group, [...(values.get(group) ?? []), value]);
      });
      return scores.map((score, i) => {
        if (score.value === null) return withPart(inner.name, score, score);
        const siblings = values.get(answers[i]!.group)!;
        if (siblings.length < 2)
          return withPart(
            inner.name,
            score,
            unscorable("declined", "No other answer of the group could be scored, so there is no mean to compare with."),
          );
        return withPart(inner.name, score, { value: score.value - mean(siblings) });
      });
    },
  };
}

export interface PreferenceOptions<Column extends string> {
  /** The column with the reference answers to the row's prompt; "references" unless said. */
  readonly references?: Column;
  /** Steepness k above 0; 1 unless said. */
  readonly steepness?: number;
  readonly name?: string;
}

/** Reference answers to the prompt: texts or conversations, which the same reward scores, or scores that are known already. */
export type WithReferences<Column extends string> = {
  readonly [C in Column]: readonly (string | number | readonly Message[])[];
};

/**
 * Preference as reward: the mean probability that the answer beats a reference answer to the same prompt, mean of sigma(k (r - r_ref)). In
 * (0, 1), steep around the references and flat far above them, where a learned reward is least to be trusted. One reference is enough.
 * Do not standardise the result again: that would undo the bound.
 *
 * Rows have a column with reference answers, texts or conversations that the same reward scores (with the row's other columns), or the
 * numbers that it gave them. An unscorable reference makes the row unscorable.
 *
 * Source: arXiv 2502.18770.
 *
 * @throws GuerdonError "usage" for a steepness that is not above 0, or a reward of groups
 */
export function preference<Needs extends object, const Column extends string = "references">(
  inner: Reward<Needs>,
  { references, steepness = 1, name }: PreferenceOptions<Column> = {},
): Reward<Needs & WithReferences<Column>> {
  if (!(steepness > 0 && steepness < Infinity)) throw new GuerdonError("usage", `preference: steepness must be above 0, not ${steepness}.`);
  return againstReferences("preference", inner, { name, column: references ?? "references", steepness }, (value, others) =>
    mean(others.map((other) => sigmoid(steepness * (value - other)))),
  );
}

function againstReferences<Needs extends object>(
  kind: string,
  inner: Reward<Needs>,
  { name, column, ...options }: { readonly name?: string | undefined; readonly column: string; readonly [option: string]: unknown },
  change: (value: number, references: readonly number[]) => number,
): Reward<Needs> {
  if (inner.scope === "group")
    throw new GuerdonError("usage", `${kind}: the reward "${inner.name}" compares groups, and a reference answer has none.`);
  return {
    name: name ?? `${kind}(${inner.name})`,
    version: versionOf(kind, { ...options, column, inner: versionOf(inner.name, inner.version) }),
    // Rows that are seen together need their common references scored only once.
    scope: "batch",
    parts: changedNames(kind, inner),
    async evaluate(answers, calls) {
      const scores = await inner.evaluate(answers, calls);
      // References that are answers are scored like the answers themselves; those of answers to one prompt only once.
      const asked = new Map<string, Answer>();
      answers.forEach((answer, i) => {
        if (scores[i]!.value === null || !isReferences(answer.row[column])) return;
        for (const one of answer.row[column])
          if (typeof one !== "number") asked.set(keyOf(answer, one), { ...answer, row: { ...answer.row, completion: one } });
      });
      const places = [...asked.values()].map((answer, index) => ({ ...answer, index }));
      const found = places.length > 0 ? await inner.evaluate(places, calls) : [];
      const scoreOf = new Map([...asked.keys()].map((key, i) => [key, found[i]!]));
      return scores.map((score, i) => {
        if (score.value === null) return withPart(inner.name, score, score);
        const given = answers[i]!.row[column];
        if (!isReferences(given)) return withPart(inner.name, score, wrongReferences(column, given));
        const others = given.map((one): Score => (typeof one === "number" ? { value: one } : scoreOf.get(keyOf(answers[i]!, one))!));
        const bad = others.findIndex(({ value }) => value === null);
        if (bad < 0)
          return withPart(inner.name, score, {
            value: change(
              score.value,
              others.map(({ value }) => value!),
            ),
          });
        const { kind: reason, message } = others[bad]!.error!;
        return withPart(inner.name, score, unscorable(reason, `The reference answer ${bad + 1} of "${column}": ${message}`));
      });
    },
  };
}

/** The same reference beside other columns may score otherwise, so rows share it only when everything but their completions is equal. */
const keyOf = ({ row, index }: Answer, reference: unknown): string =>
  canonical({ ...row, completion: reference }) ?? `${index} ${quoted(reference)} ${typeof reference === "string" ? reference : ""}`;

const isReferences = (value: unknown): value is readonly (string | number | readonly Message[])[] =>
  Array.isArray(value) && value.length > 0 && value.every((one) => typeof one === "string" || Array.isArray(one) || Number.isFinite(one));

const wrongReferences = (column: string, value: unknown): Score =>
  value === undefined
    ? unscorable("missing-column", `The column "${column}" with reference answers is missing.`)
    : unscorable("wrong-column", `The column "${column}" must be a list of reference answers or of their scores, not ${quoted(value)}.`);

const mean = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0) / values.length;
const sigmoid = (x: number): number => (x >= 0 ? 1 / (1 + Math.exp(-x)) : Math.exp(x) / (1 + Math.exp(x)));
