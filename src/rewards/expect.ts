import type { Row } from "../data/row.ts";
import { GuerdonError } from "../error.ts";
import { quoted, type Score, type ScoreErrorKind } from "./grade.ts";
import type { Reward } from "./reward.ts";
import { score, type RowFor } from "./score.ts";

/** A claim about a reward that did not hold: an Error named AssertionError, as test runners show it, with what was and what should be. */
export class RewardAssertionError extends Error {
  override readonly name = "AssertionError";
  readonly code = "ERR_ASSERTION";
  readonly generatedMessage = false;
  readonly actual: unknown;
  readonly expected: unknown;
  readonly operator: string;

  constructor(message: string, details: { readonly actual: unknown; readonly expected: unknown; readonly operator: string }) {
    super(message);
    this.actual = details.actual;
    this.expected = details.expected;
    this.operator = details.operator;
  }
}

/** Claims about a reward. Each is a promise to await; it rejects with an AssertionError that shows the scores. */
export interface RewardClaims<Needs extends object> {
  /**
   * Row a scores strictly above row b, by at least `margin` where one is given. Rows with the same prompt are scored together, so that
   * rewards of groups compare them.
   */
  toPrefer(a: RowFor<Needs>, b: RowFor<Needs>, options?: { readonly margin?: number }): Promise<void>;
  /** The row's score is the value, within a tolerance of 1e-9 unless another is given. */
  toScore(row: RowFor<Needs>, value: number, options?: { readonly tolerance?: number }): Promise<void>;
  /** The row cannot be scored, for this reason where one is given. */
  toBeUnscorable(row: Readonly<Record<string, unknown>>, kind?: ScoreErrorKind): Promise<void>;
}

/**
 * Tests of rewards, for vitest, node:test and every runner that understands a rejected promise:
 *
 *     await expectReward(quality).toPrefer(rightAnswer, longWrongAnswer)
 *     await expectReward(quality).toScore(rightAnswer, 1)
 *     await expectReward(quality).toBeUnscorable(rowWithoutReference, "missing-column")
 *
 * @throws GuerdonError "usage" for a value, margin or tolerance that is no number in range
 */
export function expectReward<Needs extends object>(reward: Reward<Needs>): RewardClaims<Needs> {
  const all = async (rows: readonly object[]): Promise<readonly Score[]> =>
    // The claim's type has checked the rows already; a row that should be unscorable must get through.
    score(reward as unknown as Reward, rows as readonly Row[], { onWarning: () => undefined });
  return {
    async toPrefer(a, b, { margin } = {}) {
      requireRange("margin", margin ?? 0, 0);
      const [first, second] = await all([a, b]);
      const [better, worse] = [first!.value, second!.value];
      const what = margin === undefined ? "to prefer the first row" : `to prefer the first row by at least ${margin}`;
      if (better !== null && worse !== null && better > worse && better - worse >= (margin ?? 0) - 1e-12) return;
      throw failed(reward, what, `the scores are ${said(first!)} and ${said(second!)}`, {
        actual: [better, worse],
        expected: margin === undefined ? "first > second" : `first >= second + ${margin}`,
        operator: "toPrefer",
      });
    },
    async toScore(row, value, { tolerance = 1e-9 } = {}) {
      requireRange("the value", value, -Infinity);
      requireRange("tolerance", tolerance, 0);
      const [scored] = await all([row]);
      if (scored!.value !== null && Math.abs(scored!.value - value) <= tolerance) return;
      throw failed(reward, `to score ${value}`, `the score is ${said(scored!)}`, {
        actual: scored!.value,
        expected: value,
        operator: "toScore",
      });
    },
    async toBeUnscorable(row, kind) {
      const [scored] = await all([row]);
      if (scored!.value === null && (kind === undefined || scored!.error!.kind === kind)) return;
      throw failed(reward, `to be unscorable${kind === undefined ? "" : ` (${kind})`}`, `the score is ${said(scored!)}`, {
        actual: scored!.error?.kind ?? scored!.value,
        expected: kind ?? "unscorable",
        operator: "toBeUnscorable",
      });
    },
  };
}

const failed = (
  { name }: Pick<Reward<never>, "name">,
  what: string,
  was: string,
  details: { readonly actual: unknown; readonly expected: unknown; readonly operator: string },
): RewardAssertionError => new RewardAssertionError(`Expected the reward "${name}" ${what}, but ${was}.`, details);

/** A score as a failed claim shows it: with its parts, or the reason why there is none. */
function said({ value, parts, note, error }: Score): string {
  const details = [
    ...Object.entries(parts ?? {}).map(([part, one]) => `${part} ${one ?? "unscorable"}`),
    ...(note === undefined ? [] : [note]),
    ...(error === undefined ? [] : [`${error.kind}: ${error.message}`]),
  ];
  return `${value ?? "unscorable"}${details.length > 0 ? ` (${details.join(", ")})` : ""}`;
}

function requireRange(what: string, value: unknown, least: number): void {
  if (typeof value === "number" && Number.isFinite(value) && value >= least) return;
  throw new GuerdonError(
    "usage",
    `expectReward: ${what} must be a finite number${least === 0 ? " of at least 0" : ""}, not ${quoted(value)}.`,
  );
}
