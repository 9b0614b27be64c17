import type { Paper } from "../papers/paper.ts";
import type { ClaimRecord } from "../papers/record.ts";
import type { CheckResult } from "../papers/verdict.ts";
import { duration, short, type Screen } from "./screen.ts";
import { table } from "./table.ts";

/** A claim as a command shows it. */
export interface ShownClaim {
  readonly paper: Paper;
  /** "no longer": it held at the last recorded run. "unchanged": not run, because nothing it is made of has changed since. */
  readonly state: "ran" | "no longer" | "unchanged" | "failed";
  /** Null when it could not be run. */
  readonly record: ClaimRecord | null;
  readonly counts: boolean;
  /** Why it could not be run. */
  readonly why: string | null;
}

/** "0.732 [0.714, 0.749]"; one number where nothing was inferred. What only rounding would put on a threshold has more digits. */
export function intervalText({ estimate, low, high, above, below }: CheckResult): string {
  const number = (x: number): string =>
    [above, below].some((threshold) => threshold !== null && x !== threshold && short(x) === short(threshold))
      ? String(Number(x.toPrecision(10)))
      : short(x);
  if (low === estimate && high === estimate) return number(estimate);
  return `${number(estimate)} [${low === null ? "-∞" : number(low)}, ${high === null ? "∞" : number(high)}]`;
}

/** "> 0.5 and < 0.8" */
export const thresholdText = ({ above, below }: CheckResult): string =>
  [above === null ? "" : `> ${short(above)}`, below === null ? "" : `< ${short(below)}`].filter((text) => text !== "").join(" and ");

const yes = (holds: boolean): string => (holds ? "yes" : "NO");

/** Every check of a claim. */
export const checkTable = ({ checks, refuted }: ClaimRecord): string =>
  table(
    ["check", "measured", "needed", "holds"],
    [...checks, ...refuted].map((check) => [
      "why" in check ? `not claimed, but the card's: ${check.say}` : check.say,
      intervalText(check),
      thresholdText(check),
      yes(check.holds),
    ]),
  );

/** A claim's statement and its checks. */
export function claimText(screen: Screen, { slug, title }: Paper, record: ClaimRecord): string {
  const mark = record.holds ? screen.resultStyle("green", "holds") : screen.resultStyle("red", "does not hold");
  return `${screen.resultStyle("bold", slug)}  ${title}\n${record.label}, ${mark}: ${record.statement}\n${checkTable(record)}`;
}

/** What is special about a claim's run. */
function note({ state, record, counts }: ShownClaim): string {
  if (state === "failed") return "could not be run";
  if (state === "unchanged") return "not run again";
  if (state === "no longer") return "held before";
  if (!counts) return "does not count";
  return record !== null && record.seconds > 2 * record.allowedSeconds ? `took longer than ${record.allowedSeconds} s on two cores` : "";
}

/** One row a claim. */
export const claimTable = (claims: readonly ShownClaim[]): string =>
  table(
    ["paper", "label", "holds", "checks", "seeds", "CPU time", ""],
    claims.map((claim) => {
      const { paper, record } = claim;
      const numbers =
        record === null
          ? ["-", "-", "-", "-"]
          : [
              yes(record.holds),
              `${record.checks.filter(({ holds }) => holds).length} of ${record.checks.length}`,
              record.seeds.length,
              duration(record.seconds),
            ];
      return [paper.slug, paper.claim.label, ...numbers, note(claim)];
    }),
  );
