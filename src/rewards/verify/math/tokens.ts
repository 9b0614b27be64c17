import { braced } from "./clean.ts";
import { fraction, whole, type Num } from "./number.ts";

export type Token =
  /** `decimals` is how many digits stand after the point, null for a whole number; `open` that the digits go on (1.41...). */
  | {
      readonly kind: "number";
      readonly value: Num;
      readonly decimals: number | null;
      readonly text: string;
      readonly space: boolean;
      readonly upright: boolean;
    }
  /** One letter, or a Greek one by name. */
  | { readonly kind: "symbol"; readonly text: string; readonly space: boolean; readonly upright: boolean }
  | { readonly kind: "word"; readonly text: string; readonly space: boolean; readonly upright: boolean }
  | { readonly kind: "function"; readonly text: string; readonly space: boolean; readonly upright: boolean }
  | { readonly kind: "sign"; readonly text: string; readonly space: boolean; readonly upright: boolean };

/** What a comma between digits means. One text may have several readings; see `readings` in same-answer.ts. */
export type Commas = "thousands" | "list" | "decimal";

export const functions = new Set(
  "sin cos tan cot sec csc arcsin arccos arctan arccot arcsec arccsc sinh cosh tanh coth sech csch arcsinh arccosh arctanh exp ln log lg sqrt cbrt abs floor ceil gcd lcm min max det sgn arg Re Im".split(
    " ",
  ),
);
const aliases: Readonly<Record<string, string>> = {
  asin: "arcsin",
  acos: "arccos",
  atan: "arctan",
  ctg: "cot",
  cotg: "cot",
  cosec: "csc",
  tg: "tan",
  arctg: "arctan",
  ceiling: "ceil",
  artanh: "arctanh",
  arsinh: "arcsinh",
  arcosh: "arccosh",
};
const greek = new Set(
  "alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta kappa lambda mu nu xi rho sigma tau phi varphi chi psi omega Gamma Delta Theta Lambda Sigma Phi Psi Omega ell hbar".split(
    " ",
  ),
);
/** LaTeX commands and plain words that are signs. */
const signs: Readonly<Record<string, string>> = {
  times: "*",
  cdot: "*",
  ast: "*",
  div: "/",
  pm: "pm",
  mp: "mp",
  le: "<=",
  leq: "<=",
  leqslant: "<=",
  leqq: "<=",
  ge: ">=",
  geq: ">=",
  geqslant: ">=",
  geqq: ">=",
  lt: "<",
  gt: ">",
  ne: "!=",
  neq: "!=",
  in: "in",
  cup: "cup",
  cap: "cap",
  setminus: "setminus",
  backslash: "setminus",
  approx: "approx",
  simeq: "approx",
  equiv: "equiv",
  sim: "approx",
  langle: "<(",
  rangle: ")>",
  lfloor: "lfloor",
  rfloor: "rfloor",
  lceil: "lceil",
  rceil: "rceil",
  lvert: "|",
  rvert: "|",
  vert: "|",
  mid: "|",
  lVert: "|",
  rVert: "|",
  Vert: "|",
  infty: "infinity",
  emptyset: "empty",
  varnothing: "empty",
  circ: "circ",
  degree: "°",
  prime: "'",
  ldots: "...",
  dots: "...",
  cdots: "...",
  dotsc: "...",
  to: "to",
  rightarrow: "to",
  frac: "frac",
  binom: "binom",
  choose: "choose",
  over: "over",
  overline: "overline",
  bar: "overline",
  hat: "accent",
  vec: "accent",
  tilde: "accent",
  widehat: "accent",
  overrightarrow: "accent",
  dot: "accent",
  boldsymbol: "accent",
  pmod: "pmod",
  bmod: "mod",
  mod: "mod",
  pmb: "accent",
  mathbb: "blackboard",
  sum: "sum",
  prod: "product",
  lbrace: "set{",
  rbrace: "set}",
  lbrack: "[",
  rbrack: "]",
  colon: ":",
  angle: "angle",
  triangle: "angle",
  land: "and",
  lor: "or",
  wedge: "and",
  vee: "or",
  implies: "=>",
  Rightarrow: "=>",
  text: "text",
  degrees: "°",
};
const plainSigns: Readonly<Record<string, string>> = {
  and: "and",
  or: "or",
  infinity: "infinity",
  infty: "infinity",
  inf: "infinity",
  oo: "infinity",
  percent: "%",
  pct: "%",
  percentage: "%",
  degree: "°",
  degrees: "°",
  deg: "°",
  to: "to",
  in: "word",
  union: "cup",
  cup: "cup",
  mod: "mod",
};
/** Commands with a meaning that is left to the symbolic stage. */
const operators = new Set(
  "lim limsup liminf int iint iiint oint partial nabla forall exists subset subseteq supset supseteq notin perp parallel cong iff Leftrightarrow sup inf".split(
    " ",
  ),
);
const textual = new Set(
  "text textbf textit textrm textsf texttt textnormal mathrm mathbf mathit mathsf mathcal mathfrak operatorname mbox emph underline bm".split(
    " ",
  ),
);

