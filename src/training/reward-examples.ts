import { offsetsOf } from "../credit/build.ts";
import type { Examples } from "../credit/index.ts";
import { explicitPreference } from "../data/index.ts";
import type { Message } from "../data/index.ts";
import { GuerdonError } from "../error.ts";
import type { FeatureSequence } from "../policies/scorer.ts";
import type { TextSequence } from "../policies/policy.ts";
import type { Tokenizer } from "../policies/tokenizer.ts";
import { featureRow, textAnswer } from "../rewards/index.ts";

/** What may be known of a pair beside its order. */
export interface PairNotes {
  /** Probability that the chosen one is the better one, from 0 to 1; 1 unless said. Read by losses with soft labels. */
  readonly label?: number;
  /** How much better the chosen one is. Read by losses with margins. */
  readonly margin?: number;
  /** Whether the two are equally good (true, or a probability). Read by losses with ties. */
  readonly tie?: boolean | number;
  /** Default 1. */
  readonly weight?: number;
  /** Pairs of one group (a prompt) are never apart in a split. Default: the prompt; without one each pair stands alone. */
  readonly group?: string;
}

interface Pair<X> {
  readonly chosen: X;
  readonly rejected: X;
  readonly notes: PairNotes;
}

/**
 * Preference pairs of texts for a language model. A pair without a prompt has the one that both answers begin with.
 *
 * @throws GuerdonError "input" naming the pair, from 1
 */
export function textPairs(
  rows: readonly (PairNotes & {
    readonly prompt?: string | readonly Message[];
    readonly chosen: string | readonly Message[];
    readonly rejected: string | readonly Message[];
  })[],
  tokenizer: Tokenizer,
): Examples<TextSequence> {
  const pairs = rows.map((notes, i): Pair<TextSequence> => {
    const { prompt, chosen, rejected } = explicitPreference(notes, `pair ${i + 1}`);
    const row = (answer: string | readonly Message[], which: string) =>
      textAnswer(tokenizer, prompt, answer, `pair ${i + 1}, ${which}`).row;
    return {
      chosen: row(chosen, "chosen"),
      rejected: row(rejected, "rejected"),
      notes: { group: typeof prompt === "string" ? prompt : JSON.stringify(prompt), ...notes },
    };
  });
  return paired(pairs, (row) => row.actions.length);
}

/** Preference pairs of feature vectors for a `scorer`. Throws as `textPairs` does. */
export function featurePairs(
  rows: readonly (PairNotes & { readonly chosen: ArrayLike<number>; readonly rejected: ArrayLike<number> })[],
): Examples<FeatureSequence> {
  const pairs = rows.map((notes, i): Pair<FeatureSequence> => ({
    chosen: featureRow(notes.chosen, `pair ${i + 1}, chosen`),
    rejected: featureRow(notes.rejected, `pair ${i + 1}, rejected`),
    notes,
  }));
  sameLength(
    pairs.flatMap(({ chosen, rejected }) => [chosen, rejected]),
    (k) => `pair ${(k >> 1) + 1}, ${k % 2 === 0 ? "chosen" : "rejected"}`,
  );
  return paired(pairs, () => 1);
}

function paired<X>(pairs: readonly Pair<X>[], actions: (row: X) => number): Examples<X> {
  if (pairs.length === 0) throw new GuerdonError("input", "There are no pairs.");
  const column = (name: string, of: (notes: PairNotes) => number, low: number, high: number) =>
    Float32Array.from(pairs, ({ notes }, i) => within(of(notes), low, high, `pair ${i + 1}: ${name}`));
  return {
    ...plain(
      pairs.flatMap(({ chosen, rejected }) => [chosen, rejected]),
      actions,
    ),
    tasks: pairs.flatMap(({ notes: { group } }, i) => [group ?? `pair ${i + 1}`, group ?? `pair ${i + 1}`]),
    sets: {
      size: 2,
      members: Int32Array.from({ length: 2 * pairs.length }, (_, k) => k),
      weight: column("weight", ({ weight = 1 }) => weight, 0, Infinity),
      member: {},
      set: {
        label: column("label", ({ label = 1 }) => label, 0, 1),
        margin: column("margin", ({ margin = 0 }) => margin, -Infinity, Infinity),
        tie: column("tie", ({ tie = 0 }) => Number(tie), 0, 1),
      },
    },
  };
}

/** What may be known of an answer beside its label. */
export interface OutcomeNotes {
  /** Whether it is right (true or false), or how probably, from 0 to 1. */
  readonly label: boolean | number;
  /** Default 1. */
  readonly weight?: number;
  /** Answers of one group (a prompt) are never apart in a split. */
  readonly group?: string;
}

/** Answers with outcome labels, as texts for a language model. Throws as `textPairs` does, naming the row. */
export function textOutcomes(
  rows: readonly (OutcomeNotes & { readonly prompt: string | readonly Message[]; readonly completion: string | readonly Message[] })[],
  tokenizer: Tokenizer,
): Examples<TextSequence> {
  const made = rows.map(({ prompt, completion }, i) => textAnswer(tokenizer, prompt, completion, `row ${i + 1}`).row);
  const notes = rows.map((one) => ({ group: typeof one.prompt === "string" ? one.prompt : JSON.stringify(one.prompt), ...one }));
  return outcomeExamples(made, notes, (row) => row.actions.length);
}

