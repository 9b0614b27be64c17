/*
 * What lengths and counts are raised to before they are computed with. Each shape is compiled once, so there are few.
 */

/**
 * The padded length for a row: 8, 16, then 2^k and 1.5 * 2^k. All are multiples of 8 (others run several times slower), few enough that
 * few shapes compile, close enough that above 16 at most a third of a row is padding.
 */
export function paddedLength(length: number): number {
  let step = 8;
  while (length > 2 * step) step *= 2;
  // Now length <= 2 * step, and length > step unless step is 8.
  if (length <= step) return step;
  return step >= 16 && length <= 1.5 * step ? 1.5 * step : 2 * step;
}

/** The number of rows to compute for so many: a power of two, at least 8. Fewer are little work either way. */
export const paddedRows = (count: number): number => Math.max(8, powerOfTwo(count));

/** The smallest power of two that is at least n. */
export const powerOfTwo = (n: number): number => 2 ** Math.ceil(Math.log2(Math.max(1, n)));
