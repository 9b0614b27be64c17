import { GuerdonError } from "../error.ts";

/**
 * The probability that at least one of k samples is right, estimated without bias from n samples of which c are right: 1 - C(n - c, k) /
 * C(n, k) (arXiv 2107.03374), as a product that does not overflow.
 *
 * @throws GuerdonError "input" unless 0 <= correct <= samples and 1 <= k <= samples, all whole
 */
export function passAtK(samples: number, correct: number, k: number): number {
  if (![samples, correct, k].every(Number.isInteger) || correct < 0 || correct > samples || k < 1 || k > samples)
    throw new GuerdonError(
      "input",
      `pass@k needs whole numbers 0 <= correct <= samples and 1 <= k <= samples; got ${correct} of ${samples}, k = ${k}`,
    );
  let allWrong = 1;
  for (let i = 0; i < k; i++) allWrong *= Math.max(0, samples - correct - i) / (samples - i);
  return 1 - allWrong;
}

/**
 * The most frequent of the first k answers. Of equally frequent ones the answer that appears first wins. Null answers (nothing that could
 * be read) do not vote.
 *
 * @returns null when nobody votes
 * @throws GuerdonError "input" when there are fewer than k answers
 */
export function majorityAtK(answers: readonly (string | null)[], k: number): string | null {
  if (!Number.isInteger(k) || k < 1 || k > answers.length)
    throw new GuerdonError("input", `majority@${k} needs at least ${k} answers; there are ${answers.length}`);
  const votes = new Map<string, number>();
  for (const answer of answers.slice(0, k)) if (answer !== null) votes.set(answer, (votes.get(answer) ?? 0) + 1);
  let winner: string | null = null;
  for (const [answer, count] of votes) if (winner === null || count > votes.get(winner)!) winner = answer;
  return winner;
}
