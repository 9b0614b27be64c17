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
