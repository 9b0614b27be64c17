/** Above so many pairs of items a comparison would take longer than about a second. */
export const mostPairs = 2e8;

/** A comparison of every item of one list with every item of another. Items at both ends that are equal are never a difference. */
function trimmed<T>(a: readonly T[], b: readonly T[]): { readonly a: readonly T[]; readonly b: readonly T[]; readonly equal: number } {
  const shorter = Math.min(a.length, b.length);
  let start = 0;
  while (start < shorter && a[start] === b[start]) start++;
  let end = 0;
  while (end < shorter - start && a[a.length - 1 - end] === b[b.length - 1 - end]) end++;
  return { a: a.slice(start, a.length - end), b: b.slice(start, b.length - end), equal: start + end };
}

/**
 * Levenshtein's edit distance: the least number of insertions, deletions and replacements that make one list the other. Symmetric.
 *
 * @returns a whole number from 0 to the greater length; null where the lists are too long to be compared in about a second
 */
export function editDistance<T>(left: readonly T[], right: readonly T[]): number | null {
  const { a, b } = trimmed(left, right);
  if (a.length * b.length > mostPairs) return null;
  let row = Uint32Array.from({ length: b.length + 1 }, (_, j) => j);
  let next = new Uint32Array(b.length + 1);
  for (const [i, item] of a.entries()) {
    next[0] = i + 1;
    for (let j = 0; j < b.length; j++) next[j + 1] = Math.min(row[j]! + (item === b[j] ? 0 : 1), row[j + 1]! + 1, next[j]! + 1);
    [row, next] = [next, row];
  }
  return row[b.length]!;
}

/**
 * 1 - edit distance / the greater length, over characters (code points). 1 when both are empty. Symmetric.
 *
 * @returns a number from 0 to 1; null where the texts are too long to be compared in about a second
 */
export function editSimilarity(a: string, b: string): number | null {
  const [left, right] = [Array.from(a), Array.from(b)];
  const most = Math.max(left.length, right.length);
  if (most === 0) return 1;
  const distance = editDistance(left, right);
  return distance === null ? null : 1 - distance / most;
}

/**
 * The length of the longest common subsequence: items in the same order in both lists, not necessarily adjacent. Symmetric.
 *
 * @returns a whole number from 0 to the smaller length; null where the lists are too long to be compared in about a second
 */
export function longestCommonSubsequence<T>(left: readonly T[], right: readonly T[]): number | null {
  const { a, b, equal } = trimmed(left, right);
  if (a.length * b.length > mostPairs) return null;
  const row = new Uint32Array(b.length + 1);
  for (const item of a) {
    let before = 0; // the row above, one to the left
    for (let j = 0; j < b.length; j++) {
      const above = row[j + 1]!;
      row[j + 1] = item === b[j] ? before + 1 : Math.max(above, row[j]!);
      before = above;
    }
  }
  return equal + row[b.length]!;
}
