import { styleText } from "node:util";

type Style = "bold" | "dim" | "green" | "red" | "yellow" | "cyan";

/** Where a command's words go: results to stdout, talk to stderr. Colours and the moving line only where a person looks on. */
export interface Screen {
  /** Results as one JSON document instead of text. */
  readonly json: boolean;
  /** stderr is a terminal. */
  readonly live: boolean;
  readonly width: number;
  /** The command's result: the text, or with --json the value. */
  result(text: string, value: unknown): void;
  /** A line for the person; not part of the result. */
  say(text?: string): void;
  /** Replaces the moving line at the bottom of a terminal; null removes it. Nothing elsewhere. */
  status(text: string | null): void;
  /** Styled for stderr. */
  style(style: Style | readonly Style[], text: string): string;
  /** Styled for stdout. */
  resultStyle(style: Style | readonly Style[], text: string): string;
}

export function screen(json: boolean): Screen {
  const live = process.stderr.isTTY === true && process.env["TERM"] !== "dumb";
  // A terminal that does not say how wide it is says 0.
  const width = Math.max(40, Math.min(process.stderr.columns || process.stdout.columns || Number(process.env["COLUMNS"]) || 100, 120));
  let shown = false;
  const clear = () => {
    if (shown) process.stderr.write("\r\x1b[K");
    shown = false;
  };
  const paint = (stream: NodeJS.WriteStream) => (style: Style | readonly Style[], text: string) =>
    styleText(style as Style[], text, { stream, validateStream: true });
  return {
    json,
    live,
    width,
    result(text, value) {
      clear();
      process.stdout.write((json ? JSON.stringify(value, null, 2) : text) + "\n");
    },
    say(text = "") {
      clear();
      process.stderr.write(text + "\n");
    },
    status(text) {
      if (!live) return;
      clear();
      if (text !== null) {
        process.stderr.write(text.slice(0, width));
        shown = true;
      }
    },
    style: paint(process.stderr),
    resultStyle: paint(process.stdout),
  };
}

/** "45 s", "3 min 20 s", "2 h 05 min". */
export function duration(seconds: number): string {
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return `${s} s`;
  const pad = (n: number) => String(n).padStart(2, "0");
  if (s < 3600) return `${Math.floor(s / 60)} min ${pad(s % 60)} s`;
  return `${Math.floor(s / 3600)} h ${pad(Math.floor((s % 3600) / 60))} min`;
}

/** Lines of at most this width, broken between words. */
export function wrapped(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(/\s+/)) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= width) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}

/** A number for a table or a line: four significant digits, plain where that is short. */
export function short(value: number | null | undefined): string {
  if (value === null || value === undefined) return "-";
  if (Number.isInteger(value) && Math.abs(value) < 1e7) return String(value);
  const size = Math.abs(value);
  return size >= 1e-3 && size < 1e6 ? String(Number(value.toPrecision(4))) : value.toExponential(2);
}

/** Text of a model or a file for a terminal: control characters, which could steer the terminal, are shown as symbols; newlines stay. */
export const printable = (text: string): string =>
  // The symbols for control characters stand at U+2400.
  // oxlint-disable-next-line no-control-regex
  text.replaceAll(/[\x00-\x08\x0b-\x1f\x7f-\x9f]/g, (c) =>
    c.charCodeAt(0) < 32 ? String.fromCharCode(0x2400 + c.charCodeAt(0)) : "\u2421",
  );
