import { GuerdonError } from "../error.ts";
import type { Column, Scored } from "./scored.ts";

/**
 * Adds an output that was recorded while sampling as a token column of the same name: the acting policy's "entropy" or "value".
 *
 * @throws GuerdonError "input" naming a rollout without it
 */
export function withRecorded<X>(table: Scored<X>, output: string): Scored<X> {
  const columns = table.rollouts.map((_, row) => recordedOf(table, output, row));
  return { ...table, token: { ...table.token, [output]: columns } };
}

/**
 * Mean of a recorded output over each answer's own actions: the mean token entropy, for instance. 0 for an answer without any.
 *
 * @throws GuerdonError "input" naming a rollout without it
 */
export function meanRecorded(table: Scored<unknown>, output: string): Column {
  return Float64Array.from(table.rollouts, ({ mask }, row) => {
    const values = recordedOf(table, output, row);
    let total = 0;
    let count = 0;
    for (let j = 0; j < mask.length; j++)
      if (mask[j] !== 0) {
        total += values[j]!;
        count++;
      }
    return count === 0 ? 0 : total / count;
  });
}

/** The number of each answer's own actions. */
export const lengths = (table: Scored<unknown>): Column =>
  Float64Array.from(table.rollouts, ({ mask }) => mask.reduce((sum, m) => sum + m, 0));

function recordedOf({ rollouts }: Scored<unknown>, output: string, row: number): Float32Array {
  const { recorded, task } = rollouts[row]!;
  const column = recorded?.[output];
  if (column === undefined)
    throw new GuerdonError(
      "input",
      `Rollout ${row} (task "${task.id}") has no recorded "${output}", which cannot be had later: sample with { record: ["${output}"] } from an engine that has it.`,
    );
  return column;
}
