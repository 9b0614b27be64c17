import { GuerdonError } from "../error.ts";
import type { Policy } from "../policies/policy.ts";
import type { HostTensor } from "../statistics/snapshot.ts";
import { checkNames } from "./checks.ts";
import type { Engine, Reader } from "./engine.ts";
import { drawing, memoryError } from "./memory.ts";
import { disposeAll, programs, startDevice, uploadAll } from "./programs.ts";
import type { LocalPlace, Programs, Weights } from "./programs.ts";
import { toRollouts, type Sampler } from "./rollouts.ts";

/** A reader on this machine. */
export interface LocalReader<X> extends Reader<X> {
  sample: Engine<X>["sample"];
  /**
   * One vector a row, in the order given, where the policy has them: for a transformer the final hidden state at the row's last position.
   *
   * @throws GuerdonError "unsupported" for a policy without features
   */
  features(rows: readonly X[]): Promise<Float32Array[]>;
  dispose(): void;
}

/** Runs calls one at a time, in the order made, whether earlier ones failed or not. */
export type InTurn = <R>(call: () => Promise<R>) => Promise<R>;

export function oneAtATime(): InTurn {
  let last: Promise<unknown> = Promise.resolve();
  return (call) => {
    const run = last.then(call, call);
    last = run;
    return run;
  };
}

/**
 * A reader of these weights, which become its own.
 *
 * @param as what rollouts that it samples are marked with
 * @param release called once, when the reader is disposed
 */
export function readerOf<X>(
  policy: Policy<X>,
  as: Sampler,
  compiled: Programs<X>,
  weights: Weights,
  inTurn: InTurn,
  release: () => void,
): LocalReader<X> {
  let open = true;
  const alive = (): void => {
    if (!open) throw new GuerdonError("usage", "This reader was disposed.");
  };
  const { outputs } = policy;
  return {
    outputs,
    forward: (rows, names = ["logProbs"]) =>
      inTurn(async () => {
        alive();
        checkNames(outputs, names, "This reader");
        return compiled.forward(weights, rows, names);
      }),
    sample: (requests, o) =>
      inTurn(async () => {
        alive();
        checkNames(outputs, o.record ?? [], "This reader");
        const sampled = await drawn(policy, { ...weights.frozen, ...weights.trainable }, requests, o);
        return toRollouts(as, requests, sampled, o, (row) => policy.actions(row));
      }),
    features: (rows) =>
      inTurn(async () => {
        alive();
        return compiled.features(weights, rows);
      }),
    dispose() {
      if (!open) return;
      open = false;
      disposeAll(weights.trainable);
      disposeAll(weights.frozen);
      release();
    },
  };
}

/** `policy.sample`. @throws GuerdonError "unsupported" when the memory does not suffice */
export const drawn: <X>(policy: Policy<X>, ...of: Parameters<Policy<X>["sample"]>) => ReturnType<Policy<X>["sample"]> = (
  policy,
  parameters,
  requests,
  o,
) =>
  policy.sample(parameters, requests, o).catch((cause: unknown) => {
    throw memoryError(cause, drawing(requests.length, o.maxActions));
  });

let readers = 0;

/**
 * A model that is read and never trained, for instance a reference policy from a checkpoint. It holds the parameters once, where an engine
 * also holds a gradient and moments:
 *
 *     const reference = await localReader(await readModel("models/base"));
 */
export async function localReader<X>(
  model: { readonly policy: Policy<X>; readonly parameters: Readonly<Record<string, HostTensor>> },
  place: LocalPlace = {},
): Promise<LocalReader<X>> {
  await startDevice(place);
  const compiled = programs(model.policy, place);
  const frozen = uploadAll(model.parameters);
  const as = { id: `reader-${++readers}`, weightsVersion: 0 };
  return readerOf(model.policy, as, compiled, { trainable: {}, frozen }, oneAtATime(), () => compiled.dispose());
}
