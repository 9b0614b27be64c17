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
 * Finds out which, on a model of its own that is unloaded again: a gradient's norm doubles with the weights where losses are summed, and
 * halves with a second row of weight 0 where rows are averaged. Three passes over four tokens. A service that tells no norm is taken at
 * the protocol's word.
 *
 * @throws GuerdonError "unsupported" for a service that does neither
 */
export async function measuredReduction(setting: Omit<OpenOptions, "from">): Promise<Reduction> {
  const model = await openModel(setting);
  try {
    const once = await norm(model, [1]);
    if (once === null || once === 0) return "sum";
    const doubled = await norm(model, [2]);
    const beside = await norm(model, [1, 0]);
    const like = (value: number | null, times: number): boolean => value !== null && Math.abs(value / once - times) < 0.05 * times;
    if (like(doubled, 2) && like(beside, 1)) return "sum";
    if (like(doubled, 1) && like(beside, 0.5)) return "row-mean";
    throw new GuerdonError(
      "unsupported",
      `The service at ${setting.client.address} divides losses in a way that is not known here: the gradient of a row had the norm ${once}, ` +
        `with doubled weights ${doubled}, beside a row of weight 0 ${beside}. Losses computed here cannot be trained there.`,
    );
  } finally {
    await unload(model);
  }
}

/** The gradient's norm for copies of one row, each with its weight; the weights stay. */
async function norm(model: ServiceModel, weights: readonly number[]): Promise<number | null> {
  const row: TextSequence = { prompt: Int32Array.of(0), actions: Int32Array.of(0, 0, 0) };
  await pass(
    model,
    weights.map(() => row),
    { call: "forward_backward", loss: "cross_entropy", columns: { weights: weights.map((w) => new Float32Array(3).fill(w)) } },
  );
  const { metrics } = await model.run("optim_step", {
    adam_params: { learning_rate: 0, beta1: 0, beta2: 0, eps: 1, weight_decay: 0, grad_clip_norm: 0 },
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
