/** A piece of code in an answer. */
export interface CodeBlock {
  readonly code: string;
  /** What stands after the opening fence, in lower case; empty where nothing does. */
  readonly language: string;
}

/**
 * The fenced code blocks of a markdown text, in order: fences of three or more backticks or tildes at the start of a line, closed by a fence at
 * least as long or by the end of the text. Linear in the length of the text.
 */
export function codeBlocks(text: string): CodeBlock[] {
  const blocks: CodeBlock[] = [];
  let open: { mark: string; length: number; language: string; lines: string[] } | null = null;
  const close = (): void => {
    if (open) blocks.push({ code: open.lines.join("\n"), language: open.language });
    open = null;
  };
  for (const line of text.split(/\r?\n/)) {
    const fence = /^ {0,3}(`{3,}|~{3,})([^\n]*)$/.exec(line);
    const marks = fence?.[1] ?? "";
    const rest = fence?.[2]?.trim() ?? "";
    if (open === null) {
      if (fence && !(marks.startsWith("`") && rest.includes("`")))
        open = { mark: marks[0]!, length: marks.length, language: (rest.split(/[\s{]/)[0] ?? "").toLowerCase(), lines: [] };
    } else if (fence && marks[0] === open.mark && marks.length >= open.length && rest === "") close();
    else open.lines.push(line);
  }
  close();
  return blocks;
}

/**
 * The program in an answer: its last code block in one of the languages, or else its last block without a language, or else, where there
 * are no fences at all, the text itself. Null where every block is in another language: there is no program then, and none is guessed.
 */
export function lastProgram(text: string, languages: readonly string[]): string | null {
  const blocks = codeBlocks(text);
  if (blocks.length === 0) return text.trim() === "" ? null : text;
  const chosen =
    blocks.findLast(({ language, code }) => languages.includes(language) && code.trim() !== "") ??
    blocks.findLast(({ language, code }) => language === "" && code.trim() !== "");
  return chosen?.code ?? null;
}
