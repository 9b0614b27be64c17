import type { CallContext } from "../../calls.ts";
import { unscorable, type Score } from "../../grade.ts";
import { reward, type Reward } from "../../reward.ts";
import { numbersIn } from "../answer-data.ts";
import { columns, texts, type References } from "../columns.ts";
import { bagF1, bagJaccard } from "./bag.ts";
import { editSimilarity } from "./distance.ts";
import { bleu, chrf, rougeL, rougeN, rougeTokens, tokens13a } from "./overlap.ts";
import { maxAverageSimilarity } from "./similarity.ts";
import { normalised, words } from "./tokens.ts";

/** The column `reference`: a text or a number, or a list of them, of which the one nearest to the answer counts. */
export interface WithReferences {
  readonly reference: References;
}

const reference = columns<WithReferences, { readonly reference: readonly string[] }>({ reference: texts });

/** A reward of a text and its references. Null: it cannot say, because of the sentence. */
const matcher = (
  name: string,
  version: string,
  match: (text: string, references: readonly string[]) => number | string,
): Reward<WithReferences> =>
  reward(name, { version, columns: reference }, ({ text, reference: wanted }): Score | number => {
    const result = match(text, wanted);
    return typeof result === "number" ? result : unscorable("declined", result);
  });

/** The best of several references that can be compared; a sentence where none can. */
function best(references: readonly string[], why: string, compare: (reference: string) => number | null): number | string {
  const values = references.map(compare).filter((value) => value !== null);
  return values.length === 0 ? why : Math.max(...values);
}

const tooLong = "The answer or the reference is too long to be compared in about a second.";
const noWords = "The reference has no words that this comparison can see.";

/** 1 when the answer is a reference, up to white space around it; else 0. Column `reference`: a text or a list. */
export const exactMatch = ({ name = "exact-match" }: { readonly name?: string } = {}): Reward<WithReferences> =>
  matcher(name, "1", (text, references) => (references.some((one) => one.trim() === text.trim()) ? 1 : 0));

/**
 * 1 when the answer is a reference after normalisation (case, punctuation, English articles, white space: see `normalised`); else 0. With
 * `contains` it is enough that the reference stands somewhere in the answer as whole words, which long answers can exploit.
 */
export const normalisedMatch = ({
  contains = false,
  name = "normalised-match",
}: { readonly contains?: boolean; readonly name?: string } = {}): Reward<WithReferences> =>
  matcher(name, `1 ${contains}`, (text, references) => {
    const answer = normalised(text);
    const isIn = (one: string): boolean => (contains ? ` ${answer} `.includes(` ${one} `) : answer === one);
    return references.some((one) => isIn(normalised(one))) ? 1 : 0;
  });

/**
 * Whether two numbers are equal within an absolute or a relative tolerance (of the right one), whichever is wider. Never for NaN.
 *
 * @param right the number that is right
 */
export const numericEqual = (
  given: number,
  right: number,
  { absolute = 0, relative = 0 }: { readonly absolute?: number; readonly relative?: number } = {},
): boolean => given === right || Math.abs(given - right) <= Math.max(absolute, relative * Math.abs(right));

/**
 * 1 when the last number in the answer is the reference within a tolerance (see `numericEqual`), else 0. For numbers in prose; `mathAnswer`
 * reads formulas. A relative tolerance of 0.05 is usual for values read off charts. Thousands may be separated by commas.
 */
export const numericMatch = ({
  absolute = 0,
  relative = 0,
  name = "numeric-match",
}: { readonly absolute?: number; readonly relative?: number; readonly name?: string } = {}): Reward<WithReferences> =>
  matcher(name, `1 ${absolute} ${relative}`, (text, references) => {
    const numbers = references.map((one) => numbersIn(plainNumbers(one)).at(-1)).filter((one) => one !== undefined);
    if (numbers.length === 0) return "The reference is no number.";
    const given = numbersIn(plainNumbers(text)).at(-1);
    return given !== undefined && numbers.some((right) => numericEqual(given, right, { absolute, relative })) ? 1 : 0;
  });

const plainNumbers = (text: string): string => text.replaceAll(/(?<=\d),(?=\d{3}(?!\d))/g, "");

/**
 * 1 when the answer chooses the option of the reference, a letter such as "B", else 0. The choice is the whole answer, what follows "answer
 * is" or "answer:", what is in a box or an answer tag, or the last letter in parentheses.
 */
export const choiceMatch = ({ name = "choice-match" }: { readonly name?: string } = {}): Reward<WithReferences> =>
  matcher(name, "1", (text, references) => {
    const wanted = references.map(choiceIn).filter((one) => one !== null);
    if (wanted.length === 0) return "The reference is no letter of an option.";
    const given = choiceIn(text);
    return given !== null && wanted.includes(given) ? 1 : 0;
  });

