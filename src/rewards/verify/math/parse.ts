import { replace, type Bracket, type Node, type RelationSign } from "./node.ts";
import { whole } from "./number.ts";
import {
  accented,
  afterBracket,
  bases,
  closing,
  constantOr,
  digitsOf,
  inverses,
  isNumeric,
  isOne,
  isSetLike,
  isUnitLetter,
  mixedNumber,
  negated,
  number,
  product,
  splittable,
  zero,
} from "./parts.ts";
import { Cursor, tokens, Unreadable, type Commas, type Token } from "./tokens.ts";
import { unitBehind } from "./unit-behind.ts";
import { isUnit } from "./units.ts";

const relationSigns: Readonly<Record<string, RelationSign>> = {
  "=": "=",
  "!=": "!=",
  "<": "<",
  ">": ">",
  "<=": "<=",
  ">=": ">=",
  in: "in",
  approx: "approx",
  equiv: "equiv",
};
/** Names that stand for functions when a bracket follows; others are factors. */
const openFunctions = /^[fghFGH](?:_.*)?'*$/;
const deepest = 80;

/** Reads an answer that went through `clean`; null for what is no maths that it knows. */
export function parse(text: string, commas: Commas): Node | null {
  try {
    return new Parser(tokens(text, commas)).answer();
  } catch (cause) {
    if (cause instanceof Unreadable) return null;
    throw cause;
  }
}

/** Recursive descent, with the state that the functions of a descent share. */
class Parser {
  readonly #cursor: Cursor;
  #depth = 0;
  /** How many |...| are open: there, a bar closes. */
  #bars = 0;
  /** In a set a colon may also mean "such that". */
  #colons = true;

  constructor(list: readonly Token[]) {
    this.#cursor = new Cursor(list);
  }

  #nested<T>(read: () => T): T {
    if (++this.#depth > deepest) throw new Unreadable("nested too deeply");
    const value = read();
    this.#depth--;
    return value;
  }

