import { evaluate, type Setting } from "./evaluate.ts";
import { children, some, symbols, type Node } from "./node.ts";
import {
  add,
  divide,
  fraction,
  isExact,
  isFinite,
  isZero,
  multiply,
  negate,
  real,
  round,
  sameNumber,
  toFloat,
  whole,
  type Num,
} from "./number.ts";

/** True or false where it is known; null where nothing here can tell. */
export type Truth = boolean | null;

/** Equality of two values or expressions: exact in fractions, else in double precision at fixed points. */
export function sameExpression(a: Node, b: Node, setting: Setting, tolerance: number | null): Truth {
  const names = [...new Set([...symbols(a), ...symbols(b)])];
  if (names.length === 0) return sameConstant(a, b, setting, tolerance);
  const loose = [a, b].some((node) => some(node, (one) => one.kind === "number" && (one.decimals ?? 0) >= 5))
    ? (tolerance ?? 1e-6)
    : tolerance;
  // Over the real numbers first: there the root of xy is the product of the roots, wherever these exist.
  const imaginary = [a, b].some((node) => some(node, (one) => one.kind === "constant" && one.name === "i"));
  for (const realOnly of imaginary ? [false] : [true, false]) {
    let agreed = 0;
    for (const values of trials(names, [a, b])) {
      const inner = { ...setting, values, realOnly };
      const x = evaluate(a, inner);
      const y = isFinite(x) ? evaluate(b, inner) : x;
      if (!isFinite(x) || !isFinite(y)) continue;
      if (sameNumber(x, y) === false && !(loose !== null && relativelyClose(x, y, loose))) return false;
      agreed++;
    }
    if (agreed >= 2) return true;
  }
  return varies(a, b, names, setting) ? false : null;
}

/** Whether one side has no unknowns and the other takes different values: then they differ, even where the first cannot be computed. */
function varies(a: Node, b: Node, names: readonly string[], setting: Setting): boolean {
  if (symbols(a).length > 0 && symbols(b).length > 0) return false;
  const other = symbols(a).length > 0 ? a : b;
  const values = [...trials(names, [other])].map((values) => evaluate(other, { ...setting, values })).filter(isFinite);
  return values.length > 1 && values.some((value) => sameNumber(value, values[0]!) === false);
}

/** Whether two equations (as left minus right) have the same solutions because one is a multiple of the other. */
export function proportional(a: Node, b: Node, setting: Setting): Truth {
  const names = [...new Set([...symbols(a), ...symbols(b)])];
  if (symbols(a).join() !== symbols(b).join()) return false;
  let first: { x: Num; y: Num } | null = null;
  let agreed = 0;
  for (const values of trials(names, [a, b])) {
    const inner = { ...setting, values };
    const [x, y] = [evaluate(a, inner), evaluate(b, inner)];
    if (!isFinite(x) || !isFinite(y)) continue;
    if (isZero(x) !== isZero(y)) return false;
    if (isZero(x)) continue;
    first ??= { x, y };
    if (sameNumber(multiply(x, first.y), multiply(y, first.x)) !== true) return false;
    agreed++;
  }
  return agreed >= 3 ? true : null;
}

function sameConstant(a: Node, b: Node, setting: Setting, tolerance: number | null): Truth {
  const [x, y] = [evaluate(a, setting), evaluate(b, setting)];
  if (!isFinite(x) || !isFinite(y)) {
    const [p, q] = [toFloat(x).re, toFloat(y).re];
    if (Number.isNaN(p) || Number.isNaN(q)) return null;
    // Overflow looks like infinity, so only what is written as infinity counts.
    const written = (node: Node): boolean => some(node, (one) => one.kind === "constant" && one.name === "infinity");
    if (written(a) && written(b)) return p === q;
    if (written(a) !== written(b)) return isFinite(x) || isFinite(y) ? false : null;
    // Too large for a double on one side only is different enough.
    return isFinite(x) !== isFinite(y) ? false : null;
  }
  const same = sameNumber(x, y);
  // Beside a whole number of more digits than a double has, rounding proves nothing.
  if (
    same === true &&
    isExact(x) !== isExact(y) &&
    [x, y].some((one) => isExact(one) && one.d === 1n && (one.n > 2n ** 53n || one.n < -(2n ** 53n)))
  )
    return null;
  if (same !== false) return same;
  if (tolerance !== null) return relativelyClose(x, y, tolerance);
  const [p, q] = [decimalsOf(a), decimalsOf(b)];
  if (p !== null || q !== null) return standsFor(x, p, y, q);
  const long = [a, b].some((node) => some(node, (one) => one.kind === "number" && (one.decimals ?? 0) >= 5));
  return long && relativelyClose(x, y, 1e-6);
}

