import { GuerdonError } from "../error.ts";

const isFull = (cause: unknown): cause is RangeError => cause instanceof RangeError && /memory32|WebAssembly\.Memory/.test(cause.message);

/** Whether something failed because the array library's memory is full. What it has taken until then it keeps, so that little works afterwards. */
export const isOutOfMemory = (cause: unknown): boolean => isFull(cause) || (cause instanceof GuerdonError && isFull(cause.cause));

/**
 * What to throw for a failure of array code: GuerdonError "unsupported" when the memory did not suffice, else the failure itself.
 *
 * @param asked what it did not suffice for: "4 rows of 512 positions at once"
 */
export function memoryError(cause: unknown, asked: string): unknown {
  if (!isFull(cause)) return cause;
  const limit = cause.message.includes("memory32") ? "WebAssembly addresses 4 GiB" : "this machine gave no more memory";
  return new GuerdonError(
    "unsupported",
    `There is no room for ${asked}: ${limit}, and weights, gradients, optimizer and activations share it. Start again with less: fewer or shorter rows at once (the engine's \`cells\`), a smaller model, or an adapter in place of all weights.`,
    { cause },
  );
}

/** Parameters, for `memoryError`. */
export const counted = (tensors: readonly { readonly shape: readonly number[] }[]): string =>
  `${tensors.reduce((sum, { shape }) => sum + shape.reduce((product, n) => product * n, 1), 0).toLocaleString("en")} parameters`;

/** Answers to be drawn, for `memoryError`. */
export const drawing = (count: number, maxActions: number): string => `drawing ${count} answers of up to ${maxActions} tokens at once`;
