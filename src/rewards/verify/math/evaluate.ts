import type { Node } from "./node.ts";
import {
  absolute,
  add,
  divide,
  exponential,
  float,
  fraction,
  isExact,
  isReal,
  isZero,
  logarithm,
  multiply,
  negate,
  power,
  real,
  round,
  signOf,
  toFloat,
  undefinedNumber,
  whole,
  type Num,
  type Rational,
} from "./number.ts";

/** What is assumed while a value is computed. */
export interface Setting {
  readonly values: ReadonlyMap<string, Num>;
  /** What log without a base means. */
  readonly logBase: 10 | "e";
  /** The moment (of `performance.now`) from which on everything is undefined, so that no answer takes longer. */
  readonly until: number;
  /** Whether what is no real number, such as the root of a negative one, counts as undefined. */
  readonly realOnly?: boolean;
}

const within = (value: Num, { realOnly }: Setting): Num => (realOnly === true && !isReal(value) ? undefinedNumber : value);

/** The number of terms of a sum, and of the factors of a factorial, up to which it is computed. */
const longestSeries = 2_000;
const largestFactorial = 2_500n;
const half = fraction(1n, 2n);

/** The value of an expression: exact where fractions suffice, else in double precision; undefined (NaN) where there is none. */
export function evaluate(node: Node, setting: Setting): Num {
  const on = (one: Node): Num => evaluate(one, setting);
  switch (node.kind) {
    case "number":
      return node.value;
    case "constant":
      if (node.name === "pi") return float(Math.PI);
      if (node.name === "e") return float(Math.E);
      return node.name === "i" ? float(0, 1) : float(Infinity);
    case "symbol":
      return setting.values.get(node.name) ?? undefinedNumber;
    case "add":
      return node.terms.map(on).reduce(add);
    case "multiply":
      return node.factors.map(on).reduce(multiply);
    case "divide":
      return divide(on(node.left), on(node.right));
    case "negate":
      return negate(on(node.value));
    case "power": {
      if (node.base.kind === "constant" && node.base.name === "e") return exponential(on(node.exponent));
      if (performance.now() > setting.until) return undefinedNumber;
      return within(power(on(node.base), on(node.exponent)), setting);
    }
    case "percent":
      return divide(on(node.value), whole(100));
    case "degrees":
      return multiply(divide(on(node.value), whole(180)), float(Math.PI));
    case "based":
      return inBase(node.digits, node.base);
    case "ratio":
      return node.items.length === 2 ? divide(on(node.items[0]!), on(node.items[1]!)) : undefinedNumber;
    case "quantity":
      return on(node.value);
    case "series":
      return series(node, setting);
    case "call":
      return within(call(node.name, node.arguments, setting), setting);
    case "plus-minus":
    case "matrix":
    case "tuple":
    case "set":
    case "list":
    case "relation":
    case "union":
    case "intersection":
    case "difference":
    case "domain":
    case "residue":
    case "words":
      return undefinedNumber;
  }
}

function inBase(digits: string, base: number): Num {
  let value = 0n;
  for (const digit of digits) {
    const worth = Number.parseInt(digit, 36);
    if (Number.isNaN(worth) || worth >= base) return undefinedNumber;
    value = value * BigInt(base) + BigInt(worth);
  }
  return whole(value);
}

function series(node: Node & { kind: "series" }, setting: Setting): Num {
  const [from, to] = [evaluate(node.from, setting), evaluate(node.to, setting)];
  if (!isExact(from) || !isExact(to) || from.d !== 1n || to.d !== 1n || to.n - from.n > BigInt(longestSeries)) return undefinedNumber;
  let total: Num = whole(node.product ? 1 : 0);
  const values = new Map(setting.values);
  for (let k = from.n; k <= to.n; k++) {
    if (performance.now() > setting.until) return undefinedNumber;
    values.set(node.index, whole(k));
    const term = evaluate(node.body, { ...setting, values });
    total = node.product ? multiply(total, term) : add(total, term);
  }
  return total;
}

const wholeOf = (a: Num): bigint | null => {
  const value = round(a, false);
  if (!isExact(value)) return null;
  return isExact(a) ? (a.d === 1n ? a.n : null) : Math.abs(a.re - Number(value.n)) < 1e-9 ? value.n : null;
};

