import type { Paper } from "../papers/paper.ts";
import type { ClaimRecord } from "../papers/record.ts";
import type { CheckResult } from "../papers/verdict.ts";
import { duration, short, wrapped, type Screen } from "./screen.ts";
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

/**
 * "yes" and "NO" of what counts. With too few seeds to count, an interval that reaches the threshold from its right or its wrong side says
 * nothing against the claim: "open".
 */
type Answer = "yes" | "NO" | "open";

function checkAnswer({ holds, low, high, above, below }: CheckResult, counts: boolean): Answer {
  if (holds) return "yes";
  const beyond = (above !== null && high !== null && high <= above) || (below !== null && low !== null && low >= below);
  return counts || beyond ? "NO" : "open";
}

/** What a run says of a whole claim. */
export function claimAnswer({ holds, checks }: ClaimRecord, counts: boolean): Answer {
  if (holds) return "yes";
  return checks.some((check) => checkAnswer(check, counts) === "NO") ? "NO" : "open";
}

/** Every check of a claim; the first column is wrapped where the others leave less than its width. */
export function checkTable({ checks, refuted }: ClaimRecord, width: number, counts: boolean): string {
  const rows = [...checks, ...refuted].map(
    (check) =>
      [
        "why" in check ? `not claimed, but the card's: ${check.say}` : check.say,
        intervalText(check),
        thresholdText(check),
        checkAnswer(check, counts),
      ] as const,
  );
  const heads = ["check", "measured", "needed", "holds"] as const;
  const others = [1, 2, 3].reduce((sum, i) => sum + 2 + Math.max(heads[i]!.length, ...rows.map((row) => row[i]!.length)), 0);
  return table(
    heads,
    rows.map(([say, ...rest]) => [wrapped(say, Math.max(24, width - others)).join("\n"), ...rest]),
  );
}

const shownAnswer = {
  yes: ["green", "holds"],
  NO: ["red", "does not hold"],
  open: ["yellow", "open"],
} as const;

/** A claim's statement and its checks. */
export function claimText(screen: Screen, { slug, title }: Paper, record: ClaimRecord, counts: boolean): string {
  const [colour, words] = shownAnswer[claimAnswer(record, counts)];
  const statement = wrapped(`${record.label}, ${words}: ${record.statement}`, screen.width).join("\n");
  const head = statement.replace(words, () => screen.resultStyle(colour, words));
  return `${screen.resultStyle("bold", slug)}  ${title}\n${head}\n${checkTable(record, screen.width, counts)}`;
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
              claimAnswer(record, claim.counts),
              `${record.checks.filter(({ holds }) => holds).length} of ${record.checks.length}`,
              record.seeds.length,
              duration(record.seconds),
            ];
      return [paper.slug, paper.claim.label, ...numbers, note(claim)];
    }),
  );
