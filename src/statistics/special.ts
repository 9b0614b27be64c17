import { GuerdonError } from "../error.ts";

/* Special functions behind intervals and tests, in double precision (relative error about 1e-13, checked against mpmath). */

/** Coefficients of Lanczos' approximation with g = 7, n = 9 (Godfrey). */
const lanczos = [
  0.9999999999998099, 676.5203681218851, -1259.1392167224028, 771.3234287776531, -176.6150291621406, 12.507343278686905,
  -0.13857109526572012, 9.984369578019572e-6, 1.5056327351493116e-7,
];

/** log of the gamma function, x > 0. */
export function logGamma(x: number): number {
  if (!(x > 0)) throw new GuerdonError("usage", `logGamma is defined here for x > 0; x is ${x}`);
  if (x < 0.5) return Math.log(Math.PI / Math.sin(Math.PI * x)) - logGamma(1 - x);
  const t = x + 6.5;
  let sum = lanczos[0]!;
  for (let i = 1; i < lanczos.length; i++) sum += lanczos[i]! / (x - 1 + i);
  return 0.5 * Math.log(2 * Math.PI) + (x - 0.5) * Math.log(t) - t + Math.log(sum);
}

/** Stands for 0 in denominators of continued fractions (Lentz). */
const TINY = 1e-300;
const notZero = (x: number): number => (Math.abs(x) < TINY ? TINY : x);

/** Evaluates b0 + a1 / (b1 + a2 / (b2 + ...)) by the modified Lentz method. */
function continuedFraction(b0: number, term: (n: number) => readonly [a: number, b: number]): number {
  let value = notZero(b0);
  let c = value;
  let d = 0;
  for (let n = 1; n < 10_000; n++) {
    const [a, b] = term(n);
    d = 1 / notZero(b + a * d);
    c = notZero(b + a / c);
    const factor = c * d;
    value *= factor;
    if (Math.abs(factor - 1) < 1e-16) return value;
  }
  return value;
}

/**
 * The regularised incomplete beta function I_x(a, b): the distribution function of Beta(a, b) at x.
 *
 * @param x in [0, 1]
 * @param a positive
 * @param b positive
 */
export function incompleteBeta(x: number, a: number, b: number): number {
  if (!(x >= 0 && x <= 1 && a > 0 && b > 0))
    throw new GuerdonError("usage", `incompleteBeta needs x in [0, 1] and positive a, b; got ${x}, ${a}, ${b}`);
  if (x === 0 || x === 1) return x;
  // The fraction converges fast only below the mean.
  if (x > (a + 1) / (a + b + 2)) return 1 - incompleteBeta(1 - x, b, a);
  const front = Math.exp(logGamma(a + b) - logGamma(a) - logGamma(b) + a * Math.log(x) + b * Math.log1p(-x)) / a;
  const fraction = continuedFraction(1, (n) => {
    const m = Math.floor(n / 2);
    const even = (m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m));
    const odd = (-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1));
    return [n % 2 === 0 ? even : odd, 1];
  });
  return front / fraction;
}

/**
 * The regularised upper incomplete gamma function Q(a, x): the probability that a chi-square number with 2 a degrees of freedom is above 2 x.
 *
 * @param x at least 0
 * @param a positive
 */
export function incompleteGamma(x: number, a: number): number {
  if (!(x >= 0 && a > 0)) throw new GuerdonError("usage", `incompleteGamma needs x of at least 0 and a positive a; got ${x}, ${a}`);
  if (x === 0) return 1;
  const front = Math.exp(a * Math.log(x) - x - logGamma(a));
  if (x > a + 1) return front / continuedFraction(x + 1 - a, (n) => [n * (a - n), x + 2 * n + 1 - a]);
  // Below the mean the complement's series: all terms positive.
  let term = 1 / a;
  let sum = term;
  for (let n = 1; term > sum * 1e-17; n++) sum += term *= x / (a + n);
  return 1 - front * sum;
}

/** Distribution function of the standard normal. */
export function normalCdf(x: number): number {
  const z = Math.abs(x);
  if (z === 0) return 0.5;
  const density = Math.exp(-0.5 * z * z) / Math.sqrt(2 * Math.PI);
  let tail: number;
  if (z < 3) {
    // 1/2 + density * (z + z^3/3 + z^5/15 + ...): all terms positive, so no digits cancel in the sum.
    let term = z;
    let sum = z;
    for (let n = 1; term > sum * 1e-17; n++) sum += term *= (z * z) / (2 * n + 1);
    tail = 0.5 - density * sum;
  } else tail = density / continuedFraction(z, (n) => [n, z]);
  return x > 0 ? 1 - tail : tail;
}

/** Distribution function of Student's t with the given degrees of freedom. */
export function tCdf(t: number, degrees: number): number {
  const tail = 0.5 * incompleteBeta(degrees / (degrees + t * t), degrees / 2, 0.5);
  return t > 0 ? 1 - tail : tail;
}

/** The number below which a standard normal lies with probability p, in (0, 1). */
export const normalQuantile = (p: number): number => invert(normalCdf, p, "normalQuantile");

/** The number below which a Student's t with the given degrees of freedom lies with probability p, in (0, 1). */
export function tQuantile(p: number, degrees: number): number {
  if (!(degrees > 0)) throw new GuerdonError("usage", `tQuantile needs positive degrees of freedom; got ${degrees}`);
  return invert((t) => tCdf(t, degrees), p, "tQuantile");
}

/** Bisection on the lower half of a symmetric distribution, down to neighbouring doubles: slow and safe. */
function invert(cdf: (x: number) => number, p: number, what: string): number {
  if (!(p > 0 && p < 1)) throw new GuerdonError("usage", `${what} needs a probability between 0 and 1; got ${p}`);
  if (p === 0.5) return 0;
  // Work with the smaller tail, where the distribution function has its digits.
  const tail = Math.min(p, 1 - p);
  let low = -1;
  while (cdf(low) > tail) low *= 2;
  let high = 0;
  for (let n = 0; n < 200; n++) {
    const middle = (low + high) / 2;
    if (middle === low || middle === high) break;
    if (cdf(middle) < tail) low = middle;
    else high = middle;
  }
  return p < 0.5 ? high : -high;
}
