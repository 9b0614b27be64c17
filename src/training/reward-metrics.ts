import type { Examples } from "../credit/index.ts";
import type { Outputs, Reader } from "../engines/engine.ts";
import { GuerdonError } from "../error.ts";
import { outputsOf } from "../objectives/index.ts";
import { lead, readRow, type RowReading } from "../rewards/index.ts";
import { areaUnderCurve, calibrationError, mean } from "../statistics/index.ts";
import type { RewardForm } from "./reward-forms.ts";

/** How well a reward says what the labels say. */
export interface FitMetrics {
  /** Pairs, answers or steps that were judged; ties and labels of exactly 0.5 are not. */
  readonly count: number;
  /** Share that the reward puts on the right side; a tie counts one half. */
  readonly accuracy: number;
  /** Area under the curve; null for pairs, and where all labels are the same. */
  readonly areaUnderCurve: number | null;
  /** Mean squared error of the probability sigmoid(reward), or sigmoid(lead) for pairs. */
  readonly brier: number;
  /** Expected calibration error of that probability, ten bins; for pairs over both orders of each pair. */
  readonly calibrationError: number;
}

/** What is judged, in the order of `judge`, with its labels. */
export interface Judgements {
  readonly of: "pairs" | "rows" | "steps";
  readonly labels: Float64Array;
}

/**
 * What examples say of a form's rewards.
 *
 * @throws GuerdonError "input" when the examples lack what the form's objective reads
 */
export function judgements<X>(form: RewardForm, examples: Examples<X>): Judgements {
  const { needs, name } = form.objective;
  const { sets, row, token, mask } = examples;
  const lacks = (what: string): GuerdonError =>
    new GuerdonError("input", `fitReward: the objective "${name}" needs ${what}; the examples have none.`);
  for (const column of needs.token)
    if (token[column] === undefined) throw lacks(`the token column ${column}${column === "reference" ? " (withLogProbs adds it)" : ""}`);
  if (needs.sets) {
    if (sets === undefined) throw lacks("pairs");
    for (const column of needs.set) if (sets.set[column] === undefined) throw lacks(`the pairs' column ${column}`);
    const count = sets.weight.length;
    const { label, tie } = sets.set;
    return {
      of: "pairs",
      labels: Float64Array.from({ length: count }, (_, s) =>
        needs.set.includes("tie") && tie![s]! >= 0.5 ? 0.5 : needs.set.includes("label") ? label![s]! : 1,
      ),
    };
  }
  if (needs.token.includes("label")) return { of: "steps", labels: Float64Array.from([...token["label"]!].filter((_, k) => mask[k]! > 0)) };
  if (row["label"] === undefined) throw lacks("the row column label");
  return { of: "rows", labels: Float64Array.from(row["label"]) };
}

/**
 * What a model says of each row of examples: its reward or embedding, and its steps.
 *
 * @param ends for each row the number of actions up to the end of each step; default: where the mask is 1 for labelled steps, else one step
 */
export async function readRewards<X>(
  form: RewardForm,
  reader: Pick<Reader<X>, "forward">,
  examples: Examples<X>,
  ends?: readonly (readonly number[])[],
): Promise<RowReading[]> {
  const outputs: Outputs = await reader.forward(examples.rows, outputsOf(form.objective));
  const { offsets, mask, token } = examples;
  return examples.rows.map((_, i) => {
    const [from, to] = [offsets[i]!, offsets[i + 1]!];
    const own = mask.subarray(from, to);
    const steps = ends?.[i] ?? (form.reading.kind === "steps" ? [...own.keys()].filter((j) => own[j]! > 0).map((j) => j + 1) : null);
    return readRow(form.reading, {
      outputs: Object.fromEntries(Object.entries(outputs).map(([name, perRow]) => [name, perRow[i]!])),
      mask: own,
      ...(token["reference"] ? { reference: token["reference"].subarray(from, to) } : {}),
      ...(steps ? { ends: steps } : {}),
    });
  });
}

