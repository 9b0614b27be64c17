import { evaluate, type Setting } from "./evaluate.ts";
import { isExpression, proportional, sameExpression, type Truth } from "./expressions.ts";
import { some, symbols, type Node } from "./node.ts";
import { add, divide, fraction, isExact, isFinite, isReal, isZero, negate, real, sameNumber, whole, type Num } from "./number.ts";
import { matrix, rowsOf } from "./matrices.ts";
import { given, isEquation, plusMinus, type Relation } from "./statements.ts";
import { contains, holds, realSet, sameSet, trialPoints } from "./sets.ts";
import { measure } from "./units.ts";

export interface Comparison {
  readonly setting: Setting;
  /** Relative; null for the rule of decimals. */
  readonly tolerance: number | null;
}

type Tuple = Node & { kind: "tuple" };

/** Whether an answer says the same as the reference: null where neither can be shown. */
export function compare(answer: Node, reference: Node, how: Comparison): Truth {
  if (performance.now() > how.setting.until) return null;
  const [a, b] = [plain(answer), plain(reference)];
  if (a.kind === "words" || b.kind === "words") return a.kind === "words" && b.kind === "words" ? a.text === b.text : false;
  if (isEquation(a) && isEquation(b)) return sameEquations(a, b, how);
  if (isEquation(a) && !isSetStatement(b)) return againstEquation(a, b, how, false);
  if (isEquation(b) && !isSetStatement(a)) return againstEquation(b, a, how, true);
  if (a.kind === "tuple" && b.kind === "tuple") return sameTuples(a, b, how);
  if (isSetStatement(a) || isSetStatement(b)) return sameSets(a, b, how);
  if (isSeveral(a) || isSeveral(b)) return sameSeveral(a, b, how);
  const [m, n] = [matrix(a), matrix(b)];
  if (m || n) return sameMatrices(m ?? a, n ?? b, how);
  if (a.kind === "tuple" || b.kind === "tuple") return false;
  return sameQuantities(a, b, how);
}

const all = (truths: Iterable<Truth>): Truth => {
  let known: Truth = true;
  for (const truth of truths) {
    if (truth === false) return false;
    if (truth === null) known = null;
  }
  return known;
};

/** Without what only says how to read it: "x in" before a set, a plus-minus, a list of one. */
function plain(node: Node): Node {
  let one = node;
  if (one.kind === "list") {
    // Where the numbers come from is no answer of its own: "x = pi/4 + k pi, k in Z".
    const items = one.items.filter(
      (item) =>
        !(
          item.kind === "relation" &&
          item.signs.length === 1 &&
          item.signs[0] === "in" &&
          item.parts[1]!.kind === "domain" &&
          item.parts[1]!.name !== "empty"
        ),
    );
    if (items.length > 0 && items.length < one.items.length) one = items.length === 1 ? items[0]! : { ...one, items };
  }
  if (one.kind === "relation") {
    if (one.signs.length === 1 && one.signs[0] === "in") return plain(one.parts[1]!);
    if (one.signs.length === 1 && one.signs[0] === "equiv" && one.parts[1]!.kind === "residue") return one.parts[1]!;
    if (
      one.signs.length === 1 &&
      one.signs[0] === "=" &&
      one.parts[0]!.kind !== "symbol" &&
      one.parts[1]!.kind === "symbol" &&
      symbols(one.parts[0]!).length === 0
    )
      one = { ...one, parts: [one.parts[1]!, one.parts[0]!] };
  }
  const spread = plusMinus(one);
  if (spread.length > 1) return { kind: "list", items: spread, join: "or" };
  return spread[0]!;
}

// --- equations

const difference = (node: Relation): Node => ({ kind: "add", terms: [node.parts[0]!, { kind: "negate", value: node.parts.at(-1)! }] });

function sameEquations(a: Relation, b: Relation, how: Comparison): Truth {
  const [x, y] = [given(a), given(b)];
  if (x && y) {
    const values = sameGiven(x, y, how);
    if (sameNames(x.name, y.name, how))
      return values !== false || a.parts.length > 2 || !isExpression(difference(a)) ? values : equationsByForm(a, b, how);
    if (!isSolved(x.name, y.name)) return values === true ? true : equationsByForm(a, b, how);
  }
  return equationsByForm(a, b, how);
}

