/** An exact fraction in lowest terms; the denominator is positive. */
export interface Rational {
  readonly n: bigint;
  readonly d: bigint;
}

/**
 * A number in double precision, for what no fraction expresses. `scale` is the largest magnitude that went into it: what is left after
 * 10^6 - 10^6 is only known to about 10^6 times the precision.
 */
export interface Float {
  readonly re: number;
  readonly im: number;
  readonly scale: number;
}

export type Num = Rational | Float;

/** Beyond so many bits fractions become floats: nobody's answer needs more, and their arithmetic would not end. */
const maximumBits = 24_000;

export const isExact = (a: Num): a is Rational => "n" in a;
export const whole = (n: number | bigint): Rational => ({ n: BigInt(n), d: 1n });
export const float = (re: number, im = 0, scale = Math.hypot(re, im)): Float => ({ re, im, scale: Math.max(scale, Math.hypot(re, im)) });
export const undefinedNumber: Float = { re: Number.NaN, im: Number.NaN, scale: 0 };
export const isZero = (a: Num): boolean => (isExact(a) ? a.n === 0n : a.re === 0 && a.im === 0);
export const isFinite = (a: Num): boolean => isExact(a) || (Number.isFinite(a.re) && Number.isFinite(a.im));
/** Real up to rounding. */
export const isReal = (a: Num): boolean => isExact(a) || Math.abs(a.im) <= 1e-11 * Math.max(a.scale, 1e-300);

/** The fraction n/d in lowest terms; undefined for d = 0 or one that is too long. */
export function fraction(n: bigint, d: bigint): Num {
  if (d === 0n) return undefinedNumber;
  if (d === 1n) return short(n) ? { n, d } : float(Number(n));
  let [a, b] = [n < 0n ? -n : n, d < 0n ? -d : d];
  while (b !== 0n) [a, b] = [b, a % b];
  const sign = d < 0n ? -1n : 1n;
  const lowest = { n: (sign * n) / a, d: (sign * d) / a };
  return short(lowest.n) && short(lowest.d) ? lowest : float(toNumber(lowest));
}

const limit = 1n << BigInt(maximumBits);
const short = (n: bigint): boolean => n < limit && n > -limit;

/** The nearest double; fractions of long whole numbers are scaled first, so that they neither overflow nor lose their value. */
export function toNumber({ n, d }: Rational): number {
  const [x, y] = [Number(n), Number(d)];
  if (Number.isFinite(x) && Number.isFinite(y)) return x / y;
  const size = (value: bigint): number => value.toString(16).length * 4;
  const shift = size(n) - size(d) - 64;
  const quotient = shift >= 0 ? n / (d << BigInt(shift)) : (n << BigInt(-shift)) / d;
  return Number(quotient) * 2 ** shift;
}

export const toFloat = (a: Num): Float => (isExact(a) ? float(toNumber(a)) : a);
export const real = (a: Num): number => (isExact(a) ? toNumber(a) : a.re);

export function negate(a: Num): Num {
  return isExact(a) ? { n: -a.n, d: a.d } : { re: -a.re, im: -a.im, scale: a.scale };
}

export function add(a: Num, b: Num): Num {
  if (isExact(a) && isExact(b)) return fraction(a.n * b.d + b.n * a.d, a.d * b.d);
  const [x, y] = [toFloat(a), toFloat(b)];
  return float(x.re + y.re, x.im + y.im, Math.max(x.scale, y.scale));
}

export function multiply(a: Num, b: Num): Num {
  if (isExact(a) && isExact(b)) return fraction(a.n * b.n, a.d * b.d);
  if (isExact(a) ? a.n === 0n && isFinite(b) : isZero(b) && isExact(b) && isFinite(a)) return whole(0);
  const [x, y] = [toFloat(a), toFloat(b)];
  // Each one's error times the other's size: were it the product of both scales, high powers would be lost in it.
  const [p, q] = [Math.hypot(x.re, x.im), Math.hypot(y.re, y.im)];
  const scale = Math.max(p * y.scale, q * x.scale, same * x.scale * y.scale);
  return float(x.re * y.re - x.im * y.im, x.re * y.im + x.im * y.re, scale);
}

