import type { Measured } from "../training/job.ts";
import { table } from "./table.ts";

/** A share with three digits. */
export const share = (value: number): string => value.toFixed(3);

const points = (from: number, to: number): string => {
  const difference = Math.round((to - from) * 1000) / 10;
  return difference === 0 ? "0.0" : `${difference > 0 ? "+" : ""}${difference.toFixed(1)}`;
};

type Line = readonly [name: string, value: (measured: Measured) => number];

const shares = (samples: number): readonly Line[] => [
  ["pass@1    an answer drawn at temperature 1 is right", ({ pass1 }) => pass1],
  ["greedy    the most likely answer is right", ({ greedy }) => greedy],
  [`pass@${samples}`.padEnd(10) + `one of ${samples} answers is right`, ({ passN }) => passN],
  ["majority".padEnd(10) + `the most frequent of ${samples} answers is right`, ({ majorityN }) => majorityN],
];

/** Before and after training, with the difference in points, and what chance would get. */
export function beforeAndAfter(before: Measured, after: Measured, chance: number | null): string {
  const rows: (string | number)[][] = shares(after.samples).map(([name, value]) => [
    name,
    share(value(before)),
    share(value(after)),
    points(value(before), value(after)),
  ]);
  rows.push([`different answers among ${after.samples}`, before.distinct.toFixed(1), after.distinct.toFixed(1), "-"]);
  if (chance !== null) rows.push(["chance    legal moves at random", share(chance), share(chance), "-"]);
  return table([`share of ${after.tasks} held-out tasks`, "before", "after", "points"], rows);
}

/** One evaluation as a table, with 95 % intervals. `what`: what was measured on, "held-out tasks" say. */
export function evaluationTable(measured: Measured, chance: number | null, what: string): string {
  const { intervals } = measured;
  const ranges = [intervals.pass1, intervals.greedy, intervals.passN, intervals.majorityN];
  const rows: (string | number)[][] = shares(measured.samples).map(([name, value], i) => [
    name,
    share(value(measured)),
    ranges[i]!.map(share).join(" to "),
  ]);
  rows.push([`different answers among ${measured.samples}`, measured.distinct.toFixed(1), ""]);
  if (chance !== null) rows.push(["chance    legal moves at random", share(chance), ""]);
  return table([`share of ${measured.tasks} ${what}`, "value", "95 % interval"], rows);
}

/** What more samples buy where something can tell a right answer: pass@k by k. */
export function samplesTable(rows: readonly (readonly [name: string, measured: Measured])[]): string {
  const ks = [...new Set(rows.flatMap(([, { passAt }]) => passAt.map(([k]) => k)))].sort((a, b) => a - b);
  return table(
    ["answers a task", ...ks.map(String)],
    rows.map(([name, { passAt }]) => [
      name,
      ...ks.map((k) => passAt.find(([own]) => own === k)).map((found) => (found === undefined ? "-" : share(found[1]))),
    ]),
  );
}

/** One line for the moment. */
export function inShort({ pass1, greedy, samples, passN }: Measured, chance: number | null): string {
  return `pass@1 ${share(pass1)}   greedy ${share(greedy)}   pass@${samples} ${share(passN)}${chance === null ? "" : `   (chance ${share(chance)})`}`;
}
