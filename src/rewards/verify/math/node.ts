import type { Num } from "./number.ts";

/** What an answer says, as far as it can be read. */
export type Node =
  | Expression
  /** `open` and `close` are the brackets as written; two items between round or square ones may also be an interval. */
  | { readonly kind: "tuple"; readonly open: Bracket; readonly close: Bracket; readonly items: readonly Node[] }
  | { readonly kind: "set"; readonly items: readonly Node[] }
  /** Several answers side by side, without brackets; `join` is the first separator. */
  | { readonly kind: "list"; readonly items: readonly Node[]; readonly join: string }
  /** parts[0] signs[0] parts[1] signs[1] parts[2] ... */
  | { readonly kind: "relation"; readonly parts: readonly Node[]; readonly signs: readonly RelationSign[] }
  | { readonly kind: "union" | "intersection" | "difference"; readonly left: Node; readonly right: Node }
  | { readonly kind: "domain"; readonly name: "R" | "Z" | "N" | "Q" | "C" | "empty" }
  | { readonly kind: "ratio"; readonly items: readonly Node[] }
  | { readonly kind: "quantity"; readonly value: Node; readonly unit: readonly UnitPower[] }
  | { readonly kind: "residue"; readonly value: Node; readonly modulus: Node }
  | { readonly kind: "words"; readonly text: string };

export type Bracket = "(" | ")" | "[" | "]" | "<(" | ")>";
export type RelationSign = "=" | "!=" | "<" | ">" | "<=" | ">=" | "in" | "approx" | "equiv";
/** A unit's name as written, in lower case but for one letter, to a power. */
export interface UnitPower {
  readonly name: string;
  readonly power: number;
}

export type Expression =
  /** `decimals`: digits after the point where it is written as a decimal. */
  | { readonly kind: "number"; readonly value: Num; readonly decimals: number | null }
  | { readonly kind: "symbol"; readonly name: string }
  | { readonly kind: "constant"; readonly name: "pi" | "e" | "i" | "infinity" }
  | { readonly kind: "add"; readonly terms: readonly Node[] }
  | { readonly kind: "multiply"; readonly factors: readonly Node[] }
  | { readonly kind: "divide"; readonly left: Node; readonly right: Node }
  | { readonly kind: "negate"; readonly value: Node }
  | { readonly kind: "power"; readonly base: Node; readonly exponent: Node }
  /** sign 1 for plus-minus, -1 for minus-plus; the left side is 0 for a leading one. */
  | { readonly kind: "plus-minus"; readonly sign: 1 | -1; readonly left: Node; readonly right: Node }
  | { readonly kind: "percent"; readonly value: Node }
  | { readonly kind: "degrees"; readonly value: Node }
  /** A known function, or one that the answer leaves open, such as f. */
  | { readonly kind: "call"; readonly name: string; readonly arguments: readonly Node[] }
  /** Digits in a base from 2 to 36. */
  | { readonly kind: "based"; readonly digits: string; readonly base: number }
  | {
      readonly kind: "series";
      readonly product: boolean;
      readonly index: string;
      readonly from: Node;
      readonly to: Node;
      readonly body: Node;
    }
  | { readonly kind: "matrix"; readonly rows: readonly (readonly Node[])[] };

/** The parts of a node, for walks that treat all kinds alike. */
export function children(node: Node): readonly Node[] {
  switch (node.kind) {
    case "number":
    case "symbol":
    case "constant":
    case "domain":
    case "words":
    case "based":
      return [];
    case "add":
      return node.terms;
    case "multiply":
      return node.factors;
    case "divide":
    case "plus-minus":
    case "union":
    case "intersection":
    case "difference":
      return [node.left, node.right];
    case "negate":
    case "percent":
    case "degrees":
    case "quantity":
      return [node.value];
    case "residue":
      return [node.value, node.modulus];
    case "power":
      return [node.base, node.exponent];
    case "call":
      return node.arguments;
    case "series":
      return [node.from, node.to, node.body];
    case "matrix":
      return node.rows.flat();
    case "relation":
      return node.parts;
    case "tuple":
    case "set":
    case "list":
    case "ratio":
      return node.items;
  }
}

export function some(node: Node, test: (node: Node) => boolean): boolean {
  return test(node) || children(node).some((child) => some(child, test));
}

/** The names of its free symbols, sorted. */
export function symbols(node: Node): string[] {
  const names = new Set<string>();
  const bound: string[] = [];
  const walk = (one: Node): void => {
    if (one.kind === "symbol" && !bound.includes(one.name)) names.add(one.name);
    if (one.kind === "series") {
      walk(one.from);
      walk(one.to);
      bound.push(one.index);
      walk(one.body);
      bound.pop();
    } else children(one).forEach(walk);
  };
  walk(node);
  return [...names].sort();
}

/** The same node with some parts replaced: `change` gives the replacement or null. */
export function replace(node: Node, change: (node: Node) => Node | null): Node {
  const changed = change(node);
  if (changed) return changed;
  const on = (one: Node): Node => replace(one, change);
  switch (node.kind) {
    case "number":
    case "symbol":
    case "constant":
    case "domain":
    case "words":
    case "based":
      return node;
    case "add":
      return { ...node, terms: node.terms.map(on) };
    case "multiply":
      return { ...node, factors: node.factors.map(on) };
    case "divide":
    case "plus-minus":
    case "union":
    case "intersection":
    case "difference":
      return { ...node, left: on(node.left), right: on(node.right) };
    case "negate":
    case "percent":
    case "degrees":
    case "quantity":
      return { ...node, value: on(node.value) };
    case "residue":
      return { ...node, value: on(node.value), modulus: on(node.modulus) };
    case "power":
      return { ...node, base: on(node.base), exponent: on(node.exponent) };
    case "call":
      return { ...node, arguments: node.arguments.map(on) };
    case "series":
      return { ...node, from: on(node.from), to: on(node.to), body: on(node.body) };
    case "matrix":
      return { ...node, rows: node.rows.map((row) => row.map(on)) };
    case "relation":
      return { ...node, parts: node.parts.map(on) };
    case "tuple":
    case "set":
    case "list":
    case "ratio":
      return { ...node, items: node.items.map(on) };
  }
}
