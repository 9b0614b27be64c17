import { GuerdonError } from "../error.ts";

/** Names under which data sets keep the right answer. */
export const referenceColumns = ["reference", "answer", "solution", "ground_truth", "target", "expected"] as const;

/**
 * Finds the column that holds the reference: the only one present of `reference`, `answer`, `solution`, `ground_truth`, `target` and
 * `expected`; null where there is none. Say which was taken, for instance "reference <- solution": a guess must be seen.
 *
 * @param columns the column names of the data
 * @param where names the file or the rows in the message
 * @throws GuerdonError "input" when two or more are present
 */
export function referenceColumn(columns: Iterable<string>, where: string): string | null {
  const present = new Set(columns);
  const found = referenceColumns.filter((name) => present.has(name));
  if (found.length > 1)
    throw new GuerdonError(
      "input",
      `${where}: the reference could be ${found.map((name) => `"${name}"`).join(" or ")}. Say which, in code with columns: { reference: "${found[1]}" }, on the command line with --columns reference=${found[1]}.`,
    );
  return found[0] ?? null;
}