const sameGiven = (x: { value: Node; approximate: Node | null }, y: { value: Node; approximate: Node | null }, how: Comparison): Truth => {
  const exact = compare(x.value, y.value, how);
  if (exact === true) return true;
  if (x.approximate && compare(x.approximate, y.value, how) === true) return true;
  if (y.approximate && compare(x.value, y.approximate, how) === true) return true;
  return exact;
};

function equationsByForm(a: Relation, b: Relation, how: Comparison): Truth {
  const [f, g] = [difference(a), difference(b)];
  return isExpression(f) && isExpression(g) ? proportional(f, g, how.setting) : false;
}

/** Two different plain unknowns, of which no equation of one is an equation of the other. */
const isSolved = (a: Node, b: Node): boolean => a.kind === "symbol" && b.kind === "symbol" && baseName(a.name) !== baseName(b.name);
const baseName = (name: string): string => name.replace(/_.*|'+$/g, "");

function sameNames(a: Node, b: Node, how: Comparison): boolean {
  if (a.kind === "symbol" && b.kind === "symbol") {
    if (a.name === b.name) return true;
    return baseName(a.name) === baseName(b.name) && a.name.includes("_") !== b.name.includes("_");
  }
  // f(x) = ... and y = ... are the same statement.
  if (a.kind === "call" && b.kind === "symbol") return b.name === "y" || b.name === a.name;
  if (b.kind === "call" && a.kind === "symbol") return a.name === "y" || a.name === b.name;
  if (a.kind === "call" && b.kind === "call") return a.name === b.name && compareLists(a.arguments, b.arguments, how) !== false;
  return isExpression(a) && isExpression(b) && sameExpression(a, b, how.setting, null) === true;
}

const compareLists = (a: readonly Node[], b: readonly Node[], how: Comparison): Truth =>
  a.length === b.length ? all(a.map((one, i) => compare(one, b[i]!, how))) : false;

/** "x = 3" against "3". */
function againstEquation(equation: Relation, other: Node, how: Comparison, equationIsReference: boolean): Truth {
  const says = given(equation);
  if (says === null) return false;
  if (
    isSeveral(other) &&
    says.value.kind !== "set" &&
    says.value.kind !== "list" &&
    !some(says.value, (one) => one.kind === "plus-minus")
  ) {
    const items = elements(other);
    return items.length === 1 && compare(equation, items[0]!, how) === true;
  }
  const check = (value: Node): Truth => (equationIsReference ? compare(other, value, how) : compare(value, other, how));
  const exact = check(says.value);
  return exact !== true && says.approximate && check(says.approximate) === true ? true : exact;
}

// --- sets and inequalities

const inequalities = new Set(["<", ">", "<=", ">=", "!="]);

function isSetStatement(node: Node): boolean {
  if (node.kind === "relation") return node.signs.some((sign) => inequalities.has(sign));
  if (node.kind === "list") return node.items.every((item) => item.kind === "relation" && isSetStatement(item));
  if (node.kind === "tuple")
    return node.items.length === 2 && (node.open === "]" || node.close === "[" || (node.open === "[") !== (node.close === "]"));
  return node.kind === "union" || node.kind === "intersection" || node.kind === "difference" || node.kind === "domain";
}

function sameSets(a: Node, b: Node, how: Comparison): Truth {
  // Several intervals one after another are their union.
  const [x, y] = [asUnion(a), asUnion(b)];
  if (isLone(x) || isLone(y)) return false;
  const [left, right] = [realSet(x, how.setting), realSet(y, how.setting)];
  if (left && right) return sameSet(left, right);
  if (x.kind === "domain" && y.kind === "domain") return x.name === y.name;
  if (x.kind === "relation" && y.kind === "relation" && !left && !right) return sameRelations(x, y, how);
  if ((x.kind === "relation" || isRelations(x)) && right) return holdsExactlyIn(x, right, how);
  if ((y.kind === "relation" || isRelations(y)) && left) return holdsExactlyIn(y, left, how);
  if (x.kind === "tuple" && y.kind === "tuple") return sameTuples(x, y, how);
  const [parts, others] = [operands(x), operands(y)];
  if (x.kind === y.kind && x.kind !== "difference" && parts.length > 1) return sameElements(parts, others, how);
  if (x.kind === "difference" && y.kind === "difference") return all([compare(x.left, y.left, how), compare(x.right, y.right, how)]);
  return x.kind === y.kind ||
    (left === null && right === null && symbols(x).length + symbols(y).length > 0 && x.kind !== "tuple" && y.kind !== "tuple")
    ? null
    : false;
}

/** One number or expression, which is no set; a set of one counts as a set. */
const isLone = (node: Node): boolean => isExpression(node) || isEquation(node) || node.kind === "matrix";
const isRelations = (node: Node): boolean => node.kind === "list" && node.items.every((item) => item.kind === "relation");
const operands = (node: Node): Node[] =>
  node.kind === "union" || node.kind === "intersection" ? [...operands(node.left), ...operands(node.right)] : [node];

function asUnion(node: Node): Node {
  if (node.kind !== "list") return node;
  const sets = node.items.every((item) => item.kind === "tuple" || (isSetStatement(item) && item.kind !== "relation"));
  return sets ? node.items.reduce((left, right) => ({ kind: "union", left, right })) : node;
}

/** Tries the relation at the ends of the set, next to them and on a grid. */
function holdsExactlyIn(node: Node, set: NonNullable<ReturnType<typeof realSet>>, how: Comparison): Truth {
  const names = symbols(node);
  if (names.length !== 1) return false;
  const relations = (node.kind === "list" ? node.items : [node]) as Relation[];
  const either = node.kind === "list" && node.join === "or";
  for (const x of trialPoints(set)) {
    const setting = { ...how.setting, values: new Map([[names[0]!, x]]) };
    const truths = relations.map((one) => holds(one, setting) ?? false);
    if ((either ? truths.includes(true) : !truths.includes(false)) !== contains(set, x)) return false;
  }
  return true;
}

/** Two inequalities that are not solved: each side, sign by sign, or their truth at many points. */
function sameRelations(a: Relation, b: Relation, how: Comparison): Truth {
  const names = [...new Set([...symbols(a), ...symbols(b)])];
  if (symbols(a).join() !== symbols(b).join()) return false;
  const strict = (node: Relation): string =>
    node.signs
      .map((sign) => (sign === "<" || sign === ">" ? "strict" : sign === "<=" || sign === ">=" ? "loose" : sign))
      .sort()
      .join();
  if (names.length > 1 && strict(a) !== strict(b)) return false;
  if (names.length === 0 || names.length > 4) return null;
  const points = trialPoints(null);
  let held = 0;
  for (let round = 0; round < 160; round++) {
    const values = new Map(
      names.map((name, i): [string, Num] => [
        name,
        names.length === 1
          ? points[round % points.length]!
          : fraction(BigInt(((round * (31 + 17 * i) + i * 7) % 121) - 60), BigInt(3 + ((round + i) % 4))),
      ]),
    );
    const setting = { ...how.setting, values };
    const [p, q] = [holds(a, setting), holds(b, setting)];
    if (p !== q) return false;
    if (p === true) held++;
  }
  return held > 0 ? true : null;
}

// --- several answers

const isSeveral = (node: Node): node is Node & { kind: "list" | "set" } => node.kind === "list" || node.kind === "set";

/** The answers in a list or set, with each plus-minus counted as two. */
function elements(node: Node): Node[] {
  if (!isSeveral(node)) return plusMinus(node);
  return node.items
    .flatMap((item) => (item.kind === "list" && !isRecord(item) ? elements(item) : plusMinus(item)))
    .flatMap((item) =>
      item.kind === "relation" && isEquation(item) && item.parts.length === 2 && isSeveral(item.parts[1]!) ? item.parts[1]!.items : [item],
    );
}

/** Equations for different names: x = 3, y = 4. */
function isRecord(node: Node): node is Node & { kind: "list" } & { readonly items: readonly Relation[] } {
  if (node.kind !== "list" || node.items.length < 2 || !node.items.every(isEquation)) return false;
  const names = (node.items as Relation[]).map((item) =>
    item.parts[0]!.kind === "symbol"
      ? item.parts[0]!.name
      : JSON.stringify(item.parts[0]!, (_, value: unknown) => (typeof value === "bigint" ? String(value) : value)),
  );
  return (
    new Set(names).size === names.length &&
    (new Set(names.map(baseName)).size === names.length || names.every((name) => name.includes("_")))
  );
}

function sameSeveral(a: Node, b: Node, how: Comparison): Truth {
  const [x, y] = [isRecord(a) ? a : null, isRecord(b) ? b : null];
  if (x && y) {
    if (x.items.length !== y.items.length) return false;
    return sameElements(x.items, y.items, how);
  }
  if (x || y) {
    const record: { readonly items: readonly Relation[] } = (x ?? y)!;
    const values = record.items.map((item) => given(item)?.value ?? item);
    const other = x ? b : a;
    if (other.kind === "tuple") return compareLists(values, other.items, how);
    const items = elements(other);
    // Values in the order of the names; in any order where the names only count: x_1, x_2.
    if (other.kind === "list" && other.join !== "or" && compareLists(values, items, how) === true) return true;
    const counted =
      record.items.every((item) => item.parts[0]!.kind === "symbol" && /_\d+$/.test(item.parts[0]!.name)) &&
      new Set(record.items.map((item) => baseName((item.parts[0] as { name: string }).name))).size === 1;
    return counted || other.kind === "set" ? sameElements(values, items, how) : false;
  }
  if (a.kind === "tuple" || b.kind === "tuple") {
    const [tuple, other] = (a.kind === "tuple" ? [a, b] : [b, a]) as [Tuple, Node & { kind: "list" | "set" }];
    const items = elements(other);
    if (items.length === 1) return compare(tuple, items[0]!, how);
    if (other.kind === "set" || items.some((item) => item.kind === "tuple")) return false;
    if (tuple.open === "[" && tuple.items.length === 2) return false;
    return compareLists(tuple.items, items, how);
  }
  // (1, 2), (3, 4) may be two points or two intervals; as elements they compare alike.
  return sameElements(elements(a).map(plain), elements(b).map(plain), how);
}

/** Equal as sets: each element of one has its like in the other. */
function sameElements(a: readonly Node[], b: readonly Node[], how: Comparison): Truth {
  if (a.length > 200 || b.length > 200) return a.length === b.length ? null : false;
  const [x, y] = [a.map(valueOf), b.map(valueOf)];
  const table = x.map((one, i) =>
    y.map((other, j) => (named(a[i]!) && named(b[j]!) ? compare(a[i]!, b[j]!, how) : compare(one, other, how))),
  );
  const found = (truths: readonly Truth[]): Truth => (truths.includes(true) ? true : truths.includes(null) ? null : false);
  return all([...table.map(found), ...y.map((_, j) => found(table.map((row) => row[j]!)))]);
}

const named = (node: Node): boolean => isEquation(node) && given(node) !== null;
/** In a list "x = 2 or 3" the second has no name: values are compared where one of two has none. */
const valueOf = (node: Node): Node => (isEquation(node) ? (given(node)?.value ?? node) : node);

// --- tuples and matrices

function sameTuples(a: Tuple, b: Tuple, how: Comparison): Truth {
  if (a.items.length !== b.items.length) return false;
  const pair = a.items.length === 2;
  const [closedA, closedB] = [brackets(a), brackets(b)];
  // (a, b) and [a, b] are different intervals; longer lists mean the same in any brackets.
  if (pair && closedA !== closedB) return false;
  return compareLists(a.items, b.items, how);
}

function brackets({ open, close }: Tuple): string {
  if (open === "<(") return "()";
  return `${open === "[" ? "[" : "("}${close === "]" ? "]" : ")"}`;
}

function sameMatrices(a: Node, b: Node, how: Comparison): Truth {
  const [x, y] = [rowsOf(a), rowsOf(b)];
  if (!x || !y) {
    const [only, other] = [x ?? y!, x ? b : a];
    return only.length === 1 && only[0]!.length === 1 && isExpression(other) ? compare(only[0]![0]!, other, how) : false;
  }
  // A tuple is a vector, lying or standing.
  const flat =
    (a.kind === "tuple" || b.kind === "tuple") && [x, y].every((rows) => rows.length === 1 || rows.every((row) => row.length === 1));
  if (!flat && (x.length !== y.length || x[0]!.length !== y[0]!.length)) return false;
  return compareLists(x.flat(), y.flat(), how);
}

// --- quantities: units, percentages, degrees, ratios, residues, digits in a base

function sameQuantities(a: Node, b: Node, how: Comparison): Truth {
  if (a.kind === "residue" || b.kind === "residue") return sameResidues(a, b, how);
  if (a.kind === "quantity" || b.kind === "quantity") return sameUnits(a, b, how);
  if (a.kind === "degrees" || b.kind === "degrees") {
    if (a.kind === "degrees" && b.kind === "degrees") return compare(a.value, b.value, how);
    const [bare, other] = a.kind === "degrees" ? [a.value, b] : [(b as { value: Node }).value, a];
    if (other.kind !== "percent" && !some(other, (one) => one.kind === "degrees") && compare(bare, other, how) === true) return true;
  }
  if ((a.kind === "percent") !== (b.kind === "percent")) {
    const percentage = (a.kind === "percent" ? a : b) as Node & { kind: "percent" };
    const other = a.kind === "percent" ? b : a;
    // A question for a percentage is often answered without the sign. Beside a bare number up to 1 a percentage is meant as such.
    const size = evaluate(other, how.setting);
    const share = b.kind !== "percent" && isReal(size) && Math.abs(real(size)) <= 1;
    if (!share && other.kind !== "degrees" && compare(percentage.value, other, how) === true) return true;
  }
  if (a.kind === "ratio" || b.kind === "ratio") {
    if (a.kind === "ratio" && b.kind === "ratio") return sameRatios(a.items, b.items, how);
    const [ratio, other] = (a.kind === "ratio" ? [a, b] : [b, a]) as [Node & { kind: "ratio" }, Node];
    if (ratio.items.length !== 2) return false;
    return compare({ kind: "divide", left: ratio.items[0]!, right: ratio.items[1]! }, other, how);
  }
  if (a.kind === "based" || b.kind === "based") {
    if (a.kind === "based" && b.kind === "based") return sameExpression(a, b, how.setting, null);
    const [based, other] = (a.kind === "based" ? [a, b] : [b, a]) as [Node & { kind: "based" }, Node];
    if (/^\d+$/.test(based.digits) && compare({ kind: "number", value: whole(BigInt(based.digits)), decimals: null }, other, how) === true)
      return true;
  }
  if (!isExpression(a) || !isExpression(b)) return isExpression(a) === isExpression(b) ? null : false;
  return sameExpression(a, b, how.setting, how.tolerance);
}

function sameResidues(a: Node, b: Node, how: Comparison): Truth {
  if (a.kind !== "residue" || b.kind !== "residue")
    return compare(a.kind === "residue" ? a.value : a, b.kind === "residue" ? b.value : b, how);
  const modulus = compare(a.modulus, b.modulus, how);
  if (modulus !== true) return modulus;
  const rest = divide(add(evaluate(a.value, how.setting), negate(evaluate(b.value, how.setting))), evaluate(a.modulus, how.setting));
  return isExact(rest) ? rest.d === 1n : compare(a.value, b.value, how);
}

function sameUnits(a: Node, b: Node, how: Comparison): Truth {
  if (a.kind !== "quantity" || b.kind !== "quantity") {
    const [quantity, other] = (a.kind === "quantity" ? [a, b] : [b, a]) as [Node & { kind: "quantity" }, Node];
    // Radians are numbers, degrees are not: 30 degrees is not 30 radians.
    if (other.kind === "degrees")
      return measure(quantity.unit)?.dimensions === "angle^1" ? sameExpression(quantity.value, other, how.setting, how.tolerance) : false;
    return a.kind === "quantity" ? compare(a.value, b, how) : compare(a, (b as Node & { kind: "quantity" }).value, how);
  }
  const [x, y] = [measure(a.unit), measure(b.unit)];
  if (x === null || y === null) return compare(a.value, b.value, how);
  if (x.dimensions !== y.dimensions) return false;
  if (sameNumber(x.size, y.size)) return compare(a.value, b.value, how);
  const scale = (value: Node, size: Num): Node => ({ kind: "multiply", factors: [value, { kind: "number", value: size, decimals: null }] });
  return compare(scale(a.value, x.size), scale(b.value, y.size), how);
}

function sameRatios(a: readonly Node[], b: readonly Node[], how: Comparison): Truth {
  if (a.length !== b.length) return false;
  if (![...a, ...b].every(isExpression)) return null;
  const values = (nodes: readonly Node[]): Num[] => nodes.map((node) => evaluate(node, how.setting));
  // With a zero it is a time of day or a score, not a proportion.
  if ([...values(a), ...values(b)].some((value) => isFinite(value) && isZero(value))) return compareLists(a, b, how);
  return all(
    a
      .slice(1)
      .map((one, i) =>
        sameExpression(
          { kind: "divide", left: one, right: a[0]! },
          { kind: "divide", left: b[i + 1]!, right: b[0]! },
          how.setting,
          how.tolerance,
        ),
      ),
  );
}
