import { GuerdonError } from "../error.ts";
import { mean } from "../statistics/index.ts";
import { changed, changedNames, requireFinite, versionOf, withPart } from "./compose-parts.ts";
import { againstReferences, sigmoid, type WithReferences } from "./compose-references.ts";
import { quoted, unscorable } from "./grade.ts";
import type { Reward } from "./reward.ts";

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
