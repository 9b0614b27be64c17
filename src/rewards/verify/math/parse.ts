import { changesValue, isUnit, multipliers } from "./units.ts";
import { functions, tokens, Unreadable, type Commas, type Token } from "./tokens.ts";
import { replace, type Bracket, type Node, type RelationSign, type UnitPower } from "./node.ts";
import { whole } from "./number.ts";

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
const closing = new Set([")", "]", "}", "set}", ")>", "&", "\\\\", "rfloor", "rceil", "over", "choose"]);
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

const number = (n: number | bigint): Node => ({ kind: "number", value: whole(n), decimals: null });
export const zero = number(0);

/** Recursive descent, with the state that the functions of a descent share. */
class Parser {
  readonly #tokens: readonly Token[];
  #at = 0;
  #depth = 0;
  /** How many |...| are open: there, a bar closes. */
  #bars = 0;
  /** In a set a colon may also mean "such that". */
  #colons = true;

  constructor(list: readonly Token[]) {
    this.#tokens = list;
  }

  get #next(): Token | undefined {
    return this.#tokens[this.#at];
  }
  #is(...signs: string[]): boolean {
    const token = this.#next;
    return token?.kind === "sign" && signs.includes(token.text);
  }
  #take(...signs: string[]): boolean {
    if (!this.#is(...signs)) return false;
    this.#at++;
    return true;
  }
  #expect(...signs: string[]): string {
    const token = this.#next;
    if (!this.#is(...signs)) throw new Unreadable(`expected ${signs.join(" or ")}`);
    this.#at++;
    return token!.text;
  }
  #nested<T>(read: () => T): T {
    if (++this.#depth > deepest) throw new Unreadable("nested too deeply");
    const value = read();
    this.#depth--;
    return value;
  }

  answer(): Node {
    // "= 5" and "\approx 5"
    if (this.#tokens.length > 1) this.#take("=", "approx");
    const node = this.#list();
    if (this.#next !== undefined) throw new Unreadable("something is left over");
    return node;
  }

  /** Items separated by commas, semicolons, "and", "or"; semicolons part groups that have commas inside. */
  #list(): Node {
    const groups: Node[][] = [[]];
    const separators: string[] = [];
    for (;;) {
      while (this.#is(",", "and", "or", "\\\\")) separators.push(this.#expect(",", "and", "or", "\\\\"));
      // ]0, 1[ begins with what elsewhere ends.
      const outwards = this.#at === 0 && this.#is("]");
      if (this.#next === undefined || (this.#next.kind === "sign" && closing.has(this.#next.text) && !outwards)) break;
      groups.at(-1)!.push(this.#statement());
      const token = this.#next;
      if (token === undefined || (token.kind === "sign" && closing.has(token.text) && token.text !== "\\\\")) break;
      const separator = this.#expect(",", ";", "and", "or", "\\\\");
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
        const token = this.#next;
        const sign = token?.kind === "sign" ? relationSigns[token.text] : undefined;
        if (sign === undefined) break;
        this.#at++;
        // "x = \ 3", "x >\ = 3"
        signs.push(sign);
        parts.push(this.#side());
      }
      const node: Node = signs.length === 0 ? parts[0]! : { kind: "relation", parts, signs };
      if (this.#is("pmod", "mod") || (this.#is("(") && this.#peekSign(1) === "mod")) return this.#residue(node);
      return node;
    });
  }

  #peekSign(offset: number): string | null {
    const token = this.#tokens[this.#at + offset];
    return token?.kind === "sign" ? token.text : null;
  }

  #residue(node: Node): Node {
    const bracket = this.#take("(");
    this.#at++;
    const modulus = this.#sum();
    if (bracket) this.#expect(")");
    const value = node.kind === "relation" ? node.parts.at(-1)! : node;
    const residue: Node = { kind: "residue", value, modulus };
    return node.kind === "relation" ? { ...node, parts: [...node.parts.slice(0, -1), residue] } : residue;
  }

  /** One side of a relation: a union of sets, a ratio, or a sum. */
  #side(): Node {
    let left = this.#ratio();
    for (;;) {
      const token = this.#next;
      const union = token?.kind === "symbol" && token.text === "U" && isSetLike(left);
      if (this.#take("cup") || (union && ++this.#at)) left = { kind: "union", left, right: this.#intersection() };
      else if (this.#take("cap")) left = { kind: "intersection", left, right: this.#ratio() };
      else if (this.#take("setminus") || (isSetLike(left) && this.#is("-") && this.#take("-")))
        left = { kind: "difference", left, right: this.#ratio() };
      else return left;
    }
  }

  #intersection(): Node {
    let left = this.#ratio();
    while (this.#take("cap")) left = { kind: "intersection", left, right: this.#ratio() };
    return left;
  }

  #ratio(): Node {
    const first = this.#measured();
    if (!this.#is(":", "to") || (!this.#colons && this.#is(":"))) return first;
    const items = [first];
    while (this.#take(":", "to")) items.push(this.#measured());
    return { kind: "ratio", items };
  }

  /** A sum and the unit behind it, or money before it. */
  #measured(): Node {
    const start = this.#at;
    const minus = this.#take("-");
    const money = ["$", "€", "£", "¥", "₹"].find((sign) => this.#take(sign));
    if (money === undefined) {
      this.#at = start;
      return this.#unit(this.#sum());
    }
    const amount = this.#take("-") ? negated(this.#sum()) : this.#sum();
    const value = this.#unit(minus ? negated(amount) : amount);
    const pure = value.kind === "quantity" ? value.value : value;
    return { kind: "quantity", value: pure, unit: [{ name: money, power: 1 }] };
  }

  /** What stands behind a value and is no maths: a unit or other words. */
  #unit(value: Node): Node {
    const unit: UnitPower[] = [];
    let side = 1;
    let power = 1;
    let result = value;
    for (;;) {
      const token = this.#next;
      if (token === undefined) break;
      if (
        token.kind === "word" ||
        (token.kind === "symbol" && (token.upright || unit.length > 0 || isUnitLetter(token, this.#tokens[this.#at + 1])))
      ) {
        this.#at++;
        const lower = token.text.toLowerCase();
        if (Object.hasOwn(multipliers, lower) && unit.length === 0) {
          result = { kind: "multiply", factors: [result, number(multipliers[lower]!)] };
          continue;
        }
        if (changesValue(lower)) throw new Unreadable(lower);
        if (lower === "per") side = -1;
        else if (lower === "square" || lower === "sq") power = 2;
        else if (lower === "cubic" || lower === "cu") power = 3;
        else if (lower === "squared" || lower === "cubed") unit.push({ ...unit.pop()!, power: lower === "cubed" ? 3 : 2 });
        else {
          if (this.#is("^")) power *= this.#unitPower();
          unit.push({ name: token.text.length > 1 && !isUnit(token.text) ? lower : token.text, power: power * side });
          power = 1;
          if (side < 0) side = 1;
        }
      } else if (token.kind === "sign" && ["$", "€", "£", "¥", "₹"].includes(token.text)) {
        this.#at++;
        unit.push({ name: token.text, power: 1 });
      } else if (unit.length > 0 && this.#take("/")) side = -1;
      else if (unit.length > 0 && this.#take("*")) continue;
      // "people in total", "people (rounded)"
      else if (unit.length > 0 && token.kind === "sign" && (token.text === "to" || token.text === "in" || token.text === "'")) this.#at++;
      else break;
    }
    return unit.length === 0 || unit[0] === undefined ? result : { kind: "quantity", value: result, unit };
  }

  #unitPower(): number {
    this.#expect("^");
    const brace = this.#take("{");
    const sign = this.#take("-") ? -1 : 1;
    const token = this.#next;
    if (token?.kind !== "number") throw new Unreadable("a unit's power");
    this.#at++;
    if (brace) this.#expect("}");
    return sign * Math.min(9, Number(token.text));
  }

  #sum(): Node {
    return this.#nested(() => {
      let left: Node | null = null;
      if (this.#take("+")) left = null;
      else if (this.#is("pm", "mp")) {
        const sign = this.#expect("pm", "mp") === "pm" ? 1 : -1;
        left = { kind: "plus-minus", sign, left: zero, right: this.#product() };
      }
      const terms: Node[] = [left ?? this.#product()];
      for (;;) {
        const total = (): Node => (terms.length === 1 ? terms[0]! : { kind: "add", terms: [...terms] });
        if (this.#is("-") && terms.length === 1 && isSetLike(terms[0]!)) return terms[0]!;
        if (this.#take("+")) terms.push(this.#product());
        else if (this.#take("-")) terms.push(negated(this.#product()));
        else if (this.#is("pm", "mp")) {
          const sign = this.#expect("pm", "mp") === "pm" ? 1 : -1;
          terms.splice(0, terms.length, { kind: "plus-minus", sign, left: total(), right: this.#product() });
        } else return total();
      }
    });
  }

  #product(): Node {
    if (this.#take("-")) return this.#nested(() => negated(this.#product()));
    if (this.#take("+")) return this.#nested(() => this.#product());
    let left = this.#factor();
    for (;;) {
      if (this.#take("%")) left = { kind: "percent", value: left };
      else if (this.#take("*")) left = product(left, this.#signed());
      else if (this.#take("/")) {
        const right = this.#signed();
        left = { kind: "divide", left, right };
      } else if (this.#startsFactor(left)) {
        const before = this.#at;
        const right = this.#factor();
        if (right.kind === "number" && this.#tokens[before]?.kind === "number" && !afterBracket(this.#tokens[before - 1])) {
          // Two numbers side by side are no product; a whole number and a proper fraction are a mixed number.
          if (!this.#is("/")) throw new Unreadable("two numbers side by side");
          const mixed = this.#mixed(left, right);
          if (mixed === null) throw new Unreadable("two numbers side by side");
          left = mixed;
        } else left = mixedNumber(left, right, this.#tokens[before]) ?? product(left, right);
      } else return left;
    }
  }

  /** 2 1/2, of which 2 and 1 are read. */
  #mixed(left: Node, numerator: Node): Node | null {
    this.#expect("/");
    const denominator = this.#factor();
    return mixedNumber(
      left,
      { kind: "divide", left: numerator, right: denominator },
      { text: "frac", kind: "sign", space: true, upright: false },
    );
  }

  #signed(): Node {
    if (this.#take("-")) return negated(this.#signed());
    if (this.#take("+")) return this.#signed();
    return this.#factor();
  }

  /** Whether what comes next multiplies what was read without a sign between. */
  #startsFactor(left: Node): boolean {
    const token = this.#next;
    if (token === undefined) return false;
    switch (token.kind) {
      case "number":
      case "function":
        return true;
      case "symbol":
        if (token.text === "U" && isSetLike(left)) return false;
        if (
          isNumeric(left) &&
          (isUnitLetter(token, this.#tokens[this.#at + 1]) ||
            (token.upright && token.text !== "i" && token.text !== "e" && token.text !== "pi"))
        )
          return false;
        return true;
      case "word":
        return splittable(token) && !(isNumeric(left) && isUnit(token.text));
      case "sign":
        if (token.text === "|") return this.#bars === 0;
        if (token.text === "(" && this.#peekSign(1) === "mod") return false;
        // [0, 1[
        if (
          token.text === "[" &&
          (this.#tokens[this.#at + 1] === undefined || ["cup", "cap", "and", "or", ","].includes(this.#peekSign(1) ?? ""))
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
        if (this.#take("!")) node = { kind: "call", name: "factorial", arguments: [node] };
        else if (this.#take("°")) node = { kind: "degrees", value: node };
        else if (this.#take("'")) node = node.kind === "symbol" ? { kind: "symbol", name: `${node.name}'` } : node;
        else if (this.#is("^")) {
          this.#at++;
          if (this.#circle()) node = { kind: "degrees", value: node };
          else if (this.#is("'")) continue;
          else node = { kind: "power", base: node, exponent: this.#script() };
        } else if (this.#is("_")) node = this.#subscript(node);
        else return node;
      }
    });
  }

  /** The ring of degrees, as an exponent. */
  #circle(): boolean {
    if (this.#take("circ")) return true;
    if (this.#is("{") && this.#peekSign(1) === "circ" && this.#peekSign(2) === "}") {
      this.#at += 3;
      return true;
    }
    return false;
  }

  /** What follows ^ or _: a group, or one digit or letter. */
  #script(): Node {
    if (this.#take("{")) {
      const node = this.#list();
      this.#expect("}");
      return node;
    }
    if (this.#take("-")) return negated(this.#script());
    if (this.#take("+")) return this.#script();
    return this.#operand();
  }

  #subscript(node: Node): Node {
    this.#expect("_");
    const start = this.#at;
    const group = this.#take("{");
    const name: string[] = [];
    if (group)
      for (let depth = 1; ;) {
        const token = this.#next;
        if (token === undefined) throw new Unreadable("an open subscript");
        this.#at++;
        if (token.kind === "sign" && token.text === "{") depth++;
        if (token.kind === "sign" && token.text === "}" && --depth === 0) break;
        name.push(token.text);
      }
    else name.push(this.#tokens[this.#at++]?.text ?? "");
    const label = name.join("");
    const base = bases[label.toLowerCase()] ?? Number(label);
    const digits = digitsOf(node);
    if (digits !== null && Number.isInteger(base) && base >= 2 && base <= 36) return { kind: "based", digits, base };
    if (node.kind === "symbol") {
      // An index that is computed, as in a_{n-1}, makes a function of it; a plain one is part of the name.
      if (group && /[+\-*/^]/.test(label)) {
        const end = this.#at;
        this.#at = start + 1;
        const index = this.#list();
        this.#expect("}");
        this.#at = end;
        return { kind: "call", name: `${node.name}_`, arguments: [index] };
      }
      if (/^[a-z]$/i.test(label)) return { kind: "call", name: `${node.name}_`, arguments: [{ kind: "symbol", name: label }] };
      return { kind: "symbol", name: `${node.name}_${label}` };
    }
    if (node.kind === "constant") return { kind: "symbol", name: `${node.name}_${label}` };
    throw new Unreadable("a subscript of no name");
  }

  #operand(): Node {
    const token = this.#next;
    if (token === undefined) throw new Unreadable("an operand is missing");
    this.#at++;
    switch (token.kind) {
      case "number":
        return { kind: "number", value: token.value, decimals: token.decimals };
      case "symbol":
        return this.#symbol(token);
      case "function":
        return this.#function(token.text);
      case "word": {
        if (this.#is("_") && /^[0-9A-F]+$/.test(token.text)) return { kind: "symbol", name: token.text };
        if (!splittable(token)) throw new Unreadable("a word");
        // Letter by letter in place, so that what follows belongs to the last one: xy^2.
        const letters = [...token.text].map((text): Token => ({ ...token, kind: "symbol", text, space: false }));
        (this.#tokens as Token[]).splice(this.#at - 1, 1, ...letters);
        return this.#symbol(letters[0]!);
      }
      case "sign":
        return this.#group(token.text);
    }
  }

  #symbol(token: Token): Node {
    const node = constantOr(token.text);
    const after = this.#next;
    if (
      node.kind === "symbol" &&
      this.#is("(") &&
      !after!.space &&
      (openFunctions.test(node.name) || ((node.name === "C" || node.name === "P") && this.#twoArguments()))
    ) {
      this.#at++;
      const inside = this.#list();
      this.#expect(")");
      const list = inside.kind === "list" ? inside.items : [inside];
      if (node.name === "C" && list.length === 2) return { kind: "call", name: "binomial", arguments: list };
      return { kind: "call", name: node.name, arguments: list };
    }
    return node;
  }

  /** Whether the bracket that opens here holds two plain arguments, as in C(5, 2). */
  #twoArguments(): boolean {
    const [a, comma, b, close] = [1, 2, 3, 4].map((k) => this.#tokens[this.#at + k]);
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
      if (this.#take("[")) {
        degree = this.#list();
        this.#expect("]");
      }
      const inside = this.#is("{", "(") ? this.#group(this.#expect("{", "(")) : this.#operand();
      return { kind: "call", name: "root", arguments: [inside, degree] };
    }
    let exponent: Node | null = null;
    let base: Node | null = null;
    for (;;) {
      if (this.#is("^") && exponent === null) {
        this.#at++;
        if (this.#circle()) throw new Unreadable("degrees of a function");
        exponent = this.#script();
      } else if (this.#is("_") && base === null) {
        this.#at++;
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
    if (this.#is("(", "[", "set{")) {
      const open = this.#expect("(", "[", "set{");
      const inside = this.#list();
      this.#expect(open === "(" ? ")" : open === "[" ? "]" : "set}");
      const list = inside.kind === "list" ? [...inside.items] : [inside];
      // ln(2)^3 and sin(x)! mean the power of the value, which the caller's loop reads.
      return list;
    }
    if (this.#take("-")) return [negated(this.#argumentProduct())];
    return [this.#argumentProduct()];
  }

  #argumentProduct(): Node {
    let left = this.#factor();
    for (;;) {
      const token = this.#next;
      if (token?.kind === "function" || (token?.kind === "sign" && (token.text === "(" || token.text === "|"))) return left;
      if (token?.kind === "sign" && token.text === "/" && this.#tokens[this.#at + 1]?.kind !== "function") {
        this.#at++;
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
        this.#expect("|");
        return { kind: "call", name: "abs", arguments: [value] };
      }
      case "lfloor":
      case "lceil": {
        const value = this.#sum();
        this.#expect(sign === "lfloor" ? "rfloor" : "rceil");
        return { kind: "call", name: sign === "lfloor" ? "floor" : "ceil", arguments: [value] };
      }
      case "infinity":
        return { kind: "constant", name: "infinity" };
      case "empty":
        return { kind: "domain", name: "empty" };
      case "frac": {
        const left = this.#fractionPart();
        if (left.kind === "symbol" && left.name === "d" && this.#is("{") && this.#tokens[this.#at + 1]?.text.startsWith("d"))
          throw new Unreadable("a derivative");
        return { kind: "divide", left, right: this.#fractionPart() };
      }
      case "binom": {
        const top = this.#fractionPart();
        return { kind: "call", name: "binomial", arguments: [top, this.#fractionPart()] };
      }
      case "blackboard": {
        const brace = this.#take("{");
        const token = this.#next;
        this.#at++;
        if (brace) this.#expect("}");
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
    const token = this.#next;
    if (token?.kind === "sign" && token.text === "{") {
      this.#at++;
      const node = this.#list();
      this.#expect("}");
      return node;
    }
    if (token?.kind === "number" && token.text.length > 1 && /^\d+$/.test(token.text)) {
      // The token is longer than the one digit that LaTeX takes: split it in place.
      const rest: Token = { ...token, text: token.text.slice(1), value: whole(BigInt(token.text.slice(1))), space: false };
      (this.#tokens as Token[]).splice(this.#at, 1, { ...token, text: token.text[0]!, value: whole(BigInt(token.text[0]!)) }, rest);
    }
    return this.#operand();
  }

  #brackets(open: Bracket): Node {
    const bars = this.#bars;
    this.#bars = 0;
    const items: Node[] = [];
    if (this.#is(")", "]")) throw new Unreadable("empty brackets");
    for (;;) {
      items.push(this.#statement());
      if (!this.#take(",", ";")) break;
      if (this.#is(")", "]", ")>")) break;
    }
    const close = (open === "<(" ? this.#expect(")>", ">") : this.#expect(")", "]", "[")) as Bracket;
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
    if (this.#take(close)) return { kind: "domain", name: "empty" };
    for (;;) {
      const item = this.#statement();
      if (this.#take("|", ":")) {
        this.#bars = 0;
        this.#colons = true;
        const condition = this.#list();
        this.#bars = bars;
        this.#expect(close);
        // {x | x > 2} is its condition; {2k + 1 | k in Z} is its term.
        if (item.kind === "symbol" || item.kind === "relation") return condition;
        if (condition.kind === "relation" && condition.signs[0] === "in") return { kind: "set", items: [item] };
        throw new Unreadable("a set with a condition on a term");
      }
      items.push(item);
      if (this.#is("...")) throw new Unreadable("a set that goes on");
      if (!this.#take(",", ";", "and", "or")) break;
      while (this.#take("and", "or")) continue;
    }
    this.#expect(close);
    this.#bars = bars;
    this.#colons = true;
    return { kind: "set", items };
  }

  /** LaTeX's own braces, which nobody sees: a group. */
  #braces(): Node {
    if (this.#take("}")) return { kind: "domain", name: "empty" };
    const node = this.#list();
    if (this.#is("over", "choose")) {
      const sign = this.#expect("over", "choose");
      const right = this.#list();
      this.#expect("}");
      return sign === "over" ? { kind: "divide", left: node, right } : { kind: "call", name: "binomial", arguments: [node, right] };
    }
    this.#expect("}");
    return node;
  }

  #series(isProduct: boolean): Node {
    this.#expect("_");
    this.#expect("{");
    const index = this.#operand();
    this.#expect("=");
    const from = this.#sum();
    this.#expect("}");
    this.#expect("^");
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
      if (this.#take(`end:${name}`)) break;
      if (this.#take("\\\\")) rows.push([]);
      else if (this.#take("&")) {
        if (rows.at(-1)!.length === 0 && matrix) throw new Unreadable("an empty cell");
      } else if (!matrix && this.#take(",", ";", "and", "or")) continue;
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

const bases: Readonly<Record<string, number>> = {
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
const inverses: Readonly<Record<string, string>> = {
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

function negated(value: Node): Node {
  if (value.kind === "percent" || value.kind === "degrees") return { ...value, value: negated(value.value) };
  return { kind: "negate", value };
}
/** A line over the name of a segment changes nothing; over anything else it does. */
function accented(sign: string, inside: Node): Node {
  if (sign === "overline" && inside.kind === "multiply" && inside.factors.every((one) => one.kind === "symbol" && /^[A-Z]$/.test(one.name)))
    return inside;
  return { kind: "call", name: `${sign} `, arguments: [inside] };
}

const isOne = (node: Node): boolean => node.kind === "number" && "n" in node.value && node.value.n === 1n && node.value.d === 1n;

function product(...parts: Node[]): Node {
  if (parts.length === 1) return parts[0]!;
  return { kind: "multiply", factors: parts.flatMap((part) => (part.kind === "multiply" ? part.factors : [part])) };
}

function constantOr(name: string): Node {
  if (name === "pi" || name === "e" || name === "i") return { kind: "constant", name };
  return { kind: "symbol", name };
}

/** Plain letters in a row that are factors rather than a word: few, or the points of a figure. */
const splittable = (token: Token): boolean =>
  token.kind === "word" &&
  !token.upright &&
  (/^[A-Z]{2,4}$/.test(token.text) ? token.text !== "DNE" : token.text.length <= 3 && !commonWords.has(token.text.toLowerCase()));
const commonWords = new Set(
  "the for are has was its yes no not all any is of if it we so by as at an per odd one two six ten red day st nd rd th".split(" "),
);

/** Whether a letter after a number is a unit: set apart from it, and the last thing or part of a quotient of units. */
function isUnitLetter(token: Token, after: Token | undefined): boolean {
  if (token.kind !== "symbol" || !(token.space || token.upright) || !isUnit(token.text)) return false;
  return (
    token.upright || after === undefined || (after.kind === "sign" && (after.text === "/" || after.text === "^" || closing.has(after.text)))
  );
}

/** Made of numbers only, so that a letter behind it may be a unit. */
function isNumeric(node: Node): boolean {
  if (node.kind === "number" || (node.kind === "constant" && node.name === "pi")) return true;
  if (node.kind === "negate" || node.kind === "degrees") return isNumeric(node.value);
  if (node.kind === "multiply") return node.factors.every(isNumeric);
  if (node.kind === "add") return node.terms.every(isNumeric);
  if (node.kind === "divide") return isNumeric(node.left) && isNumeric(node.right);
  if (node.kind === "power") return isNumeric(node.base) && isNumeric(node.exponent);
  return node.kind === "call" && node.name === "root" && node.arguments.every(isNumeric);
}

const isSetLike = (node: Node): boolean =>
  node.kind === "tuple" ||
  node.kind === "set" ||
  node.kind === "domain" ||
  node.kind === "union" ||
  node.kind === "difference" ||
  node.kind === "intersection";

const afterBracket = (token: Token | undefined): boolean =>
  token?.kind === "sign" && (token.text === ")" || token.text === "}" || token.text === "]" || token.text === "!");

/** 2 3/4 where 2 is a whole number, or minus one, and 3/4 a proper fraction of whole numbers. */
function mixedNumber(left: Node, right: Node, first: Token | undefined): Node | null {
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

function digitsOf(node: Node): string | null {
  if (node.kind === "number" && node.decimals === null && "n" in node.value && node.value.d === 1n) return node.value.n.toString();
  if (node.kind === "symbol" && /^[0-9A-F]+$/.test(node.name) && (node.name.length > 1 || /[A-F]/.test(node.name))) return node.name;
  return null;
}

/** Whether a name is that of a function with a value of its own. */
export const isKnownFunction = (name: string): boolean => functions.has(name);
