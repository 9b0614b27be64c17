import { GuerdonError } from "../../error.ts";
import { below } from "../../statistics/stream.ts";
import type { TextEnvironment } from "../environment.ts";
import { beginning } from "./beginning.ts";
import { requireBothSplits, splitOf } from "./held-out.ts";
import { numberSymbols } from "./symbols.ts";

export interface SortingOptions {
  /** How many numbers a task gives, 2 to 20. */
  readonly count?: number;
  /** Numbers are drawn from 0 to this, with repetition; at most 99. */
  readonly highest?: number;
}

const ascending = (numbers: readonly number[]): string => numbers.toSorted((a, b) => a - b).join(" ");

/**
 * Sorting: prompt `14 3 3 19 0 7 :`, answer the same numbers in ascending order. Right or wrong, nothing between. A task is held out when
 * the CRC-32 of its sorted numbers is divisible by five, so that a permuted training task is never a test task.
 *
 * @throws GuerdonError "usage" for options out of range, or when no task could be drawn for one of the splits
 */
export function sorting({ count = 6, highest = 19 }: SortingOptions = {}): TextEnvironment {
  if (!Number.isInteger(count) || count < 2 || count > 20) throw new GuerdonError("usage", `sorting: count must be 2 to 20, not ${count}.`);
  if (!Number.isInteger(highest) || highest < 0 || highest > 99)
    throw new GuerdonError("usage", `sorting: highest must be a whole number from 0 to 99, not ${highest}.`);
  requireBothSplits(sortedLists(count, highest), `Sorting ${count} numbers of 0 to ${highest}`);
  return {
    name: "sorting",
    symbols: numberSymbols,
    maxActions: count + 1,
    draw(split, rng) {
      for (;;) {
        const numbers = Array.from({ length: count }, () => below(rng, highest + 1));
        const key = ascending(numbers);
        if (splitOf(key) === split) return { id: `sorting ${key}`, prompt: `${numbers.join(" ")} :`, reference: key };
      }
    },
    check: (completion, reference) => completion.trim().split(/\s+/).join(" ") === sortedReference(reference),
    demonstrate: (task) => sortedReference(task.reference),
    hint(task, share) {
      // Its first numbers are what is given away; the rest is the answer that is left to give.
      const sorted = sortedReference(task.reference);
      const begun = beginning(sorted, share);
      return { ...task, prompt: `${task.prompt as string} ${begun}`.trimEnd(), reference: sorted.slice(begun.length) };
    },
  };
}

function* sortedLists(count: number, highest: number, lowest = 0): Generator<string> {
  for (let first = lowest; first <= highest; first++)
    if (count === 1) yield String(first);
    else for (const rest of sortedLists(count - 1, highest, first)) yield `${first} ${rest}`;
}

function sortedReference(reference: unknown): string {
  if (typeof reference === "string") return reference;
  throw new GuerdonError("input", `A sorting reference is the sorted numbers as text, not ${JSON.stringify(reference)}.`);
}