export function divide(a: Num, b: Num): Num {
  if (isExact(a) && isExact(b)) return fraction(a.n * b.d, a.d * b.n);
  const [x, y] = [toFloat(a), toFloat(b)];
  const size = y.re * y.re + y.im * y.im;
  const magnitude = Math.sqrt(size);
  // What is zero but for rounding is no divisor.
  if (magnitude <= 1e-13 * y.scale) return undefinedNumber;
  return float(
    (x.re * y.re + x.im * y.im) / size,
    (x.im * y.re - x.re * y.im) / size,
    (x.scale / magnitude) * Math.min(y.scale / magnitude, 1e6),
  );
}

export function power(base: Num, exponent: Num): Num {
  if (isExact(exponent)) {
    if (exponent.d === 1n) return wholePower(base, exponent.n);
    if (isExact(base)) {
      const exact = exactRoot(base, exponent);
      if (exact) return exact;
    }
    // The odd root of a negative number is the real one, as in school, not the principal one.
    if (isReal(base) && real(base) < 0 && exponent.d % 2n === 1n) {
      const size = Math.abs(real(base)) ** toNumber(exponent);
      return float(exponent.n % 2n === 0n ? size : -size);
    }
  }
  const [x, y] = [toFloat(base), toFloat(exponent)];
  if (x.re === 0 && x.im === 0) return y.re > 0 ? whole(0) : undefinedNumber;
  if (x.im === 0 && x.re > 0 && y.im === 0) return float(x.re ** y.re, 0, x.re ** y.re * (1 + y.scale));
  return exponential(multiply(logarithm(x), y));
}

function wholePower(base: Num, exponent: bigint): Num {
  if (exponent < 0n) return divide(whole(1), wholePower(base, -exponent));
  if (isExact(base)) {
    const bits = Math.max(base.n.toString(2).length, base.d.toString(2).length);
    if (bits <= 2 && base.d === 1n && base.n <= 1n && base.n >= -1n)
      return whole(base.n === -1n && exponent % 2n === 1n ? -1 : base.n === 0n && exponent > 0n ? 0 : 1);
    if (exponent * BigInt(bits) < BigInt(maximumBits)) return { n: base.n ** exponent, d: base.d ** exponent };
    return float(toNumber(base) ** Number(exponent));
  }
  if (exponent > 1_000_000n) return undefinedNumber;
  let [result, square, rest]: [Num, Num, bigint] = [whole(1), base, exponent];
  for (; rest > 0n; rest >>= 1n, square = multiply(square, square)) if (rest & 1n) result = multiply(result, square);
  return result;
}

/** The value of base^(n/d) where it is a fraction, as for (4/9)^(1/2). */
function exactRoot(base: Rational, exponent: Rational): Num | null {
  if (exponent.d > 64n || (base.n < 0n && exponent.d % 2n === 0n)) return null;
  const degree = exponent.d;
  const numerator = wholeRoot(base.n < 0n ? -base.n : base.n, degree);
  const denominator = wholeRoot(base.d, degree);
  if (numerator === null || denominator === null) return null;
  return wholePower({ n: base.n < 0n ? -numerator : numerator, d: denominator }, exponent.n);
}

function wholeRoot(value: bigint, degree: bigint): bigint | null {
  if (value < 2n) return value;
  if (value >= 1n << 900n) return null;
  let x = BigInt(Math.round(Number(value) ** (1 / Number(degree))));
  // Newton from the float's guess, which is off by a little where the value has more digits than a float.
  for (let step = 0; step < 60; step++) {
    const next = ((degree - 1n) * x + value / x ** (degree - 1n)) / degree;
    if (next === x) break;
    x = next;
  }
  for (const guess of [x - 1n, x, x + 1n]) if (guess > 0n && guess ** degree === value) return guess;
  return null;
}

