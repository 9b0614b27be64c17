import type { Binary, Unary } from "./arr.ts";

/** Element functions of the host kernel: the value at x, and the slope at x given the value y. */
export const unaryLoops: Readonly<Record<Unary, { value: (x: number) => number; slope: (x: number, y: number) => number }>> = {
  neg: { value: (x) => -x, slope: () => -1 },
  reciprocal: { value: (x) => 1 / x, slope: (_, y) => -y * y },
  exp: { value: Math.exp, slope: (_, y) => y },
  log: { value: Math.log, slope: (x) => 1 / x },
  log1p: { value: Math.log1p, slope: (x) => 1 / (1 + x) },
  sqrt: { value: Math.sqrt, slope: (_, y) => 0.5 / y },
  square: { value: (x) => x * x, slope: (x) => 2 * x },
  abs: { value: Math.abs, slope: Math.sign },
  tanh: { value: Math.tanh, slope: (_, y) => 1 - y * y },
  sigmoid: { value: (x) => 1 / (1 + Math.exp(-x)), slope: (_, y) => y * (1 - y) },
  relu: { value: (x) => Math.max(0, x), slope: (x) => (x > 0 ? 1 : 0) },
  cos: { value: Math.cos, slope: (x) => -Math.sin(x) },
  sin: { value: Math.sin, slope: (x) => Math.cos(x) },
  erf: { value: erf, slope: (x) => (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) },
};

/** The error function to double precision: its Taylor series near 0, the continued fraction of erfc beyond (Abramowitz and Stegun 7.1.6, 7.1.14). */
function erf(x: number): number {
  const a = Math.abs(x);
  if (!(a < 6)) return Number.isNaN(a) ? NaN : Math.sign(x);
  if (a < 2.5) {
    let term = x;
    let total = x;
    for (let n = 1; Math.abs(term) > 1e-17 * Math.abs(total); n++) total += term *= (2 * x * x) / (2 * n + 1);
    return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * total;
  }
  let fraction = 0;
  for (let n = 60; n > 0; n--) fraction = n / 2 / (a + fraction);
  return Math.sign(x) * (1 - Math.exp(-a * a) / Math.sqrt(Math.PI) / (a + fraction));
}

type F = Float64Array;
/** Operand a is read at i * sa, b at i * sb: a stride of 0 repeats a single number. */
type Forward = (out: F, a: F, sa: number, b: F, sb: number) => void;
/** Adds the gradient of one operand to `to`, given the gradient g of the result. */
type Pull = (g: F, a: F, sa: number, b: F, sb: number, to: F) => void;

/** Element-wise loops of the host kernel, one each, so that the compiler sees plain arithmetic. Ties: the gradient goes to the left. */
export const binaryLoops: Readonly<Record<Binary, { value: Forward; pullLeft: Pull | null; pullRight: Pull | null }>> = {
  add: {
    value: (out, a, sa, b, sb) => {
      for (let i = 0; i < out.length; i++) out[i] = a[i * sa]! + b[i * sb]!;
    },
    pullLeft: (g, _a, sa, _b, _sb, to) => {
      for (let i = 0; i < g.length; i++) to[i * sa]! += g[i]!;
    },
    pullRight: (g, _a, _sa, _b, sb, to) => {
      for (let i = 0; i < g.length; i++) to[i * sb]! += g[i]!;
    },
  },
  sub: {
    value: (out, a, sa, b, sb) => {
      for (let i = 0; i < out.length; i++) out[i] = a[i * sa]! - b[i * sb]!;
    },
    pullLeft: (g, _a, sa, _b, _sb, to) => {
      for (let i = 0; i < g.length; i++) to[i * sa]! += g[i]!;
    },
    pullRight: (g, _a, _sa, _b, sb, to) => {
      for (let i = 0; i < g.length; i++) to[i * sb]! -= g[i]!;
    },
  },
  mul: {
    value: (out, a, sa, b, sb) => {
      for (let i = 0; i < out.length; i++) out[i] = a[i * sa]! * b[i * sb]!;
    },
    pullLeft: (g, _a, sa, b, sb, to) => {
      for (let i = 0; i < g.length; i++) to[i * sa]! += g[i]! * b[i * sb]!;
    },
    pullRight: (g, a, sa, _b, sb, to) => {
      for (let i = 0; i < g.length; i++) to[i * sb]! += g[i]! * a[i * sa]!;
    },
  },
  div: {
    value: (out, a, sa, b, sb) => {
      for (let i = 0; i < out.length; i++) out[i] = a[i * sa]! / b[i * sb]!;
    },
    pullLeft: (g, _a, sa, b, sb, to) => {
      for (let i = 0; i < g.length; i++) to[i * sa]! += g[i]! / b[i * sb]!;
    },
    pullRight: (g, a, sa, b, sb, to) => {
      for (let i = 0; i < g.length; i++) to[i * sb]! -= (g[i]! * a[i * sa]!) / (b[i * sb]! * b[i * sb]!);
    },
  },
  minimum: {
    value: (out, a, sa, b, sb) => {
      for (let i = 0; i < out.length; i++) out[i] = Math.min(a[i * sa]!, b[i * sb]!);
    },
    pullLeft: (g, a, sa, b, sb, to) => {
      for (let i = 0; i < g.length; i++) if (!(b[i * sb]! < a[i * sa]!)) to[i * sa]! += g[i]!;
    },
    pullRight: (g, a, sa, b, sb, to) => {
      for (let i = 0; i < g.length; i++) if (b[i * sb]! < a[i * sa]!) to[i * sb]! += g[i]!;
    },
  },
  maximum: {
    value: (out, a, sa, b, sb) => {
      for (let i = 0; i < out.length; i++) out[i] = Math.max(a[i * sa]!, b[i * sb]!);
    },
    pullLeft: (g, a, sa, b, sb, to) => {
      for (let i = 0; i < g.length; i++) if (!(a[i * sa]! < b[i * sb]!)) to[i * sa]! += g[i]!;
    },
    pullRight: (g, a, sa, b, sb, to) => {
      for (let i = 0; i < g.length; i++) if (a[i * sa]! < b[i * sb]!) to[i * sb]! += g[i]!;
    },
  },
  greater: {
    value: (out, a, sa, b, sb) => {
      for (let i = 0; i < out.length; i++) out[i] = a[i * sa]! > b[i * sb]! ? 1 : 0;
    },
    pullLeft: null,
    pullRight: null,
  },
  less: {
    value: (out, a, sa, b, sb) => {
      for (let i = 0; i < out.length; i++) out[i] = a[i * sa]! < b[i * sb]! ? 1 : 0;
    },
    pullLeft: null,
    pullRight: null,
  },
  equal: {
    value: (out, a, sa, b, sb) => {
      for (let i = 0; i < out.length; i++) out[i] = a[i * sa] === b[i * sb] ? 1 : 0;
    },
    pullLeft: null,
    pullRight: null,
  },
};
