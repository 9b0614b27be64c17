import type { Evaluation } from "../training/evaluate.ts";
import { table } from "./table.ts";

/** .875 as ".875"; shares of 1 stay "1.000". */
export const share = (value: number): string => value.toFixed(3);

const points = (from: number, to: number): string => {
  const difference = Math.round((to - from) * 1000) / 10;
  return `${difference > 0 ? "+" : ""}${difference.toFixed(1)}`;
};

/** What is measured, by its name for people. */
const measured: readonly {
  readonly name: (e: Evaluation) => string;
  readonly value: (e: Evaluation) => number;
  readonly isShare: boolean;
}[] = [
  { name: () => "pass@1: an answer drawn at temperature 1 is right", value: (e) => e.pass1.estimate, isShare: true },
  { name: () => "greedy: the most likely answer is right", value: (e) => e.greedy.estimate, isShare: true },
  {
    name: (e) => `pass@${e.samples}: one of ${e.samples} answers is right`,
    value: (e) => e.passAt.at(-1)?.value.estimate ?? NaN,
    isShare: true,
  },
  { name: (e) => `majority of ${e.samples}: the most frequent answer is right`, value: (e) => e.majority.estimate, isShare: true },
  { name: (e) => `different answers among ${e.samples}`, value: (e) => e.distinct, isShare: false },
];

/** One evaluation, or two with what changed, as a table; `chance` is what random play scores. */
export function evaluationTable(after: Evaluation, before: Evaluation | null, chance: number | null): string {
  const text = (value: number, isShare: boolean) => (Number.isNaN(value) ? "-" : isShare ? share(value) : value.toFixed(1));
  const rows = measured.map(({ name, value, isShare }) => {
    const now = value(after);
    if (before === null) return [name(after), text(now, isShare)];
    const then = value(before);
    return [name(after), text(then, isShare), text(now, isShare), isShare ? points(then, now) : (now - then).toFixed(1)];
  });
  if (chance !== null) rows.push(["chance: random legal moves", share(chance), ...(before === null ? [] : [share(chance), "0.0"])]);
  const heads =
    before === null ? [`${after.tasks} held-out tasks`, "share"] : [`${after.tasks} held-out tasks`, "before", "after", "points"];
  return table(heads, rows);
}

/** What more samples buy, when something can tell a right answer: pass@k by k. */
export function samplesTable(evaluations: readonly (readonly [name: string, evaluation: Evaluation])[]): string {
  const ks = [...new Set(evaluations.flatMap(([, e]) => e.passAt.map(({ k }) => k)))].sort((a, b) => a - b);
  return table(
    ["answers a task", ...ks.map(String)],
    evaluations.map(([name, e]) => [
      name,
      ...ks.map((k) => e.passAt.find((p) => p.k === k)).map((p) => (p === undefined ? "-" : share(p.value.estimate))),
    ]),
  );
}

/** "pass@1 .875 (.861 to .889)": the line that says how sure a number is. */
export const withInterval = (
  name: string,
  { estimate, low, high }: { readonly estimate: number; readonly low: number; readonly high: number },
): string => `${name} ${share(estimate)} (95 %: ${share(low)} to ${share(high)})`;
