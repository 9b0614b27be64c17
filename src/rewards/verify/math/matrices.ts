import { isExpression } from "./expressions.ts";
import type { Node } from "./node.ts";
import { whole } from "./number.ts";

type Tuple = Node & { kind: "tuple" };
type Matrix = Node & { kind: "matrix" };

/** A matrix, or a sum, product, multiple or quotient of some. */
export function matrix(node: Node): Matrix | null {
  if (node.kind === "matrix") return node;
  if (node.kind === "negate") return scaled(matrix(node.value), { kind: "number", value: whole(-1), decimals: null });
  if (node.kind === "divide") {
    const inner = matrix(node.left);
    return (
      inner && { kind: "matrix", rows: inner.rows.map((row) => row.map((left): Node => ({ kind: "divide", left, right: node.right }))) }
    );
  }
  if (node.kind === "add") return node.terms.map(matrix).reduce((left, right) => left && right && plus(left, right));
  if (node.kind !== "multiply") return null;
  const matrices = node.factors.map(matrix).filter((one) => one !== null);
  const rest = node.factors.filter((factor) => matrix(factor) === null);
  if (matrices.length === 0 || !rest.every(isExpression)) return null;
  const total = matrices.slice(1).reduce<Matrix | null>((left, right) => left && times(left, right), matrices[0]!);
  return rest.length === 0 ? total : scaled(total, { kind: "multiply", factors: rest });
}

const plus = (a: Matrix, b: Matrix): Matrix | null =>
  a.rows.length !== b.rows.length || a.rows[0]!.length !== b.rows[0]!.length
    ? null
    : { kind: "matrix", rows: a.rows.map((row, i) => row.map((cell, j): Node => ({ kind: "add", terms: [cell, b.rows[i]![j]!] }))) };

const times = (a: Matrix, b: Matrix): Matrix | null =>
  a.rows[0]!.length !== b.rows.length || a.rows.length * b.rows[0]!.length > 100
    ? null
    : {
        kind: "matrix",
        rows: a.rows.map((row) =>
          b.rows[0]!.map((_, j): Node => ({
            kind: "add",
            terms: row.map((cell, k): Node => ({ kind: "multiply", factors: [cell, b.rows[k]![j]!] })),
          })),
        ),
      };

const scaled = (node: Matrix | null, factor: Node): Matrix | null =>
  node && { kind: "matrix", rows: node.rows.map((row) => row.map((cell): Node => ({ kind: "multiply", factors: [factor, cell] }))) };

/** Rows of a matrix, a tuple of tuples, or a tuple as a vector. */
export function rowsOf(node: Node): readonly (readonly Node[])[] | null {
  if (node.kind === "matrix") return node.rows;
  if (node.kind !== "tuple") return null;
  if (node.items.every((item): item is Tuple => item.kind === "tuple")) return node.items.map((item) => item.items);
  return node.items.map((item) => [item]);
}
