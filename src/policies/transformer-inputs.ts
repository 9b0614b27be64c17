import type { HostArray } from "../arrays/index.ts";
import { GuerdonError } from "../error.ts";
import type { TextSequence } from "./policy.ts";
import type { Resolved } from "./transformer-config.ts";

/** Refuses a row that the model cannot take: an id outside a table would be computed with silently. */
export function checkRow({ vocabulary, context }: Resolved, row: TextSequence, name: string): void {
  const length = row.prompt.length + row.actions.length;
  if (row.prompt.length === 0) throw new GuerdonError("input", `${name} has an empty prompt; a language model needs at least one token.`);
  if (length > context)
    throw new GuerdonError(
      "input",
      `${name} has ${row.prompt.length} prompt and ${row.actions.length} answer tokens, more than the context of ${context}.`,
    );
  for (const [part, ids] of [
    ["prompt", row.prompt],
    ["answer", row.actions],
  ] as const)
    for (let i = 0; i < ids.length; i++)
      if (!(ids[i]! >= 0 && ids[i]! < vocabulary))
        throw new GuerdonError("input", `${name}, ${part} token ${i}: id ${ids[i]} is outside the vocabulary of ${vocabulary}.`);
}

/**
 * Inputs of `apply`: tokens [N, T]; targets [N, T], each position's next token; last [N], each row's last position; order [T] = 0, 1, ..;
 * and with rotary positions cos and sin [T, headSize / 2], made here because float32 cosines of large angles are poor.
 */
export function collate(config: Resolved, rows: readonly TextSequence[], N: number, T: number): Record<string, HostArray> {
  if (rows.length > N) throw new GuerdonError("internal", `transformer.collate: ${rows.length} rows do not fit into ${N}.`);
  const tokens = new Int32Array(N * T);
  const targets = new Int32Array(N * T);
  const last = new Int32Array(N);
  rows.forEach((row, n) => {
    checkRow(config, row, `Row ${n}`);
    const length = row.prompt.length + row.actions.length;
    if (length > T) throw new GuerdonError("internal", `transformer.collate: row ${n} has ${length} positions, more than ${T}.`);
    tokens.set(row.prompt, n * T);
    tokens.set(row.actions, n * T + row.prompt.length);
    targets.set(tokens.subarray(n * T + 1, n * T + length), n * T);
    last[n] = length - 1;
  });
  const order = Float32Array.from({ length: T }, (_, t) => t);
  return {
    tokens: { shape: [N, T], data: tokens },
    targets: { shape: [N, T], data: targets },
    last: { shape: [N], data: last },
    order: { shape: [T], data: order },
    ...(config.positions === "rotary" ? rotation(config.frequencies, order) : {}),
  };
}

/** cos and sin [positions, headSize / 2] of position x frequency. */
export function rotation(frequencies: readonly number[], positions: ArrayLike<number>): { cos: HostArray; sin: HostArray } {
  const half = frequencies.length;
  const cos = new Float32Array(positions.length * half);
  const sin = new Float32Array(positions.length * half);
  for (let t = 0; t < positions.length; t++)
    for (let i = 0; i < half; i++) {
      cos[t * half + i] = Math.cos(positions[t]! * frequencies[i]!);
      sin[t * half + i] = Math.sin(positions[t]! * frequencies[i]!);
    }
  return { cos: { shape: [positions.length, half], data: cos }, sin: { shape: [positions.length, half], data: sin } };
}