const numberPattern = /0[xX][\da-fA-F]+|0[bB][01]+|0[oO][0-7]+|\d+(?:\{,\}\d{3})+(?:\.\d+)?|(?:\d+(?:\.\d*)?|\.\d+)/y;
const groupedPattern = /\d{1,3}(?:,\d{3})+(?!\d)(?:\.\d+)?|\d{1,3}(?: \d{3})+(?![\d.])|\d{1,3}(?:'\d{3})+(?!\d)|\d{1,3}(?:_\d{3})+(?!\d)/y;
const decimalCommaPattern = /\d+,\d+/y;
const exponentPattern = /[eE][+-]?\d+(?![.\d])/y;
const wordPattern = /[A-Za-z]+/y;

/** What cannot be read; never leaves this folder. */
export class Unreadable extends Error {}

/** A place among tokens. */
export class Cursor {
  /** A parser splits tokens in place where they hold more than it takes. */
  readonly tokens: Token[];
  at = 0;

  constructor(list: readonly Token[]) {
    this.tokens = [...list];
  }
  get next(): Token | undefined {
    return this.tokens[this.at];
  }
  is(...names: string[]): boolean {
    const token = this.next;
    return token?.kind === "sign" && names.includes(token.text);
  }
  /** Goes on when one of the signs is next. */
  take(...names: string[]): boolean {
    if (!this.is(...names)) return false;
    this.at++;
    return true;
  }
  /** @throws Unreadable when none of the signs is next */
  expect(...names: string[]): string {
    const token = this.next;
    if (!this.is(...names)) throw new Unreadable(`expected ${names.join(" or ")}`);
    this.at++;
    return token!.text;
  }
  /** The sign that stands so many tokens ahead, null for anything else. */
  peekSign(offset: number): string | null {
    const token = this.tokens[this.at + offset];
    return token?.kind === "sign" ? token.text : null;
  }
}

/**
 * The tokens of an answer that went through `clean`.
 * @throws Unreadable for a sign that is none
 */
export function tokens(text: string, commas: Commas, upright = false): Token[] {
  const out: Token[] = [];
  let depth = 0;
  let space = false;
  let i = 0;
  const sign = (name: string): void => {
    out.push({ kind: "sign", text: name, space, upright });
    space = false;
  };
  while (i < text.length) {
    const character = text[i]!;
    if (character === " " || character === "\n" || character === "\t" || character === "\r") {
      space = true;
      i++;
      continue;
    }
    if ((character >= "0" && character <= "9") || (character === "." && /\d/.test(text[i + 1] ?? ""))) {
      const read = number(text, i, commas, depth);
      out.push({ kind: "number", ...read.number, text: text.slice(i, read.end), space, upright });
      space = false;
      i = read.end;
      continue;
    }
    if (/[A-Za-z]/.test(character)) {
      wordPattern.lastIndex = i;
      const run = wordPattern.exec(text)![0];
      i += run.length;
      word(run, out, space, upright);
      space = false;
      continue;
    }
    if (character === "\\") {
      wordPattern.lastIndex = i + 1;
      const name = wordPattern.exec(text)?.[0];
      if (name === undefined) {
        const next = text[i + 1] ?? "";
        i += 2;
        if (next === "{" || next === "}") {
          depth += next === "{" ? 1 : -1;
          sign(`set${next}`);
        } else if (next === "%") sign("%");
        else if (next === "$") sign("$");
        else if (next === "\\") sign("\\\\");
        else if (next === "|") sign("|");
        else if (next === "&" || next === "#" || next === "_") throw new Unreadable(`\\${next}`);
        else if (next !== "/" && next !== "-") throw new Unreadable(`\\${next}`);
        continue;
      }
      i += name.length + 1;
      if (textual.has(name)) {
        const open = skipSpace(text, i);
        const group = text[open] === "{" ? braced(text, open) : null;
        if (group) {
          i = group.end;
          const roman = name !== "mathbf" && name !== "mathit" && name !== "mathcal" && name !== "bm";
          const inner = tokens(group.content, depth > 0 ? "list" : commas, roman || upright);
          inner.forEach((token, k) => out.push(k === 0 ? { ...token, space: true } : token));
          space = true;
        }
        continue;
      }
      if (name === "begin" || name === "end") {
        const group = text[i] === "{" ? braced(text, i) : null;
        if (!group) throw new Unreadable(name);
        i = group.end;
        depth += name === "begin" ? 1 : -1;
        if (name === "begin" && group.content === "array" && text[skipSpace(text, i)] === "{")
          i = braced(text, skipSpace(text, i))?.end ?? i;
        sign(`${name}:${group.content.replace("*", "")}`);
        continue;
      }
      if (name === "pi") symbol(out, "pi", space, upright);
      else if (name === "boxed" || name === "fbox") continue;
      else if (name === "arcsin" || functions.has(name) || name in aliases)
        out.push({ kind: "function", text: aliases[name] ?? name, space, upright });
      else if (greek.has(name)) symbol(out, name.replace(/^var/, ""), space, upright);
      else if (name in signs) {
        sign(signs[name]!);
        if (name === "lbrace") depth++;
        if (name === "rbrace") depth--;
      } else if (name === "not") {
        const rest = text.slice(i).match(/^\s*(=|\\in(?![a-z]))/);
        if (!rest || rest[1] !== "=") throw new Unreadable(name);
        i += rest[0].length;
        sign("!=");
      } else {
        // A command that is not known and takes nothing is a name like any other.
        if (text[i] === "{" || text[i] === "[" || operators.has(name)) throw new Unreadable(`\\${name}`);
        symbol(out, name, space, upright);
      }
      space = false;
      continue;
    }
    const two = text.slice(i, i + 2);
    if (two === "<=" || two === ">=" || two === "!=" || two === "=>" || two === "==") {
      // "=<" and "=>" are also how people write ≤ and ≥, but "=>" mostly is an arrow.
      sign(two === "==" ? "=" : two);
      i += 2;
      continue;
    }
    if (two === "+-" || text.startsWith("+/-", i)) {
      sign("pm");
      i += two === "+-" ? 2 : 3;
      continue;
    }
    if (two === "**") {
      sign("^");
      i += 2;
      continue;
    }
    if (two === ".." || (character === "." && out.length > 0 && text.slice(i).trim() === ".")) {
      while (text[i] === ".") i++;
      if (two === "..") sign("...");
      continue;
    }
    if (text.startsWith("{,}", i)) {
      sign(",");
      i += 3;
      continue;
    }
    if ("€£¥₹".includes(character)) sign(character);
    else if ("([{".includes(character)) {
      depth++;
      sign(character);
    } else if (")]}".includes(character)) {
      depth--;
      sign(character);
    } else if ("+-*/^_,;:!%|=<>&'".includes(character)) sign(character);
    else if (character === "$") sign("$");
    else if (character !== '"' && character !== "`") throw new Unreadable(character);
    i++;
  }
  return out;
}

const skipSpace = (text: string, from: number): number => {
  let i = from;
  while (text[i] === " ") i++;
  return i;
};

function symbol(out: Token[], text: string, space: boolean, upright: boolean): void {
  out.push({ kind: "symbol", text, space, upright });
}

function word(run: string, out: Token[], space: boolean, upright: boolean): void {
  const lower = run.toLowerCase();
  if (run.length === 1) return symbol(out, run, space, upright);
  const plain = plainSigns[lower];
  if (plain !== undefined && plain !== "word") {
    // "and" in "neither and nor" is no separator's business, but then the words around it are no maths either.
    out.push({ kind: "sign", text: plain, space, upright });
    return;
  }
  if (lower === "pi") return symbol(out, "pi", space, upright);
  if (greek.has(run)) return symbol(out, run, space, upright);
  const name = aliases[run] ?? run;
  if (functions.has(name)) {
    out.push({ kind: "function", text: name, space, upright });
    return;
  }
  const glued = upright ? null : /^(arcsin|arccos|arctan|sin|cos|tan|ln|log|sqrt)([a-z])$/.exec(run);
  if (glued) {
    out.push({ kind: "function", text: glued[1]!, space, upright });
    return symbol(out, glued[2]!, false, upright);
  }
  out.push({ kind: "word", text: run, space, upright });
}

type ReadNumber = { value: Num; decimals: number | null };

function number(text: string, start: number, commas: Commas, depth: number): { number: ReadNumber; end: number } {
  let digits: string | undefined;
  if (commas === "decimal") {
    decimalCommaPattern.lastIndex = start;
    digits = decimalCommaPattern.exec(text)?.[0];
    if (digits !== undefined) return finish(text, start + digits.length, digits.replace(",", "."));
  }
  groupedPattern.lastIndex = start;
  digits = groupedPattern.exec(text)?.[0];
  if (digits !== undefined && (digits.includes(",") ? commas === "thousands" && depth === 0 : true))
    return finish(text, start + digits.length, digits.replace(/[,'_ ]/g, ""));
  numberPattern.lastIndex = start;
  digits = numberPattern.exec(text)![0];
  if (/^0[xXbBoO]/.test(digits))
    return { number: { value: whole(BigInt(digits.toLowerCase())), decimals: null }, end: start + digits.length };
  let end = start + digits.length;
  // The full stop of a sentence, not a decimal point.
  if (digits.endsWith(".") && !/^\s*\\(?:overline|bar|dot)/.test(text.slice(end))) {
    digits = digits.slice(0, -1);
    if (text.startsWith("..", end)) end--;
    else if (end < text.length && /\S/.test(text[end]!) && !/[\s,;)\]}$\\]/.test(text[end]!)) end--;
  }
  return finish(text, end, digits.replaceAll("{,}", ""));
}

/** A number whose digits have no separators left, with the exponent, the repeating digits or the dots that follow it. */
function finish(text: string, at: number, digits: string): { number: ReadNumber; end: number } {
  const point = digits.indexOf(".");
  const decimals = point < 0 ? null : digits.length - point - 1;
  const mantissa = BigInt(digits.replace(".", "") || "0");
  const unit = 10n ** BigInt(decimals ?? 0);
  if (point >= 0) {
    const repeated = /^\s*\\(?:overline|bar|dot)\s*(?:\{(\d{1,30})\}|(\d))/.exec(text.slice(at, at + 60));
    if (repeated) {
      const block = repeated[1] ?? repeated[2]!;
      const nines = 10n ** BigInt(block.length) - 1n;
      return { number: { value: fraction(mantissa * nines + BigInt(block), unit * nines), decimals: null }, end: at + repeated[0].length };
    }
    const dots = /^\s*(?:\\ldots|\\dots|\\cdots|\.{2,})/.exec(text.slice(at, at + 20));
    // Digits that end in the same block twice (or one digit three times) go on repeating: 0.333..., 0.1818...
    const block = dots ? /(?<=\.\d*?)(?:(\d)\1\1|(\d{2,9})\2)$/.exec(digits) : null;
    if (dots && block) {
      const period = block[1] ?? block[2]!;
      const nines = 10n ** BigInt(period.length) - 1n;
      return { number: { value: fraction(mantissa * nines + BigInt(period), unit * nines), decimals: null }, end: at + dots[0].length };
    }
    if (dots) return { number: { value: fraction(mantissa, unit), decimals }, end: at + dots[0].length };
  }
  exponentPattern.lastIndex = at;
  const exponent = exponentPattern.exec(text)?.[0];
  if (exponent !== undefined && exponent.length < 7) {
    const size = Number(exponent.slice(1));
    const shift = 10n ** BigInt(Math.abs(size));
    const value = size < 0 ? fraction(mantissa, unit * shift) : fraction(mantissa * shift, unit);
    return { number: { value, decimals: decimals === null ? null : Math.max(0, decimals - size) }, end: at + exponent.length };
  }
  return { number: { value: fraction(mantissa, unit), decimals }, end: at };
}
