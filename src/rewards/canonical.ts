/**
 * A text that is the same for equal plain data and different for different data: keys in one order, and NaN, the infinities, -0, undefined
 * and big integers told apart from what JSON would make of them. Null for what is no plain data (a function, a class's object, a cycle),
 * of which nothing can be said.
 */
export function canonical(value: unknown): string | null {
  try {
    return write(value, 0);
  } catch (cause) {
    if (cause === notPlain) return null;
    throw cause;
  }
}

const notPlain = new Error("not plain data");
/** Deeper data than this is taken for a cycle. */
const deepest = 200;

function write(value: unknown, depth: number): string {
  switch (typeof value) {
    case "string":
      return JSON.stringify(value);
    case "boolean":
      return value ? "true" : "false";
    case "undefined":
      return "undefined";
    case "bigint":
      return `${value}n`;
    case "number":
      return Object.is(value, -0) ? "-0" : String(value);
    case "object":
      if (value === null) return "null";
      if (depth === deepest) throw notPlain;
      if (Array.isArray(value)) return `[${Array.from(value, (one) => write(one, depth + 1)).join(",")}]`;
      return writeObject(value, depth);
    case "function":
    case "symbol":
      throw notPlain;
  }
}

function writeObject(value: object, depth: number): string {
  const prototype: unknown = Object.getPrototypeOf(value);
  // Objects of another realm, such as those of a sandbox, have another Object.prototype, whose own prototype is null.
  if (prototype !== null && Object.getPrototypeOf(prototype) !== null) throw notPlain;
  if (Object.getOwnPropertySymbols(value).length > 0) throw notPlain;
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${entries.map(([key, inner]) => `${JSON.stringify(key)}:${write(inner, depth + 1)}`).join(",")}}`;
}
