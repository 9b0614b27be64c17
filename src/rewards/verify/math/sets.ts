import { evaluate, type Setting } from "./evaluate.ts";
import { symbols, type Node, type RelationSign } from "./node.ts";
import { add, divide, isExact, isReal, multiply, negate, real, sameNumber, signOf, toFloat, whole, float, type Num } from "./number.ts";

/** An interval of real numbers; a point is closed at both ends. Infinite ends are floats and open. */
export interface Piece {
  readonly low: Num;
  readonly high: Num;
  readonly lowOpen: boolean;
  readonly highOpen: boolean;
}
/** Disjoint, ascending, and not to be merged any further. */
export type RealSet = readonly Piece[];

const minusInfinity = float(-Infinity);
const infinity = float(Infinity);
export const allReals: RealSet = [{ low: minusInfinity, high: infinity, lowOpen: true, highOpen: true }];

/** -1, 0 or 1 as a lies below, at or above b. */
function order(a: Num, b: Num): number {
  const [x, y] = [real(a), real(b)];
  if (x === y && (!Number.isFinite(x) || (!isExact(a) && !isExact(b)))) return 0;
  if (!Number.isFinite(x) || !Number.isFinite(y)) return x < y ? -1 : 1;
  return sameNumber(a, b) ? 0 : (signOf(add(a, negate(b))) ?? 0);
}

const point = (value: Num): Piece => ({ low: value, high: value, lowOpen: false, highOpen: false });

function merged(pieces: readonly Piece[]): RealSet {
  const filled = pieces.filter(({ low, high, lowOpen, highOpen }) => {
    const way = order(low, high);
    return way < 0 || (way === 0 && !lowOpen && !highOpen);
  });
  const sorted = filled.sort((a, b) => order(a.low, b.low) || Number(a.lowOpen) - Number(b.lowOpen));
  const out: Piece[] = [];
  for (const piece of sorted) {
    const last = out.at(-1);
    const way = last === undefined ? 1 : order(piece.low, last.high);
    if (last === undefined || way > 0 || (way === 0 && piece.lowOpen && last.highOpen)) {
      out.push(piece);
      continue;
    }
    const ends = order(piece.high, last.high);
    if (ends > 0) out[out.length - 1] = { ...last, high: piece.high, highOpen: piece.highOpen };
    else if (ends === 0 && !piece.highOpen) out[out.length - 1] = { ...last, highOpen: false };
  }
  return out;
}

export function intersect(a: RealSet, b: RealSet): RealSet {
  const pieces = a.flatMap((one) =>
    b.map((other): Piece => {
      const low = order(one.low, other.low);
      const high = order(one.high, other.high);
      return {
        low: low >= 0 ? one.low : other.low,
        lowOpen: low === 0 ? one.lowOpen || other.lowOpen : low > 0 ? one.lowOpen : other.lowOpen,
        high: high <= 0 ? one.high : other.high,
        highOpen: high === 0 ? one.highOpen || other.highOpen : high < 0 ? one.highOpen : other.highOpen,
      };
    }),
  );
  return merged(pieces);
}

function complement(set: RealSet): RealSet {
  const pieces: Piece[] = [];
  let low: Num = minusInfinity;
  let lowOpen = true;
  for (const piece of set) {
    pieces.push({ low, lowOpen, high: piece.low, highOpen: !piece.lowOpen });
    [low, lowOpen] = [piece.high, !piece.highOpen];
  }
  pieces.push({ low, lowOpen, high: infinity, highOpen: true });
  return merged(pieces.filter((piece) => order(piece.low, piece.high) < 0 || Number.isFinite(real(piece.low))));
}

export function sameSet(a: RealSet, b: RealSet): boolean {
  return (
    a.length === b.length &&
    a.every((piece, i) => {
      const other = b[i]!;
      return (
        piece.lowOpen === other.lowOpen &&
        piece.highOpen === other.highOpen &&
        order(piece.low, other.low) === 0 &&
        order(piece.high, other.high) === 0
      );
    })
  );
}

export function contains(set: RealSet, x: Num): boolean {
  return set.some((piece) => {
    const [low, high] = [order(x, piece.low), order(x, piece.high)];
    return (low > 0 || (low === 0 && !piece.lowOpen)) && (high < 0 || (high === 0 && !piece.highOpen));
  });
}

/** A real number or an infinity; null for an end that depends on something. */
function end(node: Node, setting: Setting): Num | null {
  const value = evaluate(node, setting);
  if (!isExact(value) && (Number.isNaN(value.re) || (Number.isFinite(value.re) && !isReal(value)))) return null;
  return isExact(value) || Number.isFinite(value.re) ? value : float(value.re > 0 ? Infinity : -Infinity);
}

/** The set of real numbers that an interval, union, inequality, finite set or point stands for; null where there is none to be computed. */
export function realSet(node: Node, setting: Setting): RealSet | null {
  if (node.kind === "domain") return node.name === "R" ? allReals : node.name === "empty" ? [] : null;
  if (node.kind === "tuple") return ofInterval(node, setting);
  if (node.kind === "relation") return ofRelation(node, setting);
  if (node.kind === "set") {
    const values = node.items.map((item) => end(item, setting));
    return values.some((value) => value === null) ? null : merged((values as Num[]).map(point));
  }
  if (node.kind === "union" || node.kind === "intersection" || node.kind === "difference") {
    const [left, right] = [realSet(node.left, setting), realSet(node.right, setting)];
    if (left === null || right === null) return null;
    if (node.kind === "union") return merged([...left, ...right]);
    return intersect(left, node.kind === "intersection" ? right : complement(right));
  }
  if (node.kind !== "list" || new Set(node.items.flatMap(symbols)).size > 1) return null;
  const sets = node.items.map((item) => (item.kind === "relation" ? realSet(item, setting) : null));
  if (sets.some((set) => set === null)) return null;
  const known = sets as RealSet[];
  const common = known.reduce(intersect);
  // "x > 1 and x < 3" is what both allow; "x < -1 and x > 1" cannot be meant so.
  return node.join === "or" || common.length === 0 ? merged(known.flat()) : common;
}