export function exponential(a: Num): Num {
  if (isZero(a)) return whole(1);
  const { re, im, scale } = toFloat(a);
  const size = Math.exp(re);
  return float(size * Math.cos(im), im === 0 ? 0 : size * Math.sin(im), size * (1 + Math.min(scale, 1e4)));
}

/** The principal natural logarithm. */
export function logarithm(a: Num): Num {
  if (isZero(a)) return undefinedNumber;
  if (isExact(a) && a.n === a.d) return whole(0);
  if (isExact(a) && a.n > 0n) {
    const value = toNumber(a);
    if (value > 1e-300 && Number.isFinite(value)) return float(Math.log(value), 0, 1);
    // Too large or too small for a double: the logarithms of both halves of the fraction.
    const ln = (n: bigint): number => {
      const hex = n.toString(16);
      return Math.log(Number(`0x${hex.slice(0, 15)}`)) + Math.max(0, hex.length - 15) * Math.log(16);
    };
    return float(ln(a.n) - ln(a.d), 0, ln(a.n) + ln(a.d));
  }
  const { re, im, scale } = toFloat(a);
  const size = Math.hypot(re, im);
  const angle = im === 0 && re > 0 ? 0 : Math.atan2(Math.abs(im) <= 1e-15 * scale ? 0 : im, re);
  return float(Math.log(size), angle, Math.max(1, scale / size));
}

/** Numbers that differ by less, as a share of their scale, count as equal. */
const same = 2e-11;

/** How two numbers compare, as far as double precision can tell: null when either is undefined or infinite. */
export function sameNumber(a: Num, b: Num): boolean | null {
  if (isExact(a) && isExact(b)) return a.n === b.n && a.d === b.d;
  const [x, y] = [toFloat(a), toFloat(b)];
  if (!isFinite(x) || !isFinite(y)) return null;
  const difference = Math.hypot(x.re - y.re, x.im - y.im);
  // Where a value has no magnitude left in doubles, doubles cannot tell it from another.
  if (difference === 0 && Math.max(x.scale, y.scale) < 1e-290 && !(isExact(a) && isExact(b))) return a === b ? true : null;
  return difference <= same * Math.max(x.scale, y.scale);
}

export const absolute = (a: Num): Num => {
  if (isExact(a)) return a.n < 0n ? negate(a) : a;
  return float(Math.hypot(a.re, a.im), 0, a.scale);
};

/** The whole part towards minus infinity (or plus); what is whole but for rounding counts as whole. */
export function round(a: Num, up: boolean): Num {
  if (isExact(a)) {
    const quotient = a.n / a.d;
    const rest = a.n % a.d;
    if (rest === 0n) return whole(quotient);
    if (up) return whole(a.n > 0n ? quotient + 1n : quotient);
    return whole(a.n < 0n ? quotient - 1n : quotient);
  }
  if (!isReal(a) || !isFinite(a) || Math.abs(a.re) > 2 ** 52) return undefinedNumber;
  const nearest = Math.round(a.re);
  if (Math.abs(a.re - nearest) <= 1e-11 * Math.max(1, a.scale)) return whole(nearest);
  return whole(up ? Math.ceil(a.re) : Math.floor(a.re));
}

/** -1, 0 or 1 for a real number; null for others. What is zero but for rounding is zero. */
export function signOf(a: Num): -1 | 0 | 1 | null {
  if (isExact(a)) return a.n > 0n ? 1 : a.n < 0n ? -1 : 0;
  if (Number.isNaN(a.re) || !isReal(a)) return null;
  if (Math.abs(a.re) <= 1e-12 * a.scale && Number.isFinite(a.scale)) return 0;
  return a.re > 0 ? 1 : a.re < 0 ? -1 : 0;
}
