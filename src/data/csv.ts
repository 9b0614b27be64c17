import { GuerdonError } from "../error.ts";

/** One record of a delimited file: its cells, and the line on which it begins, counted from 1. */
export interface CsvRecord {
  readonly cells: readonly string[];
  readonly line: number;
}

/** Takes a file in pieces and gives back the records that are complete. */
export interface CsvParser {
  push(text: string): CsvRecord[];
  /** The last record, where the file does not end with a line end. */
  end(): CsvRecord[];
}

/**
 * A parser of comma-separated values as RFC 4180 defines them: cells may be quoted, quoted cells may hold the delimiter, line ends and
 * doubled quotes. Records end with LF or CRLF. Empty lines between records are skipped, as all other readers of data sets do. The text may
 * be cut anywhere.
 *
 * @param delimiter "," or a tab
 * @param path names the file in errors
 * @throws GuerdonError "input", naming the line, for a quote inside an unquoted cell, text after a closing quote, and a quoted cell that never ends
 */
export function csvParser(delimiter: string, path: string): CsvParser {
  const wrong = (onLine: number, what: string): GuerdonError => new GuerdonError("input", `${path} line ${onLine}: ${what}.`);
  let rest = "";
  let line = 1;

  /** The records in `text`, up to the last one that is certainly complete. */
  function take(text: string, isLast: boolean): CsvRecord[] {
    const records: CsvRecord[] = [];
    let start = 0; // of the record
    for (;;) {
      const found = record(text, start, isLast);
      if (found === null) break;
      const { cells, next, lines } = found;
      // An empty line has one empty cell, and so has a record of one quoted empty cell, which is longer than its line end.
      const isEmpty = cells.length === 1 && cells[0] === "" && text[start] !== '"';
      if (!isEmpty) records.push({ cells, line });
      line += lines;
      start = next;
    }
    rest = text.slice(start);
    return records;
  }

  function record(text: string, start: number, isLast: boolean): { cells: string[]; next: number; lines: number } | null {
    if (start >= text.length) return null;
    const cells: string[] = [];
    let lines = 0;
    let at = start;
    for (;;) {
      let cell: string;
      if (text[at] === '"') {
        const closed = closing(text, at, isLast);
        if (closed === null && isLast) throw wrong(line + lines, "a quoted cell begins here and never ends");
        if (closed === null) return null;
        const inner = text.slice(at + 1, closed);
        lines += count(inner);
        cell = inner.includes('"') ? inner.replaceAll('""', '"') : inner;
        at = closed + 1;
        const next = text[at];
        // A carriage return may be the first half of a line end that the next piece brings.
        if (next === undefined || (next === "\r" && at + 1 === text.length)) {
          if (!isLast) return null;
        } else if (next !== delimiter && next !== "\n" && !(next === "\r" && text[at + 1] === "\n"))
          throw wrong(line + lines, `there is ${JSON.stringify(next)} after a closing quote`);
      } else {
        const end = cellEnd(text, at);
        if (end === text.length && !isLast) return null;
        cell = text.slice(at, end);
        if (text[end] !== delimiter && cell.endsWith("\r")) cell = cell.slice(0, -1);
        if (cell.includes('"')) throw wrong(line + lines, `there is a quote inside the unquoted cell ${JSON.stringify(cell.slice(0, 40))}`);
        at = end;
      }
      cells.push(cell);
      if (text[at] === delimiter) {
        at++;
        // A delimiter at the very end starts one more, empty, cell.
        if (at === text.length) {
          if (!isLast) return null;
          cells.push("");
          return { cells, next: at, lines };
        }
        continue;
      }
      if (text[at] === "\r") at++;
      return { cells, next: Math.min(at + 1, text.length), lines: lines + 1 };
    }
  }

  function cellEnd(text: string, at: number): number {
    for (let i = at; i < text.length; i++) {
      const c = text.charCodeAt(i);
      if (c === 10 || c === delimiter.charCodeAt(0)) return i;
    }
    return text.length;
  }

  return { push: (text) => take(rest + text, false), end: () => take(rest, true) };
}

/** Where the quote stands that closes the cell opened at `open`; null when the text ends before it is certain. */
function closing(text: string, open: number, isLast: boolean): number | null {
  for (let at = open + 1; ;) {
    const quote = text.indexOf('"', at);
    if (quote < 0) return null;
    if (text[quote + 1] !== '"') return quote + 1 === text.length && !isLast ? null : quote;
    at = quote + 2;
  }
}

const count = (text: string): number => {
  let lines = 0;
  for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) lines++;
  return lines;
};

/** One record as RFC 4180 writes it, with its line end. A record of one empty cell is quoted, so that it is no empty line. */
export function formatCsvRecord(cells: readonly string[], delimiter = ","): string {
  const isAlone = cells.length === 1;
  return cells.map((cell) => (needsQuotes(cell, delimiter, isAlone) ? `"${cell.replaceAll('"', '""')}"` : cell)).join(delimiter) + "\r\n";
}

const needsQuotes = (cell: string, delimiter: string, isAlone: boolean): boolean =>
  (isAlone && cell === "") || /["\r\n]/.test(cell) || cell.includes(delimiter) || cell.startsWith("\ufeff");
