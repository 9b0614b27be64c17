import { GuerdonError } from "../../error.ts";
import type { TextSequence } from "../../policies/policy.ts";
import { openModel, unload } from "./model.ts";
import type { OpenOptions, ServiceModel } from "./model.ts";
import { pass } from "./passes.ts";
import type { PassOptions } from "./passes.ts";
import type { Answers } from "./protocol.ts";

/**
 * What a service makes of the tokens' losses: their sum, as the protocol has it; or, as SkyRL's JAX backend, each row's loss divided by
 * the sum of its weights, and the gradient by the number of rows until the step.
 */
export type Reduction = "sum" | "row-mean";

/**
 * Finds out which, on a model of its own that is unloaded again: a gradient doubles with the weights where losses are summed, and halves
 * with a second row of weight 0 where rows are averaged. Its size is the norm that the service tells, or else what it does to the
 * log-probabilities of the row. A few passes over four tokens.
 *
 * @throws GuerdonError "unsupported" for a service that does neither
 */
export async function measuredReduction(setting: Omit<OpenOptions, "from">): Promise<Reduction> {
  const model = await openModel(setting);
  try {
    const { once, doubled, beside, by } = (await byNorm(model)) ?? (await byMovement(model));
    const like = (value: number, times: number): boolean => Math.abs(value / once / times - 1) < 0.1;
    if (like(doubled, 2) && like(beside, 1)) return "sum";
    if (like(doubled, 1) && like(beside, 0.5)) return "row-mean";
    throw new GuerdonError(
      "unsupported",
      `The service at ${setting.client.address} divides losses in a way that is not known here: by the ${by}, the gradient of a row was ` +
        `${once}, with doubled weights ${doubled}, beside a row of weight 0 ${beside}. If you know what it does, give \`reduction\`.`,
    );
  } finally {
    await unload(model);
  }
}

/** Sizes of the gradients of three batches: a row, the row with doubled weights, the row beside one of weight 0. */
interface Sizes {
  readonly once: number;
  readonly doubled: number;
  readonly beside: number;
  readonly by: string;
}

/** Null where the service does not tell norms. */
async function byNorm(model: ServiceModel): Promise<Sizes | null> {
  const norm = (weights: readonly number[]) => stepOn(model, weights, 0);
  const once = await norm([1]);
  if (once === null || !(once > 0)) return null;
  return { once, doubled: (await norm([2])) ?? NaN, beside: (await norm([1, 0])) ?? NaN, by: "norms that it tells" };
}

async function byMovement(model: ServiceModel): Promise<Sizes> {
  const moved = async (weights: readonly number[], rate: number): Promise<number> => {
    const before = await likelihood(model);
    await stepOn(model, weights, rate);
    return (await likelihood(model)) - before;
  };
  // Large against float32's rounding, small enough to be a straight line.
  let once = 0;
  let rate = 1e-5;
  for (; once < 2e-3 && rate < 1e3; rate *= 4) once = await moved([1], rate);
  rate /= 4;
  return { once, doubled: await moved([2], rate), beside: await moved([1, 0], rate), by: "change of log-probabilities" };
}

const row: TextSequence = { prompt: Int32Array.of(0), actions: Int32Array.of(0, 0, 0) };

/** The log-probability of the row. */
async function likelihood(model: ServiceModel): Promise<number> {
  const { logProbs } = await pass(model, [row], {
    call: "forward",
    loss: "cross_entropy",
    columns: { weights: [new Float32Array(3).fill(1)] },
  });
  return logProbs![0]!.reduce((sum, x) => sum + x, 0);
}

/** A step along the gradient for copies of the row, each with its weight; gives the norm where the service tells it. */
async function stepOn(model: ServiceModel, weights: readonly number[], rate: number): Promise<number | null> {
  await pass(
    model,
    weights.map(() => row),
    { call: "forward_backward", loss: "cross_entropy", columns: { weights: weights.map((w) => new Float32Array(3).fill(w)) } },
  );
  // With so large an epsilon Adam's step is the gradient itself, times the rate.
  const eps = 1e6;
  const { metrics } = await model.run("optim_step", {
    adam_params: { learning_rate: rate * eps, beta1: 0, beta2: 0, eps, weight_decay: 0, grad_clip_norm: 0 },
  });
  return gradientNormOf(metrics);
}

/**
 * The pass whose gradient is that of sum(gradients * logProbs), where rows are averaged. Weights can neither be negative nor differ there
 * without changing the divisor, so they are 1 and the importance-sampling loss carries the gradient as its advantages, at ratio 1, times
 * what will be divided by.
 *
 * @param logProbs of the rows under the weights as they are
 */
export const rowMeanPass = (gradients: readonly Float32Array[], logProbs: readonly Float32Array[]): PassOptions => {
  const sent = gradients.filter((row) => row.length > 0).length;
  return {
    call: "forward_backward",
    loss: "importance_sampling",
    columns: {
      weights: gradients.map((row) => new Float32Array(row.length).fill(1)),
      advantages: gradients.map((row) => row.map((g) => -g * row.length * sent)),
      logprobs: logProbs,
    },
  };
};

/** The norm before clipping, under the names that services give it: "grad_norm", "skyrl.ai/grad_norm", "unclipped_grad_l2:mean". */
export function gradientNormOf(metrics: Answers["optim_step"]["metrics"]): number | null {
  for (const [name, value] of Object.entries(metrics ?? {}))
    if (value !== null && /(^|[/._])(grad(ient)?_norm|unclipped_grad_l2)(:|$)/.test(name)) return value;
  return null;
}
