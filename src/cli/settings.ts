import type { Json } from "../statistics/snapshot.ts";

/** Nested settings as pairs of a dotted name and a value; short lists stay whole. */
export function flatten(value: Json, path = ""): [string, string][] {
  if (typeof value !== "object" || value === null) return [[path, String(value)]];
  if (Array.isArray(value)) return [[path, JSON.stringify(value)]];
  return Object.entries(value).flatMap(([key, inner]) => flatten(inner, path === "" ? key : `${path}.${key}`));
}
