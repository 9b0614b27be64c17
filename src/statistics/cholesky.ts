import { GuerdonError } from "../error.ts";

/* The lower factor L of a positive definite matrix A = L L^T, row-major in one array, and what is solved with it. */

/**
 * @param matrix size x size, row-major; only the lower half is read
 * @throws GuerdonError "input" for a matrix that is not positive definite
 */
export function cholesky(matrix: ArrayLike<number>, size: number): Float64Array {
  const factor = new Float64Array(size * size);
  for (let i = 0; i < size; i++)
    for (let j = 0; j <= i; j++) {
      let rest = matrix[i * size + j]!;
      for (let k = 0; k < j; k++) rest -= factor[i * size + k]! * factor[j * size + k]!;
      if (i !== j) factor[i * size + j] = rest / factor[j * size + j]!;
      else if (rest > 0) factor[i * size + i] = Math.sqrt(rest);
      else
        throw new GuerdonError("input", `a covariance is not positive definite: ${rest} is left of row ${i} (equal points and no noise?)`);
    }
  return factor;
}

/** x in L x = b. */
export function solveLower(factor: Float64Array, b: ArrayLike<number>): Float64Array {
  const size = b.length;
  const x = new Float64Array(size);
  for (let i = 0; i < size; i++) {
    let rest = b[i]!;
    for (let k = 0; k < i; k++) rest -= factor[i * size + k]! * x[k]!;
    x[i] = rest / factor[i * size + i]!;
  }
  return x;
}

/** x in L^T x = b. */
export function solveUpper(factor: Float64Array, b: ArrayLike<number>): Float64Array {
  const size = b.length;
  const x = new Float64Array(size);
  for (let i = size - 1; i >= 0; i--) {
    let rest = b[i]!;
    for (let k = i + 1; k < size; k++) rest -= factor[k * size + i]! * x[k]!;
    x[i] = rest / factor[i * size + i]!;
  }
  return x;
}

/** The factor of A + v v^T from that of A, by rotations: never less positive definite than A was (Golub and Van Loan, 6.5.4). */
export function rankOneUpdate(factor: Float64Array, v: ArrayLike<number>): Float64Array {
  const size = v.length;
  const out = factor.slice();
  const rest = Float64Array.from(v);
  for (let j = 0; j < size; j++) {
    const before = out[j * size + j]!;
    const after = Math.hypot(before, rest[j]!);
    const [cosine, sine] = [after / before, rest[j]! / before];
    out[j * size + j] = after;
    for (let i = j + 1; i < size; i++) {
      const entry = (out[i * size + j]! + sine * rest[i]!) / cosine;
      rest[i] = cosine * rest[i]! - sine * entry;
      out[i * size + j] = entry;
    }
  }
  return out;
}

/** L z. */
export function timesLower(factor: Float64Array, z: ArrayLike<number>): Float64Array {
  const size = z.length;
  const out = new Float64Array(size);
  for (let i = 0; i < size; i++) for (let k = 0; k <= i; k++) out[i]! += factor[i * size + k]! * z[k]!;
  return out;
}

/** The sum of products of two lists of equal length. */
export function dot(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let total = 0;
  for (let i = 0; i < a.length; i++) total += a[i]! * b[i]!;
  return total;
}