function factorial(a: Num): Num {
  const n = wholeOf(a);
  if (n === null) return isReal(a) && Number.isFinite(real(a)) ? gamma(real(a) + 1) : undefinedNumber;
  if (n < 0n) return undefinedNumber;
  if (n > largestFactorial) return float(Infinity);
  let result = 1n;
  for (let k = 2n; k <= n; k++) result *= k;
  return whole(result);
}

/** n!! = n (n - 2) (n - 4) ... */
function doubleFactorial(a: Num): Num {
  const n = wholeOf(a);
  if (n === null || n < 0n) return undefinedNumber;
  if (n > largestFactorial) return float(Infinity);
  let result = 1n;
  for (let k = n; k > 1n; k -= 2n) result *= k;
  return whole(result);
}

/** Lanczos' approximation, for factorials between the whole numbers, at which variables are tried too. */
function gamma(x: number): Num {
  if (x < 0.5) {
    const sine = Math.sin(Math.PI * x);
    const rest = gamma(1 - x);
    return sine === 0 ? undefinedNumber : divide(float(Math.PI / sine), rest);
  }
  const c = [
    0.99999999999980993, 676.5203681218851, -1259.1392167224028, 771.32342877765313, -176.61502916214059, 12.507343278686905,
    -0.13857109526572012, 9.9843695780195716e-6, 1.5056327351493116e-7,
  ];
  let sum = c[0]!;
  for (let i = 1; i < 9; i++) sum += c[i]! / (x - 1 + i);
  const t = x + 6.5;
  const value = Math.sqrt(2 * Math.PI) * t ** (x - 0.5) * Math.exp(-t) * sum;
  // Good to about thirteen digits.
  return float(value, 0, Math.abs(value) * 100);
}

function binomial(a: Num, b: Num): Num {
  const [n, k] = [wholeOf(a), wholeOf(b)];
  if (k !== null && k >= 0n && k <= largestFactorial) {
    if (n !== null && n >= 0n && k > n) return whole(0);
    const smaller = n !== null && n >= 0n && n - k < k ? n - k : k;
    let result: Num = whole(1);
    for (let j = 0n; j < smaller; j++) result = divide(multiply(result, add(a, whole(-j))), whole(j + 1n));
    return result;
  }
  // Beyond every double, as long as both are that large.
  if (n !== null && k !== null && n - k > largestFactorial && k > 0n) return float(Infinity);
  return divide(factorial(a), multiply(factorial(b), factorial(add(a, negate(b)))));
}

const real1: Readonly<Record<string, (x: number) => number>> = {
  arcsin: Math.asin,
  arccos: Math.acos,
  arctan: Math.atan,
  sinh: Math.sinh,
  cosh: Math.cosh,
  tanh: Math.tanh,
  arcsinh: Math.asinh,
  arccosh: Math.acosh,
  arctanh: Math.atanh,
  arccot: (x) => Math.PI / 2 - Math.atan(x),
  arcsec: (x) => Math.acos(1 / x),
  arccsc: (x) => Math.asin(1 / x),
  sech: (x) => 1 / Math.cosh(x),
  csch: (x) => 1 / Math.sinh(x),
  coth: (x) => 1 / Math.tanh(x),
};

function call(name: string, list: readonly Node[], setting: Setting): Num {
  if (performance.now() > setting.until) return undefinedNumber;
  if (name === "det" || name.endsWith(" "))
    return name === "det"
      ? determinant(list[0]!, setting)
      : opaque(
          name,
          list.map((one) => evaluate(one, setting)),
        );
  const values = list.map((one) => evaluate(one, setting));
  const [a, b] = [values[0]!, values[1]];
  if (values.some((value) => !isExact(value) && Number.isNaN(value.re))) return undefinedNumber;
  switch (name) {
    case "root":
      return root(a, b ?? whole(2));
    case "factorial":
      return factorial(a);
    case "double factorial":
      return doubleFactorial(a);
    case "binomial":
      return b === undefined ? undefinedNumber : binomial(a, b);
    case "abs":
      return absolute(a);
    case "floor":
    case "ceil":
      return round(a, name === "ceil");
    case "exp":
      return exponential(a);
    case "ln":
      return logarithm(a);
    case "lg":
      return divide(logarithm(a), logarithm(whole(10)));
    case "log": {
      if (b === undefined && setting.logBase === "e") return logarithm(a);
      return divide(logarithm(a), logarithm(b ?? whole(10)));
    }
    case "sgn":
      return whole(signOf(a) ?? 0);
    case "Re":
      return isExact(a) ? a : float(a.re);
    case "Im":
      return isExact(a) ? whole(0) : float(a.im);
    case "arg": {
      const z = toFloat(a);
      return float(Math.atan2(z.im, z.re));
    }
    case "min":
    case "max":
      if (!values.every(isReal)) return undefinedNumber;
      return values.reduce((x, y) => (real(x) < real(y) === (name === "min") ? x : y));
    case "gcd":
    case "lcm":
      return divisors(name, values);
    case "sin":
    case "cos":
    case "tan":
    case "cot":
    case "sec":
    case "csc":
      return trigonometric(name, a);
    default: {
      const known = real1[name];
      if (!known) return opaque(name, values);
      if (!isReal(a)) return undefinedNumber;
      const value = known(real(a));
      return float(value, 0, Math.abs(value) * (1 + Math.min(1e3, toFloat(a).scale)) + 1e-3);
    }
  }
}

