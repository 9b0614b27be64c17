import type { Outputs, Reader } from "../../engines/engine.ts";
import { GuerdonError } from "../../error.ts";
import { unscorable, type Score } from "../grade.ts";
import { reward, type Graded, type GradedSteps, type Reward } from "../reward.ts";
import type { Schema } from "../schema.ts";
import { lead, outputsOfReading, readRow, type RewardReading, type RowReading } from "./reading.ts";

/** A fitted model, and where its rewards lay on the data that it was fitted to. */
export interface RewardMember<X> {
  readonly reader: Pick<Reader<X>, "forward">;
  /** Mean and standard deviation of its rewards there. */
  readonly centre: number;
  readonly scale: number;
}

export interface LearnedOptions<X> {
  readonly name: string;
  readonly version: string;
  readonly reading: RewardReading;
  /** One model, or an ensemble. */
  readonly members: readonly RewardMember<X>[];
  /** The frozen policy that log-ratios are taken to. */
  readonly reference?: Pick<Reader<X>, "forward">;
  /** An answer as the models read it; with `texts`, its steps. Throws GuerdonError "input" for one that they cannot read. */
  readonly row: (answer: Graded, steps: readonly string[] | null) => { readonly row: X; readonly ends?: readonly number[] };
  /** The number of actions of a row. */
  readonly actions: (row: X) => number;
  readonly columns?: Schema<object>;
  /** What the ensemble says: the mean of its members, or the least of them. Default "mean". */
  readonly value?: "mean" | "minimum";
  /** Grade the steps of the row's column `steps`, where the reading has steps; default false for log-ratios, always so for "steps". */
  readonly steps?: boolean;
}

/**
 * Fitted models as an ordinary reward.
 *
 * Members of an ensemble are standardised on the data that they were fitted to before they are put together, and the result is brought back to
 * their common scale; parts "mean", "deviation" and "minimum" say how far they agree. With a "preference" reading the reward is one of groups: the mean
 * score of an answer against all answers to its prompt, itself included.
 *
 * @throws GuerdonError "usage" without a member, or for log-ratios without a reference
 */
export function learnedReward<X>(options: LearnedOptions<X>): Reward<never> {
  const { name, version, reading, members, reference, columns, value = "mean" } = options;
  if (members.length === 0) throw new GuerdonError("usage", `The learned reward "${name}" needs at least one model.`);
  if (reading.kind === "log-ratio" && reference === undefined)
    throw new GuerdonError("usage", `The learned reward "${name}" is a log-ratio: give the reference policy that it was fitted against.`);
  const settings = { version: `${version} ${value}`, ...(columns ? { columns } : {}) };
  const together = (perMember: readonly number[]): Score => combined(perMember, members, value);

  /** Reads all answers with all members: [member][answer], a string for an answer that cannot be read. */
  async function readAll(answers: readonly Graded[], steps: (i: number) => readonly string[] | null) {
    const prepared = answers.map((answer, i) => {
      try {
        return options.row(answer, steps(i));
      } catch (cause) {
        if (!(cause instanceof GuerdonError)) throw cause;
        return cause.message;
      }
    });
    const fit = prepared.flatMap((one, i) => (typeof one === "string" ? [] : [{ ...one, i }]));
    const rows = fit.map(({ row }) => row);
    const ask = async (reader: Pick<Reader<X>, "forward">): Promise<Outputs> =>
      rows.length === 0 ? {} : reader.forward(rows, outputsOfReading(reading));
    const base = reference === undefined ? null : await ask(reference);
    const read: (RowReading | null)[][] = [];
    for (const { reader } of members) {
      const outputs = await ask(reader);
      const own: (RowReading | null)[] = prepared.map(() => null);
      fit.forEach(({ row, ends, i }, k) => {
        own[i] = readRow(reading, {
          outputs: Object.fromEntries(Object.entries(outputs).map(([output, perRow]) => [output, perRow[k]!])),
          mask: new Uint8Array(options.actions(row)).fill(1),
          ...(base ? { reference: base["logProbs"]![k]! } : {}),
          ...(ends ? { ends } : {}),
        });
      });
      read.push(own);
    }
    return { read, refusal: (i: number) => (typeof prepared[i] === "string" ? unscorable("wrong-column", prepared[i]) : null) };
  }

  if (reading.kind === "preference")
    return reward.group(name, settings, async (answers) => {
      const { read, refusal } = await readAll(answers, () => null);
      const readable = answers.flatMap((_, i) => (refusal(i) === null ? [i] : []));
      return answers.map(
        (_, i) => refusal(i) ?? together(read.map((own) => mean(readable.map((j) => lead(reading, own[i]!.numbers, own[j]!.numbers))))),
      );
    });

  if (reading.kind === "steps" || options.steps === true)
    return reward.steps(name, settings, async (answer: GradedSteps) => {
      const { read, refusal } = await readAll([answer], () => answer.steps);
      const steps = answer.steps.map((_, k) => mean(read.map((own) => own[0]?.steps?.[k] ?? NaN)));
      return refusal(0) ?? { ...together(read.map((own) => own[0]!.numbers[0]!)), steps };
    });

  return reward.batch(name, settings, async (answers) => {
    const { read, refusal } = await readAll(answers, () => null);
    return answers.map((_, i) => refusal(i) ?? together(read.map((own) => own[i]!.numbers[0]!)));
  });
}

const mean = (values: readonly number[]): number => values.reduce((sum, v) => sum + v, 0) / values.length;

/**
 * The members' rewards of one answer as the ensemble's: standardised by each member's own centre and scale, put together, and brought back to
 * the mean centre and scale. A single member's reward stays as it is.
 */
export function combined(
  perMember: readonly number[],
  members: readonly { readonly centre: number; readonly scale: number }[],
  value: "mean" | "minimum",
): Score & { readonly value: number } {
  if (perMember.length === 1) return { value: perMember[0]! };
  const centre = mean(members.map((m) => m.centre));
  const scale = mean(members.map((m) => m.scale));
  const back = perMember.map((r, m) => centre + (scale * (r - members[m]!.centre)) / members[m]!.scale);
  const middle = mean(back);
  const minimum = Math.min(...back);
  const deviation = Math.sqrt(mean(back.map((r) => (r - middle) ** 2)));
  return { value: value === "mean" ? middle : minimum, parts: { mean: middle, deviation, minimum } };
}
