/** Small parts of the grammar: how nodes are made, and what tokens may mean. */
import type { Node } from "./node.ts";
import { whole } from "./number.ts";
import type { Token } from "./tokens.ts";
import { isUnit } from "./units.ts";

/** Signs at which a list of answers ends. */
export const closing = new Set([")", "]", "}", "set}", ")>", "&", "\\\\", "rfloor", "rceil", "over", "choose"]);

export const number = (n: number | bigint): Node => ({ kind: "number", value: whole(n), decimals: null });
export const zero = number(0);

export const bases: Readonly<Record<string, number>> = {
  two: 2,
  three: 3,
  four: 4,
  five: 5,
  six: 6,
  seven: 7,
  eight: 8,
  nine: 9,
  ten: 10,
  twelve: 12,
  sixteen: 16,
};
export const inverses: Readonly<Record<string, string>> = {
  sin: "arcsin",
  cos: "arccos",
  tan: "arctan",
  cot: "arccot",
  sec: "arcsec",
  csc: "arccsc",
  sinh: "arcsinh",
  cosh: "arccosh",
  tanh: "arctanh",
};

export function negated(value: Node): Node {
  if (value.kind === "percent" || value.kind === "degrees") return { ...value, value: negated(value.value) };
  return { kind: "negate", value };
}
/** A line over the name of a segment changes nothing; over anything else it does. */
export function accented(sign: string, inside: Node): Node {
  if (sign === "overline" && inside.kind === "multiply" && inside.factors.every((one) => one.kind === "symbol" && /^[A-Z]$/.test(one.name)))
    return inside;
  return { kind: "call", name: `${sign} `, arguments: [inside] };
}

export const isOne = (node: Node): boolean => node.kind === "number" && "n" in node.value && node.value.n === 1n && node.value.d === 1n;

export function product(...parts: Node[]): Node {
  if (parts.length === 1) return parts[0]!;
  return { kind: "multiply", factors: parts.flatMap((part) => (part.kind === "multiply" ? part.factors : [part])) };
}

export function constantOr(name: string): Node {
  if (name === "pi" || name === "e" || name === "i") return { kind: "constant", name };
  return { kind: "symbol", name };
}

/** Plain letters in a row that are factors rather than a word: few, or the points of a figure. */
export const splittable = (token: Token): boolean =>
  token.kind === "word" &&
  !token.upright &&
  (/^[A-Z]{2,4}$/.test(token.text) ? token.text !== "DNE" : token.text.length <= 3 && !commonWords.has(token.text.toLowerCase()));
const commonWords = new Set(
  "the for are has was its yes no not all any is of if it we so by as at an per odd one two six ten red day st nd rd th".split(" "),
);

/** Whether a letter after a number is a unit: set apart from it, and the last thing or part of a quotient of units. */
export function isUnitLetter(token: Token, after: Token | undefined): boolean {
  if (token.kind !== "symbol" || !(token.space || token.upright) || !isUnit(token.text)) return false;
  return (
    token.upright || after === undefined || (after.kind === "sign" && (after.text === "/" || after.text === "^" || closing.has(after.text)))
  );
}

/** Made of numbers only, so that a letter behind it may be a unit. */
export function isNumeric(node: Node): boolean {
  if (node.kind === "number" || (node.kind === "constant" && node.name === "pi")) return true;
  if (node.kind === "negate" || node.kind === "degrees") return isNumeric(node.value);
  if (node.kind === "multiply") return node.factors.every(isNumeric);
  if (node.kind === "add") return node.terms.every(isNumeric);
  if (node.kind === "divide") return isNumeric(node.left) && isNumeric(node.right);
  if (node.kind === "power") return isNumeric(node.base) && isNumeric(node.exponent);
  return node.kind === "call" && node.name === "root" && node.arguments.every(isNumeric);
}

export const isSetLike = (node: Node): boolean =>
  node.kind === "tuple" ||
  node.kind === "set" ||
  node.kind === "domain" ||
  node.kind === "union" ||
  node.kind === "difference" ||
  node.kind === "intersection";

export const afterBracket = (token: Token | undefined): boolean =>
  token?.kind === "sign" && (token.text === ")" || token.text === "}" || token.text === "]" || token.text === "!");

/** 2 3/4 where 2 is a whole number, or minus one, and 3/4 a proper fraction of whole numbers. */
export function mixedNumber(left: Node, right: Node, first: Token | undefined): Node | null {
  if (first?.kind !== "sign" || first.text !== "frac" || right.kind !== "divide") return null;
  const value = left.kind === "negate" ? left.value : left;
  const wholes = [value, right.left, right.right].map((node) =>
    node.kind === "number" && node.decimals === null && "n" in node.value && node.value.d === 1n ? node.value.n : null,
  );
  const [units, numerator, denominator] = wholes;
  if (units == null || numerator == null || denominator == null || units <= 0n || numerator >= denominator) return null;
  const sum: Node = { kind: "add", terms: [value, right] };
  return left.kind === "negate" ? negated(sum) : sum;
}

export function digitsOf(node: Node): string | null {
  if (node.kind === "number" && node.decimals === null && "n" in node.value && node.value.d === 1n) return node.value.n.toString();
  if (node.kind === "symbol" && /^[0-9A-F]+$/.test(node.name) && (node.name.length > 1 || /[A-F]/.test(node.name))) return node.name;
  return null;
}
