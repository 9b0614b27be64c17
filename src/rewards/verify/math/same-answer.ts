import { braced, clean, plainWords } from "./clean.ts";
import { compare } from "./compare.ts";
import { some, symbols, type Node } from "./node.ts";
import { parse } from "./parse.ts";
import { isHopeless, sameSymbolically } from "./symbolic.ts";
import type { Commas } from "./tokens.ts";

/** The stage that decided: equal text, a letter of a multiple choice, our own arithmetic and probing, or the symbolic library. */
export type Stage = "text" | "choice" | "value" | "symbolic";

/** Whether an answer says the same as a reference, and what decided; or why nobody can say. */
export type Verdict =
  | { readonly verdict: "same" | "different"; readonly stage: Stage }
  | {
      readonly verdict: "cannot say";
      readonly reason: "timeout" | "undecided" | "no symbolic stage" | "no reference" | "too long";
      readonly message: string;
    };

export interface SameOptions {
  /**
   * How far two numbers may lie apart, relatively (0.01 is one per cent of the larger). Without it the rule is strict: exact numbers must be
   * equal, and a decimal stands for the numbers that round or cut to its digits, if they lie within a millionth of it. So 0.333333 is 1/3,
   * but 0.33 and 3.14 are neither 1/3 nor pi.
   */
  readonly tolerance?: number;
  /** Milliseconds that one pair may take; 1,000 unless said. It may be exceeded by the 250 ms that it takes to end the symbolic stage. */
  readonly deadlineMs?: number;
  /** Whether to ask the symbolic library (@cortex-js/compute-engine, an optional package) where our own stages cannot say; true unless said. */
  readonly symbolic?: boolean;
  readonly signal?: AbortSignal;
}

/** Longer answers are compared as text only: no answer to a question is a treatise. */
const longest = 2_000;

/**
 * Says whether two answers, without the prose around them, are the same: as text, as letters of a multiple choice, as numbers, expressions,
 * sets, intervals, tuples, matrices, equations and so on in LaTeX or plain text, and if need be by symbolic algebra in a worker.
 *
 * Not symmetrical in two points. A reference that is a percentage accepts the bare number ("28%", answered "28"); a bare reference up to 1
 * does not accept a percentage of the same digits ("0.5", answered "0.5%"). And a letter glued to a number, such as "5m", may be a unit in
 * an answer to "5", but is an unknown in a reference.
 *
 * Never throws because of what stands in the answer; resolves within the deadline + 250 ms, not counting that the first pair which needs
 * the symbolic stage waits until its worker is started (about half a second).
 */
export async function sameAnswer(answer: string, reference: string, options: SameOptions = {}): Promise<Verdict> {
  const { deadlineMs = 1000 } = options;
  const start = performance.now();
  // Our own stages take microseconds, where the machine lets them; what keeps them busy for long leaves time to the symbolic stage.
  const settled = settle(answer, reference, options, start + Math.max(Math.min(250, deadlineMs / 2), deadlineMs / 4));
  if ("verdict" in settled) return settled;
  if (options.symbolic === false)
    return {
      verdict: "cannot say",
      reason: "undecided",
      message: `"${brief(answer)}" and "${brief(reference)}" could neither be shown to be the same nor to differ.`,
    };
  return sameSymbolically(settled.answer, settled.reference, deadlineMs - (performance.now() - start), options.signal);
}

