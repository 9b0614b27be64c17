import type { SampledToken } from "../../policies/remote/reply.ts";

/** How likely a model found each of several one-word answers. */
export interface LabelProbabilities {
  /** By label, as reported: together at most `mass`, not scaled to 1. */
  readonly probabilities: Readonly<Record<string, number>>;
  /** Their sum: how much of the model's belief was about one of the labels. 0 to 1. */
  readonly mass: number;
}

/** A token without what tokenisers and writers put around a word: blanks and their stand-ins, quotes, asterisks, brackets, stops. */
const bare = (token: string): string =>
  token.replace(/^(?:<0x0A>|[\s▁ĠĊ*_"'`([{<:#])+/u, "").replace(/(?:<0x0A>|[\s▁ĠĊ*_"'`)\]}>.,;:!])+$/u, "");

/**
 * Reads the probabilities of labels from the first place of an answer where they have at least `minimumMass` together; tokens before
 * that ("Rating", ":", " **") are passed over, and so is everything up to a closing `</think>`. Tokens that differ only in blanks,
 * quotes or case count as the same label and are added. The sampled token counts too where a server leaves it out of its list.
 *
 * @param tokens a sample's tokens, with the likeliest alternatives
 * @param labels the words to look for, each a single token of most models: digits, letters, yes and no
 * @returns null when no place has enough; `mass` of the result is then unknown
 */
export function labelProbabilities(
  tokens: readonly SampledToken[],
  labels: readonly string[],
  minimumMass = 0.5,
): LabelProbabilities | null {
  const names = new Map(labels.map((label) => [label.toLowerCase(), label]));
  let text = "";
  let start = 0;
  for (const [i, { token }] of tokens.entries()) {
    text += token;
    if (text.endsWith("</think>")) start = i + 1;
  }
  for (const { token, logProb, top } of tokens.slice(start)) {
    const all = new Map(top.map((other) => [other.token, other.logProb]));
    if (logProb !== null && !all.has(token)) all.set(token, logProb);
    const sums = new Map(labels.map((label) => [label, 0]));
    for (const [other, value] of all) {
      const label = names.get(bare(other).toLowerCase());
      // Rounding puts certain tokens a little above 0. Anything further above is no log-probability.
      if (label !== undefined && value <= 0.01) sums.set(label, sums.get(label)! + Math.exp(Math.min(0, value)));
    }
    const mass = [...sums.values()].reduce((total, one) => total + one, 0);
    if (mass >= minimumMass && mass <= 1.01) return { probabilities: Object.fromEntries(sums), mass: Math.min(1, mass) };
  }
  return null;
}

/**
 * The expected rating, sum of p(r) r over sum of p(r), from the probabilities of the ratings: finer than the likeliest rating alone.
 *
 * Source: Liu et al., G-Eval, arXiv 2303.16634, section 2 (there with estimates from samples).
 *
 * @param probabilities by rating, for ratings 0 to 9 as keys
 */
export function expectedRating(probabilities: Readonly<Record<string, number>>): number {
  const entries = Object.entries(probabilities);
  const mass = entries.reduce((total, [, p]) => total + p, 0);
  return entries.reduce((total, [rating, p]) => total + Number(rating) * p, 0) / mass;
}
