import { resolve } from "node:path";
import { expect, test } from "vitest";
// @ts-expect-error plain JavaScript, as the linter loads it
import plugin from "../../scripts/lint/rooms.js";

type Report = { message: string };
type Visitor = Record<string, (node: unknown) => void>;

/** What a rule says of one node of a file of src/. */
function says(rule: string, file: string, kind: string, node: unknown): string[] {
  const reports: string[] = [];
  const visitor = plugin.rules[rule].create({
    filename: resolve("src", file),
    report: (report: Report) => reports.push(report.message),
  }) as Visitor;
  visitor[kind]?.(node);
  return reports;
}
const importing = (value: string, importKind = "value") => ({ source: { value }, importKind });

test("imports run upwards only, types are free", () => {
  expect(says("order", "rewards/a.ts", "ImportDeclaration", importing("../objectives/b.ts"))).toHaveLength(1);
  expect(says("order", "rewards/a.ts", "ImportDeclaration", importing("../objectives/b.ts", "type"))).toEqual([]);
  expect(says("order", "objectives/a.ts", "ImportDeclaration", importing("../rewards/b.ts"))).toEqual([]);
  expect(says("order", "rewards/a.ts", "ImportDeclaration", importing("../error.ts"))).toEqual([]);
  expect(says("order", "rewards/a.ts", "ImportExpression", importing("../cli/b.ts"))).toHaveLength(1);
});

test("rooms that run in a browser know no Node", () => {
  expect(says("no-node", "rewards/a.ts", "ImportExpression", importing("node:fs"))).toHaveLength(1);
  expect(says("no-node", "training/a.ts", "ImportDeclaration", importing("node:fs"))).toEqual([]);
});

test("only arrays/ touches the array library", () => {
  const reference = { computed: false, property: { name: "ref" } };
  expect(says("array-library", "objectives/a.ts", "MemberExpression", reference)).toHaveLength(1);
  expect(says("array-library", "arrays/a.ts", "MemberExpression", reference)).toEqual([]);
  expect(says("array-library", "objectives/a.ts", "ImportDeclaration", importing("@jax-js/jax"))).toHaveLength(1);
});
