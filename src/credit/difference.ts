import { GuerdonError } from "../error.ts";

/**
 * Advantages of one group's answers from pairwise strengths: A_i = mean_j D_ij / sqrt(sum_ij D_ij^2 / (2 G (G - 1)) + epsilon). With
 * D_ij = r_i - r_j and epsilon 0 these are the rewards with mean 0 and sample deviation 1; but D need not come from rewards, so that answers may
 * beat each other in a ring (arXiv 2410.02197).
 *
 * @param strengths [G][G], by how much answer i is preferred to j; antisymmetric
 * @param options.epsilon inside the root, for groups without differences
 * @returns [G]; all 0 where no answer is preferred to another
 * @throws GuerdonError "input" for fewer than two answers, or strengths that are not antisymmetric
 */
export function differenceAdvantage(strengths: readonly (readonly number[])[], options: { readonly epsilon: number }): Float64Array {
  const G = strengths.length;
  if (G < 2) throw new GuerdonError("input", `differenceAdvantage needs at least 2 answers; there are ${G}`);
  let squares = 0;
  strengths.forEach((row, i) => {
    if (row.length !== G) throw new GuerdonError("input", `row ${i} of the strengths has ${row.length} numbers; there are ${G} answers`);
    row.forEach((d, j) => {
      // Sums of float32 products differ in the last digit with the order.
      if (!(Math.abs(d + strengths[j]![i]!) <= 1e-6 * (1 + Math.abs(d))))
        throw new GuerdonError(
          "input",
          `answer ${i} is preferred to ${j} by ${d}, and ${j} to ${i} by ${strengths[j]![i]}; one must be minus the other`,
        );
      squares += d * d;
    });
  });
  const scale = Math.sqrt(squares / (2 * G * (G - 1)) + options.epsilon);
  return Float64Array.from(strengths, (row) => (scale === 0 ? 0 : row.reduce((sum, d) => sum + d, 0) / G / scale));
}
