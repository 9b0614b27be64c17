import { GuerdonError } from "../../error.ts";
import type { Policy } from "../../policies/policy.ts";
import type { TransformerPolicy } from "../../policies/transformer.ts";

/**
 * A row of the protocol: position i of `inputs` has to predict `targets[i]`, which is mostly, but need not be, the next input. Both have the
 * same length.
 */
export interface TargetedRow {
  readonly inputs: Int32Array;
  readonly targets: Int32Array;
}

const none = new Int32Array(0);

/** A language model as a policy over the protocol's rows, for training: its log-probabilities are those of the targets. */
export function targeted(policy: TransformerPolicy, trainable: (name: string) => boolean): Policy<TargetedRow> {
  const { vocabulary } = policy.architecture;
  const refuse = (what: string) => new GuerdonError("unsupported", `Rows with given targets are trained on: ${what}.`);
  return {
    family: policy.family,
    outputs: ["logProbs"],
    init: (seed, wanted) => policy.init(seed, wanted),
    trainable,
    actions: (row) => row.targets.length,
    cells: (row) => row.inputs.length,
    start: () => 0,
    collate(rows, N, T) {
      const { tokens, targets, ...rest } = policy.collate(
        rows.map(({ inputs }) => ({ prompt: inputs, actions: none })),
        N,
        T,
      );
      rows.forEach((row, n) => {
        const strange = row.targets.findIndex((id) => !(id >= 0 && id < vocabulary));
        if (strange >= 0)
          throw new GuerdonError(
            "input",
            `Row ${n}, target ${strange}: id ${row.targets[strange]} is outside the vocabulary of ${vocabulary}.`,
          );
        targets!.data.set(row.targets, n * T);
      });
      return { tokens: tokens!, targets: targets!, ...rest };
    },
    apply: (parameters, inputs, names) => policy.apply(parameters, inputs, names),
    sample: () => Promise.reject(refuse("sample with the model itself")),
    begin() {
      throw refuse("they do not begin at a task");
    },
    ...(policy.comfortableCells === undefined ? {} : { comfortableCells: policy.comfortableCells }),
    config: policy.config,
    dispose: () => policy.dispose(),
  };
}
