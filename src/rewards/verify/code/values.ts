/**
 * A value that came out of a sandbox, as JSON. Numbers, strings, booleans, null and arrays stand for themselves; everything else is an object
 * with the one key "$" and what belongs to it, so that nothing a program returns can pass for something that it is not.
 */
export type Value =
  | null
  | boolean
  | number
  | string
  | readonly Value[]
  | { readonly $: "float"; readonly v: number } // a Python float with a whole value
  | { readonly $: "number"; readonly v: "NaN" | "Infinity" | "-Infinity" }
  | { readonly $: "integer"; readonly v: string } // beyond 2^53
  | { readonly $: "tuple"; readonly v: readonly Value[] }
  | { readonly $: "set"; readonly v: readonly Value[] }
  | { readonly $: "entries"; readonly v: readonly (readonly [Value, Value])[] } // a JavaScript Map, beside its plain objects
  | { readonly $: "map"; readonly v: readonly (readonly [Value, Value])[] }
  | { readonly $: "undefined" }
  | { readonly $: "other"; readonly v: string }; // no plain data: the name of its type

export interface SameValueOptions {
  /** Numbers that are not whole may differ by this share of the larger one, or by this much near zero; 1e-6 unless said. */
  readonly tolerance?: number;
}

/**
 * Whether a value out of a sandbox is the one that a test expects, which is plain JSON. Whole numbers must be equal; others may differ by
 * the tolerance. Lists and tuples are alike, and so are a set and a list with the same members in any order; maps and objects are alike
 * when they have the same keys (compared as text, as JSON knows no others). Never throws; values nested deeper than 500 differ.
 */
export function sameValue(expected: unknown, got: Value, { tolerance = 1e-6 }: SameValueOptions = {}): boolean {
  const same = (want: unknown, have: Value, depth: number): boolean => {
    if (depth > 500) return false;
    if (want === null || want === undefined) return have === null || isTagged(have, "undefined");
    if (typeof want === "boolean" || typeof want === "string") return want === have;
    if (typeof want === "number") return sameNumber(want, have, tolerance);
    if (Array.isArray(want)) {
      if (Array.isArray(have) || isTagged(have, "tuple")) {
        const items = (Array.isArray(have) ? have : have.v) as readonly Value[];
        return items.length === want.length && want.every((one, i) => same(one, items[i]!, depth + 1));
      }
      return isTagged(have, "set") && have.v.length === want.length && asMultiset(want, have.v, (a, b) => same(a, b, depth + 1));
    }
    if (typeof want !== "object" || !(isTagged(have, "map") || isTagged(have, "entries"))) return false;
    const keys = Object.keys(want);
    const found = new Map(have.v.map(([key, value]) => [keyText(key), value]));
    return (
      have.v.length === keys.length &&
      found.size === keys.length &&
      keys.every((key) => found.has(key) && same((want as Record<string, unknown>)[key], found.get(key)!, depth + 1))
    );
  };
  return same(expected, got, 0);
}

type Tag<K extends string> = Extract<Value, { readonly $: K }>;
export const isTagged = <K extends Extract<Value, { $: string }>["$"]>(value: Value, tag: K): value is Tag<K> =>
  typeof value === "object" && value !== null && "$" in value && value.$ === tag;

function sameNumber(want: number, have: Value, tolerance: number): boolean {
  const number = typeof have === "number" ? have : isTagged(have, "float") || isTagged(have, "integer") ? Number(have.v) : null;
  if (number === null) return false;
  if (Number.isInteger(want) && Number.isInteger(number))
    return want === number && !(isTagged(have, "integer") && String(BigInt(want)) !== have.v);
  return Math.abs(want - number) <= tolerance * Math.max(1, Math.abs(want), Math.abs(number));
}

/** A key as JSON would write it: numbers and booleans as text; other keys match no expected one. */
const keyText = (key: Value): string => {
  if (typeof key === "string") return key;
  if (typeof key === "object" && key !== null && "v" in key) return JSON.stringify(key.v);
  return JSON.stringify(key);
};

/** Greedy matching: sets hold few members that are alike. */
function asMultiset(want: readonly unknown[], have: readonly Value[], same: (a: unknown, b: Value) => boolean): boolean {
  const left = [...have];
  return want.every((one) => {
    const at = left.findIndex((other) => same(one, other));
    if (at >= 0) left.splice(at, 1);
    return at >= 0;
  });
}

/** Reads a value that a sandbox wrote; null when it is no such thing (the program wrote it itself, badly). */
export function readValue(text: string): Value | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isValue(value, 0) ? value : undefined;
  } catch {
    return undefined; // not JSON at all
  }
}

function isValue(value: unknown, depth: number): value is Value {
  if (depth > 1000) return false;
  if (value === null || typeof value === "boolean" || typeof value === "number" || typeof value === "string") return true;
  if (Array.isArray(value)) return value.every((item) => isValue(item, depth + 1));
  if (typeof value !== "object" || !("$" in value)) return false;
  const { $: tag, v } = value as { $: unknown; v?: unknown };
  switch (tag) {
    case "undefined":
      return true;
    case "float":
      return typeof v === "number";
    case "number":
      return v === "NaN" || v === "Infinity" || v === "-Infinity";
    case "integer":
      return typeof v === "string" && /^-?\d+$/.test(v);
    case "other":
      return typeof v === "string";
    case "tuple":
    case "set":
      return Array.isArray(v) && v.every((item) => isValue(item, depth + 1));
    case "map":
    case "entries":
      return (
        Array.isArray(v) &&
        v.every((pair) => Array.isArray(pair) && pair.length === 2 && isValue(pair[0], depth + 1) && isValue(pair[1], depth + 1))
      );
    default:
      return false;
  }
}

/**
 * Whether a program's output is the expected one: the same lines, where spaces at the ends of lines and empty lines at the end do not count.
 */
export function sameOutput(expected: string, got: string): boolean {
  const tidy = (text: string): string =>
    text
      .replaceAll("\r\n", "\n")
      .split("\n")
      .map((line) => line.trimEnd())
      .join("\n")
      .trimEnd();
  return tidy(expected) === tidy(got);
}
