import { GuerdonError } from "../../../error.ts";
import { quoted, unscorable, type Score } from "../../grade.ts";
import { reward, type Reward } from "../../reward.ts";
import { columns, isRecord, type Check } from "../columns.ts";
import { isInLanguage, languageOf } from "./language.ts";

/** The arguments of one instruction, under the names of the data set; those that are null do not count. */
export type InstructionArguments = Readonly<Record<string, unknown>>;

type InstructionCheck = (text: string, given: Given) => boolean | null;

/** Arguments by name and type; one that is missing or of another type is an error that names it. */
interface Given {
  readonly count: (name: string) => number;
  readonly text: (name: string) => string;
  readonly texts: (name: string) => readonly string[];
  /** "at least" unless said; the other one is "less than". */
  readonly relation: (name: string) => (actual: number, wanted: number) => boolean;
}

const occurrences = (text: string, pattern: RegExp): number => text.match(pattern)?.length ?? 0;
const literal = (text: string): string => text.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&");
/** Text and phrase up to case. */
const count = (text: string, phrase: string): number => (phrase === "" ? 0 : text.toLowerCase().split(phrase.toLowerCase()).length - 1);
const nonEmpty = (pieces: readonly string[]): string[] => pieces.map((piece) => piece.trim()).filter((piece) => piece !== "");
const isUpper = (text: string): boolean => text !== text.toLowerCase() && text === text.toUpperCase();
const isLower = (text: string): boolean => text !== text.toUpperCase() && text === text.toLowerCase();
/** Undecided counts as followed: short texts cannot be told. */
const mayBeEnglish = (text: string): boolean => [null, "en"].includes(languageOf(text));

