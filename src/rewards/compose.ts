import { GuerdonError } from "../error.ts";
import { quoted, type Score } from "./grade.ts";
import type { Reward, Scope } from "./reward.ts";

/** The columns that all of these rewards need together. */
type NeedsOf<Parts extends Readonly<Record<string, Reward<never>>>> = Parts[keyof Parts] extends Reward<infer Needs> ? Needs : never;

export interface SumOptions<Key extends string> {
  /** Factor of each part; 1 where not given. */
  readonly weights?: { readonly [K in Key]?: number };
  /** "skip": an unscorable part adds nothing and shows as null among the parts. Without it, one unscorable part makes the sum unscorable. */
  readonly missing?: "skip";
  readonly name?: string;
}

/**
 * The weighted sum of rewards, which become its named parts. Weights are never renormalised. With `missing: "skip"` a sum is unscorable
 * only when all parts are.
 *
 * @param parts rewards by the name that reports use; the parts of a part are called `part/inner`
 * @throws GuerdonError "usage" for no parts, two parts of the same name, or a weight that is not finite or of an unknown part
 */
export function sum<const Parts extends Readonly<Record<string, Reward<never>>>>(
  parts: Parts,
  { weights = {}, missing, name }: SumOptions<keyof Parts & string> = {},
): Reward<NeedsOf<Parts>> {
  const entries = Object.entries<Reward<never>>(parts);
  if (entries.length === 0) throw new GuerdonError("usage", "sum needs at least one part.");
  const weightOf = new Map(Object.entries<number | undefined>(weights));
  for (const [key, weight] of weightOf) {
    if (!Object.hasOwn(parts, key))
      throw new GuerdonError("usage", `sum: there is a weight for "${key}", but the parts are ${Object.keys(parts).join(", ")}.`);
    if (!Number.isFinite(weight))
      throw new GuerdonError("usage", `sum: the weight of "${key}" must be a finite number, not ${quoted(weight)}.`);
  }
  const names = entries.flatMap(([key, part]) => namesUnder(key, part));
  requireDistinct(names, "sum: two parts would be called");
  return {
    name: name ?? `sum(${Object.keys(parts).join(", ")})`,
    version: versionOf("sum", { weights, missing: missing ?? "unscorable", parts: versions(parts) }),
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
          return {
            value: null,
            parts: flat,
            ...notes,
            error: { kind: first.error.kind, message: `The part "${first.key}": ${first.error.message}` },
          };
        const value = entries.reduce((total, [key], k) => total + (weightOf.get(key) ?? 1) * (scores[k]!.value ?? 0), 0);
        if (!Number.isFinite(value))
          return { value: null, parts: flat, error: { kind: "not-finite", message: `The sum of ${JSON.stringify(flat)} is ${value}.` } };
        return { value, parts: flat, ...notes };
      });
    },
  };
}

/**
 * A reward that counts only where a condition holds: where the condition's value is above 0 the reward decides, elsewhere the value is
 * `otherwise` and the reward is not asked (its parts are then absent). An unscorable condition makes the answer unscorable. A reward of
 * groups is asked about the whole group as soon as one of its answers passes.
 *
 * The parts are the condition under its name, and the reward's own parts (or the reward under its name, when it has none).
 *
 * @param options.otherwise the value where the condition does not hold; 0 unless said
 * @throws GuerdonError "usage" when two parts would have the same name
 */
export function gate<A extends object, B extends object>(
  condition: Reward<A>,
  inner: Reward<B>,
  { otherwise = 0, name }: { readonly otherwise?: number; readonly name?: string } = {},
): Reward<A & B> {
  if (!Number.isFinite(otherwise)) throw new GuerdonError("usage", `gate: otherwise must be a finite number, not ${quoted(otherwise)}.`);
  const innerNames = inner.parts.length > 0 ? inner.parts : [inner.name];
  const names = [...namesUnder(condition.name, condition), ...innerNames];
  requireDistinct(names, "gate: the condition and the reward both have a part");
  return {
    name: name ?? `gate(${condition.name}, ${inner.name})`,
    version: versionOf("gate", {
      otherwise,
      condition: versionOf(condition.name, condition.version),
      inner: versionOf(inner.name, inner.version),
    }),
    scope: widest([condition.scope, inner.scope]),
    parts: names,
    async evaluate(answers, calls) {
      const opened = await condition.evaluate(answers, calls);
      const passes = (i: number): boolean => (opened[i]!.value ?? 0) > 0;
      const groups = new Set(answers.flatMap(({ group }, i) => (passes(i) ? [group] : [])));
      const asked = answers.flatMap((answer, i) => ((inner.scope === "row" ? passes(i) : groups.has(answer.group)) ? [{ answer, i }] : []));
      const scores =
        asked.length > 0
          ? await inner.evaluate(
              asked.map(({ answer }) => answer),
              calls,
            )
          : [];
      const scoreAt = new Map(asked.map(({ i }, k) => [i, scores[k]!]));
      return opened.map((door, i): Score => {
        const parts = Object.fromEntries(under(condition.name, door));
        if (door.error !== undefined)
          return {
            value: null,
            parts,
            error: { kind: door.error.kind, message: `The condition "${condition.name}": ${door.error.message}` },
          };
        if (!passes(i)) return { value: otherwise, parts, ...notesOf([[condition.name, door]]) };
        const score = scoreAt.get(i)!;
        const { value, steps, error } = score;
        const all = { ...parts, ...(inner.parts.length > 0 || score.parts ? score.parts : { [inner.name]: value }) };
        const notes = notesOf([
          [condition.name, door],
          [inner.name, score],
        ]);
        return { value, parts: all, ...(steps ? { steps } : {}), ...notes, ...(error ? { error } : {}) };
      });
    },
  };
}

const scopes: readonly Scope[] = ["row", "group", "batch"];
const widest = (given: readonly Scope[]): Scope => scopes.findLast((scope) => given.includes(scope))!;

/** A part's value under its name, and its own parts below it. */
const under = (key: string, { value, parts = {} }: Score): [string, number | null][] => [
  [key, value],
  ...Object.entries(parts).map(([inner, part]): [string, number | null] => [`${key}/${inner}`, part]),
];
const namesUnder = (key: string, { parts }: Reward<never>): string[] => [key, ...parts.map((inner) => `${key}/${inner}`)];

function requireDistinct(names: readonly string[], what: string): void {
  const twice = names.find((one, i) => names.indexOf(one) < i);
  if (twice !== undefined) throw new GuerdonError("usage", `${what} "${twice}". Rename one of them.`);
}

const versionOf = (name: string, options: unknown): string => `${name} ${JSON.stringify(options)}`;
const versions = (parts: Readonly<Record<string, Reward<never>>>): Record<string, string> =>
  Object.fromEntries(Object.entries(parts).map(([key, { name, version }]) => [key, `${name} ${version}`]));

function notesOf(scores: readonly (readonly [string, Score])[]): { note?: string } {
  const notes = scores.flatMap(([name, { note }]) => (note === undefined ? [] : [`${name}: ${note}`]));
  return notes.length > 0 ? { note: notes.join("; ") } : {};
}
