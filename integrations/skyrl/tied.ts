import type { LocalEngine, UpdateOptions } from "../../src/engines/index.ts";
import type { TextSequence } from "../../src/policies/index.ts";
import type { HostTensor } from "../../src/statistics/snapshot.ts";

/**
 * The local engine with SkyRL's adapter. SkyRL's JAX backend computes q_proj, k_proj and v_proj as one matrix, and gate_proj and up_proj as
 * another, so that the members of each share one lora_A, which it saves once under each name. Here they have one each. Equal they begin,
 * and they stay equal when each gets the sum of their gradients, as it is done here: the gradient of a step is read out of the engine, the
 * shared matrices' are summed, and AdamW takes its step outside (float64, decay of all matrices).
 */
export function withSharedA(engine: LocalEngine<TextSequence>): LocalEngine<TextSequence> {
  const first: Record<string, Float64Array> = {};
  const second: Record<string, Float64Array> = {};
  let taken = 0;
  const update = async (o: UpdateOptions): Promise<{ readonly gradientNorm: number }> => {
    // With a rate of 0 and no momentum nothing moves, and Adam's first moment is the gradient.
    await engine.update({ learningRate: 0, beta1: 0, beta2: 0, epsilon: 1 });
    const snapshot = await engine.snapshot();
    const tensors: Record<string, HostTensor> = { ...snapshot.tensors };
    taken++;
    let squares = 0;
    for (const [group, names] of Map.groupBy(trainable(tensors), shared)) {
      const shape = tensors[`parameters/${names[0]}`]!.shape;
      const weights = Float64Array.from(tensors[`parameters/${names[0]}`]!.data);
      const gradient = new Float64Array(weights.length);
      for (const name of names) tensors[`first/${name}`]!.data.forEach((g, i) => (gradient[i]! += g));
      for (const g of gradient) squares += g * g;
      const m = (first[group] ??= new Float64Array(weights.length));
      const v = (second[group] ??= new Float64Array(weights.length));
      const data = new Float32Array(weights.length);
      gradient.forEach((g, i) => {
        m[i] = o.beta1 * m[i]! + (1 - o.beta1) * g;
        v[i] = o.beta2 * v[i]! + (1 - o.beta2) * g * g;
        const direction = m[i]! / (1 - o.beta1 ** taken) / (Math.sqrt(v[i]! / (1 - o.beta2 ** taken)) + o.epsilon);
        data[i] = weights[i]! - o.learningRate * (direction + (o.weightDecay ?? 0) * weights[i]!);
      });
      for (const name of names) tensors[`parameters/${name}`] = { shape, data };
    }
    await engine.restore({ ...snapshot, tensors });
    return { gradientNorm: Math.sqrt(squares) };
  };
  return Object.create(engine, { update: { value: update } }) as LocalEngine<TextSequence>;
}

const trainable = (tensors: object): string[] =>
  Object.keys(tensors).flatMap((name) => (name.startsWith("parameters/") ? [name.slice("parameters/".length)] : []));

/** Adapters' matrices of one name here are one matrix in SkyRL. */
const shared = (name: string): string =>
  name.includes("lora_A") ? name.replace(/\b[qkv]_proj\b/, "qkv_proj").replace(/\b(gate|up)_proj\b/, "gate_up_proj") : name;
