import { type Arr, type Arrays } from "./arr.ts";
import { div, minimum, sqrt, square, sub } from "./functions.ts";

/** Euclidean norm of all gradients together, a scalar. */
export function globalNorm(gradient: Arrays): Arr {
  const squares = Object.values(gradient).map((g) => square(g).sum());
  return sqrt(squares.reduce((total, s) => total.add(s)));
}

/**
 * Scales gradients so that their global norm is at most `maximum`, with the convention of PyTorch's clip_grad_norm_: the factor is
 * min(1, maximum / (norm + 1e-6)).
 *
 * @param norm the global norm, where it is known already
 */
export function clipByGlobalNorm<P extends string>(
  gradient: Arrays<P>,
  maximum: Arr | number,
  norm: Arr = globalNorm(gradient),
): Arrays<P> {
  const factor = minimum(div(maximum, norm.add(1e-6)), 1);
  return Object.fromEntries(Object.entries<Arr>(gradient).map(([name, g]) => [name, g.mul(factor)])) as Arrays<P>;
}

/** Settings of one AdamW step. Numbers that change from step to step must come into a compiled program as arguments. */
export interface AdamwOptions {
  readonly learningRate: Arr | number;
  readonly beta1: Arr | number;
  readonly beta2: Arr | number;
  readonly epsilon: Arr | number;
  /** Decoupled: the parameter shrinks by learningRate * weightDecay before the step. */
  readonly weightDecay: Arr | number;
  /** 1 - beta1^t and 1 - beta2^t at step t = 1, 2, ..., computed on the host. */
  readonly bias1: Arr | number;
  readonly bias2: Arr | number;
}

/**
 * One step of AdamW (arXiv 1711.05101, as in PyTorch) for one parameter; all arrays have its shape.
 *
 * @param m running mean of the gradient, zeros at first
 * @param v running mean of its square, zeros at first
 */
export function adamw(parameter: Arr, gradient: Arr, m: Arr, v: Arr, options: AdamwOptions): { parameter: Arr; m: Arr; v: Arr } {
  const { learningRate, beta1, beta2, epsilon, weightDecay, bias1, bias2 } = options;
  const nextM = m.mul(beta1).add(gradient.mul(rest(beta1)));
  const nextV = v.mul(beta2).add(square(gradient).mul(rest(beta2)));
  const step = nextM.div(bias1).div(sqrt(nextV.div(bias2)).add(epsilon));
  return { parameter: parameter.mul(rest(times(learningRate, weightDecay))).sub(step.mul(learningRate)), m: nextM, v: nextV };
}

const rest = (x: Arr | number): Arr | number => (typeof x === "number" ? 1 - x : sub(1, x));
const times = (a: Arr | number, b: Arr | number): Arr | number =>
  typeof a !== "number" ? a.mul(b) : typeof b !== "number" ? b.mul(a) : a * b;
