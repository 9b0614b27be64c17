import { GuerdonError } from "../../error.ts";
import { changed, requireFinite } from "../compose-parts.ts";
import { quoted, unscorable, type Score } from "../grade.ts";
import { finalText, reward, type Reward } from "../reward.ts";
import type { Schema } from "../schema.ts";

/** How length is counted: words between white space, characters (code points), or by a function, for instance of a tokenizer. */
export type LengthUnit = "words" | "characters" | ((text: string) => number);

/**
 * The length of a text.
 *
 * @throws GuerdonError "usage" when a function counts something that is no number of at least 0
 */
export function lengthOf(text: string, unit: LengthUnit): number {
  if (typeof unit === "function") {
    const length = unit(text);
    if (!(length >= 0 && length < Infinity))
      throw new GuerdonError("usage", `The length of an answer must be a number of at least 0, not ${quoted(length)}.`);
    return length;
  }
  if (unit === "words") return text.split(/\s+/u).filter((word) => word !== "").length;
  let count = 0;
  for (const _ of text) count++;
  return count;
}

/** The function's source tells two ways of counting apart, as far as it can be seen. */
const unitVersion = (unit: LengthUnit): string => (typeof unit === "function" ? String(unit) : unit);

function requireLength(kind: string, option: string, value: unknown, least: number): void {
  requireFinite(kind, option, value);
  if ((value as number) < least) throw new GuerdonError("usage", `${kind}: ${option} must be at least ${least}, not ${String(value)}.`);
}

/**
 * The soft punishment of overlong answers: 0 up to limit - buffer, falling in a straight line to -1 at the limit, -1 beyond.
 *
 * @returns a number from -1 to 0
 * Source: DAPO, arXiv 2503.14476, equation 13.
 */
export function overlongPenalty(length: number, { limit, buffer }: { readonly limit: number; readonly buffer: number }): number {
  if (length <= limit - buffer) return 0;
  return length > limit ? -1 : (limit - buffer - length) / buffer;
}

export interface SoftOverlongOptions {
  /** The greatest length. */
  readonly limit: number;
  /** So long before the limit the punishment begins; above 0, at most the limit. */
  readonly buffer: number;
  readonly unit: LengthUnit;
  readonly name?: string;
}

/**
 * The soft punishment of overlong answers as a reward from -1 to 0 (see `overlongPenalty`), to be added to a reward for being right.
 *
 * @throws GuerdonError "usage" for a limit or a buffer out of range
 * Source: DAPO, arXiv 2503.14476.
 */
export function softOverlong({ limit, buffer, unit, name = "soft-overlong" }: SoftOverlongOptions): Reward {
  requireLength("softOverlong", "limit", limit, 1);
  if (!(buffer > 0 && buffer <= limit))
    throw new GuerdonError("usage", `softOverlong: buffer must be above 0 and at most the limit, not ${buffer}.`);
  return reward(name, { version: JSON.stringify([1, limit, buffer, unitVersion(unit)]) }, ({ text }) =>
    overlongPenalty(lengthOf(text, unit), { limit, buffer }),
  );
}

/**
 * Half a cosine wave from `start` at length 0 to `end` at the limit.
 *
 * @param length from 0 to the limit
 */
export const cosineBetween = (length: number, limit: number, start: number, end: number): number =>
  end + ((start - end) * (1 + Math.cos((Math.PI * length) / limit))) / 2;

export interface CosineLengthOptions {
  /** The greatest length, above 0. */
  readonly limit: number;
  readonly unit: LengthUnit;
  /** Values of right answers at length 0 and at the limit; [2, 1] unless said. */
  readonly right?: readonly [atZero: number, atLimit: number];
  /** Values of wrong answers at length 0 and at the limit; [-10, 0] unless said. */
  readonly wrong?: readonly [atZero: number, atLimit: number];
  /** Value of all answers of the limit's length or longer; -10 unless said. */
  readonly exceeded?: number;
  readonly name?: string;
}

/**
 * A reward of right and wrong (above 0, or not) that depends on the length of the answer along a cosine: short right answers are worth
 * more than long ones, wrong answers less the shorter they are, and answers at the limit cost.
 *
 * @throws GuerdonError "usage" for a limit that is not above 0, or values that are not finite
 * Source: the cosine reward of arXiv 2502.03373, section 4.
 */
