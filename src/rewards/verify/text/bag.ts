import { common, counted } from "./tokens.ts";

/**
 * F1 of two bags: 2 |A and B| / (|A| + |B|), counting repeated items. 1 when both are empty, 0 when one is. Symmetric.
 *
 * @returns a number from 0 to 1
 */
export const bagF1 = <T>(a: readonly T[], b: readonly T[]): number =>
  a.length + b.length === 0 ? 1 : (2 * common(counted(a), counted(b))) / (a.length + b.length);

/**
 * Jaccard index of two bags: |A and B| / (|A| + |B| - |A and B|), counting repeated items. 1 when both are empty, 0 when one is. Symmetric.
 *
 * @returns a number from 0 to 1
 */
export function bagJaccard<T>(a: readonly T[], b: readonly T[]): number {
  const both = common(counted(a), counted(b));
  return a.length + b.length === 0 ? 1 : both / (a.length + b.length - both);
}