/** The digits after the point of a number that is written as a decimal, perhaps with a sign or as a percentage. */
function decimalsOf(node: Node): number | null {
  if (node.kind === "number") return node.decimals;
  if (node.kind === "negate" || node.kind === "quantity") return decimalsOf(node.value);
  if (node.kind === "percent") {
    const decimals = decimalsOf(node.value);
    return decimals === null ? null : decimals + 2;
  }
  return null;
}

/**
 * The rule for decimals (see `SameOptions.tolerance`): a decimal stands for the numbers that round or cut to it, if these are within a
 * millionth of it. Of two decimals the shorter one stands for the longer; of equally long ones only noise in the last digits is forgiven.
 */
function standsFor(x: Num, p: number | null, y: Num, q: number | null): boolean {
  if (!relativelyClose(x, y, 1e-6)) return false;
  if (relativelyClose(x, y, 1e-12)) return true;
  const places = p === null ? q! : q === null ? p : Math.min(p, q);
  const [shorter, other] = p === places && q !== places ? [x, y] : q === places && p !== places ? [y, x] : [null, null];
  if (places > 300 || shorter === null) return false;
  const unit = fraction(1n, 10n ** BigInt(places));
  // A whole number is no decimal's rounding unless it is exact: 1000000.0 is not 1000001.
  const shifted = divide(other, unit);
  const rounded = multiply(round(add(shifted, fraction(1n, 2n)), false), unit);
  const cut = multiply(round(shifted, real(shifted) < 0), unit);
  return sameNumber(rounded, shorter) === true || sameNumber(cut, shorter) === true;
}

function relativelyClose(x: Num, y: Num, relative: number): boolean {
  const difference = toFloat(add(x, negate(y)));
  const [a, b] = [toFloat(x), toFloat(y)];
  return Math.hypot(difference.re, difference.im) <= relative * (1 + 1e-9) * Math.max(Math.hypot(a.re, a.im), Math.hypot(b.re, b.im));
}

/**
 * Values for the unknowns: fractions of both signs, small and large, the same for a name at every call; whole numbers where the expression
 * only makes sense for these.
 */
function* trials(names: readonly string[], nodes: readonly Node[]): Generator<Map<string, Num>> {
  const wholeOnly = nodes.some((node) =>
    some(
      node,
      (one) =>
        one.kind === "series" ||
        (one.kind === "call" && (one.name.endsWith("factorial") || one.name === "binomial" || one.name === "gcd" || one.name === "lcm")) ||
        (one.kind === "power" && isNegativeNumber(one.base) && symbols(one.exponent).length > 0),
    ),
  );
  for (const [round, divisor] of divisors.entries()) {
    const values = new Map<string, Num>();
    names.forEach((name, i) => {
      const h = hash(name);
      if (wholeOnly) values.set(name, whole(((h >>> (round % 7)) % 9) + 2 + ((i * 3 + round) % 5)));
      else {
        const size = fraction(BigInt((hash(`${name}${round}`) % 59) + 3), divisor);
        values.set(name, round % 3 === 1 || (round % 4 === 3 && (h + i) % 2 === 0) ? negate(size) : size);
      }
    });
    yield values;
  }
}

const divisors = [7n, 11n, 13n, 67n, 17n, 5n, 127n, 19n, 23n, 61n, 29n, 101n];

const isNegativeNumber = (node: Node): boolean => node.kind === "negate" && symbols(node).length === 0;

function hash(text: string): number {
  let h = 2166136261;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 16777619);
  h = Math.imul(h ^ (h >>> 15), 2246822519);
  return (h ^ (h >>> 13)) >>> 0;
}

/** Whether a node has a value at all, rather than being a set, a relation or a list. */
export function isExpression(node: Node): boolean {
  switch (node.kind) {
    case "tuple":
    case "set":
    case "list":
    case "relation":
    case "union":
    case "intersection":
    case "difference":
    case "domain":
    case "words":
    case "residue":
    case "matrix":
      return false;
    case "call":
      return node.name === "det" || node.arguments.every(isExpression);
    case "number":
    case "symbol":
    case "constant":
    case "add":
    case "multiply":
    case "divide":
    case "negate":
    case "power":
    case "plus-minus":
    case "percent":
    case "degrees":
    case "based":
    case "series":
    case "ratio":
    case "quantity":
      return children(node).every(isExpression);
  }
}
