import { longestCommonSubsequence } from "./distance.ts";
import { common, counted, grams } from "./tokens.ts";

/** Precision (by the candidate), recall (by the reference) and their harmonic mean, all from 0 to 1. */
export interface Overlap {
  readonly precision: number;
  readonly recall: number;
  readonly f1: number;
}

/** Runs of a-z and 0-9 in lower case, as ROUGE has always split English; other scripts vanish. */
export const rougeTokens = (text: string): string[] => text.toLowerCase().match(/[a-z0-9]+/g) ?? [];

function overlap(both: number, candidate: number, reference: number): Overlap {
  const precision = candidate === 0 ? 0 : both / candidate;
  const recall = reference === 0 ? 0 : both / reference;
  return { precision, recall, f1: precision + recall === 0 ? 0 : (2 * precision * recall) / (precision + recall) };
}

/**
 * ROUGE-n: n-grams that candidate and reference have in common. Tokens are those of `rougeTokens` unless others are given, without stemming.
 * f1 is symmetric. Agrees with the Python package rouge-score 0.1.2.
 *
 * @param n at least 1
 * Source: Lin, "ROUGE: A Package for Automatic Evaluation of Summaries", 2004.
 */
export function rougeN(candidate: string, reference: string, n: number, tokens: (text: string) => string[] = rougeTokens): Overlap {
  const [a, b] = [grams(tokens(candidate), n, " "), grams(tokens(reference), n, " ")];
  return overlap(common(counted(a), counted(b)), a.length, b.length);
}

/**
 * ROUGE-L: the longest common subsequence of candidate and reference (the whole texts as one sentence). f1 is symmetric. Agrees with the
 * Python package rouge-score 0.1.2.
 *
 * @returns null where the texts are too long to be compared in about a second
 * Source: Lin, 2004.
 */
export function rougeL(candidate: string, reference: string, tokens: (text: string) => string[] = rougeTokens): Overlap | null {
  const [a, b] = [tokens(candidate), tokens(reference)];
  const both = longestCommonSubsequence(a, b);
  return both === null ? null : overlap(both, a.length, b.length);
}

/** Words and signs as the machine-translation evaluations of NIST split them ("13a"): for languages that put spaces between words. */
export function tokens13a(text: string): string[] {
  const line = text
    .replaceAll("<skipped>", "")
    .replaceAll("-\n", "")
    .replaceAll("\n", " ")
    .replaceAll("&quot;", '"')
    .replaceAll("&amp;", "&")
    .replaceAll("&lt;", "<")
    .replaceAll("&gt;", ">");
  return ` ${line} `
    .replaceAll(/[ -&(-+/:-@[-`{-~]/g, " $& ")
    .replaceAll(/([^0-9])([.,])/gu, "$1 $2 ")
    .replaceAll(/([.,])([^0-9])/gu, " $1 $2")
    .replaceAll(/([0-9])-/g, "$1 - ")
    .split(/\s+/u)
    .filter((token) => token !== "");
}

/**
 * BLEU of one sentence against references: the geometric mean of the precisions of 1- to 4-grams (as many orders as the candidate has), times
 * a penalty for being shorter than the reference of the closest length. Orders without a match are smoothed by 1/2, 1/4, ... of one match.
 * 0 without any match. Not symmetric. Agrees with `sentence_bleu` of the Python package sacrebleu 2.6.0, divided by 100.
 *
 * @param references at least one
 * @returns a number from 0 to 1
 * Sources: Papineni et al., 2002; exponential smoothing: Chen and Cherry, 2014, method 3.
 */
export function bleu(candidate: string, references: readonly string[], tokens: (text: string) => string[] = tokens13a): number {
  const own = tokens(candidate);
  const others = references.map(tokens);
  let logs = 0;
  let orders = 0;
  let unmatched = 1;
  let matches = 0;
  for (let n = 1; n <= 4 && own.length >= n; n++) {
    const mine = grams(own, n, " ");
    const most = new Map<string, number>();
    for (const other of others)
      for (const [gram, count] of counted(grams(other, n, " "))) most.set(gram, Math.max(most.get(gram) ?? 0, count));
    const both = common(counted(mine), most);
    matches += both;
    if (both === 0) unmatched *= 2;
    logs += Math.log((both === 0 ? 1 / unmatched : both) / mine.length);
    orders++;
  }
  if (matches === 0) return 0;
  const closest = others
    .map(({ length }) => length)
    .reduce((best, length) => {
      const [far, near] = [Math.abs(best - own.length), Math.abs(length - own.length)];
      return near < far || (near === far && length < best) ? length : best;
    });
  const brevity = own.length < closest ? Math.exp(1 - closest / own.length) : 1;
  return brevity * Math.exp(logs / orders);
}

export interface ChrfOptions {
  /** The longest n-grams of words; 0 unless said (chrF), 2 for chrF++. */
  readonly wordOrder?: number;
}

/**
 * chrF: the F-score, with recall counted twice, of the n-grams of 1 to 6 characters (without white space), averaged over the orders that both
 * texts have; the best over the references. Not symmetric. Agrees with `sentence_chrf` of the Python package sacrebleu 2.6.0, divided by 100.
 *
 * @param references at least one
 * @returns a number from 0 to 1
 * Sources: Popović, 2015 and 2017.
 */
export function chrf(candidate: string, references: readonly string[], { wordOrder = 0 }: ChrfOptions = {}): number {
  const own = chrfGrams(candidate, wordOrder);
  return Math.max(...references.map((reference) => chrfAgainst(own, chrfGrams(reference, wordOrder))));
}

interface Grams {
  readonly total: number;
  readonly counts: ReadonlyMap<string, number>;
}

function chrfGrams(text: string, wordOrder: number): readonly Grams[] {
  const characters = Array.from(text.replaceAll(/\s+/gu, ""));
  const wordsOf = wordOrder > 0 ? chrfWords(text) : [];
  const all = [
    ...Array.from({ length: 6 }, (_, i) => grams(characters, i + 1, "")),
    ...Array.from({ length: wordOrder }, (_, i) => grams(wordsOf, i + 1, " ")),
  ];
  return all.map((list) => ({ total: list.length, counts: counted(list) }));
}

/** Words with one ASCII punctuation mark cut off at the end, or else at the start. */
function chrfWords(text: string): string[] {
  return text.split(/\s+/u).flatMap((word) => {
    if (word === "") return [];
    const signs = Array.from(word);
    if (signs.length === 1) return [word];
    if (/[!-/:-@[-`{-~]$/.test(word)) return [word.slice(0, -1), word.slice(-1)];
    return /^[!-/:-@[-`{-~]/.test(word) ? [word.slice(0, 1), word.slice(1)] : [word];
  });
}

function chrfAgainst(own: readonly Grams[], other: readonly Grams[]): number {
  let [precision, recall, orders] = [0, 0, 0];
  for (const [i, mine] of own.entries()) {
    const theirs = other[i]!;
    if (mine.total === 0 || theirs.total === 0) continue;
    const both = common(mine.counts, theirs.counts);
    precision += both / mine.total;
    recall += both / theirs.total;
    orders++;
  }
  if (precision + recall === 0) return 0;
  return ((1 + beta ** 2) * (precision * recall)) / orders / (beta ** 2 * precision + recall);
}

/** Recall counts so many times as much as precision. */
const beta = 2;