/** Feature vectors with outcome labels, for a `scorer`. Throws as `featurePairs` does, naming the row. */
export function featureOutcomes(rows: readonly (OutcomeNotes & { readonly features: ArrayLike<number> })[]): Examples<FeatureSequence> {
  const made = rows.map(({ features }, i) => featureRow(features, `row ${i + 1}`));
  sameLength(made, (k) => `row ${k + 1}`);
  return outcomeExamples(made, rows, () => 1);
}

/** Rows of any model with one label each: row column "label". Throws as `textOutcomes` does. */
export function outcomeExamples<X>(rows: readonly X[], notes: readonly OutcomeNotes[], actions: (row: X) => number): Examples<X> {
  if (rows.length === 0) throw new GuerdonError("input", "There are no rows.");
  return {
    ...plain(rows, actions),
    weight: Float32Array.from(notes, ({ weight = 1 }, i) => within(weight, 0, Infinity, `row ${i + 1}: weight`)),
    row: { label: Float32Array.from(notes, ({ label }, i) => within(Number(label), 0, 1, `row ${i + 1}: label`)) },
    tasks: notes.map(({ group }, i) => group ?? `row ${i + 1}`),
  };
}

/**
 * Answers in steps with one label a step, as texts for a language model: for instance 1 for each step before the first error and 0 from there.
 * Throws as `textPairs` does, naming the row.
 */
export function textSteps(
  rows: readonly {
    readonly prompt: string | readonly Message[];
    readonly steps: readonly string[];
    readonly labels: readonly (boolean | number)[];
    readonly group?: string;
  }[],
  tokenizer: Tokenizer,
): Examples<TextSequence> {
  const answers = rows.map(({ prompt, steps }, i) => textAnswer(tokenizer, prompt, { steps }, `row ${i + 1}`));
  const made = stepExamples(
    answers.map(({ row }) => row),
    answers.map(({ ends }) => ends),
    rows.map(({ labels }) => labels.map(Number)),
    (row) => row.actions.length,
  );
  return { ...made, tasks: rows.map(({ prompt, group }) => group ?? (typeof prompt === "string" ? prompt : JSON.stringify(prompt))) };
}

/**
 * Rows of any model with labels at the ends of their steps: token column "label", and a mask that is 1 at a step's last action.
 *
 * @param ends for each row the number of actions up to the end of each step
 * @param labels as many, from 0 to 1: what `monteCarloValues` measures
 * @throws GuerdonError "input" naming the row, from 1
 */
export function stepExamples<X>(
  rows: readonly X[],
  ends: readonly (readonly number[])[],
  labels: readonly ArrayLike<number>[],
  actions: (row: X) => number,
): Examples<X> {
  if (rows.length === 0) throw new GuerdonError("input", "There are no rows.");
  const made = plain(rows, actions);
  const label = new Float32Array(made.mask.length);
  made.mask.fill(0);
  rows.forEach((row, i) => {
    if (ends[i]?.length !== labels[i]?.length)
      throw new GuerdonError(
        "input",
        `row ${i + 1} has ${ends[i]?.length ?? 0} steps and ${labels[i]?.length ?? 0} labels; each step needs one.`,
      );
    ends[i]!.forEach((end, k) => {
      if (!(Number.isInteger(end) && end > (ends[i]![k - 1] ?? 0) && end <= actions(row)))
        throw new GuerdonError(
          "input",
          `row ${i + 1}: step ${k + 1} ends after ${end} actions; ends must rise, up to the row's ${actions(row)}.`,
        );
      const cell = made.offsets[i]! + end - 1;
      made.mask[cell] = 1;
      label[cell] = within(labels[i]![k]!, 0, 1, `row ${i + 1}: the label of step ${k + 1}`);
    });
  });
  return { ...made, token: { label } };
}

function plain<X>(rows: readonly X[], actions: (row: X) => number): Examples<X> {
  const offsets = offsetsOf(rows.map(actions));
  return {
    rows,
    offsets,
    mask: new Float32Array(offsets[rows.length]!).fill(1),
    weight: new Float32Array(rows.length).fill(1),
    token: {},
    row: {},
  };
}

function within(value: number, low: number, high: number, what: string): number {
  if (!(Number.isFinite(value) && value >= low && value <= high))
    throw new GuerdonError(
      "input",
      `${what} is ${value}; it must be ${high === Infinity ? (low === -Infinity ? "a finite number" : `finite and at least ${low}`) : `from ${low} to ${high}`}.`,
    );
  return value;
}

function sameLength(rows: readonly FeatureSequence[], name: (row: number) => string): void {
  const wanted = rows[0]?.features.length;
  const other = rows.findIndex(({ features }) => features.length !== wanted);
  if (other >= 0)
    throw new GuerdonError(
      "input",
      `${name(other)} has ${rows[other]!.features.length} features and ${name(0)} has ${wanted}; all must have one length.`,
    );
}
