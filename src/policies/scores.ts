/**
 * The names of the outputs of a score head: "score", or "score.0", "score.1", ... where the head gives several numbers (an embedding, a
 * reward with several attributes). Each is an output like any other: one number an action, with its own gradient.
 *
 * @param columns numbers that the head gives; `true` is one, `false` none
 */
export function scoreOutputs(columns: number | boolean): readonly string[] {
  const count = Number(columns);
  return count === 1 ? ["score"] : Array.from({ length: count }, (_, i) => `score.${i}`);
}
