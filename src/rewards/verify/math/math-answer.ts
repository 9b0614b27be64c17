import { GuerdonError } from "../../../error.ts";
import { reward, type Reward } from "../../reward.ts";
import type { Schema } from "../../schema.ts";
import { unscorable, type Score } from "../../grade.ts";
import { extractAnswer, type ExtractOptions } from "./extract.ts";
import { sameAnswer, type SameOptions, type Verdict } from "./same-answer.ts";

export interface MathAnswerOptions extends Omit<SameOptions, "signal">, ExtractOptions {
  /** How it is called; "math-answer" unless said. */
  readonly name?: string;
  /** What a list of references means: "any" of them is right (unless said), or the answer must give "all". */
  readonly references?: "any" | "all";
}

/** The column that rows must have. A number is taken as it prints. */
export interface MathReference {
  readonly reference: string | number | readonly string[];
}

/**
 * Whether the answer in a completion is the reference: 1 or 0, or unscorable with the reason where nobody can say. The column `reference` is
 * a string, a number or a list of strings, each an answer, or a solution with its answer in a box or after "####".
 *
 * A completion without any answer gets 0: it is the model's duty to give one. A reference that cannot be read makes the row unscorable.
 *
 * @throws GuerdonError "usage" for a tolerance below 0 or a deadline that is not above 0
 */
export function mathAnswer(options: MathAnswerOptions = {}): Reward<MathReference> {
  const { name = "math-answer", references = "any", places, ...same } = options;
  if (same.tolerance !== undefined && !(same.tolerance >= 0))
    throw new GuerdonError("usage", `mathAnswer: tolerance must be at least 0, not ${same.tolerance}.`);
  if (same.deadlineMs !== undefined && !(same.deadlineMs > 0))
    throw new GuerdonError("usage", `mathAnswer: deadlineMs must be above 0, not ${same.deadlineMs}.`);
  const version = `1:${JSON.stringify({ references, places, ...same })}`;
  return reward(name, { columns: referenceColumn, version }, async ({ text, reference }, { signal }): Promise<Score> => {
    const list = (typeof reference === "string" ? [reference] : reference).map(referenceAnswer);
    const wanted = references === "all" ? [list.join(", ")] : list;
    const found = extractAnswer(text, places === undefined ? {} : { places });
    if (found === null) return { value: 0, note: "no answer found" };
    let open: Extract<Verdict, { verdict: "cannot say" }> | null = null;
    for (const one of wanted) {
      const verdict = await sameAnswer(found.answer, one, { ...same, signal });
      if (verdict.verdict === "same") return { value: 1, note: `${found.from}, ${verdict.stage}` };
      if (verdict.verdict === "cannot say") open = verdict;
    }
    if (open === null) return { value: 0, note: found.from };
    return unscorable(open.reason === "timeout" ? "timeout" : "unparsable", open.message);
  });
}

/** The answer of a reference that is a worked solution; any other reference as it is. */
export function referenceAnswer(reference: string): string {
  const solution = /\\boxed|\\fbox|^\s*####/m.test(reference) || (reference.length > 200 && /answer/i.test(reference));
  return solution ? (extractAnswer(reference, { places: ["boxed", "phrase"] })?.answer ?? reference) : reference;
}

const referenceColumn: Schema<MathReference, { reference: string | readonly string[] }> = {
  "~standard": {
    version: 1,
    vendor: "guerdon",
    validate(value) {
      const { reference } = value as { reference?: unknown };
      if (typeof reference === "string") return { value: { reference } };
      if (typeof reference === "number" && Number.isFinite(reference)) return { value: { reference: String(reference) } };
      if (Array.isArray(reference) && reference.length > 0 && reference.every((one) => typeof one === "string"))
        return { value: { reference } };
      const message = reference === undefined ? "is missing" : "must be a string, a number or a list of strings";
      return { issues: [{ message, path: ["reference"] }] };
    },
  },
};