const sentences = new Intl.Segmenter("en", { granularity: "sentence" });
/** Titles and abbreviations after which a sentence goes on. */
const goesOn = /(?:^|[\s(])(?:Mr|Mrs|Ms|Dr|Prof|St|vs|etc|e\.g|i\.e|cf|No|Fig|Inc|Ltd|[A-Z])\.\s*$/u;

/** The number of sentences, by Unicode's rules with English abbreviations joined. */
export function countSentences(text: string): number {
  let total = 0;
  let open = false;
  for (const { segment } of sentences.segment(text)) {
    if (!/[\p{L}\p{N}]/u.test(segment)) continue;
    if (!open) total++;
    open = goesOn.test(segment);
  }
  return total;
}

/** Pieces between dividers; null when one in the middle is empty. */
function divided(text: string, divider: RegExp): string[] | null {
  const pieces = text.split(divider).map((piece) => piece.trim());
  if (pieces.slice(1, -1).includes("")) return null;
  return pieces.filter((piece) => piece !== "");
}

const postscripts = new Map([
  ["P.P.S", /p\.\s?p\.\s?s/i],
  ["P.S.", /p\.\s?s\./i],
]);

/** What stands between the first << of a line and its last >>. */
function titleIn(line: string): string {
  const [from, to] = [line.indexOf("<<"), line.lastIndexOf(">>")];
  return from >= 0 && to > from ? line.slice(from, to).replaceAll(/[<>]/g, "").trim() : "";
}

/** Without white space and then straight quotation marks at both ends. */
function unquoted(text: string): string {
  const trimmed = text.trim();
  let [from, to] = [0, trimmed.length];
  while (trimmed[from] === '"') from++;
  while (to > from && trimmed[to - 1] === '"') to--;
  return trimmed.slice(from, to);
}

const checks = {
  "keywords:existence": (text, given) => given.texts("keywords").every((keyword) => count(text, keyword) > 0),
  "keywords:frequency": (text, given) => given.relation("relation")(count(text, given.text("keyword")), given.count("frequency")),
  "keywords:forbidden_words": (text, given) =>
    !given.texts("forbidden_words").some((word) => new RegExp(`(?<![\\p{L}\\p{N}_])${literal(word)}(?![\\p{L}\\p{N}_])`, "iu").test(text)),
  "keywords:letter_frequency": (text, given) =>
    given.relation("let_relation")(count(text, given.text("letter")), given.count("let_frequency")),
  "language:response_language": (text, given) => isInLanguage(text, given.text("language")),
  "length_constraints:number_sentences": (text, given) => given.relation("relation")(countSentences(text), given.count("num_sentences")),
  "length_constraints:number_words": (text, given) =>
    given.relation("relation")(occurrences(text, /[\p{L}\p{M}\p{N}_]+/gu), given.count("num_words")),
  "length_constraints:number_paragraphs": (text, given) => divided(text, /\*\*\*/u)?.length === given.count("num_paragraphs"),
  "length_constraints:nth_paragraph_first_word": (text, given) => {
    const paragraphs = nonEmpty(text.split("\n\n"));
    const nth = paragraphs[given.count("nth_paragraph") - 1];
    const first = nth
      ?.split(/\s+/u)[0]!
      .replace(/^['"]+/, "")
      .split(/[.,?!'"]/)[0];
    return paragraphs.length === given.count("num_paragraphs") && first?.toLowerCase() === given.text("first_word").toLowerCase();
  },
  "detectable_content:number_placeholders": (text, given) => occurrences(text, /\[[^[\]\n]*\]/g) >= given.count("num_placeholders"),
  "detectable_content:postscript": (text, given) => {
    const marker = given.text("postscript_marker").trim();
    return postscripts.get(marker)?.test(text) ?? count(text, marker) > 0;
  },
  "detectable_format:number_bullet_lists": (text, given) =>
    text.split("\n").filter((line) => /^\s*(?:\*(?!\*)\s*\S|-)/.test(line)).length === given.count("num_bullets"),
  "detectable_format:constrained_response": (text) =>
    ["My answer is yes.", "My answer is no.", "My answer is maybe."].some((one) => text.includes(one)),
  "detectable_format:number_highlighted_sections": (text, given) =>
    (text.match(/\*\*[^\n*]*\*\*|\*[^\n*]*\*/g) ?? []).filter((one) => one.replaceAll("*", "").trim() !== "").length >=
    given.count("num_highlights"),
  "detectable_format:multiple_sections": (text, given) =>
    occurrences(text, new RegExp(`${literal(given.text("section_spliter"))}\\s?\\d+`, "gu")) >= given.count("num_sections"),
  "detectable_format:json_format": (text) => isJson(/^```\w*\s([^]*?)```$/.exec(text.trim())?.[1] ?? text),
  "detectable_format:title": (text) => text.split("\n").some((line) => titleIn(line) !== ""),
  "combination:two_responses": (text) => {
    const responses = divided(text, /\*{6}/u);
    return responses?.length === 2 && responses[0] !== responses[1];
  },
  "combination:repeat_prompt": (text, given) => text.trim().toLowerCase().startsWith(given.text("prompt_to_repeat").trim().toLowerCase()),
  "startend:end_checker": (text, given) => unquoted(text).toLowerCase().endsWith(given.text("end_phrase").trim().toLowerCase()),
  "startend:quotation": (text) => text.trim().length > 1 && text.trim().startsWith('"') && text.trim().endsWith('"'),
  "change_case:capital_word_frequency": (text, given) =>
    given.relation("capital_relation")(
      (text.match(/[\p{L}\p{M}\p{N}]+(?:[.'’-]+[\p{L}\p{M}\p{N}]+)*/gu) ?? []).filter(isUpper).length,
      given.count("capital_frequency"),
    ),
  "change_case:english_capital": (text) => isUpper(text) && mayBeEnglish(text),
  "change_case:english_lowercase": (text) => isLower(text) && mayBeEnglish(text),
  "punctuation:no_comma": (text) => !text.includes(","),
} satisfies Readonly<Record<string, InstructionCheck>>;

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** The names of the 25 instructions that can be checked. */
export type Instruction = keyof typeof checks;
export const knownInstructions = Object.keys(checks) as readonly Instruction[];

/**
 * Whether a text follows an instruction of the 25 types of IFEval; null where that cannot be told (only the language of short texts).
 *
 * @param given the instruction's arguments under the data set's names: `{ num_words: 100, relation: "at least" }`
 * @throws GuerdonError "input" for an unknown instruction, or an argument that is missing or of another type
 * Source: the instructions of arXiv 2311.07911. Sentences are counted by Unicode's rules and languages told by script and small words, so
 * these two differ from the original in rare cases; keywords are taken literally.
 */
export function followsInstruction(instruction: string, given: InstructionArguments, text: string): boolean | null {
  const check = Object.hasOwn(checks, instruction) ? (checks as Readonly<Record<string, InstructionCheck>>)[instruction] : undefined;
  if (check === undefined)
    throw new GuerdonError("input", `There is no instruction "${instruction}"; known are ${knownInstructions.join(", ")}.`);
  return check(text, readArguments(instruction, given));
}

function readArguments(instruction: string, given: InstructionArguments): Given {
  const read = <T>(name: string, isRight: (value: unknown) => value is T, what: string): T => {
    const value = given[name];
    if (!isRight(value))
      throw new GuerdonError("input", `The instruction "${instruction}" needs ${what} as "${name}", not ${quoted(value)}.`);
    return value;
  };
  const isCount = (value: unknown): value is number => typeof value === "number" && Number.isInteger(value) && value >= 0;
  const isText = (value: unknown): value is string => typeof value === "string" && value.trim() !== "";
  const isTexts = (value: unknown): value is readonly string[] => Array.isArray(value) && value.length > 0 && value.every(isText);
  const isRelation = (value: unknown): value is "at least" | "less than" => value === "at least" || value === "less than";
  return {
    count: (name) => read(name, isCount, "a whole number"),
    text: (name) => read(name, isText, "a text"),
    texts: (name) => read(name, isTexts, "a list of texts"),
    relation: (name) => (read(name, isRelation, '"at least" or "less than"') === "less than" ? (a, b) => a < b : (a, b) => a >= b),
  };
}

/**
 * The text as it is, without its first line, its last or both, and all of these without asterisks: the loose reading, which forgives an
 * introduction and emphasis.
 */
function looseForms(text: string): string[] {
  const lines = text.split("\n");
  const forms = [lines, lines.slice(1), lines.slice(0, -1), lines.slice(1, -1)].map((one) => one.join("\n").trim());
  return [...forms, ...forms.map((one) => one.replaceAll("*", ""))].filter((one, i) => i === 0 || one !== "");
}

/** The columns of IFEval: the instructions of a row, and the arguments of each. */
export interface WithInstructions {
  readonly instruction_id_list: readonly string[];
  readonly kwargs: readonly InstructionArguments[];
}

const ids: Check<readonly string[]> = (cell) => {
  if (!Array.isArray(cell) || cell.length === 0 || !cell.every((one) => typeof one === "string"))
    return "must be a list of instructions with at least one";
  const unknown = cell.find((one: string) => !Object.hasOwn(checks, one));
  return unknown === undefined ? { value: cell } : `has the unknown instruction "${String(unknown)}"`;
};
const kwargs: Check<readonly InstructionArguments[]> = (cell) =>
  Array.isArray(cell) && cell.every(isRecord) ? { value: cell } : "must be a list of objects, one for each instruction";

export interface InstructionsOptions {
  /** "all" (unless said): 1 when every instruction is followed; "share": the share of those that are. */
  readonly by?: "all" | "share";
  /** Forgive an introduction, a closing line and emphasis; false unless said. */
  readonly loose?: boolean;
  readonly name?: string;
}

/**
 * Whether an answer follows the row's instructions, from 0 to 1, with each instruction as a part (a repeated one is numbered). Columns as in
 * IFEval: `instruction_id_list` and `kwargs`. An instruction that cannot be told makes the row unscorable unless another is not followed.
 *
 * Source: arXiv 2311.07911.
 */
export function instructions({ by = "all", loose = false, name = "instructions" }: InstructionsOptions = {}): Reward<WithInstructions> {
  const declared = columns<WithInstructions, WithInstructions>({ instruction_id_list: ids, kwargs });
  return reward(name, { version: `1 ${by} ${loose}`, columns: declared }, ({ text, instruction_id_list: wanted, kwargs: given }): Score => {
    if (given.length !== wanted.length)
      return unscorable("wrong-column", `There are ${wanted.length} instructions and ${given.length} kwargs; each needs its own.`);
    const forms = loose ? looseForms(text) : [text];
    const parts: Record<string, number | null> = {};
    for (const [i, instruction] of wanted.entries()) {
      let verdict: boolean | null;
      try {
        verdict = text.trim() === "" ? false : anyOf(forms.map((form) => followsInstruction(instruction, given[i]!, form)));
      } catch (cause) {
        if (cause instanceof GuerdonError) return unscorable("wrong-column", cause.message);
        throw cause;
      }
      parts[Object.hasOwn(parts, instruction) ? `${instruction} ${i + 1}` : instruction] = verdict === null ? null : Number(verdict);
    }
    const values = Object.values(parts);
    if (by === "all" && values.includes(0)) return { value: 0, parts };
    const open = Object.keys(parts).find((key) => parts[key] === null);
    if (open !== undefined) return { ...unscorable("declined", `It cannot be told whether "${open}" is followed.`), parts };
    return { value: values.reduce<number>((total, value) => total + (value ?? 0), 0) / values.length, parts };
  });
}

const anyOf = (verdicts: readonly (boolean | null)[]): boolean | null =>
  verdicts.includes(true) ? true : verdicts.includes(null) ? null : false;