  answer(): Node {
    // "= 5" and "\approx 5"
    if (this.#cursor.tokens.length > 1) this.#cursor.take("=", "approx");
    const node = this.#list();
    if (this.#cursor.next !== undefined) throw new Unreadable("something is left over");
    return node;
  }

  /** Items separated by commas, semicolons, "and", "or"; semicolons part groups that have commas inside. */
  #list(): Node {
    const groups: Node[][] = [[]];
    const separators: string[] = [];
    for (;;) {
      while (this.#cursor.is(",", "and", "or", "\\\\")) separators.push(this.#cursor.expect(",", "and", "or", "\\\\"));
      // ]0, 1[ begins with what elsewhere ends.
      const outwards = this.#cursor.at === 0 && this.#cursor.is("]");
      if (this.#cursor.next === undefined || (this.#cursor.next.kind === "sign" && closing.has(this.#cursor.next.text) && !outwards)) break;
      groups.at(-1)!.push(this.#statement());
      const token = this.#cursor.next;
      if (token === undefined || (token.kind === "sign" && closing.has(token.text) && token.text !== "\\\\")) break;
      const separator = this.#cursor.expect(",", ";", "and", "or", "\\\\");
      separators.push(separator);
      if (separator === ";") groups.push([]);
    }
    const filled = groups.filter((group) => group.length > 0);
    if (filled.length === 0) throw new Unreadable("nothing there");
    if (filled.some((group) => group.length > 1) && filled.length > 1)
      return {
        kind: "list",
        join: ";",
        items: filled.map((items) => (items.length === 1 ? items[0]! : { kind: "list", items, join: "," })),
      };
    const items = filled.flat();
    return items.length === 1 ? items[0]! : { kind: "list", items, join: separators.find((one) => one === "and" || one === "or") ?? "," };
  }

  /** A relation, a set expression, or a value with its unit. */
  #statement(): Node {
    return this.#nested(() => {
      const parts = [this.#side()];
      const signs: RelationSign[] = [];
      for (;;) {
        const token = this.#cursor.next;
        const sign = token?.kind === "sign" ? relationSigns[token.text] : undefined;
        if (sign === undefined) break;
        this.#cursor.at++;
        // "x = \ 3", "x >\ = 3"
        signs.push(sign);
        parts.push(this.#side());
      }
      const node: Node = signs.length === 0 ? parts[0]! : { kind: "relation", parts, signs };
      if (this.#cursor.is("pmod", "mod") || (this.#cursor.is("(") && this.#cursor.peekSign(1) === "mod")) return this.#residue(node);
      return node;
    });
  }

  #residue(node: Node): Node {
    const bracket = this.#cursor.take("(");
    this.#cursor.at++;
    const modulus = this.#sum();
    if (bracket) this.#cursor.expect(")");
    const value = node.kind === "relation" ? node.parts.at(-1)! : node;
    const residue: Node = { kind: "residue", value, modulus };
    return node.kind === "relation" ? { ...node, parts: [...node.parts.slice(0, -1), residue] } : residue;
  }

  /** One side of a relation: a union of sets, a ratio, or a sum. */
  #side(): Node {
    let left = this.#ratio();
    for (;;) {
      const token = this.#cursor.next;
      const union = token?.kind === "symbol" && token.text === "U" && isSetLike(left);
      if (this.#cursor.take("cup") || (union && ++this.#cursor.at)) left = { kind: "union", left, right: this.#intersection() };
      else if (this.#cursor.take("cap")) left = { kind: "intersection", left, right: this.#ratio() };
      else if (this.#cursor.take("setminus") || (isSetLike(left) && this.#cursor.is("-") && this.#cursor.take("-")))
        left = { kind: "difference", left, right: this.#ratio() };
      else return left;
    }
  }

  #intersection(): Node {
    let left = this.#ratio();
    while (this.#cursor.take("cap")) left = { kind: "intersection", left, right: this.#ratio() };
    return left;
  }

  #ratio(): Node {
    const first = this.#measured();
    if (!this.#cursor.is(":", "to") || (!this.#colons && this.#cursor.is(":"))) return first;
    const items = [first];
    while (this.#cursor.take(":", "to")) items.push(this.#measured());
    return { kind: "ratio", items };
  }

  /** A sum and the unit behind it, or money before it. */
  #measured(): Node {
    const start = this.#cursor.at;
    const minus = this.#cursor.take("-");
    const money = ["$", "€", "£", "¥", "₹"].find((sign) => this.#cursor.take(sign));
    if (money === undefined) {
      this.#cursor.at = start;
      return unitBehind(this.#cursor, this.#sum());
    }
    const amount = this.#cursor.take("-") ? negated(this.#sum()) : this.#sum();
    const value = unitBehind(this.#cursor, minus ? negated(amount) : amount);
    const pure = value.kind === "quantity" ? value.value : value;
    return { kind: "quantity", value: pure, unit: [{ name: money, power: 1 }] };
  }

  #sum(): Node {
    return this.#nested(() => {
      let left: Node | null = null;
      if (this.#cursor.take("+")) left = null;
      else if (this.#cursor.is("pm", "mp")) {
        const sign = this.#cursor.expect("pm", "mp") === "pm" ? 1 : -1;
        left = { kind: "plus-minus", sign, left: zero, right: this.#product() };
      }
      const terms: Node[] = [left ?? this.#product()];
      for (;;) {
        const total = (): Node => (terms.length === 1 ? terms[0]! : { kind: "add", terms: [...terms] });
        if (this.#cursor.is("-") && terms.length === 1 && isSetLike(terms[0]!)) return terms[0]!;
        if (this.#cursor.take("+")) terms.push(this.#product());
        else if (this.#cursor.take("-")) terms.push(negated(this.#product()));
        else if (this.#cursor.is("pm", "mp")) {
          const sign = this.#cursor.expect("pm", "mp") === "pm" ? 1 : -1;
          terms.splice(0, terms.length, { kind: "plus-minus", sign, left: total(), right: this.#product() });
        } else return total();
      }
    });
  }

  #product(): Node {
    if (this.#cursor.take("-")) return this.#nested(() => negated(this.#product()));
    if (this.#cursor.take("+")) return this.#nested(() => this.#product());
    let left = this.#factor();
    for (;;) {
      if (this.#cursor.take("%")) left = { kind: "percent", value: left };
      else if (this.#cursor.take("*")) left = product(left, this.#signed());
      else if (this.#cursor.take("/")) {
        const right = this.#signed();
        left = { kind: "divide", left, right };
      } else if (this.#startsFactor(left)) {
        const before = this.#cursor.at;
        const right = this.#factor();
        if (right.kind === "number" && this.#cursor.tokens[before]?.kind === "number" && !afterBracket(this.#cursor.tokens[before - 1])) {
          // Two numbers side by side are no product; a whole number and a proper fraction are a mixed number.
          if (!this.#cursor.is("/")) throw new Unreadable("two numbers side by side");
          const mixed = this.#mixed(left, right);
          if (mixed === null) throw new Unreadable("two numbers side by side");
          left = mixed;
        } else left = mixedNumber(left, right, this.#cursor.tokens[before]) ?? product(left, right);
      } else return left;
    }
  }

  /** 2 1/2, of which 2 and 1 are read. */
  #mixed(left: Node, numerator: Node): Node | null {
    this.#cursor.expect("/");
    const denominator = this.#factor();
    return mixedNumber(
      left,
      { kind: "divide", left: numerator, right: denominator },
      { text: "frac", kind: "sign", space: true, upright: false },
    );
  }

  #signed(): Node {
    if (this.#cursor.take("-")) return negated(this.#signed());
    if (this.#cursor.take("+")) return this.#signed();
    return this.#factor();
  }

  /** Whether what comes next multiplies what was read without a sign between. */
  #startsFactor(left: Node): boolean {
    const token = this.#cursor.next;
    if (token === undefined) return false;
    switch (token.kind) {
      case "number":
      case "function":
        return true;
      case "symbol":
        if (token.text === "U" && isSetLike(left)) return false;
        if (
          isNumeric(left) &&
          (isUnitLetter(token, this.#cursor.tokens[this.#cursor.at + 1]) ||
            (token.upright && token.text !== "i" && token.text !== "e" && token.text !== "pi"))
        )
          return false;
        return true;
      case "word":
        return splittable(token) && !(isNumeric(left) && isUnit(token.text));
      case "sign":
        if (token.text === "|") return this.#bars === 0;
        if (token.text === "(" && this.#cursor.peekSign(1) === "mod") return false;
        // [0, 1[
        if (
          token.text === "[" &&
          (this.#cursor.tokens[this.#cursor.at + 1] === undefined ||
            ["cup", "cap", "and", "or", ","].includes(this.#cursor.peekSign(1) ?? ""))
        )
          return false;
        return (
          ["(", "{", "[", "<(", "frac", "binom", "sum", "product", "infinity", "lfloor", "lceil", "overline", "accent", "angle"].includes(
            token.text,
          ) || token.text.startsWith("begin:")
        );
    }
  }

  /** An operand with its powers, factorials and degrees. */
  #factor(): Node {
    return this.#nested(() => {
      let node = this.#operand();
      for (;;) {
        if (this.#cursor.take("!"))
          node = { kind: "call", name: this.#cursor.take("!") ? "double factorial" : "factorial", arguments: [node] };
        else if (this.#cursor.take("°")) node = { kind: "degrees", value: node };
        else if (this.#cursor.take("'")) node = node.kind === "symbol" ? { kind: "symbol", name: `${node.name}'` } : node;
        else if (this.#cursor.is("^")) {
          this.#cursor.at++;
          if (this.#circle()) node = { kind: "degrees", value: node };
          else if (this.#cursor.is("'")) continue;
          else node = { kind: "power", base: node, exponent: this.#script() };
        } else if (this.#cursor.is("_")) node = this.#subscript(node);
        else return node;
      }
    });
  }

  /** The ring of degrees, as an exponent. */
  #circle(): boolean {
    if (this.#cursor.take("circ")) return true;
    if (this.#cursor.is("{") && this.#cursor.peekSign(1) === "circ" && this.#cursor.peekSign(2) === "}") {
      this.#cursor.at += 3;
      return true;
    }
    return false;
  }

  /** What follows ^ or _: a group, or one digit or letter. */
  #script(): Node {
    if (this.#cursor.take("{")) {
      const node = this.#list();
      this.#cursor.expect("}");
      return node;
    }
    if (this.#cursor.take("-")) return negated(this.#script());
    if (this.#cursor.take("+")) return this.#script();
    return this.#operand();
  }

  #subscript(node: Node): Node {
    this.#cursor.expect("_");
    const start = this.#cursor.at;
    const group = this.#cursor.take("{");
    const name: string[] = [];
    if (group)
      for (let depth = 1; ;) {
        const token = this.#cursor.next;
        if (token === undefined) throw new Unreadable("an open subscript");
        this.#cursor.at++;
        if (token.kind === "sign" && token.text === "{") depth++;
        if (token.kind === "sign" && token.text === "}" && --depth === 0) break;
        name.push(token.text);
      }
    else name.push(this.#cursor.tokens[this.#cursor.at++]?.text ?? "");
    const label = name.join("");
    const base = bases[label.toLowerCase()] ?? Number(label);
    const digits = digitsOf(node);
    if (digits !== null && Number.isInteger(base) && base >= 2 && base <= 36) return { kind: "based", digits, base };
    if (node.kind === "symbol") {
      // An index that is computed, as in a_{n-1}, makes a function of it; a plain one is part of the name.
      if (group && /[+\-*/^]/.test(label)) {
        const end = this.#cursor.at;
        this.#cursor.at = start + 1;
        const index = this.#list();
        this.#cursor.expect("}");
        this.#cursor.at = end;
        return { kind: "call", name: `${node.name}_`, arguments: [index] };
      }
      if (/^[a-z]$/i.test(label)) return { kind: "call", name: `${node.name}_`, arguments: [{ kind: "symbol", name: label }] };
      return { kind: "symbol", name: `${node.name}_${label}` };
    }
    if (node.kind === "constant") return { kind: "symbol", name: `${node.name}_${label}` };
    throw new Unreadable("a subscript of no name");
  }

  #operand(): Node {
    const token = this.#cursor.next;
    if (token === undefined) throw new Unreadable("an operand is missing");
    this.#cursor.at++;
    switch (token.kind) {
      case "number":
        return { kind: "number", value: token.value, decimals: token.decimals };
      case "symbol":
        return this.#symbol(token);
      case "function":
        return this.#function(token.text);
      case "word": {
        if (this.#cursor.is("_") && /^[0-9A-F]+$/.test(token.text)) return { kind: "symbol", name: token.text };
        if (!splittable(token)) throw new Unreadable("a word");
        // Letter by letter in place, so that what follows belongs to the last one: xy^2.
        const letters = token.text.split("").map((text): Token => ({ ...token, kind: "symbol", text, space: false }));
        this.#cursor.tokens.splice(this.#cursor.at - 1, 1, ...letters);
        return this.#symbol(letters[0]!);
      }
      case "sign":
        return this.#group(token.text);
    }
  }

  #symbol(token: Token): Node {
    const node = constantOr(token.text);
    const after = this.#cursor.next;
    if (
      node.kind === "symbol" &&
      this.#cursor.is("(") &&
      !after!.space &&
      (openFunctions.test(node.name) || ((node.name === "C" || node.name === "P") && this.#twoArguments()))
    ) {
      this.#cursor.at++;
      const inside = this.#list();
      this.#cursor.expect(")");
      const list = inside.kind === "list" ? inside.items : [inside];
      if (node.name === "C" && list.length === 2) return { kind: "call", name: "binomial", arguments: list };
      return { kind: "call", name: node.name, arguments: list };
    }
    return node;
  }

  /** Whether the bracket that opens here holds two plain arguments, as in C(5, 2). */
  #twoArguments(): boolean {
    const [a, comma, b, close] = [1, 2, 3, 4].map((k) => this.#cursor.tokens[this.#cursor.at + k]);
    return (
      (a?.kind === "number" || a?.kind === "symbol") &&
      comma?.text === "," &&
      (b?.kind === "number" || b?.kind === "symbol") &&
      close?.text === ")"
    );
  }

  /** sin x, sin^2 x, log_2 x, sqrt[3]{x}: the argument is a group, or the product up to the next function or sum. */
  #function(name: string): Node {
    if (name === "sqrt" || name === "cbrt") {
      let degree: Node = number(name === "cbrt" ? 3 : 2);
      if (this.#cursor.take("[")) {
        degree = this.#list();
        this.#cursor.expect("]");
      }
      const inside = this.#cursor.is("{", "(") ? this.#group(this.#cursor.expect("{", "(")) : this.#operand();
      return { kind: "call", name: "root", arguments: [inside, degree] };
    }
    let exponent: Node | null = null;
    let base: Node | null = null;
    for (;;) {
      if (this.#cursor.is("^") && exponent === null) {
        this.#cursor.at++;
        if (this.#circle()) throw new Unreadable("degrees of a function");
        exponent = this.#script();
      } else if (this.#cursor.is("_") && base === null) {
        this.#cursor.at++;
        base = this.#script();
      } else break;
    }
    const list = this.#arguments();
    if (name === "abs") return { kind: "call", name: "abs", arguments: list };
    const inverse = exponent?.kind === "negate" && isOne(exponent.value) && inverses[name] !== undefined;
    const call: Node = { kind: "call", name: inverse ? inverses[name]! : name, arguments: base === null ? list : [...list, base] };
    return exponent === null || inverse ? call : { kind: "power", base: call, exponent };
  }

  #arguments(): Node[] {
    if (this.#cursor.is("(", "[", "set{")) {
      const open = this.#cursor.expect("(", "[", "set{");
      const inside = this.#list();
      this.#cursor.expect(open === "(" ? ")" : open === "[" ? "]" : "set}");
      const list = inside.kind === "list" ? [...inside.items] : [inside];
      // ln(2)^3 and sin(x)! mean the power of the value, which the caller's loop reads.
      return list;
    }
    if (this.#cursor.take("-")) return [negated(this.#argumentProduct())];
    return [this.#argumentProduct()];
  }

  #argumentProduct(): Node {
    let left = this.#factor();
    for (;;) {
      const token = this.#cursor.next;
      if (token?.kind === "function" || (token?.kind === "sign" && (token.text === "(" || token.text === "|"))) return left;
      if (token?.kind === "sign" && token.text === "/" && this.#cursor.tokens[this.#cursor.at + 1]?.kind !== "function") {
        this.#cursor.at++;
        left = { kind: "divide", left, right: this.#factor() };
      } else if (this.#startsFactor(left) && token?.kind !== "word") left = product(left, this.#factor());
      else return left;
    }
  }

  #group(sign: string): Node {
    switch (sign) {
      case "(":
      case "[":
      case "]":
      case "<(":
        return this.#brackets(sign);
      case "set{":
        return this.#set("set}");
      case "{":
        return this.#braces();
      case "|": {
        this.#bars++;
        const value = this.#sum();
        this.#bars--;
        this.#cursor.expect("|");
        return { kind: "call", name: "abs", arguments: [value] };
      }
      case "lfloor":
      case "lceil": {
        const value = this.#sum();
        this.#cursor.expect(sign === "lfloor" ? "rfloor" : "rceil");
        return { kind: "call", name: sign === "lfloor" ? "floor" : "ceil", arguments: [value] };
      }
      case "infinity":
        return { kind: "constant", name: "infinity" };
      case "empty":
        return { kind: "domain", name: "empty" };
      case "frac": {
        const left = this.#fractionPart();
        if (
          left.kind === "symbol" &&
          left.name === "d" &&
          this.#cursor.is("{") &&
          this.#cursor.tokens[this.#cursor.at + 1]?.text.startsWith("d")
        )
          throw new Unreadable("a derivative");
        return { kind: "divide", left, right: this.#fractionPart() };
      }
      case "binom": {
        const top = this.#fractionPart();
        return { kind: "call", name: "binomial", arguments: [top, this.#fractionPart()] };
      }
      case "blackboard": {
        const brace = this.#cursor.take("{");
        const token = this.#cursor.next;
        this.#cursor.at++;
        if (brace) this.#cursor.expect("}");
        if (token?.kind !== "symbol" || !/^[RZNQC]$/.test(token.text)) throw new Unreadable("a set of numbers");
        return { kind: "domain", name: token.text as "R" };
      }
      case "accent":
      case "overline":
        return accented(sign, this.#fractionPart());
      case "angle":
        return { kind: "call", name: "angle ", arguments: [this.#factor()] };
      case "sum":
      case "product":
        return this.#series(sign === "product");
      default:
        if (sign.startsWith("begin:")) return this.#environment(sign.slice(6));
        throw new Unreadable(sign);
    }
  }

  /** \frac34 is 3/4: without braces one digit or letter counts. */
  #fractionPart(): Node {
    const token = this.#cursor.next;
    if (token?.kind === "sign" && token.text === "{") {
      this.#cursor.at++;
      const node = this.#list();
      this.#cursor.expect("}");
      return node;
    }
    if (token?.kind === "number" && token.text.length > 1 && /^\d+$/.test(token.text)) {
      // The token is longer than the one digit that LaTeX takes: split it in place.
      const rest: Token = { ...token, text: token.text.slice(1), value: whole(BigInt(token.text.slice(1))), space: false };
      this.#cursor.tokens.splice(this.#cursor.at, 1, { ...token, text: token.text[0]!, value: whole(BigInt(token.text[0]!)) }, rest);
    }
    return this.#operand();
  }

  #brackets(open: Bracket): Node {
    const bars = this.#bars;
    this.#bars = 0;
    const items: Node[] = [];
    if (this.#cursor.is(")", "]")) throw new Unreadable("empty brackets");
    for (;;) {
      items.push(this.#statement());
      if (!this.#cursor.take(",", ";")) break;
      if (this.#cursor.is(")", "]", ")>")) break;
    }
    const close = (open === "<(" ? this.#cursor.expect(")>", ">") : this.#cursor.expect(")", "]", "[")) as Bracket;
    this.#bars = bars;
    if (items.length === 1) {
      if ((open === "(" && close === ")") || (open === "[" && close === "]" && items[0]!.kind !== "tuple" && items[0]!.kind !== "list"))
        return items[0]!;
      if (open === "(" || close === ")") throw new Unreadable("unequal brackets");
      return { kind: "tuple", open: "[", close: "]", items };
    }
    return { kind: "tuple", open, close, items };
  }

  #set(close: string): Node {
    const bars = this.#bars;
    // A bar in here is "such that".
    this.#bars = 1;
    this.#colons = false;
    const items: Node[] = [];
    if (this.#cursor.take(close)) return { kind: "domain", name: "empty" };
    for (;;) {
      const item = this.#statement();
      if (this.#cursor.take("|", ":")) {
        this.#bars = 0;
        this.#colons = true;
        const condition = this.#list();
        this.#bars = bars;
        this.#cursor.expect(close);
        // {x | x > 2} is its condition; {2k + 1 | k in Z} is its term.
        if (item.kind === "symbol" || item.kind === "relation") return condition;
        if (condition.kind === "relation" && condition.signs[0] === "in") return { kind: "set", items: [item] };
        throw new Unreadable("a set with a condition on a term");
      }
      items.push(item);
      if (this.#cursor.is("...")) throw new Unreadable("a set that goes on");
      if (!this.#cursor.take(",", ";", "and", "or")) break;
      while (this.#cursor.take("and", "or")) continue;
    }
    this.#cursor.expect(close);
    this.#bars = bars;
    this.#colons = true;
    return { kind: "set", items };
  }

  /** LaTeX's own braces, which nobody sees: a group. */
  #braces(): Node {
    if (this.#cursor.take("}")) return { kind: "domain", name: "empty" };
    const node = this.#list();
    if (this.#cursor.is("over", "choose")) {
      const sign = this.#cursor.expect("over", "choose");
      const right = this.#list();
      this.#cursor.expect("}");
      return sign === "over" ? { kind: "divide", left: node, right } : { kind: "call", name: "binomial", arguments: [node, right] };
    }
    this.#cursor.expect("}");
    return node;
  }

  #series(isProduct: boolean): Node {
    this.#cursor.expect("_");
    this.#cursor.expect("{");
    const index = this.#operand();
    this.#cursor.expect("=");
    const from = this.#sum();
    this.#cursor.expect("}");
    this.#cursor.expect("^");
    const to = this.#script();
    const body = this.#product();
    if (index.kind !== "symbol" && !(index.kind === "constant" && index.name === "i")) throw new Unreadable("an index that is no name");
    const series: Node = { kind: "series", product: isProduct, index: index.name, from, to, body };
    // i counts here and is no imaginary unit.
    return replace(series, (one) => (one.kind === "constant" && one.name === index.name ? { kind: "symbol", name: index.name } : null));
  }

  #environment(name: string): Node {
    const matrix = /^(?:[pbvBV]?(?:small)?matrix|array)$/.test(name);
    if (!matrix && !/^(?:cases|aligned|align|gathered|equation)$/.test(name)) throw new Unreadable(name);
    const rows: Node[][] = [[]];
    for (;;) {
      if (this.#cursor.take(`end:${name}`)) break;
      if (this.#cursor.take("\\\\")) rows.push([]);
      else if (this.#cursor.take("&")) {
        if (rows.at(-1)!.length === 0 && matrix) throw new Unreadable("an empty cell");
      } else if (!matrix && this.#cursor.take(",", ";", "and", "or")) continue;
      else rows.at(-1)!.push(this.#statement());
    }
    const filled = rows.filter((row) => row.length > 0);
    if (filled.length === 0) throw new Unreadable("an empty matrix");
    if (!matrix) return filled.length === 1 && filled[0]!.length === 1 ? filled[0]![0]! : { kind: "list", items: filled.flat(), join: "," };
    if (filled.some((row) => row.length !== filled[0]!.length)) throw new Unreadable("a ragged matrix");
    if (name === "vmatrix") return { kind: "call", name: "det", arguments: [{ kind: "matrix", rows: filled }] };
    return { kind: "matrix", rows: filled };
  }
}
