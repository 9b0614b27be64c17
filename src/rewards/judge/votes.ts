/** How several judgements become one. */
export type Combine = "mean" | "majority";

/**
 * One number from several votes: their mean, or the most frequent value (the mean of the most frequent ones, when several are equally
 * frequent).
 *
 * @param votes at least one
 */
export function combineVotes(votes: readonly number[], combine: Combine): number {
  const mean = (values: readonly number[]): number => values.reduce((total, one) => total + one, 0) / values.length;
  if (combine === "mean") return mean(votes);
  const counts = new Map<number, number>();
  for (const vote of votes) counts.set(vote, (counts.get(vote) ?? 0) + 1);
  const most = Math.max(...counts.values());
  return mean([...counts].flatMap(([vote, count]) => (count === most ? [vote] : [])));
}
