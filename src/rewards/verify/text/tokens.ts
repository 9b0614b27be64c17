/** Lower-cased words between white space; punctuation stays with its word. */
export const words = (text: string): string[] =>
  text
    .toLowerCase()
    .split(/\s+/u)
    .filter((word) => word !== "");

/**
 * A text as question answering compares answers: compatible characters unified (NFKC), lower case, without punctuation and the English
 * articles, single spaces. Symbols such as + and $ stay. A text of nothing but punctuation and articles keeps its words.
 *
 * Source: the normalisation of SQuAD, arXiv 1606.05250, for all scripts.
 */
export function normalised(text: string): string {
  const plain = spaced(text.normalize("NFKC").toLowerCase());
  const bare = spaced(plain.replaceAll(/\p{P}/gu, " ").replaceAll(/(?<![\p{L}\p{N}])(?:an?|the)(?![\p{L}\p{N}])/gu, " "));
  return bare === "" ? plain : bare;
}

const spaced = (text: string): string => text.replaceAll(/\s+/gu, " ").trim();

/** How often each item occurs. */
export function counted<T>(items: Iterable<T>): Map<T, number> {
  const counts = new Map<T, number>();
  for (const item of items) counts.set(item, (counts.get(item) ?? 0) + 1);
  return counts;
}

/** The number of items that two bags have in common. */
export function common<T>(a: ReadonlyMap<T, number>, b: ReadonlyMap<T, number>): number {
  let both = 0;
  for (const [item, count] of a) both += Math.min(count, b.get(item) ?? 0);
  return both;
}

/** All runs of n items, as keys of bags. */
export const grams = (items: readonly string[], n: number, between: string): string[] =>
  Array.from({ length: Math.max(0, items.length - n + 1) }, (_, i) => items.slice(i, i + n).join(between));
