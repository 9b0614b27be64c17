import { afterEach, expect, test } from "vitest";
import { bench, benchTable } from "../../bench/run.ts";

const before = process.env["GUERDON_PYTHON"];
afterEach(() => {
  if (before === undefined) delete process.env["GUERDON_PYTHON"];
  else process.env["GUERDON_PYTHON"] = before;
});

test("the benchmark measures everything, and says why there is no peer", async () => {
  process.env["GUERDON_PYTHON"] = "no-such-python";
  const told: string[] = [];
  const report = await bench({ tiny: true, tell: (line) => told.push(line) });
  expect(report.measurements.map((m) => m.unit)).toEqual(["GFLOP/s", "CPU ms", "CPU ms", "tokens/CPU-s", "CPU ms", "MiB"]);
  for (const m of report.measurements) {
    expect(Number.isFinite(m.ours), m.name).toBe(true);
    expect(m).toMatchObject({ peer: null, ratio: null, reason: expect.stringMatching(/GUERDON_PYTHON has no torch|memory stays flat/) });
  }
  expect(report.peer).toBe(null);
  const table = benchTable(report);
  expect(table).toContain("No comparison: GUERDON_PYTHON has no torch.");
  expect(table).toContain("two-call step, ragged");
  expect(told).toHaveLength(7);
});
