import { GuerdonError } from "../error.ts";
import type { Rollout } from "../rollouts/rollout.ts";
import type { Engine, Sampled, SampleOptions, SampleRequest } from "./engine.ts";

/** Who drew a rollout, as rollouts say it. */
export type Sampler = Pick<Engine, "id" | "weightsVersion">;

/** A frozen copy of an engine: its rollouts are told apart from the engine's own. */
export const frozenCopy = ({ id, weightsVersion }: Sampler): Sampler => ({ id: `${id}@${weightsVersion}`, weightsVersion });

/**
 * Makes rollouts of what a policy returned: adds task, group, sampling settings and weights version. Actions that a request brought along
 * (`from`) were not drawn here: their mask and log-probability are 0.
 */
export function toRollouts<X>(
  engine: Sampler,
  requests: readonly SampleRequest<X>[],
  sampled: readonly Sampled<X>[],
  options: SampleOptions,
  actions: (row: X) => number,
): Rollout<X>[] {
  const { temperature = 1, topK = 0, topP = 1 } = options;
  const sampling = { engine: engine.id, temperature, topK, topP };
  return sampled.map((one, i) => {
    const { task, group } = requests[i]!;
    const length = actions(one.row);
    const before = length - one.logProbs.length;
    if (before < 0) throw new GuerdonError("internal", `Rollout ${i} has ${length} actions and ${one.logProbs.length} log-probabilities.`);
    const padded = (drawn: Float32Array): Float32Array => {
      const out = new Float32Array(length);
      out.set(drawn, before);
      return out;
    };
    return {
      task,
      ...(one.completion === undefined ? {} : { completion: one.completion }),
      row: one.row,
      group,
      behaviourLogProbs: padded(one.logProbs),
      mask: new Uint8Array(length).fill(1, before),
      ...(one.recorded
        ? { recorded: Object.fromEntries(Object.entries(one.recorded).map(([name, column]) => [name, padded(column)])) }
        : {}),
      stop: one.stop,
      sampling,
      weightsVersion: engine.weightsVersion,
    };
  });
}
