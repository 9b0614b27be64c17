import type { Outputs, Reader } from "../../engines/engine.ts";
import { GuerdonError } from "../../error.ts";
import { unscorable, type Score } from "../grade.ts";
import { reward, type Graded, type Reward } from "../reward.ts";
import type { Schema } from "../schema.ts";
import { lead, outputsOfReading, readRow, type RewardReading, type RowReading } from "./reading.ts";

export interface LearnedOptions<X> {
  readonly name: string;
  readonly version: string;
  readonly reading: RewardReading;
  /** The fitted model. */
  readonly reader: Pick<Reader<X>, "forward">;
  /** The frozen policy that log-ratios are taken to. */
  readonly reference?: Pick<Reader<X>, "forward"> | undefined;
  /**
   * An answer as the model reads it; with `steps`, where these end.
   *
   * @throws GuerdonError for an answer that it cannot read, which is unscorable then
   */
  readonly row: (answer: Graded, steps: readonly string[] | null) => { readonly row: X; readonly ends?: readonly number[] };
  /** The number of actions of a row. */
  readonly actions: (row: X) => number;
  readonly columns?: Schema<object>;
  /** Grade the steps of the row's column `steps`. Default: for the reading "steps", which cannot do without. Others: log-ratios. */
  readonly steps?: boolean | undefined;
}

/**
 * A fitted model as an ordinary reward; several make an `ensemble`. With a "preference" reading it is a reward of groups: the mean score of an
 * answer against all answers to its prompt, itself included. Columns are checked when rows are scored, not by the type.
 *
 * @throws GuerdonError "usage" for a log-ratio without a reference
 */
export function learnedReward<X>(options: LearnedOptions<X>): Reward {
  const { name, version, reading, reader, reference, columns, steps: graded = reading.kind === "steps" } = options;
  if (reading.kind === "log-ratio" && reference === undefined)
    throw new GuerdonError("usage", `The learned reward "${name}" is a log-ratio: give the reference policy that it was fitted against.`);
  const settings = { version, ...(columns ? { columns } : {}) };

  /** Reads answers that stand together; a score says why one cannot be read. */
  async function readAll(answers: readonly Graded[], steps: readonly string[] | null = null): Promise<(RowReading | Score)[]> {
    const prepared = answers.map((answer) => {
      try {
        return options.row(answer, steps);
      } catch (cause) {
        if (!(cause instanceof GuerdonError)) throw cause;
        return unscorable("wrong-column", cause.message);
      }
    });
    const rows = prepared.flatMap((one) => ("row" in one ? [one.row] : []));
    const ask = async (of: Pick<Reader<X>, "forward">): Promise<Outputs> =>
      rows.length === 0 ? {} : of.forward(rows, outputsOfReading(reading));
    const [outputs, base] = [await ask(reader), reference === undefined ? null : await ask(reference)];
    let next = 0;
    return prepared.map((one) => {
      if (!("row" in one)) return one;
      const k = next++;
      return readRow(reading, {
        outputs: Object.fromEntries(Object.entries(outputs).map(([output, perRow]) => [output, perRow[k]!])),
        mask: new Uint8Array(options.actions(one.row)).fill(1),
        ...(base ? { reference: base["logProbs"]![k]! } : {}),
        ...(one.ends ? { ends: one.ends } : {}),
      });
    });
  }

  if (reading.kind === "preference")
    return reward.group(name, settings, async (answers) => {
      const read = await readAll(answers);
      const readable = read.flatMap((one) => ("numbers" in one ? [one.numbers] : []));
      const meanLead = (own: readonly number[]): number =>
        readable.reduce((sum, other) => sum + lead(reading, own, other), 0) / readable.length;
      return read.map((one) => ("numbers" in one ? meanLead(one.numbers) : one));
    });

  if (graded)
    // Steps come from a column or from turns: whether a row has them shows when it is scored.
    return reward.steps(name, settings, async (answer) => {
      const one = (await readAll([answer], answer.steps))[0]!;
      return "numbers" in one ? { value: one.numbers[0]!, steps: one.steps! } : one;
    }) as Reward;

  return reward.batch(name, settings, async (answers) => (await readAll(answers)).map((one) => ("numbers" in one ? one.numbers[0]! : one)));
}
