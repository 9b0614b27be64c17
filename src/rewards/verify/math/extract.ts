import { braced } from "./clean.ts";

/** The answer in a text, and where it stood. */
export interface Extracted {
  readonly answer: string;
  readonly from: "boxed" | "phrase" | "fence" | "last";
}

export interface ExtractOptions {
  /** Which places count, in order of preference; all four unless said: boxed, phrase, fence, last. */
  readonly places?: readonly Extracted["from"][];
}

/** Only the end of a very long text is searched: there the answer stands. */
const longest = 200_000;

/**
 * Finds the answer in what a model wrote: the last `\boxed{...}` (or several that stand side by side), what follows "the answer is",
 * "Answer:" or "####", the last fenced block, or the last expression of the text. Reasoning in think tags does not count. A text without
 * spaces around mathematics, such as "x = 3", is an answer by itself. Null when there is none.
 */
export function extractAnswer(text: string, { places = ["boxed", "phrase", "fence", "last"] }: ExtractOptions = {}): Extracted | null {
  const said = withoutThinking(text.slice(-longest));
  for (const from of places) {
    const answer = finders[from](said);
    if (answer === denied) return null;
    if (answer !== null) return { answer, from };
  }
  return null;
}

/** What follows the last closing think tag; nothing when one is open to the end. */
function withoutThinking(text: string): string {
  const closed = /<\/(?:think|thinking|reasoning)>(?![\s\S]*<\/(?:think|thinking|reasoning)>)/.exec(text.slice(-longest));
  if (closed) return text.slice(closed.index + closed[0].length);
  const open = text.search(/<(?:think|thinking|reasoning)>/);
  return open < 0 ? text : text.slice(0, open);
}

/** "The answer is not 7" gives none, and 7 least of all. */
const denied = Symbol("denied");

const finders: Readonly<Record<Extracted["from"], (text: string) => string | typeof denied | null>> = { boxed, phrase, fence, last };

