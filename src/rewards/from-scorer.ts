import { quoted, unscorable, type Score } from "./grade.ts";
import { reward, type Reward, type RewardOptions } from "./reward.ts";
import type { Schema } from "./schema.ts";

/** What a scorer of autoevals gets: the row's columns beside prompt, answer and reference. */
export interface ScorerArguments {
  /** The prompt: text, or messages as they are. */
  readonly input: unknown;
  /** The final text of the answer. */
  readonly output: string;
  /** The column `reference`, where there is one. */
  readonly expected?: unknown;
  readonly [column: string]: unknown;
}

/** What such a scorer says: a number, or an object with `score` and details. */
export type ScorerResult =
  | number
  | boolean
  | null
  | { readonly name?: string; readonly score: number | null; readonly metadata?: unknown; readonly error?: unknown };

/** What an assertion of promptfoo says. */
export interface AssertionResult {
  readonly pass: boolean;
  readonly score: number;
  readonly reason?: string;
  /** Scores of named parts. */
  readonly namedScores?: Readonly<Record<string, number>>;
}

export interface ScorerOptions {
  readonly name: string;
  /** Change it when the scorer's grades change; "1" unless said. */
  readonly version?: string;
  /** "expected": the row must have a `reference`; unless said it is passed on where there is one. */
  readonly needs?: "expected";
}

/**
 * A scorer of another library as a reward. Two shapes are understood:
 *
 * - autoevals: a function of `{ input, output, expected, ... }` (prompt, final text, `reference`, and the row's other columns) that gives
 *   `{ score, metadata }`, with null for "cannot say";
 * - promptfoo (`shape: "promptfoo"`): a function of the output and a context `{ prompt, vars }` that gives true or false, a number, or
 *   `{ pass, score, reason }`. `vars` are the row's columns.
 *
 * A score that is no finite number, or an object without one, is unscorable with what was returned; `reason`, or a `rationale` in the
 * metadata, becomes the note, `namedScores` the parts. The scorer's range is kept.
 */
export function fromScorer(
  scorer: (given: ScorerArguments) => ScorerResult | Promise<ScorerResult>,
  options: ScorerOptions & { readonly shape?: "autoevals"; readonly needs: "expected" },
): Reward<{ readonly reference: unknown }>;
export function fromScorer(
  scorer: (given: ScorerArguments) => ScorerResult | Promise<ScorerResult>,
  options: ScorerOptions & { readonly shape?: "autoevals" },
): Reward;
export function fromScorer(
  scorer: (
    output: string,
    context: { readonly prompt: unknown; readonly vars: Readonly<Record<string, unknown>> },
  ) => PromptfooResult | Promise<PromptfooResult>,
  options: ScorerOptions & { readonly shape: "promptfoo" },
): Reward;
export function fromScorer(
  scorer:
    | ((given: ScorerArguments) => unknown)
    | ((output: string, context: { readonly prompt: unknown; readonly vars: Readonly<Record<string, unknown>> }) => unknown),
  { name, version = "1", needs, shape = "autoevals" }: ScorerOptions & { readonly shape?: "autoevals" | "promptfoo" },
): Reward | Reward<{ readonly reference: unknown }> {
  const settings: RewardOptions<Schema<object>> = { version, columns: needs === "expected" ? hasReference : anyColumns };
  return reward(name, settings, async (answer) => {
    const { prompt, completion: _, text, ...columns } = answer as typeof answer & { readonly reference?: unknown };
    if (shape === "promptfoo") {
      const call = scorer as (
        output: string,
        context: { readonly prompt: unknown; readonly vars: Readonly<Record<string, unknown>> },
      ) => unknown;
      return toGrade(await call(text, { prompt, vars: columns }), name);
    }
    const { reference, ...rest } = columns;
    const call = scorer as (given: ScorerArguments) => unknown;
    return toGrade(await call({ ...rest, input: prompt, output: text, ...(reference === undefined ? {} : { expected: reference }) }), name);
  });
}

export type PromptfooResult = boolean | number | AssertionResult;

function toGrade(returned: unknown, name: string): Score {
  if (returned === null) return unscorable("declined", `The scorer "${name}" could not say (null).`);
  if (typeof returned === "boolean") return { value: returned ? 1 : 0 };
  if (typeof returned === "number") return toGrade({ score: returned }, name);
  const { score, reason, metadata, namedScores, error } = Object(returned) as Readonly<Record<string, unknown>>;
  if (error !== undefined && error !== null)
    return unscorable("threw", `The scorer "${name}" failed: ${error instanceof Error ? error.message : quoted(error)}.`);
  const rationale = (Object(metadata) as { readonly rationale?: unknown }).rationale;
  const note = typeof reason === "string" ? { note: reason } : typeof rationale === "string" ? { note: rationale } : {};
  if (score === null) return { ...unscorable("declined", `The scorer "${name}" could not say (null).`), ...note };
  if (typeof score !== "number") return unscorable("not-a-grade", `The scorer "${name}" returned ${quoted(returned)}, which has no score.`);
  if (!Number.isFinite(score)) return unscorable("not-finite", `The scorer "${name}" returned the score ${score}.`);
  const parts = Object.entries(Object(namedScores) as object).filter((part): part is [string, number] => Number.isFinite(part[1]));
  return { value: score, ...(parts.length > 0 ? { parts: Object.fromEntries(parts) } : {}), ...note };
}

const columnsOf = (isRight: (row: object) => boolean): Schema<object> => ({
  "~standard": {
    version: 1,
    vendor: "guerdon",
    validate: (row) => (isRight(row as object) ? { value: {} } : { issues: [{ message: "is missing", path: ["reference"] }] }),
  },
});
const anyColumns = columnsOf(() => true);
const hasReference = columnsOf((row) => "reference" in row && row.reference !== undefined);