/** Rewards on the examples, to say where they lie; for preferences the leads of the chosen answers and, for a mean of 0, of the others. */
export async function rewardsOn<X>(form: RewardForm, reader: Pick<Reader<X>, "forward">, examples: Examples<X>): Promise<number[]> {
  const read = await readRewards(form, reader, examples);
  if (form.reading.kind !== "preference") return read.map(({ numbers }) => numbers[0]!);
  return leads(form, read, examples).flatMap((x) => [x, -x]);
}

const leads = <X>(form: RewardForm, read: readonly RowReading[], { sets }: Examples<X>): number[] =>
  Array.from({ length: sets!.weight.length }, (_, s) =>
    lead(form.reading, read[sets!.members[2 * s]!]!.numbers, read[sets!.members[2 * s + 1]!]!.numbers),
  );

/** Metrics of the members' mean on examples that they were not fitted to. */
export async function fitMetrics<X>(
  form: RewardForm,
  members: readonly { readonly engine: Pick<Reader<X>, "forward">; readonly centre: number; readonly scale: number }[],
  examples: Examples<X>,
): Promise<FitMetrics> {
  const { of, labels } = judgements(form, examples);
  const perMember: number[][] = [];
  for (const { engine } of members) {
    const read = await readRewards(form, engine, examples);
    perMember.push(
      of === "pairs"
        ? leads(form, read, examples)
        : of === "rows"
          ? read.map(({ numbers }) => numbers[0]!)
          : read.flatMap(({ steps }) => steps!.map((p) => Math.log(p / (1 - p)))),
    );
  }
  // Differences of two answers have no centre.
  const frames = of === "pairs" ? members.map(({ scale }) => ({ centre: 0, scale })) : members;
  const kept = [...labels.keys()].filter((i) => labels[i] !== 0.5);
  if (kept.length === 0)
    throw new GuerdonError("input", "fitReward: nothing that was held out has a label, so the reward cannot be measured. Hold out more.");
  const logits = kept.map((i) =>
    together(
      perMember.map((own) => own[i]!),
      frames,
    ),
  );
  const wanted = kept.map((i) => labels[i]!);
  const p = logits.map((x) => 1 / (1 + Math.exp(-x)));
  const positive = wanted.map((label) => label > 0.5);
  const mixed = positive.includes(true) && positive.includes(false);
  const both = of === "pairs" ? { p: [...p, ...p.map((x) => 1 - x)], wanted: [...wanted, ...wanted.map((x) => 1 - x)] } : { p, wanted };
  return {
    count: kept.length,
    accuracy: mean(logits.map((x, k) => (x === 0 ? 0.5 : x > 0 === positive[k] ? 1 : 0))),
    areaUnderCurve: of !== "pairs" && mixed ? areaUnderCurve(logits, positive) : null,
    brier: mean(p.map((x, k) => (x - wanted[k]!) ** 2)),
    calibrationError: calibrationError(both.p, both.wanted),
  };
}

/** The mean of standardised members, on their mean scale, where it can be read as log-odds. */
function together(values: readonly number[], frames: readonly { readonly centre: number; readonly scale: number }[]): number {
  const standard = mean(values.map((value, m) => (value - frames[m]!.centre) / frames[m]!.scale));
  return mean(frames.map(({ centre }) => centre)) + mean(frames.map(({ scale }) => scale)) * standard;
}

/**
 * How often the lowest score of an answer's steps lies on its error: a mean over the answers with exactly one wrong step. Where several steps
 * share the lowest score the error counts as found with the chance of picking it.
 *
 * @param scores one number a step of each answer
 * @param right whether each step is right
 * @throws GuerdonError "input" when no answer has exactly one wrong step
 */
export function errorLocalisation(scores: readonly (readonly number[])[], right: readonly (readonly boolean[])[]): number {
  const single = [...right.keys()].filter((i) => right[i]!.filter((ok) => !ok).length === 1);
  if (single.length === 0) throw new GuerdonError("input", "errorLocalisation: no answer has exactly one wrong step.");
  const found = single.map((i) => {
    const least = Math.min(...scores[i]!);
    return scores[i]![right[i]!.indexOf(false)] === least ? 1 / scores[i]!.filter((score) => score === least).length : 0;
  });
  return mean(found);
}
