import type { Message, Row } from "../data/row.ts";
import { GuerdonError } from "../error.ts";
import { thrownMessage, type CallContext, type Calls } from "./calls.ts";
import { toScore, unscorable, quoted, type Grade, type Score, type ScoreError } from "./grade.ts";
import { stepAggregate, stepAggregates, type StepAggregate } from "./step-aggregate.ts";
import type { InputOf, Issue, OutputOf, Schema, Validated } from "./schema.ts";

/** Which rows a reward sees at once: one, all answers to one prompt, or as many as are at hand because that is cheaper. */
export type Scope = "row" | "group" | "batch";

/** A row as the runner hands it to rewards. */
export interface Answer {
  readonly row: Row;
  /** Place among the rows that are scored, from 0. */
  readonly index: number;
  /** Where the scope is "group": equal for answers to the same prompt (the row's `group`, or else its prompt). */
  readonly group: string;
}

declare const needs: unique symbol;

/**
 * A reward: something that scores answers. Made by `reward`, `reward.group`, `reward.batch` and by composing rewards; applied by `score`.
 * `Needs` are the columns that rows must have beside prompt and completion.
 */
export interface Reward<in Needs extends object = object> {
  readonly name: string;
  /** Changes when the reward's grades may change. */
  readonly version: string;
  readonly scope: Scope;
  /** The parts that its scores may have, when it is composed. */
  readonly parts: readonly string[];
  /** Scores in the order of the answers; called by the runner, which owns concurrency, deadlines and retries. */
  readonly evaluate: (answers: readonly Answer[], calls: Calls) => Promise<readonly Score[]>;
  /** Only for the type checker. */
  readonly [needs]?: (columns: Needs) => void;
}

/** What a reward's function gets: the row with its declared columns, and `text`, the final assistant text, whatever the format was. */
export type Graded<Columns extends object = object> = {
  readonly prompt: string | readonly Message[];
  readonly completion: string | readonly Message[];
  readonly text: string;
} & Readonly<Columns>;

export interface RewardOptions<S extends Schema<object> = Schema<object>> {
  /** The columns that it needs, as a zod object (or any Standard Schema): typed in the function, checked in every row. */
  readonly columns?: S;
  /** Change it when the grades change; "1" unless said. */
  readonly version?: string;
}
export interface BatchOptions<S extends Schema<object> = Schema<object>> extends RewardOptions<S> {
  /** The most answers in one call; 64 unless said. */
  readonly size?: number;
}

export interface StepsOptions<S extends Schema<object> = Schema<object>> extends RewardOptions<S> {
  /** How the steps' scores become the answer's value; "mean" unless said. A sum of scores that are never negative pays for more steps. */
  readonly value?: StepAggregate;
}

/** A step of an answer by its characters [from, to) in the text. */
interface TextSpan {
  readonly from: number;
  readonly to: number;
}

/**
 * Where a row's steps come from: its column `steps`, which holds texts or spans of the final text; without one, what the policy said in
 * each of its turns.
 */
export interface WithSteps {
  readonly steps?: readonly string[] | readonly TextSpan[];
}

/** What a reward's function of steps gets: the row, and the texts of its steps. */
export type GradedSteps<Columns extends object = object> = Graded<Columns> & { readonly steps: readonly string[] };

type Steps<C extends object> = (
  answer: GradedSteps<C>,
  context: CallContext,
) => readonly number[] | Score | null | Promise<readonly number[] | Score | null>;
type One<C extends object> = (answer: Graded<C>, context: CallContext) => Grade | Promise<Grade>;
type Many<C extends object> = (answers: readonly Graded<C>[], context: CallContext) => readonly Grade[] | Promise<readonly Grade[]>;

