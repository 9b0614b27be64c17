import { GuerdonError } from "../error.ts";
import type { Message } from "../data/row.ts";
import { deviation, mean, normalQuantile } from "../statistics/index.ts";
import { canonical } from "./canonical.ts";
import { changedNames, versionOf, withPart } from "./compose-parts.ts";
import { quoted, unscorable, type Score } from "./grade.ts";
import type { Answer, Reward } from "./reward.ts";

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
  requireSteepness("preference", steepness);
  return againstReferences("preference", inner, { name, column: references ?? "references", steepness }, (value, others) =>
    relativeScore(value, others, "preference", steepness),
  );
}

/**
 * How far a score is above those of reference answers, as a reward. With d = value - reference, the mean over references of
 * - "preference": sigma(k d), the probability of beating the reference (Preference As Reward), in (0, 1);
 * - "slow-start": sigma(k (d - 3)), flat around the references and steep above them;
 * - "tanh", "arctan": of k d, in (-1, 1) and (-pi/2, pi/2);
 * - "polynomial": of k d, the polynomial of degree 5 that fits sigma best on [-5, 5], 0 below and 1 above;
 * - "centred": k d itself, without bounds;
 * and one that is no mean of this kind:
 * - "log-sigmoid": log sigma(k (value - q)), where q is the 85 % quantile of a normal distribution with the references' mean and
 *   (population) deviation. Without bound below.
 *
 * All but "preference" are what arXiv 2502.18770 compares it with.
 */
export type RelativeShape = "preference" | "slow-start" | "tanh" | "arctan" | "polynomial" | "centred" | "log-sigmoid";

/** Least squares on 100 equally spaced points from -5 to 5; the even powers but the constant 1/2 vanish. */
const fit = { x: 0.22878851177825715, x3: -0.01013091205649131, x5: 0.00020266916983215823 };
const fittedPolynomial = (x: number): number => (x <= -5 ? 0 : x >= 5 ? 1 : 0.5 + x * (fit.x + x * x * (fit.x3 + x * x * fit.x5)));

/** Each shape of one difference; "log-sigmoid" sees all references at once. */
const shapes: Readonly<Record<Exclude<RelativeShape, "log-sigmoid">, (difference: number, steepness: number) => number>> = {
  preference: (d, k) => sigmoid(k * d),
  "slow-start": (d, k) => sigmoid(k * (d - 3)),
  tanh: (d, k) => Math.tanh(k * d),
  arctan: (d, k) => Math.atan(k * d),
  polynomial: (d, k) => fittedPolynomial(k * d),
  centred: (d, k) => k * d,
};

const normal85 = normalQuantile(0.85);

/**
 * A score relative to the scores of reference answers to the same prompt; see `RelativeShape`.
 *
 * @param steepness k above 0; 1 unless said
 * @throws GuerdonError "input" for no references, "non-finite" for one that is not a number
 * Source: arXiv 2502.18770.
 */
export function relativeScore(value: number, references: readonly number[], shape: RelativeShape, steepness = 1): number {
  if (shape !== "log-sigmoid") return mean(references.map((reference) => shapes[shape](value - reference, steepness)));
  const quantile85 = mean(references) + normal85 * deviation(references, { ddof: 0 });
  const x = steepness * (value - quantile85);
  // log sigma(x) without the loss of exp(-x) overflowing.
  return x >= 0 ? -Math.log1p(Math.exp(-x)) : x - Math.log1p(Math.exp(x));
}

/**
 * A reward relative to what it gives reference answers to the same prompt, in any of the shapes of `relativeScore`. Rows have a column with
 * references, as for `preference`, which is the shape to prefer; the others are for comparison.
 *
 * @throws GuerdonError "usage" for an unknown shape, a steepness that is not above 0, or a reward of groups
 */
export function relative<Needs extends object, const Column extends string = "references">(
  inner: Reward<Needs>,
  { shape, references, steepness = 1, name }: PreferenceOptions<Column> & { readonly shape: RelativeShape },
): Reward<Needs & WithReferences<Column>> {
  if (shape !== "log-sigmoid" && !Object.hasOwn(shapes, shape))
    throw new GuerdonError("usage", `relative: shape must be one of ${Object.keys(shapes).join(", ")}, log-sigmoid, not ${quoted(shape)}.`);
  requireSteepness("relative", steepness);
  return againstReferences("relative", inner, { name, column: references ?? "references", shape, steepness }, (value, others) =>
    relativeScore(value, others, shape, steepness),
  );
}

/** A reward that is changed by what the same reward gives the reference answers of each row. */
export function againstReferences<Needs extends object>(
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

/** 1 / (1 + exp(-x)) without overflow. */
export const sigmoid = (x: number): number => (x >= 0 ? 1 / (1 + Math.exp(-x)) : Math.exp(x) / (1 + Math.exp(x)));

function requireSteepness(kind: string, steepness: number): void {
  if (!(steepness > 0 && steepness < Infinity)) throw new GuerdonError("usage", `${kind}: steepness must be above 0, not ${steepness}.`);
}
