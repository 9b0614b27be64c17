import { GuerdonError } from "../error.ts";
import { thrownMessage } from "./calls.ts";
import { quoted, unscorable, type Score } from "./grade.ts";
import type { Reward, Scope } from "./reward.ts";

/** Rewards by the name that reports use. */
export type Parts = Readonly<Record<string, Reward<never>>>;

/** The columns that all of these rewards need together. */
export type NeedsOf<P extends Parts> = P[keyof P] extends Reward<infer Needs> ? Needs : never;

/** Whole groups are a promise, batches only a saving: what has a part that needs groups gets groups. */
const scopes: readonly Scope[] = ["row", "batch", "group"];
export const widest = (given: readonly Scope[]): Scope => scopes.findLast((scope) => given.includes(scope))!;

/** A part's value under its name, and its own parts below it. */
export const under = (key: string, { value, parts = {} }: Score): [string, number | null][] => [
  [key, value],
  ...Object.entries(parts).map(([inner, part]): [string, number | null] => [`${key}/${inner}`, part]),
];
export const namesUnder = (key: string, { parts }: Reward<never>): string[] => [key, ...parts.map((inner) => `${key}/${inner}`)];

/** @throws GuerdonError "usage" when two of the names are the same: one part would hide the other */
export function requireDistinct(names: readonly string[], what: string): void {
  const twice = names.find((one, i) => names.indexOf(one) < i);
  if (twice !== undefined) throw new GuerdonError("usage", `${what} "${twice}". Rename one of them.`);
}

export const versionOf = (name: string, options: unknown): string => `${name} ${JSON.stringify(options)}`;
export const versions = (parts: Parts): Record<string, string> =>
  Object.fromEntries(Object.entries(parts).map(([key, { name, version }]) => [key, `${name} ${version}`]));

export function notesOf(scores: readonly (readonly [string, Score])[]): { note?: string } {
  const notes = scores.flatMap(([name, { note }]) => (note === undefined ? [] : [`${name}: ${note}`]));
  return notes.length > 0 ? { note: notes.join("; ") } : {};
}

/** What a composition makes of its parts: a value, and steps where there are any. */
export interface Joined {
  readonly value: number;
  readonly steps?: readonly number[];
}

/**
 * A reward of named parts, all of which are asked. `join` gets the scores that could be given, by name and in the order of the parts.
 * An unscorable part makes the whole unscorable; with `missing: "skip"` only when all parts are.
 */
export function joined<P extends Parts>(
  kind: string,
  parts: P,
  {
    name,
    missing,
    ...options
  }: { readonly name?: string | undefined; readonly missing?: "skip" | undefined; readonly [option: string]: unknown },
  join: (given: readonly (readonly [key: string, score: Score & { readonly value: number }])[]) => Joined | Score,
): Reward<NeedsOf<P>> {
  const entries = Object.entries<Reward<never>>(parts);
  if (entries.length === 0) throw new GuerdonError("usage", `${kind} needs at least one part.`);
  const names = entries.flatMap(([key, part]) => namesUnder(key, part));
  requireDistinct(names, `${kind}: two parts would be called`);
  return {
    name: name ?? `${kind}(${Object.keys(parts).join(", ")})`,
    version: versionOf(kind, { ...options, missing: missing ?? "unscorable", parts: versions(parts) }),
    scope: widest(entries.map(([, part]) => part.scope)),
    parts: names,
    async evaluate(answers, calls) {
      const columns = await Promise.all(entries.map(([, part]) => part.evaluate(answers, calls)));
      return answers.map((_, i): Score => {
        const scores = columns.map((column) => column[i]!);
        const flat = Object.fromEntries(entries.flatMap(([key], k) => under(key, scores[k]!)));
        const notes = notesOf(entries.map(([key], k) => [key, scores[k]!]));
        const gaps = entries.flatMap(([key], k) => (scores[k]!.value === null ? [{ key, error: scores[k]!.error! }] : []));
        const first = gaps[0];
        if (first !== undefined && (missing !== "skip" || gaps.length === entries.length))
          return { ...unscorable(first.error.kind, `The part "${first.key}": ${first.error.message}`), parts: flat, ...notes };
        const result = join(entries.flatMap(([key], k) => (isGraded(scores[k]!) ? [[key, scores[k]] as const] : [])));
        if (result.value !== null && !Number.isFinite(result.value))
          return { ...unscorable("not-finite", `The ${kind} of ${JSON.stringify(flat)} is ${result.value}.`), parts: flat };
        return { ...result, parts: flat, ...notes };
      });
    },
  };
}

const isGraded = (score: Score): score is Score & { readonly value: number } => score.value !== null;

/**
 * A reward made of one other, whose value (and steps) it changes: the value before stays visible as a part under the reward's name, beside
 * the parts that it had. What was unscorable stays so.
 */
export function changed<Needs extends object>(
  kind: string,
  inner: Reward<Needs>,
  { name, ...options }: { readonly name?: string | undefined; readonly [option: string]: unknown },
  change: (score: Score & { readonly value: number }, row: Readonly<Record<string, unknown>>) => Joined | Score,
): Reward<Needs> {
  const names = changedNames(kind, inner);
  return {
    name: name ?? `${kind}(${inner.name})`,
    version: versionOf(kind, { ...options, inner: versionOf(inner.name, inner.version) }),
    scope: inner.scope,
    parts: names,
    async evaluate(answers, calls) {
      const scores = await inner.evaluate(answers, calls);
      return scores.map((score, i) => {
        if (!isGraded(score)) return withPart(inner.name, score, score);
        try {
          return withPart(inner.name, score, change(score, answers[i]!.row));
        } catch (cause) {
          // A change may call a user's function, for instance one that counts tokens.
          return withPart(inner.name, score, unscorable("threw", thrownMessage(kind, cause)));
        }
      });
    },
  };
}

/** @throws GuerdonError "usage" when the reward and one of its parts have the same name */
export function changedNames(kind: string, { name, parts }: Reward<never>): string[] {
  if (parts.includes(name))
    throw new GuerdonError("usage", `${kind}: the reward "${name}" has a part of the same name. Rename one of them.`);
  return [name, ...parts];
}

/** A changed score with the value that it had before as a part. */
export function withPart(name: string, before: Score, after: Joined | Score): Score {
  const { value, steps, error } = after as Score;
  const parts = { [name]: before.value, ...before.parts };
  const note = before.note === undefined ? {} : { note: before.note };
  if (value !== null && !Number.isFinite(value))
    return { ...unscorable("not-finite", `The changed value of "${name}" is ${value}.`), parts, ...note };
  return { value, parts, ...(steps && value !== null ? { steps } : {}), ...note, ...(error ? { error } : {}) };
}

/** @throws GuerdonError "usage" for a number that is not finite */
export function requireFinite(kind: string, option: string, value: unknown): void {
  if (typeof value !== "number" || !Number.isFinite(value))
    throw new GuerdonError("usage", `${kind}: ${option} must be a finite number, not ${quoted(value)}.`);
}

/** @throws GuerdonError "usage" for a number for a part that does not exist, or one that is not finite */
export function requireNumbers(kind: string, what: string, numbers: Readonly<Record<string, number | undefined>>, parts: Parts): void {
  for (const [key, number] of Object.entries(numbers)) {
    if (!Object.hasOwn(parts, key))
      throw new GuerdonError("usage", `${kind}: there is a ${what} for "${key}", but the parts are ${Object.keys(parts).join(", ")}.`);
    requireFinite(kind, `the ${what} of "${key}"`, number);
  }
}
