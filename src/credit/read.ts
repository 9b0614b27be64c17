import type { Reader } from "../engines/engine.ts";
import { GuerdonError } from "../error.ts";
import type { Examples } from "./examples.ts";
import type { Scored } from "./scored.ts";

/**
 * Adds what a reader says of the rows as a token column: a reference or an anchor (its "logProbs"), a critic (its "value"). Masked cells
 * hold 0.
 *
 * @param x examples, or scored rollouts before they become examples
 * @param name the column's name
 * @throws GuerdonError "input" when the reader answers with other lengths; "non-finite" naming row and action
 */
export async function withOutput<X>(x: Examples<X>, name: string, reader: Reader<X>, output: string): Promise<Examples<X>>;
export async function withOutput<X>(x: Scored<X>, name: string, reader: Reader<X>, output: string): Promise<Scored<X>>;
export async function withOutput<X>(
  x: Examples<X> | Scored<X>,
  name: string,
  reader: Reader<X>,
  output: string,
): Promise<Examples<X> | Scored<X>> {
  const rows = "rollouts" in x ? x.rollouts.map((r) => r.row) : x.rows;
  const masks = "rollouts" in x ? x.rollouts.map((r) => r.mask) : rows.map((_, i) => x.mask.subarray(x.offsets[i]!, x.offsets[i + 1]!));
  const answer = rows.length === 0 ? [] : (await reader.forward(rows, [output]))[output];
  if (answer === undefined) throw new GuerdonError("unsupported", `the reader gives no ${output}; it gives ${reader.outputs.join(", ")}`);
  if (answer.length !== rows.length) throw new GuerdonError("input", `the reader gave ${answer.length} rows for ${rows.length}`);
  const columns = answer.map((numbers, i) => {
    const mask = masks[i]!;
    if (numbers.length !== mask.length)
      throw new GuerdonError("input", `the reader gave ${numbers.length} numbers for the ${mask.length} actions of row ${i}`);
    return numbers.map((value, j) => {
      if (mask[j] === 0) return 0;
      if (!Number.isFinite(value))
        throw new GuerdonError("non-finite", `the ${output} for the column ${name} is ${value} in row ${i}, action ${j}`);
      return value;
    });
  });
  if ("rollouts" in x) return { ...x, token: { ...x.token, [name]: columns } };
  const flat = new Float32Array(x.mask.length);
  for (const [i, column] of columns.entries()) flat.set(column, x.offsets[i]!);
  return { ...x, token: { ...x.token, [name]: flat } };
}

/** Adds the reader's log-probabilities of the actions taken as a token column: `await withLogProbs(x, "reference", reader)`. */
export async function withLogProbs<X>(x: Examples<X>, name: string, reader: Reader<X>): Promise<Examples<X>>;
export async function withLogProbs<X>(x: Scored<X>, name: string, reader: Reader<X>): Promise<Scored<X>>;
export async function withLogProbs<X>(x: Examples<X> | Scored<X>, name: string, reader: Reader<X>): Promise<Examples<X> | Scored<X>> {
  return "rollouts" in x ? withOutput(x, name, reader, "logProbs") : withOutput(x, name, reader, "logProbs");
}

/**
 * Adds the reader's log-probability of each whole row, the sum over its unmasked actions, as a row column: what pair and list losses
 * "against" an "anchor" read.
 */
export async function withRowLogProbs<X>(examples: Examples<X>, name: string, reader: Reader<X>): Promise<Examples<X>> {
  const { token, offsets, mask } = await withOutput(examples, name, reader, "logProbs");
  const sums = examples.rows.map((_, i) => {
    let sum = 0;
    for (let cell = offsets[i]!; cell < offsets[i + 1]!; cell++) sum += mask[cell]! * token[name]![cell]!;
    return sum;
  });
  return { ...examples, row: { ...examples.row, [name]: Float32Array.from(sums) } };
}

/** Adds the key "source": 0 for rollouts that this engine drew, 1 for those of anyone else (a reference policy). */
export const withSource = <X>(table: Scored<X>, engine: { readonly id: string }): Scored<X> => ({
  ...table,
  keys: { ...table.keys, source: Int32Array.from(table.rollouts, ({ sampling }) => (sampling.engine === engine.id ? 0 : 1)) },
});

/**
 * Credit of each action as a policy trained from preferences implies it: beta * (log policy - log reference). In a deterministic process it
 * is the advantage of the action under the reward that the policy is optimal for (arXiv 2404.12358); only its sum over a row, the reward
 * minus the first state's value, is tied to that reward. So add it up, never average it.
 *
 * @param beta the strength of the pull towards the reference that the policy was trained with
 * @returns one array a row, one number an action, in units of reward
 */
export async function implicitCredit<X>(
  rows: readonly X[],
  policy: Reader<X>,
  reference: Reader<X>,
  beta: number,
): Promise<Float64Array[]> {
  if (rows.length === 0) return [];
  const own = (await policy.forward(rows))["logProbs"]!;
  const other = (await reference.forward(rows))["logProbs"]!;
  return own.map((row, i) => Float64Array.from(row, (l, j) => beta * (l - other[i]![j]!)));
}
