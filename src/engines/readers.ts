import { upload } from "../arrays/index.ts";
import { GuerdonError } from "../error.ts";
import type { Policy } from "../policies/policy.ts";
import type { HostTensor } from "../statistics/snapshot.ts";
import { checkNames } from "./checks.ts";
import type { Reader } from "./engine.ts";
import { disposeAll, programs, startDevice } from "./programs.ts";
import type { LocalPlace, Programs, Weights } from "./programs.ts";

/** A reader on this machine. */
export interface LocalReader<X> extends Reader<X> {
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
 * @param outputs that the policy gives with them
 * @param release called once, when the reader is disposed
 */
export function readerOf<X>(
  outputs: readonly string[],
  compiled: Programs<X>,
  weights: Weights,
  inTurn: InTurn,
  release: () => void,
): LocalReader<X> {
  let open = true;
  const alive = (): void => {
    if (!open) throw new GuerdonError("usage", "This reader was disposed.");
  };
  return {
    outputs,
    forward: (rows, names = ["logProbs"]) =>
      inTurn(async () => {
        alive();
        checkNames(outputs, names, "This reader");
        return compiled.forward(weights, rows, names);
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
  const frozen = Object.fromEntries(Object.entries(model.parameters).map(([name, tensor]) => [name, upload(tensor)]));
  return readerOf(model.policy.outputs, compiled, { trainable: {}, frozen }, oneAtATime(), () => compiled.dispose());
}