function root(a: Num, degree: Num): Num {
  if (isExact(degree) && degree.d === 1n && degree.n === 2n && isReal(a) && (signOf(a) ?? 1) < 0) {
    // i times the root of the size, exact where it is.
    const size = power(negate(isExact(a) ? a : float(a.re, 0, a.scale)), half);
    return multiply(size, float(0, 1));
  }
  if (isZero(degree)) return undefinedNumber;
  return power(a, divide(whole(1), degree));
}

function trigonometric(name: string, a: Num): Num {
  if (isZero(a)) return name === "sin" || name === "tan" ? whole(0) : name === "cos" || name === "sec" ? whole(1) : undefinedNumber;
  const z = toFloat(a);
  if (Math.abs(z.im) > 300 || Math.abs(z.re) > 1e9) return undefinedNumber;
  const spread = 1 + Math.min(z.scale, 1e9);
  const sine = float(Math.sin(z.re) * Math.cosh(z.im), Math.cos(z.re) * Math.sinh(z.im), spread * Math.cosh(z.im));
  const cosine = float(Math.cos(z.re) * Math.cosh(z.im), -Math.sin(z.re) * Math.sinh(z.im), spread * Math.cosh(z.im));
  switch (name) {
    case "sin":
      return sine;
    case "cos":
      return cosine;
    case "tan":
      return divide(sine, cosine);
    case "cot":
      return divide(cosine, sine);
    case "sec":
      return divide(whole(1), cosine);
    default:
      return divide(whole(1), sine);
  }
}

function divisors(name: "gcd" | "lcm", values: readonly Num[]): Num {
  const wholes = values.map(wholeOf);
  if (wholes.some((value) => value === null || value <= 0n)) return undefinedNumber;
  const gcd = (a: bigint, b: bigint): bigint => (b === 0n ? a : gcd(b, a % b));
  return whole((wholes as bigint[]).reduce((a, b) => (name === "gcd" ? gcd(a, b) : (a / gcd(a, b)) * b)));
}

function determinant(node: Node, setting: Setting): Num {
  if (node.kind !== "matrix" || node.rows.length !== node.rows[0]!.length || node.rows.length > 8) return undefinedNumber;
  const rows = node.rows.map((row) => row.map((cell) => evaluate(cell, setting)));
  const minor = (from: number, columns: readonly number[]): Num => {
    if (columns.length === 0) return whole(1);
    return columns
      .map((column, i) => {
        const term = multiply(
          rows[from]![column]!,
          minor(
            from + 1,
            columns.filter((other) => other !== column),
          ),
        );
        return i % 2 === 0 ? term : negate(term);
      })
      .reduce(add);
  };
  return minor(
    0,
    rows.map((_, i) => i),
  );
}

/**
 * A function of which nothing is known: one fixed number for each name and arguments. Two expressions that agree on it agree for (almost)
 * every function, so f(x) + f(y) equals f(y) + f(x), and f(x) is not f(y).
 */
function opaque(name: string, values: readonly Num[]): Num {
  const rounded = values.map((value) => {
    if (isExact(value)) return `${value.n}/${value.d}`;
    return `${value.re.toPrecision(9)},${Math.abs(value.im) < 1e-9 * value.scale ? 0 : value.im.toPrecision(9)}`;
  });
  let hash = 2166136261;
  for (const character of `${name}(${rounded.join(";")})`) hash = Math.imul(hash ^ character.codePointAt(0)!, 16777619);
  hash = Math.imul(hash ^ (hash >>> 15), 2246822519);
  return fraction(BigInt((hash >>> 0) % 100_003) + 1n, 1009n) as Rational;
}
