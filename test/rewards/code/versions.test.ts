import { expect, test } from "vitest";
import { codeTests, sqlResult, verilogBench, verilogEquivalent } from "../../../src/rewards/index.ts";

test("what may change a grade changes the version, so that a cache keeps no stale scores; a name does not", () => {
  const versions = [
    codeTests({ language: "python" }),
    codeTests({ language: "javascript" }),
    codeTests({ language: "python", credit: "share" }),
    codeTests({ language: "python", tolerance: 0 }),
    codeTests({ language: "python", timeoutMs: 1 }),
    sqlResult({ dialect: "sqlite" }),
    sqlResult({ dialect: "duckdb" }),
    sqlResult({ dialect: "sqlite", ordered: true }),
    sqlResult({ dialect: "sqlite", anyColumnOrder: false }),
    sqlResult({ dialect: "sqlite", database: "shop.db" }),
    sqlResult({ dialect: "sqlite", rowLimit: 10 }),
    verilogEquivalent(),
    verilogEquivalent({ top: "adder" }),
    verilogEquivalent({ steps: 3 }),
    verilogBench({ passes: "ok" }),
    verilogBench({ passes: "fine" }),
    verilogBench({ passes: "ok", timeoutMs: 100 }),
  ].map(({ version }) => version);
  expect(new Set(versions).size).toBe(versions.length);
  expect(codeTests({ language: "python", name: "tests", timeoutMs: 10_000 }).version).toBe(versions[0]);
});
