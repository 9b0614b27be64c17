import { GuerdonError } from "../error.ts";
import {
  joined,
  namesUnder,
  notesOf,
  requireDistinct,
  requireNumbers,
  under,
  versionOf,
  widest,
  type NeedsOf,
  type Parts,
} from "./compose-parts.ts";
import { quoted, unscorable, type Score } from "./grade.ts";
import type { Reward } from "./reward.ts";

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
 * Where parts have steps, so has the sum: their weighted sum, with what has no steps added to the last one. Parts whose numbers of steps
 * differ cannot be added.
 *
 * @param parts rewards by the name that reports use; the parts of a part are called `part/inner`
 * @throws GuerdonError "usage" for no parts, two parts of the same name, or a weight that is not finite or of an unknown part
 */
export function sum<const P extends Parts>(
  parts: P,
  { weights = {}, missing, name }: SumOptions<keyof P & string> = {},
): Reward<NeedsOf<P>> {
  const weightOf: Readonly<Record<string, number | undefined>> = weights;
  requireNumbers("sum", "weight", weightOf, parts);
  return joined("sum", parts, { weights, missing, name }, (given) => {
    const weighted = given.map(([key, score]) => ({ weight: weightOf[key] ?? 1, score }));
    const value = weighted.reduce((total, { weight, score }) => total + weight * score.value, 0);
    const counts = new Set(given.flatMap(([, { steps }]) => (steps ? [steps.length] : [])));
    if (counts.size === 0) return { value };
    const [count = 0] = counts;
    if (counts.size > 1 || count === 0)
      return unscorable("not-a-grade", `The parts have ${[...counts].join(" and ")} steps, and only equally many can be added.`);
    const steps = Array.from({ length: count }, (_, k) =>
      weighted.reduce(
        (total, { weight, score }) => total + weight * (score.steps?.[k] ?? (score.steps || k < count - 1 ? 0 : score.value)),
        0,
      ),
    );
    return { value, steps };
  });
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
      const asked = answers.flatMap((answer, i) =>
        (inner.scope === "group" ? groups.has(answer.group) : passes(i)) ? [{ answer, i }] : [],
      );
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
