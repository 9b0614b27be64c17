/** What equations, names and signs of plus-minus say, before anything is compared. */
import { replace, some, symbols, type Node } from "./node.ts";

export type Relation = Node & { kind: "relation" };

export const isEquation = (node: Node): node is Relation =>
  node.kind === "relation" && node.signs.every((sign) => sign === "=" || sign === "approx" || sign === "equiv");

/** A name, not a statement: x, f(x), |AB|, angle ABC, S_1 : S_2, (x, y). */
function isName(node: Node): boolean {
  if (node.kind === "symbol" || node.kind === "words") return true;
  if (node.kind === "constant") return node.name === "e" || node.name === "i";
  if (node.kind === "multiply") return node.factors.every(isName);
  if (node.kind === "divide") return isName(node.left) && isName(node.right);
  if (node.kind === "ratio" || node.kind === "tuple") return node.items.every(isName);
  // The inverse function's name.
  if (node.kind === "power") return node.base.kind === "symbol" && node.exponent.kind === "negate";
  if (node.kind !== "call" || /^(?:root|factorial|double factorial|binomial|sin|cos|tan|ln|log|exp)$/.test(node.name)) return false;
  return node.arguments.every((one) => isName(one) || one.kind === "number");
}

/** What an equation of the form "name = value" gives, null for other equations. The last exact part of a chain counts. */
export function given(node: Relation): { name: Node; value: Node; approximate: Node | null } | null {
  const exact = node.parts.filter((_, i) => i === 0 || node.signs[i - 1] !== "approx");
  const [name, value] = [node.parts[0]!, exact.length > 1 ? exact.at(-1)! : node.parts.at(-1)!];
  const approximate = node.signs.includes("approx") && exact.length > 1 ? node.parts.at(-1)! : null;
  // 1/6 = 0.1666 approximately says 1/6.
  if (exact.length === 1 && node.parts.length === 2 && symbols(name).length === 0)
    return { name, value: name, approximate: node.parts[1]! };
  if (isName(name)) {
    const own = symbols(name);
    const again =
      node.parts.length === 2 && name.kind !== "call" && name.kind !== "multiply" && symbols(value).some((symbol) => own.includes(symbol));
    return again ? null : { name, value, approximate };
  }
  // 3 + 4 = 7 says 7.
  if (node.parts.length > 2 || (symbols(name).length === 0 && symbols(value).length === 0)) return { name, value, approximate };
  return null;
}

/** The values of an expression with plus-minus: two, whatever number of such signs it has. Lists and sets are left to their elements. */
export function plusMinus(node: Node): Node[] {
  if (node.kind === "list" || node.kind === "set" || !some(node, (one) => one.kind === "plus-minus")) return [node];
  return [oneWay(node, 1), oneWay(node, -1)];
}

/** With every sign read the same way. */
function oneWay(node: Node, way: 1 | -1): Node {
  if (node.kind === "list" || node.kind === "set") return node;
  return replace(node, (one) => {
    if (one.kind !== "plus-minus") return null;
    const right = oneWay(one.right, way);
    return { kind: "add", terms: [oneWay(one.left, way), one.sign === way ? right : { kind: "negate", value: right }] };
  });
}
