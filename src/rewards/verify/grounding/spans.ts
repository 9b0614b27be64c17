/** A span of time: start and end, start <= end. */
export type TimeSpan = readonly [start: number, end: number];

export const isTimeSpan = (value: unknown): value is TimeSpan =>
  Array.isArray(value) && value.length === 2 && value.every((one) => Number.isFinite(one)) && value[0] <= value[1];

/**
 * Intersection over union of two spans of time. "union": over the lengths of both less the intersection; "hull": over the time from the
 * first start to the last end. Both give 0 for spans that do not touch. 1 for equal spans, also those of one moment. Symmetric.
 *
 * @returns a number from 0 to 1
 */
export function timeIoU(a: TimeSpan, b: TimeSpan, form: "union" | "hull" = "union"): number {
  if (a[0] === b[0] && a[1] === b[1]) return 1;
  const hull = Math.max(a[1], b[1]) - Math.min(a[0], b[0]);
  const both = Math.max(0, Math.min(a[1], b[1]) - Math.max(a[0], b[0])) / hull;
  const either = form === "hull" ? 1 : (a[1] - a[0]) / hull + (b[1] - b[0]) / hull - both;
  return either > 0 && Number.isFinite(hull) ? Math.min(1, both / either) : 0;
}
