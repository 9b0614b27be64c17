import { join } from "node:path";
import { expect, test } from "vitest";
import { papers, type Results } from "../../src/papers/index.ts";
import { readRecord, toColumns, type ClaimRecord } from "../../src/papers/record.ts";
import { verdict } from "../../src/papers/verdict.ts";
import { columns } from "./kit.ts";

/** Columns as rows again. */
const resultsOf = ({ seeds, arms }: Pick<ClaimRecord, "seeds" | "arms">): Results => ({
  seeds,
  arms: Object.fromEntries(
    Object.entries(arms).map(([arm, measured]) => [
      arm,
      seeds.map((_, i) => Object.fromEntries(Object.entries(measured).map(([metric, values]) => [metric, values[i]!]))),
    ]),
  ),
});

/**
 * The same but for what the numbers end with: exponentials and logarithms differ in their last digit between processors and between
 * versions of Node, and a record may have been written on another machine.
 */
function expectSame(got: unknown, want: unknown, where: string): void {
  if (typeof got === "number" && typeof want === "number") {
    const room = 1e-9 * Math.max(Math.abs(got), Math.abs(want));
    expect(Math.abs(got - want), `${where}: ${got} is recorded, ${want} follows`).toBeLessThanOrEqual(room);
  } else if (typeof got === "object" && got !== null && typeof want === "object" && want !== null) {
    expect(Object.keys(got).toSorted(), where).toEqual(Object.keys(want).toSorted());
    for (const [name, value] of Object.entries(want)) expectSame((got as Record<string, unknown>)[name], value, `${where}.${name}`);
  } else expect(got, where).toBe(want);
}

test("columns keep every number", () => {
  const results = columns({ method: [1, 2, 3], baseline: [4, 5, 6] }, 1000);
  expect(toColumns(results)).toEqual({ method: { x: [1, 2, 3] }, baseline: { x: [4, 5, 6] } });
  expect(resultsOf({ seeds: results.seeds, arms: toColumns(results) })).toEqual(results);
});

test("every recorded verdict follows from the recorded numbers and the claim as it stands", () => {
  for (const paper of papers) {
    const record = readRecord(join(import.meta.dirname, "../../results"), paper.slug);
    if (record === null) continue;
    const { claim, slug } = paper;
    expect(record, slug).toMatchObject({ slug, label: claim.label, statement: claim.statement, method: claim.method });
    expect(Object.keys(record.arms), slug).toEqual(Object.keys(claim.arms));
    expect(record.seeds.length, slug).toBeGreaterThanOrEqual(claim.seeds);
    expect(Math.min(...record.seeds), slug).toBeGreaterThanOrEqual(1000);
    const { holds, checks, refuted } = verdict(paper, resultsOf(record));
    expect(record.holds, slug).toBe(holds);
    expectSame(record.checks, JSON.parse(JSON.stringify(checks)), `${slug}: checks`);
    expectSame(record.refuted, JSON.parse(JSON.stringify(refuted)), `${slug}: refuted`);
    expect(
      refuted.filter((check) => check.holds),
      `${slug}: shows after all, so that it belongs to the claim`,
    ).toEqual([]);
  }
});
