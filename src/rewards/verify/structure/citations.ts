import { unscorable, type Score } from "../../grade.ts";
import { reward, type Reward } from "../../reward.ts";
import { columns, type Check } from "../columns.ts";

/** The column `sources`: texts, cited by their numbers from 1. */
export interface WithSources {
  readonly sources: readonly string[];
}

const sources: Check<readonly string[]> = (cell) =>
  Array.isArray(cell) && cell.length > 0 && cell.every((one) => typeof one === "string" && one.trim() !== "")
    ? { value: cell }
    : "must be a list of texts with at least one";
const withSources = columns<WithSources, WithSources>({ sources });

/** The numbers in an answer's marks [1], [2, 3] or [4-6], in order and with repetitions. Ranges of more than 100 count as their ends. */
export function citedNumbers(text: string): number[] {
  return [...text.matchAll(/\[(\d{1,6}(?:\s*[–-]\s*\d{1,6})?(?:\s*[,;]\s*\d{1,6}(?:\s*[–-]\s*\d{1,6})?)*)\]/gu)].flatMap((match) =>
    match[1]!.split(/[,;]/u).flatMap((one) => {
      const [from = 0, to = from] = one.split(/[–-]/u).map(Number);
      return to > from && to - from <= 100 ? Array.from({ length: to - from + 1 }, (_, i) => from + i) : to === from ? [from] : [from, to];
    }),
  );
}

/**
 * The share of an answer's citation marks ([1], [2, 3]) that name one of the row's `sources`. An answer without marks gets 0. Whether the
 * source supports the sentence is for a judge to say.
 *
 * @returns a reward from 0 to 1
 */
export const citations = ({ name = "citations" }: { readonly name?: string } = {}): Reward<WithSources> =>
  reward(name, { columns: withSources }, ({ text, sources: known }): Score => {
    const numbers = citedNumbers(text);
    const right = numbers.filter((n) => n >= 1 && n <= known.length).length;
    return { value: numbers.length === 0 ? 0 : right / numbers.length, note: `${right} of ${numbers.length} marks` };
  });

/** A quotation with the source that the mark after it names. */
export interface Quote {
  readonly text: string;
  readonly source: number | null;
}

/** What an answer puts between double quotation marks (straight, curly, low or angled), of at least so many words. */
export function quotesIn(text: string, minimumWords: number): Quote[] {
  const marks = /(?:"([^"\n]*)"|“([^“”\n]*)”|„([^„“”\n]*)[“”]|«([^«»\n]*)»)(?:[\s.,;:]{0,3}\[(\d{1,6})\])?/gu;
  return [...text.matchAll(marks)].flatMap(([, a, b, c, d, source]) => {
    const quote = (a ?? b ?? c ?? d ?? "").trim();
    return (quote.match(/[\p{L}\p{N}]+/gu) ?? []).length >= minimumWords
      ? [{ text: quote, source: source === undefined ? null : Number(source) }]
      : [];
  });
}

/** Up to case, white space, the form of quotation marks and dashes, and a sign at the end. */
const plain = (text: string): string =>
  text
    .normalize("NFKC")
    .toLowerCase()
    .replaceAll(/[“”„«»]/gu, '"')
    .replaceAll(/[‘’‚]/gu, "'")
    .replaceAll(/[‐‑‒–—]/gu, "-")
    .replaceAll(/\s+/gu, " ")
    .trim()
    .replace(/[.,;:!?…]{1,3}$/u, "");

export interface QuotesOptions {
  /** Shorter quotations are taken for names or irony and not checked; 3 unless said. */
  readonly minimumWords?: number;
  readonly name?: string;
}

/**
 * The share of an answer's quotations that stand word for word in one of the row's `sources`, or in the one that the mark directly after them
 * names ("..." [2]). Dots of an omission ("a ... b", "[...]") split a quotation into pieces that must follow each other in one source.
 * An answer without quotations is unscorable: where quoting is a duty, say so with `gate`.
 *
 * @returns a reward from 0 to 1
 */
export const quotes = ({ minimumWords = 3, name = "quotes" }: QuotesOptions = {}): Reward<WithSources> =>
  reward(name, { version: `1 ${minimumWords}`, columns: withSources }, ({ text, sources: known }): Score => {
    const found = quotesIn(text, minimumWords);
    if (found.length === 0) return unscorable("declined", `The answer quotes nothing of at least ${minimumWords} words.`);
    const texts = known.map(plain);
    const wrong = found.filter(
      ({ text: quote, source }) => !(source === null ? texts : texts.slice(source - 1, source)).some((one) => holds(one, quote)),
    );
    const note =
      wrong.length === 0
        ? `${found.length} quotes`
        : `not in the sources: ${wrong
            .slice(0, 3)
            .map((quote) => JSON.stringify(quote.text.slice(0, 60)))
            .join(", ")}`;
    return { value: 1 - wrong.length / found.length, note };
  });

function holds(source: string, quote: string): boolean {
  let place = 0;
  for (const piece of quote.split(/\[?(?:\.\.\.|…)\]?/u).map(plain)) {
    const found = source.indexOf(piece, place);
    if (found < 0) return false;
    place = found + piece.length;
  }
  return true;
}
