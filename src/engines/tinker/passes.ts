import { GuerdonError } from "../../error.ts";
import type { TextSequence } from "../../policies/policy.ts";
import type { Outputs } from "../engine.ts";
import type { ServiceModel } from "./model.ts";
import type { Answers, Datum, Loss } from "./protocol.ts";

/**
 * The most rows of one request (those of the Python SDK), and the most tokens: some two megabytes of JSON. A batch beyond that is cut into
 * several, whose gradients add up.
 */
export const mostRows = 1024;
const mostTokens = 65_536;

/** What a pass computes. Columns have one array a row with one number an action. */
export interface PassOptions {
  readonly call: "forward" | "forward_backward";
  readonly loss: Loss;
  readonly columns: Readonly<Partial<Record<"weights" | "advantages" | "logprobs", readonly Float32Array[]>>>;
  readonly config?: Readonly<Record<string, number>>;
}

/**
 * Sends rows through the model, and gives the log-probability of every action under the weights of this pass. Rows without actions are
 * not sent.
 *
 * @throws GuerdonError "input" for a row without a prompt; "non-finite" naming the row when a log-probability is not finite; "io"
 */
export async function pass(
  model: ServiceModel,
  rows: readonly TextSequence[],
  { call, loss, columns, config }: PassOptions,
): Promise<Outputs> {
  const sent = rows.map((_, i) => i).filter((i) => rows[i]!.actions.length > 0);
  const data = sent.map((i) =>
    datumOf(rows[i]!, i, Object.fromEntries(Object.entries(columns).map(([name, perRow]) => [name, perRow[i]!]))),
  );
  const answers = await Promise.all(
    requestsOf(data).map(async (part) => {
      const input = { data: part, loss_fn: loss, ...(config && { loss_fn_config: { ...config } }) };
      const { loss_fn_outputs: made } = await (call === "forward"
        ? model.run(call, { forward_input: input })
        : model.run(call, { forward_backward_input: input }));
      // Of every request: one too many here and one too few there would give rows the numbers of others.
      if (made.length !== part.length)
        throw new GuerdonError("io", `${call} answered with ${made.length} results for ${part.length} rows.`);
      return made;
    }),
  );
  const outputs = answers.flat();
  const logProbs: Float32Array[] = rows.map(() => new Float32Array(0));
  sent.forEach((i, k) => (logProbs[i] = actionsOf(call, outputs[k]!, rows[i]!, i)));
  return { logProbs };
}

/**
 * One forward_backward that adds nothing: a step whose rows all have a gradient of zero still moves the weights by Adam's momentum, and not
 * every service takes an optim_step that no forward_backward came before.
 */
export async function emptyPass(model: ServiceModel): Promise<void> {
  const row = { prompt: Int32Array.of(0), actions: Int32Array.of(0) };
  await pass(model, [row], { call: "forward_backward", loss: "cross_entropy", columns: { weights: [new Float32Array(1)] } });
}

/** Prompt and actions in one list. */
export const tokensOf = ({ prompt, actions }: TextSequence): number[] => [...prompt, ...actions];

/** A row as the protocol has it: position i predicts token i + 1, and what belongs to action j stands where that is predicted. */
function datumOf(row: TextSequence, i: number, columns: Readonly<Record<string, Float32Array>>): Datum {
  if (row.prompt.length === 0) throw new GuerdonError("input", `Row ${i} has an empty prompt; a language model needs at least one token.`);
  const tokens = tokensOf(row);
  const shape = [tokens.length - 1];
  const placed = (column: Float32Array): number[] => {
    const out = Array.from<number>({ length: tokens.length - 1 }).fill(0);
    column.forEach((value, j) => (out[row.prompt.length - 1 + j] = value));
    return out;
  };
  return {
    model_input: { chunks: [{ type: "encoded_text", tokens: tokens.slice(0, -1) }] },
    loss_fn_inputs: {
      target_tokens: { data: tokens.slice(1), dtype: "int64", shape },
      ...Object.fromEntries(Object.entries(columns).map(([name, column]) => [name, { data: placed(column), dtype: "float32", shape }])),
    },
  };
}

function requestsOf(data: readonly Datum[]): Datum[][] {
  const out: Datum[][] = [];
  let tokens = 0;
  for (const one of data) {
    const length = one.loss_fn_inputs.target_tokens.data.length;
    const last = out.at(-1);
    if (last !== undefined && last.length < mostRows && tokens + length <= mostTokens) {
      last.push(one);
      tokens += length;
    } else {
      out.push([one]);
      tokens = length;
    }
  }
  return out;
}

function actionsOf(call: string, { logprobs }: Answers["forward"]["loss_fn_outputs"][number], row: TextSequence, i: number): Float32Array {
  const { data } = logprobs;
  const from = row.prompt.length - 1;
  if (data.length !== from + row.actions.length)
    throw new GuerdonError(
      "io",
      `${call} answered with ${data.length} log-probabilities for row ${i}, which has ${from + row.actions.length} tokens to predict.`,
    );
  return finiteLogProbs(data.slice(from), (j) => `${call}: the log-probability of action ${j} of row ${i}`);
}

/** @throws GuerdonError "non-finite" for the first number that is not finite, or that the service sent as null because it is not */
export function finiteLogProbs(values: readonly (number | null)[], what: (j: number) => string): Float32Array {
  return Float32Array.from(values, (value, j) => {
    if (value !== null && Number.isFinite(value)) return value;
    throw new GuerdonError(
      "non-finite",
      `${what(j)} came as ${value} from the training service, so the step was refused: no update was made. ` +
        `The weights may have diverged: go on from an earlier checkpoint with a lower learning rate.`,
    );
  });
}
