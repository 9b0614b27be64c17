import { GuerdonError } from "../error.ts";
import type { Score, ScoreErrorKind } from "./grade.ts";

/** How much of what was asked could be scored. */
export interface Coverage {
  readonly total: number;
  readonly scored: number;
  readonly unscorable: number;
  /** Mean value of what was scored; null where nothing was. */
  readonly mean: number | null;
  /** Count of each reason. */
  readonly reasons: Readonly<Partial<Record<ScoreErrorKind, number>>>;
  /** Per named part: in how many of the scores that have it there is a number, and the mean of those numbers. */
  readonly parts: Readonly<Record<string, { readonly total: number; readonly scored: number; readonly mean: number | null }>>;
  /** Parts that were asked and scored nothing at all. */
  readonly silent: readonly string[];
  /** One sentence: "scored 1,988 of 2,000; 12 unscorable: 9 timeouts, 3 unparsable". */
  readonly text: string;
}

const said: Readonly<Record<ScoreErrorKind, readonly [one: string, many: string]>> = {
  declined: ["declined", "declined"],
  timeout: ["timeout", "timeouts"],
  threw: ["threw", "threw"],
  unparsable: ["unparsable", "unparsable"],
  "missing-column": ["missing column", "missing columns"],
  "wrong-column": ["wrong column", "wrong columns"],
  "not-finite": ["not finite", "not finite"],
  "not-a-grade": ["no grade", "no grades"],
  aborted: ["aborted", "aborted"],
};

/** Counts what could be scored, and why the rest could not; the most frequent reason first. */
export function coverage(scores: Iterable<Score>): Coverage {
  const counter = coverageCounter();
  for (const score of scores) counter.add(score);
  return counter.coverage();
}

/** Counts scores as they come, in memory that does not grow with their number. */
export interface CoverageCounter {
  add(score: Score): void;
  coverage(): Coverage;
}

export function coverageCounter(): CoverageCounter {
  const reasons = new Map<ScoreErrorKind, number>();
  const parts = new Map<string, { total: number; scored: number; sum: number }>();
  let total = 0;
  let scored = 0;
  let sum = 0;
  return {
    add({ value, error, parts: own }) {
      total++;
      if (value !== null) {
        scored++;
        sum += value;
      } else if (error) reasons.set(error.kind, (reasons.get(error.kind) ?? 0) + 1);
      else throw new GuerdonError("input", "A score is null and has no error: a grade that cannot be given must say why.");
      for (const name in own) {
        const part = own[name]!;
        const column = parts.get(name) ?? { total: 0, scored: 0, sum: 0 };
        column.total++;
        if (part !== null) {
          column.scored++;
          column.sum += part;
        }
        parts.set(name, column);
      }
    },
    coverage() {
      const counted = [...reasons].sort(([, a], [, b]) => b - a);
      const silent = [...parts].flatMap(([name, part]) => (part.scored === 0 ? [name] : []));
      const causes = counted.map(([kind, count]) => `${grouped(count)} ${said[kind]?.[count === 1 ? 0 : 1] ?? kind}`).join(", ");
      return {
        total,
        scored,
        unscorable: total - scored,
        mean: scored === 0 ? null : sum / scored,
        reasons: Object.fromEntries(counted),
        parts: Object.fromEntries(
          [...parts].map(([name, part]) => [
            name,
            { total: part.total, scored: part.scored, mean: part.scored === 0 ? null : part.sum / part.scored },
          ]),
        ),
        silent,
        text: [
          `scored ${grouped(scored)} of ${grouped(total)}`,
          ...(counted.length === 0 ? [] : [`${grouped(total - scored)} unscorable: ${causes}`]),
          ...silent.map((name) => `the part "${name}" scored none of its ${grouped(parts.get(name)!.total)}`),
        ].join("; "),
      };
    },
  };
}

const grouped = (count: number): string => count.toLocaleString("en-US");