function ofRow(name: string, grade: One<object>): Reward;
function ofRow<S extends Schema<object> = Schema<object>>(
  name: string,
  options: RewardOptions<S>,
  grade: One<OutputOf<S>>,
): Reward<InputOf<S>>;
function ofRow(name: string, ...rest: [One<object>] | [RewardOptions, One<object>]): Reward {
  const [options, grade] = rest.length === 1 ? [{}, rest[0]] : rest;
  return leaf(name, "row", options, (answers, calls) =>
    Promise.all(
      answers.map(async (answer) => {
        const ready = await prepared(answer, name, options.columns);
        if ("error" in ready) return ready;
        const outcome = await calls.call(
          name,
          (context) => grade(ready.graded, context),
          (one) => toScore(one, name),
        );
        return outcome.error ? { value: null, error: outcome.error } : outcome.value;
      }),
    ),
  );
}

function ofGroup(name: string, grade: Many<object>): Reward;
function ofGroup<S extends Schema<object> = Schema<object>>(
  name: string,
  options: RewardOptions<S>,
  grade: Many<OutputOf<S>>,
): Reward<InputOf<S>>;
function ofGroup(name: string, ...rest: [Many<object>] | [RewardOptions, Many<object>]): Reward {
  const [options, grade] = rest.length === 1 ? [{}, rest[0]] : rest;
  return leaf(name, "group", options, (answers, calls) =>
    inLots([...Map.groupBy(answers, ({ group }) => group).values()], answers, async (lot) => {
      const ready = await Promise.all(lot.map((answer) => prepared(answer, name, options.columns)));
      const broken = ready.findIndex((one) => "error" in one);
      if (broken < 0) return callMany(name, ready as Ready[], grade, calls);
      const first = (ready[broken] as Unready).error;
      const siblings = `The reward "${name}" needs whole groups, and row ${lot[broken]!.index + 1} of this one cannot be used: ${first.message}`;
      return ready.map((one) => ("error" in one ? one : unscorable(first.kind, siblings)));
    }),
  );
}

function ofBatch(name: string, grade: Many<object>): Reward;
function ofBatch<S extends Schema<object> = Schema<object>>(
  name: string,
  options: BatchOptions<S>,
  grade: Many<OutputOf<S>>,
): Reward<InputOf<S>>;
function ofBatch(name: string, ...rest: [Many<object>] | [BatchOptions, Many<object>]): Reward {
  const [options, grade]: [BatchOptions, Many<object>] = rest.length === 1 ? [{}, rest[0]] : rest;
  const { size = 64 } = options;
  if (!Number.isInteger(size) || size < 1)
    throw new GuerdonError("usage", `reward.batch("${name}"): size must be a whole number of at least 1, not ${size}.`);
  return leaf(name, "batch", options, (answers, calls) => {
    const lots = Array.from({ length: Math.ceil(answers.length / size) }, (_, i) => answers.slice(i * size, (i + 1) * size));
    return inLots(lots, answers, async (lot) => {
      const ready = await Promise.all(lot.map((answer) => prepared(answer, name, options.columns)));
      const usable = ready.filter((one): one is Ready => !("error" in one));
      const scores = usable.length > 0 ? await callMany(name, usable, grade, calls) : [];
      let next = 0;
      return ready.map((one) => ("error" in one ? one : scores[next++]!));
    });
  });
}

function ofSteps(name: string, grade: Steps<object>): Reward<WithSteps>;
function ofSteps<S extends Schema<object> = Schema<object>>(
  name: string,
  options: StepsOptions<S>,
  grade: Steps<OutputOf<S>>,
): Reward<InputOf<S> & WithSteps>;
function ofSteps(name: string, ...rest: [Steps<object>] | [StepsOptions, Steps<object>]): Reward<never> {
  const [options, grade]: [StepsOptions, Steps<object>] = rest.length === 1 ? [{}, rest[0]] : rest;
  const { value: by = "mean", version = "1" } = options;
  if (!stepAggregates.includes(by))
    throw new GuerdonError("usage", `reward.steps("${name}"): value must be one of ${stepAggregates.join(", ")}, not ${quoted(by)}.`);
  return leaf(name, "row", { ...options, version: by === "mean" ? version : `${version} ${by}` }, (answers, calls) =>
    Promise.all(
      answers.map(async (answer) => {
        const ready = await prepared(answer, name, options.columns);
        if ("error" in ready) return ready;
        const texts = stepsOf(answer.row, ready.graded.text);
        if (texts === null) return unscorable("missing-column", `"steps" is missing (needed by the reward "${name}").`);
        if (typeof texts === "string") return unscorable("wrong-column", `The reward "${name}" cannot use the column "steps": ${texts}.`);
        const outcome = await calls.call(
          name,
          (context) => grade({ ...ready.graded, steps: texts }, context),
          (one) => toStepScore(one, name, texts.length, by),
        );
        return outcome.error ? { value: null, error: outcome.error } : outcome.value;
      }),
    ),
  );
}