/** The last box; with boxes right before it, joined by no more than "and", "or" or a comma, all of them. */
function boxed(text: string): string | null {
  const found: Found[] = [];
  const pattern = /\\(?:boxed|fbox)\s*(?:\{|(?=[^\s{]))/g;
  for (let match = pattern.exec(text); match; match = pattern.exec(text)) {
    if (!match[0].endsWith("{")) {
      const bare = /^\s*(\S[^\s$.,;]*)/.exec(text.slice(pattern.lastIndex, pattern.lastIndex + 100));
      if (bare) found.push({ start: match.index, end: pattern.lastIndex + bare[0].length, content: bare[1]! });
      continue;
    }
    const group = braced(text, pattern.lastIndex - 1);
    if (group === null) break;
    found.push({ start: match.index, end: group.end, content: group.content.trim() });
    pattern.lastIndex = group.end;
  }
  const full = found.filter(({ content }) => content !== "");
  if (full.length === 0) return null;
  // Who goes on after the box to state a final answer means that one.
  const stated = /final answer(?: is|:)\s*\$([^$\n]+)\$(?![\s\S]*final answer)/i.exec(text.slice(full.at(-1)!.end));
  return stated ? stated[1]! : together(full, text);
}

interface Found {
  readonly start: number;
  readonly end: number;
  readonly content: string;
}

/** The last of several finds, with those right before it that are joined to it by punctuation or by a few words with "and" or "or". */
function together(found: readonly Found[], text: string): string {
  const joined = [found.at(-1)!];
  for (let i = found.length - 2, next = found.at(-1)!; i >= 0; next = found[i]!, i--) {
    const between = text.slice(found[i]!.end, next.start);
    const words = between.replace(/\\(?:text|quad|qquad|[()[\],;: ])/g, " ");
    const bare = /^[^\p{L}\p{N}]*(?:(?:and|or)[^\p{L}\p{N}]*)?$/u.test(words) && between.length <= 60;
    if (!bare && !(between.length <= 34 && /\b(?:and|or)\b/.test(words) && !/[.!?]\s/.test(between))) break;
    if (!joined.some(({ content }) => content === found[i]!.content)) joined.unshift(found[i]!);
  }
  return joined.map(({ content }) => content).join(", ");
}

const phrases =
  /(?:final\s+answer|correct\s+answer|the\s+answer|my\s+answer|answer|correct\s+(?:option|choice)|(?:option|choice))(?:\s+(?:to|of|for)\s[^.\n:]{1,60}?)?(?:\**\s*(?:is|are|=|:|becomes|would\s+be|should\s+be|must\s+be)\s*:?\**)+|^\s*####/gim;

/** What follows the last "the answer is" or the like, up to the end of the sentence. */
function phrase(text: string): string | typeof denied | null {
  let answer: string | typeof denied | null = null;
  for (const match of text.matchAll(phrases)) {
    const rest = text.slice(match.index + match[0].length, match.index + match[0].length + 1000);
    let found = sentence(rest);
    // "Answer: The volume is 120": of a whole sentence the expression at its end.
    if (found !== null && /^[A-Z][a-z]+\s/.test(found) && found.split(/\s+/).length > 3) found = last(found) ?? found;
    if (found === null) continue;
    if (!/^(?:not|n't|unknown|unclear|wrong|incorrect|correct)\b/i.test(found)) answer = found;
    else if (/^not\b/i.test(found)) answer ??= denied;
  }
  return answer;
}

/** The first sentence of a text, or what its first maths delimiters hold. */
function sentence(text: string): string | null {
  const rest = text.replace(/^[\s:*"'`]+/, "");
  const maths =
    /^(?:(?:simply|just|therefore|thus|given by|equal to|approximately|about)\s+)?(?:\$\$([\s\S]+?)\$\$|\\\[([\s\S]+?)\\\]|\\\(([\s\S]+?)\\\)|(?<!\\)\$(?=[^$\n]*[^\s\\$]\$)((?:\\.|[^$\\\n])+)\$)/.exec(
      rest,
    );
  if (maths) {
    const content = (maths[1] ?? maths[2] ?? maths[3] ?? maths[4])!.trim();
    // A sign, a unit or a second value may follow the delimiters.
    const after = /^\s*(?:\\?%|percent|(?:,|and|or)\s*\$[^$\n]+\$)+/.exec(rest.slice(maths[0].length));
    return content + (after ? ` ${after[0].replaceAll("$", "")}` : "");
  }
  const line = /^[^\n]*/.exec(rest)![0];
  const end = line.search(
    /(?:[.!?](?=\s|$|\*)|\*\*(?=\s|$|\.)|[,;]\s+(?:not|because|since|so|which|as|but|where|when|hence|thus|and\s+(?:the|not|we|so))\b)/i,
  );
  const found = (end < 0 ? line : line.slice(0, end)).replace(/[*`\s]+$/, "").trim();
  return found === "" ? null : found;
}

/** The content of the last fenced block, when it is short enough for an answer. */
function fence(text: string): string | null {
  const blocks = [...text.matchAll(/```[a-z]*\n([\s\S]*?)```/gi)];
  const content = blocks.at(-1)?.[1]?.trim();
  return content === undefined || content === "" || content.length > 300 || content.split("\n").length > 3 ? null : content;
}

const mathsAtEnd =
  /\$\$([\s\S]{1,2000}?)\$\$|\\\[([\s\S]{1,2000}?)\\\]|\\\(([\s\S]{1,2000}?)\\\)|(?<!\\)\$(?=\S|\s?\S[^$\n]{0,2000}\$)((?:\\.|[^$\\\n]){1,2000}?)\$(?!\d)/g;
const numberAtEnd =
  /(?<![\w.,\\^_])(?:[-−+]\s?)?(?:\\?\$|€|£|¥)?\s?(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:[.,]\d+)?(?:[eE][+-]?\d+)?|\.\d+)(?:\s*\/\s*\d+)?(?:\s*(?:\\?%|°|percent|[a-zA-Z²³]{1,3}[²³23]?(?![\w])))?/g;

const mathsWords = new Set(
  "sin cos tan cot sec csc arcsin arccos arctan sinh cosh tanh log exp sqrt abs and infinity inf union text mathrm textbf frac dfrac percent degrees".split(
    " ",
  ),
);

/** The whole text when it is one expression, else its last formula, else what follows the last equals sign, else its last number. */
function last(text: string): string | null {
  const whole = text.trim().replace(/(?<=[\d)\]])(and|or)(?=[A-Z(\d\\[])/g, " $1 ");
  if (whole === "") return null;
  const words = whole.match(/(?<![\\A-Za-z])[A-Za-z]{3,}/g)?.filter((word) => !mathsWords.has(word.toLowerCase())) ?? [];
  const maths = /[\d\\=]/.test(whole);
  const short = whole.length <= 200 && !whole.includes("\n") && !/[.!?]\s+\S/.test(whole);
  if (
    short &&
    (words.length === 0 ||
      (maths
        ? words.length <= 3 && /^[-+±([\\\d.$€£¥−]/.test(whole) && !/\$[^$]*[a-z]{3,}[^$]*\$/i.test(whole) && !/[=,]/.test(whole)
        : whole.split(/\s+/).length <= 3))
  )
    return whole.replace(/[.,;]$/, "");
  const formulas: Found[] = [];
  for (const match of whole.matchAll(mathsAtEnd))
    formulas.push({
      content: (match[1] ?? match[2] ?? match[3] ?? match[4])!.trim(),
      start: match.index,
      end: match.index + match[0].length,
    });
  const formula = formulas.length === 0 ? null : { content: together(formulas, whole), end: formulas.at(-1)!.end };
  let value: { content: string; end: number } | null = null;
  for (const match of whole.matchAll(numberAtEnd)) value = { content: match[0].trim(), end: match.index + match[0].length };
  if (formula && (value === null || value.end <= formula.end + 2)) return formula.content;
  if (value === null) return formula?.content ?? null;
  const equals = /=\s*([^=\n]{1,80}?)[.\s]*$/.exec(whole);
  if (equals && !/[a-z]{3,}/i.test(equals[1]!)) return equals[1]!.trim();
  return value.content;
}