export function cosineLength<Needs extends object>(
  inner: Reward<Needs>,
  { limit, unit, right = [2, 1], wrong = [-10, 0], exceeded = -10, name }: CosineLengthOptions,
): Reward<Needs> {
  if (!(limit > 0)) throw new GuerdonError("usage", `cosineLength: limit must be above 0, not ${limit}.`);
  for (const value of [limit, ...right, ...wrong, exceeded]) requireFinite("cosineLength", "every value", value);
  return changed(
    "cosineLength",
    inner,
    { name, limit, unit: unitVersion(unit), right, wrong, exceeded },
    ({ value }, { completion }): Score => {
      const text = finalText(completion);
      if (text === null) return unscorable("wrong-column", "The completion has no assistant message with text, so it has no length.");
      const length = lengthOf(text, unit);
      if (!(length < limit)) return { value: exceeded };
      return { value: cosineBetween(length, limit, ...(value > 0 ? right : wrong)) };
    },
  );
}

export interface LengthBandOptions {
  /** From this length on the value is 1; 0 unless said. */
  readonly from?: number;
  /** Up to this length the value is 1; Infinity unless said. */
  readonly to?: number;
  /** So far outside the band the value reaches 0, in a straight line; 0 (at once) unless said. */
  readonly fade?: number;
  readonly unit: LengthUnit;
  readonly name?: string;
}

/**
 * 1 for answers whose length is within a band, falling to 0 outside.
 *
 * @returns a reward from 0 to 1
 * @throws GuerdonError "usage" for bounds in the wrong order, or below 0
 */
export function lengthBand({ from = 0, to = Infinity, fade = 0, unit, name = "length" }: LengthBandOptions): Reward {
  if (!(from >= 0 && from <= to && fade >= 0 && fade < Infinity))
    throw new GuerdonError("usage", `lengthBand: 0 <= from (${from}) <= to (${to}) and a fade (${fade}) of at least 0 are needed.`);
  return reward(name, { version: JSON.stringify([1, from, String(to), fade, unitVersion(unit)]) }, ({ text }) => {
    const length = lengthOf(text, unit);
    const outside = Math.max(from - length, length - to, 0);
    return outside === 0 ? 1 : Math.max(0, fade === 0 ? 0 : 1 - outside / fade);
  });
}

export interface TargetLengthOptions<Column extends string> {
  /** The column with the wanted length, above 0; "target_length" unless said. */
  readonly column?: Column;
  /** Deviations of up to this share of the target count as none; 0.1 unless said. */
  readonly tolerance?: number;
  /** How fast the value falls outside, above 0: exp(-sharpness |length - target| / target); 1 unless said. */
  readonly sharpness?: number;
  readonly unit: LengthUnit;
  readonly name?: string;
}

/**
 * 1 for answers about as long as their row wants, falling exponentially outside the tolerance. The value jumps at the edge of the tolerance.
 *
 * @returns a reward from 0 to 1
 * @throws GuerdonError "usage" for numbers out of range
 * Source: the length term of arXiv 2509.04903, whose exact form is not published.
 */
export function targetLength<const Column extends string = "target_length">({
  column,
  tolerance = 0.1,
  sharpness = 1,
  unit,
  name = "target-length",
}: TargetLengthOptions<Column>): Reward<{ readonly [C in Column]: number }> {
  requireLength("targetLength", "tolerance", tolerance, 0);
  if (!(sharpness > 0 && sharpness < Infinity))
    throw new GuerdonError("usage", `targetLength: sharpness must be above 0, not ${sharpness}.`);
  const from: string = column ?? "target_length";
  const version = JSON.stringify([1, from, tolerance, sharpness, unitVersion(unit)]);
  return reward(name, { version, columns: targetColumn(from) }, ({ text, target }) => {
    const deviation = Math.abs(lengthOf(text, unit) - target) / target;
    return deviation <= tolerance ? 1 : Math.exp(-sharpness * deviation);
  }) as unknown as Reward<{ readonly [C in Column]: number }>;
}

const targetColumn = (column: string): Schema<{ target: number }> => ({
  "~standard": {
    version: 1,
    vendor: "guerdon",
    validate(row) {
      const target = (row as Readonly<Record<string, unknown>>)[column];
      if (typeof target === "number" && target > 0 && target < Infinity) return { value: { target } };
      return { issues: [{ message: "must be a number above 0", path: [column] }] };
    },
  },
});