function ofInterval(node: Node & { kind: "tuple" }, setting: Setting): RealSet | null {
  if (node.items.length !== 2 || node.open === "<(") return null;
  const [low, high] = [end(node.items[0]!, setting), end(node.items[1]!, setting)];
  if (low === null || high === null || order(low, high) > 0) return null;
  // ]0, 1[ is open.
  const lowOpen = node.open !== "[" || !Number.isFinite(real(low));
  const highOpen = node.close !== "]" || !Number.isFinite(real(high));
  return merged([{ low, high, lowOpen, highOpen }]);
}

const flipped: Readonly<Record<RelationSign, RelationSign>> = {
  "<": ">",
  ">": "<",
  "<=": ">=",
  ">=": "<=",
  "=": "=",
  "!=": "!=",
  in: "in",
  approx: "approx",
  equiv: "equiv",
};

/** Inequalities that are linear in one unknown, and chains of them. The unknown may be a call such as f(x), when it is all there is. */
function ofRelation(node: Node & { kind: "relation" }, setting: Setting): RealSet | null {
  if (node.signs.some((sign) => sign === "in")) return node.signs.length === 1 ? realSet(node.parts[1]!, setting) : null;
  let set = allReals;
  let unknown: string | null = null;
  for (const [i, sign] of node.signs.entries()) {
    const solved = solve(node.parts[i]!, sign, node.parts[i + 1]!, setting);
    if (solved === null || (unknown !== null && unknown !== solved.unknown)) return null;
    unknown = solved.unknown;
    set = intersect(set, solved.set);
  }
  return set;
}

function solve(left: Node, sign: RelationSign, right: Node, setting: Setting): { set: RealSet; unknown: string } | null {
  const names = [...new Set([...symbols(left), ...symbols(right)])];
  for (const [side, other, way] of [
    [left, right, sign],
    [right, left, flipped[sign]],
  ] as const) {
    const opaque = side.kind === "call" && /^[a-zA-Z]$|_$/.test(side.name);
    if ((side.kind === "symbol" && names.length === 1) || (opaque && symbols(other).length === 0)) {
      const value = end(other, setting);
      return value === null ? null : { set: half(way, value), unknown: side.kind === "symbol" ? side.name : "f" };
    }
  }
  if (names.length !== 1) return null;
  const at = (x: number): Num => {
    const inner = { ...setting, values: new Map([...setting.values, [names[0]!, whole(x)]]) };
    return add(evaluate(left, inner), negate(evaluate(right, inner)));
  };
  const [f0, f1, f2, f7] = [at(0), at(1), at(2), at(-7)];
  const slope = add(f1, negate(f0));
  const straight = (x: number, value: Num): boolean => sameNumber(add(f0, multiply(whole(x), slope)), value) === true;
  if (signOf(slope) === null || signOf(slope) === 0 || !straight(2, f2) || !straight(-7, f7)) return null;
  const zero = divide(negate(f0), slope);
  return { set: half(signOf(slope) === 1 ? sign : flipped[sign], zero), unknown: names[0]! };
}

function half(sign: RelationSign, value: Num): RealSet {
  switch (sign) {
    case "<":
    case "<=":
      return merged([{ low: minusInfinity, lowOpen: true, high: value, highOpen: sign === "<" || !Number.isFinite(real(value)) }]);
    case ">":
    case ">=":
      return merged([{ low: value, lowOpen: sign === ">" || !Number.isFinite(real(value)), high: infinity, highOpen: true }]);
    case "!=":
      return complement([point(value)]);
    case "=":
    case "approx":
    case "equiv":
    case "in":
      return [point(value)];
  }
}

/** Whether a relation holds at given values; null where a side has no real value. */
export function holds(node: Node & { kind: "relation" }, setting: Setting): boolean | null {
  const values = node.parts.map((part) => evaluate(part, setting));
  if (values.some((value) => !isReal(value) || !Number.isFinite(real(value)))) return null;
  return node.signs.every((sign, i) => {
    const way = sameNumber(values[i]!, values[i + 1]!) ? 0 : Math.sign(toFloat(values[i]!).re - toFloat(values[i + 1]!).re);
    switch (sign) {
      case "<":
        return way < 0;
      case "<=":
        return way <= 0;
      case ">":
        return way > 0;
      case ">=":
        return way >= 0;
      case "!=":
        return way !== 0;
      case "=":
      case "approx":
      case "equiv":
      case "in":
        return way === 0;
    }
  });
}

/** Numbers at which sets are compared that no algebra has solved: the ends of a known one and their neighbours, and a grid of exact values. */
export function trialPoints(set: RealSet | null): Num[] {
  const ends = (set ?? []).flatMap(({ low, high }) => [low, high]).filter((value) => Number.isFinite(real(value)));
  const near = ends.flatMap((value) => [value, ...[-0.5, -1e-4, 1e-4, 0.5].map((step) => add(value, float(step)))]);
  const grid: Num[] = [];
  for (let k = -60; k <= 60; k++) grid.push(divide(whole(k), whole(4)));
  return [...near, ...grid, ...[-1e4, -333, -57, 57, 333, 1e4].map((x) => whole(x))];
}