/**
 * Defines a reward by a function of one answer, which returns a number, a boolean, null for "cannot say", or a score; it may be async.
 *
 * - `reward("brief", ({ text }) => text.length < 400)`
 * - `reward("exact", { columns: z.object({ reference: z.string() }) }, ({ text, reference }) => text === reference)`
 * - `reward.group(name, options?, fn)` is handed all answers to one prompt at once and returns one grade for each, in order.
 * - `reward.batch(name, options?, fn)` is handed up to `size` answers at once, for graders that are cheaper in bulk.
 * - `reward.steps(name, options?, fn)` is handed the texts of an answer's `steps` beside the row and returns one number for each, in order.
 *
 * Whatever is thrown, too late, NaN, infinite or no grade at all makes the answer unscorable, never zero. Concurrency, deadlines and
 * retries belong to `score`. A function that never yields cannot be stopped at its deadline.
 *
 * @param name how reports call it; not empty
 * @throws GuerdonError "usage" for an empty name
 */
export const reward = Object.assign(ofRow, { group: ofGroup, batch: ofBatch, steps: ofSteps });

function leaf(name: string, scope: Scope, { version = "1" }: RewardOptions, evaluate: Reward["evaluate"]): Reward {
  if (typeof name !== "string" || name === "") throw new GuerdonError("usage", `A reward needs a name, not ${quoted(name)}.`);
  return { name, version, scope, parts: [], evaluate };
}

/** Scores lots of answers side by side and puts the scores back into the order of the answers. */
async function inLots(
  lots: readonly (readonly Answer[])[],
  answers: readonly Answer[],
  scoreLot: (lot: readonly Answer[]) => Promise<readonly Score[]>,
): Promise<Score[]> {
  const byIndex = new Map<number, Score>();
  await Promise.all(
    lots.map(async (lot) => {
      const scores = await scoreLot(lot);
      lot.forEach(({ index }, i) => byIndex.set(index, scores[i]!));
    }),
  );
  return answers.map(({ index }) => byIndex.get(index)!);
}

async function callMany(name: string, ready: readonly Ready[], grade: Many<object>, calls: Calls): Promise<Score[]> {
  const graded = ready.map((one) => one.graded);
  const outcome = await calls.call(
    name,
    (context) => grade(graded, context),
    (grades) => toScores(grades, ready.length, name),
  );
  return outcome.error ? ready.map(() => ({ value: null, error: outcome.error })) : outcome.value;
}

function toScores(grades: unknown, count: number, name: string): Score[] {
  if (Array.isArray(grades) && grades.length === count) return Array.from(grades, (one: unknown) => toScore(one, name));
  const what = Array.isArray(grades) ? `${grades.length} grades` : quoted(grades);
  const error = unscorable(
    "not-a-grade",
    `The reward "${name}" got ${count} answers and returned ${what}. It must return one grade for each.`,
  );
  return Array.from({ length: count }, () => error);
}

/** The texts of a row's steps; null where there are none, and no conversation whose turns could be the steps; or what is wrong with them. */
function stepsOf({ steps, completion }: Row, text: string): readonly string[] | string | null {
  if (steps === undefined || steps === null) {
    if (!Array.isArray(completion)) return null;
    return completion.flatMap((message: Message | null) => (message?.role === "assistant" ? [finalText([message]) ?? ""] : []));
  }
  if (!Array.isArray(steps) || steps.length === 0) return "it must be a list of texts or of spans { from, to } with at least one";
  if (steps.every((step) => typeof step === "string")) return steps;
  const spans = steps as readonly Partial<TextSpan>[];
  let end = 0;
  const texts: string[] = [];
  for (const [i, span] of spans.entries()) {
    const { from, to } = Object(span) as Partial<TextSpan>;
    if (!Number.isInteger(from) || !Number.isInteger(to) || from! < end || to! < from! || to! > text.length)
      return `step ${i + 1} is ${quoted(span)}, but must be a text, or a span { from, to } after the previous one and within the ${text.length} characters`;
    texts.push(text.slice(from, to));
    end = to!;
  }
  return texts;
}