/** The letter that a text chooses, in upper case; null where there is none. */
export function choiceIn(text: string): string | null {
  const whole = /^\s*[*([]*([A-Za-z])[)\].:*]*\s*$/.exec(text)?.[1];
  if (whole !== undefined) return whole.toUpperCase();
  const places = [
    /\\boxed\s*\{\s*(?:\\text\s*\{)?\s*\(?([A-Za-z])\)?\s*\}/g,
    /<answer>\s*\(?([A-Za-z])\)?[.:)]?(?:\s[^<]*)?<\/answer>/g,
    /(?:answer|choice|option)\s*(?:is|:)\s*[*(]*([A-Z])(?![A-Za-z])/gi,
    /\(([A-Z])\)/g,
  ];
  for (const place of places) {
    const found = [...text.matchAll(place)].at(-1)?.[1];
    if (found !== undefined) return found.toUpperCase();
  }
  return null;
}

/**
 * The share of words that answer and reference have in common, with repetitions: F1, or the Jaccard index. From 0 to 1. Words are
 * lower-cased and split at white space; with `normalise` punctuation and English articles go first.
 */
export const bagMatch = ({
  by = "f1",
  normalise = false,
  name = "bag-match",
}: { readonly by?: "f1" | "jaccard"; readonly normalise?: boolean; readonly name?: string } = {}): Reward<WithReferences> =>
  matcher(name, `1 ${by} ${normalise}`, (text, references) => {
    const split = (one: string): string[] => words(normalise ? normalised(one) : one);
    return best(references, noWords, (one) => (by === "f1" ? bagF1 : bagJaccard)(split(text), split(one)));
  });

/** How words are split: as the original tool did for English, or at all that is no letter or digit of any script. */
export type Splitting = "ascii" | "unicode";
const unicodeWords = (text: string): string[] =>
  text
    .normalize("NFKC")
    .toLowerCase()
    .match(/[\p{L}\p{M}\p{N}]+/gu) ?? [];

/**
 * ROUGE f1 of answer and reference, from 0 to 1: "L" (longest common subsequence) unless said, or n-grams of 1 or 2 words. Only words of
 * a-z and 0-9 count unless `splitting` is "unicode"; a reference without any is unscorable.
 */
export const rouge = ({
  by = "L",
  splitting = "ascii",
  name = "rouge",
}: { readonly by?: "L" | 1 | 2; readonly splitting?: Splitting; readonly name?: string } = {}): Reward<WithReferences> => {
  const tokens = splitting === "ascii" ? rougeTokens : unicodeWords;
  return matcher(name, `1 ${by} ${splitting}`, (text, references) => {
    const usable = references.filter((one) => tokens(one).length >= (by === "L" ? 1 : by));
    if (usable.length === 0) return noWords;
    return best(usable, tooLong, (one) => (by === "L" ? (rougeL(text, one, tokens)?.f1 ?? null) : rougeN(text, one, by, tokens).f1));
  });
};

/** BLEU of the answer against all references together, from 0 to 1 (see `bleu`). For languages with spaces between words. */
export const bleuMatch = ({ name = "bleu" }: { readonly name?: string } = {}): Reward<WithReferences> =>
  matcher(name, "1", (text, references) => {
    const usable = references.filter((one) => tokens13a(one).length > 0);
    return usable.length === 0 ? noWords : bleu(text, usable);
  });

/** chrF of the answer against the nearest reference, from 0 to 1 (see `chrf`); chrF++ with `wordOrder: 2`. For all languages. */
export const chrfMatch = ({
  wordOrder = 0,
  name = "chrf",
}: { readonly wordOrder?: 0 | 2; readonly name?: string } = {}): Reward<WithReferences> =>
  matcher(name, `1 ${wordOrder}`, (text, references) => chrf(text, references, { wordOrder }));

/** 1 - edit distance / the greater length, over characters, from 0 to 1; white space around both does not count. */
export const editMatch = ({ name = "edit-match" }: { readonly name?: string } = {}): Reward<WithReferences> =>
  matcher(name, "1", (text, references) => best(references, tooLong, (one) => editSimilarity(text.trim(), one.trim())));

export interface SimilarityOptions {
  /** The embeddings of a text's tokens, one vector each, without special tokens; for instance rows of a frozen embedding table. */
  readonly embed: (text: string, context: CallContext) => readonly ArrayLike<number>[] | Promise<readonly ArrayLike<number>[]>;
  /** Changes when `embed` does: the name of the model and its version. */
  readonly version: string;
  readonly name?: string;
}

/**
 * Bidirectional max-average similarity of answer and reference by token embeddings, from -1 to 1 (see `maxAverageSimilarity`). The
 * embeddings must be frozen: what is trained must not move its own yardstick. An empty answer gets 0.
 */
export const embeddingMatch = ({ embed, version, name = "embedding-match" }: SimilarityOptions): Reward<WithReferences> =>
  reward(name, { version: `1 ${version}`, columns: reference }, async ({ text, reference: wanted }, context) => {
    const own = await embed(text, context);
    const others = (await Promise.all(wanted.map(async (one) => embed(one, context)))).filter((vectors) => vectors.length > 0);
    if (others.length === 0) return unscorable("declined", "The reference has no tokens.");
    return Math.max(...others.map((other) => maxAverageSimilarity(own, other).value));
  });