/** The stages that need no library and no worker: the verdict, or the cleaned texts for the symbolic stage. */
export function settle(
  answer: string,
  reference: string,
  options: SameOptions,
  until: number,
): Verdict | { answer: string; reference: string } {
  if (reference.trim() === "") return { verdict: "cannot say", reason: "no reference", message: "The reference is empty." };
  if (answer.trim() === "") return { verdict: "different", stage: "text" };
  if (answer === reference) return { verdict: "same", stage: "text" };
  if (reference.length > longest) {
    if (plainWords(answer) === plainWords(reference)) return { verdict: "same", stage: "text" };
    return {
      verdict: "cannot say",
      reason: "too long",
      message: `The reference has ${reference.length} characters; up to ${longest} are compared as mathematics.`,
    };
  }
  if (answer.length > longest) return { verdict: "different", stage: "text" };
  // A reference that was cut off in its box is still one; an answer may be half a number.
  const [a, b] = [unboxed(clean(answer)), unboxed(clean(reference)).replace(/^\\boxed\s*\{/, "")];
  const lower = plainWords(a);
  if (lower === plainWords(b) && /[a-z]{3}|\b[a-z]{2}\b/.test(lower) && !/[\\^_=<>+*/]/.test(lower))
    return { verdict: "same", stage: "text" };
  const compact = (text: string): string => text.replace(/\s+/g, " ").replace(/ ?([{}()[\],;=+\-*/^_<>|&]|\\[a-zA-Z]+) ?/g, "$1");
  if (compact(a) === compact(b)) return { verdict: "same", stage: "text" };
  const [chosen, wanted] = [choice(a), choice(b)];
  if (wanted !== null && chosen !== null) return { verdict: chosen.letter === wanted.letter ? "same" : "different", stage: "choice" };
  // "(B) 42", answered "42".
  const wantedText = wanted?.rest ?? b;
  const [words, others] = [wordsOf(a), wordsOf(wantedText)];
  if (words !== null && others !== null) return { verdict: words === others ? "same" : "different", stage: "text" };
  const same = compareReadings(a, wantedText, options, until);
  if (same !== null) return { verdict: same ? "same" : "different", stage: "value" };
  return { answer: a, reference: b };
}

/** Without \boxed{...} around everything. */
function unboxed(text: string): string {
  let inner = text;
  for (let match = /^\\(?:boxed|fbox)\s*(?=\{)/.exec(inner); match; match = /^\\(?:boxed|fbox)\s*(?=\{)/.exec(inner)) {
    const group = braced(inner, match[0].length);
    if (group === null || inner.slice(group.end).replace(/[.\s]/g, "") !== "") break;
    inner = group.content.trim();
  }
  return inner
    .replace(/^\*\*(.*)\*\*$/s, "$1")
    .replace(/^(?:about|approximately|roughly|around|exactly)\s+(?=[\d\\$-])/i, "")
    .trim();
}

/** A letter of a multiple choice, with what stands behind it: "B", "(B)", "B) 42", "Option B". */
function choice(text: string): { letter: string; rest: string | null } | null {
  const bare = text
    .replace(/\\(?:text|textbf|textit|textrm|mathrm|mathbf|mathit|mathsf|operatorname)\s*\{([^{}]*)\}/g, " $1 ")
    .replace(/[*~]|\\[ ,;]/g, " ")
    .trim();
  const alone = /^(?:(?:the\s+)?(?:correct\s+)?(?:option|choice|answer)(?:\s+is)?:?\s*)?\(?\s*([A-Ja-j])\s*\)?\s*[.:)]?$/i.exec(bare);
  if (alone) {
    const marked = /[()]|option|choice|answer|\\text|\*/i.test(text) || /[A-J]/.test(alone[1]!);
    // A lone small letter is a choice only beside a reference that is one; the letters e and i are numbers.
    return marked || /^[a-dfgh]$/.test(alone[1]!) ? { letter: alone[1]!.toUpperCase(), rest: null } : null;
  }
  const labelled = /^\(\s*([A-J])\s*\)\s*(\S.*)$/s.exec(bare) ?? /^([A-J])\s*[).:]\s*(\S.*)$/s.exec(bare);
  return labelled ? { letter: labelled[1]!, rest: labelled[2]! } : null;
}

const phrases: readonly (readonly [RegExp, string])[] = [
  [/^(?:there (?:is|are) )?no(?: real)? (?:solutions?|roots?|values?)(?: exists?)?$|^(?:the )?empty set$|^none$/, "\\emptyset"],
  [/^(?:all|any|every) (?:real|reals|real numbers?)$|^(?:the set of )?(?:all )?real numbers$/, "\\mathbb{R}"],
];

/** The words of an answer that is a text and no mathematics; null for one that can be read as mathematics. */
function wordsOf(text: string): string | null {
  if (/^\\(?:text[a-z]*|mathrm|mathbf|mbox)\s*\{\s*\d+\s*\}$/.test(text)) return null;
  // Commands other than those that only set text are mathematics, even if we cannot read it.
  const words = plainWords(text);
  if (/\\[a-zA-Z]/.test(words)) return null;
  if (!/[a-z]{2}/.test(words) || phrases.some(([pattern]) => pattern.test(words))) return null;
  if (/^(?:pi|infinity|infty)$/.test(words)) return null;
  const alone = /^[A-Za-z]{3,}$/.test(text) && !/^(?:pi|inf|infinity)$/i.test(text);
  if (alone || readings(text).length === 0)
    return (
      words
        .replace(/\b(?:the|a|an)\b ?/g, "")
        .replace(/[^\p{L}\p{N}\s\-+./%]/gu, "")
        .replace(/\s+/g, " ")
        .trim() || words
    );
  return null;
}

/** Everything a text can mean: its commas may part thousands, items or decimals. */
function readings(text: string): Node[] {
  const words = plainWords(text);
  const phrase = phrases.find(([pattern]) => pattern.test(words));
  const source = phrase ? phrase[1] : text.replace(/[.,;:\s]+$/, "");
  const ways: Commas[] = ["thousands"];
  if (/\d,\d{3}/.test(source) && !/,0\d\d/.test(source)) ways.push("list");
  if (/^[^,()[\]{}]*\b(?:\d+,(?:\d{1,2}|\d{4,})|0,\d+)(?!\d)[^,()[\]{}]*$/.test(source)) ways.push("decimal");
  return ways.map((commas) => parse(source, commas)).filter((node) => node !== null);
}

/** Same when any reading of one is any reading of the other. */
function compareReadings(answer: string, reference: string, { tolerance }: SameOptions, until: number): boolean | null {
  const [left, right] = [readings(answer), readings(reference)];
  if (right.length === 0) return null;
  // What we cannot read is for the symbolic stage when it is well formed, and else no answer.
  if (left.length === 0)
    return /\\[a-zA-Z]/.test(answer) && !isHopeless(answer) && balanced(answer) && wordsOf(answer) === null ? null : false;
  // "5m^2" may be metres, where the reference has no unknowns.
  const letterUnit = /(?<=\d)(?:[mgshLNJWVKCF])(?=(?:\^\{?[23]\}?)?\s*$)/;
  if (letterUnit.test(answer) && right.every((node) => symbols(node).length === 0))
    left.push(...readings(answer.replace(letterUnit, " \\text{$&}")));
  const openLog = (node: Node): boolean => some(node, (one) => one.kind === "call" && one.name === "log" && one.arguments.length === 1);
  const bases = [...left, ...right].some(openLog) ? (["e", 10] as const) : ([10] as const);
  let known = true;
  for (const logBase of bases)
    for (const a of left)
      for (const b of right) {
        const same = compare(a, b, { setting: { values: new Map(), logBase, until }, tolerance: tolerance ?? null });
        if (same === true) return true;
        if (same === null) known = false;
      }
  return known ? false : null;
}

/** Whether every brace that opens closes again. */
function balanced(text: string): boolean {
  let depth = 0;
  for (let i = 0; i < text.length && depth >= 0; i++) {
    if (text[i] === "\\") i++;
    else if (text[i] === "{") depth++;
    else if (text[i] === "}") depth--;
  }
  return depth === 0;
}

const brief = (text: string): string => (text.length > 60 ? `${text.slice(0, 57)}...` : text);