function toStepScore(returned: unknown, name: string, count: number, by: StepAggregate): Score {
  if (returned === null) return toScore(null, name);
  const score = Array.isArray(returned) ? null : toScore(returned, name);
  if (score?.error !== undefined) return score;
  const steps: unknown = score === null ? returned : score.steps;
  if (!Array.isArray(steps) || steps.length !== count || count === 0)
    return unscorable(
      "not-a-grade",
      `The reward "${name}" got ${count} steps and returned ${Array.isArray(steps) ? `${steps.length} numbers` : quoted(returned)}. It must return one number for each.`,
    );
  const bad = steps.findIndex((step) => typeof step !== "number" || !Number.isFinite(step));
  if (bad >= 0)
    return unscorable(
      typeof steps[bad] === "number" ? "not-finite" : "not-a-grade",
      `The reward "${name}" returned ${quoted(steps[bad])} for step ${bad + 1}.`,
    );
  return score ?? toScore({ value: stepAggregate(steps as readonly number[], by), steps }, name);
}

type Ready = { readonly graded: Graded };
type Unready = Score & { readonly error: ScoreError };

/** The row as a reward's function sees it, or why it cannot. */
async function prepared({ row }: Answer, name: string, columns: Schema<object> | undefined): Promise<Ready | Unready> {
  const { prompt, completion } = row;
  if (completion === undefined) return unscorable("missing-column", `The row has no "completion" for the reward "${name}" to score.`);
  const text = finalText(completion);
  if (text === null)
    return unscorable("wrong-column", `The completion has no assistant message with text for the reward "${name}" to score.`);
  if (columns === undefined) return { graded: { ...row, prompt, completion, text } };
  let checked: Validated<object>;
  try {
    checked = await columns["~standard"].validate(row);
  } catch (cause) {
    return unscorable("threw", thrownMessage(`The columns of the reward "${name}"`, cause));
  }
  if (checked.issues === undefined) return { graded: { ...row, ...checked.value, prompt, completion, text } };
  return columnError(row, name, checked.issues);
}

/** The text of the last assistant message, empty where it only calls tools; null where there is none. */
export function finalText(completion: unknown): string | null {
  if (typeof completion === "string") return completion;
  if (!Array.isArray(completion)) return null;
  const last = completion.findLast((message: Message | null) => message?.role === "assistant") as Message | undefined;
  const content: unknown = last?.content;
  if (typeof content === "string") return content;
  if ((content === undefined || content === null) && Array.isArray(last?.["tool_calls"]) && last["tool_calls"].length > 0) return "";
  // Some files hold lists of parts: { type: "text", text } and images.
  if (!Array.isArray(content)) return null;
  return content.map((part: unknown) => (typeof part === "object" && part !== null && "text" in part ? String(part.text) : "")).join("");
}

function columnError(row: Row, name: string, issues: readonly Issue[]): Unready {
  const paths = issues.map(({ path = [] }) => path.map((key) => String(typeof key === "object" ? key.key : key)));
  const missing = paths.map(([column]) => column).filter((column) => column !== undefined && row[column] === undefined);
  if (missing.length > 0)
    return unscorable(
      "missing-column",
      `${[...new Set(missing)].map((column) => `"${column}"`).join(", ")} is missing (needed by the reward "${name}").`,
    );
  const what = issues.map(({ message }, i) => `"${paths[i]!.join(".")}": ${message}`).join("; ");
  return unscorable("wrong-column", `The reward "${name}" cannot use the column ${what}.`);
}
