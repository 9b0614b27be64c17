/** Data that a model wrote, found in its answer. */
export interface Found {
  readonly value: unknown;
}

/** Longer texts are not searched for data between other words. */
const longest = 1_000_000;

/**
 * The JSON of an answer: the whole text; or else what stands in its last fenced block that is JSON; or else the last object or list that
 * stands in the text by itself. Null where there is none.
 */
export function answerJson(text: string): Found | null {
  const whole = parsed(text);
  if (whole !== null) return whole;
  const fenced = [...text.matchAll(/```[a-zA-Z0-9]*[ \t]*\r?\n([\s\S]*?)```/g)]
    .map((match) => parsed(match[1]!))
    .filter((found) => found !== null);
  if (fenced.length > 0) return fenced.at(-1)!;
  return text.length > longest ? null : lastInText(text);
}

function parsed(text: string): Found | null {
  const trimmed = text.trim();
  // A lone word or number is an answer in prose, not data, unless it is all there is.
  if (trimmed === "") return null;
  try {
    return { value: JSON.parse(trimmed) as unknown };
  } catch {
    return null;
  }
}

/** Reads brackets once from the left, outside strings, and tries the outermost balanced pieces from the last to the first. */
function lastInText(text: string): Found | null {
  const pieces: string[] = [];
  const open: { readonly sign: string; readonly at: number }[] = [];
  let inString = false;
  for (let i = 0; i < text.length; i++) {
    const sign = text[i]!;
    if (inString) {
      if (sign === "\\") i++;
      // A string of JSON has no line end: an apostrophe-like quote in prose must not hide the rest.
      else if (sign === '"' || sign === "\n") inString = false;
    } else if (sign === '"' && open.length > 0) inString = true;
    else if (sign === "{" || sign === "[") open.push({ sign, at: i });
    else if (sign === "}" || sign === "]") {
      const last = open.pop();
      if (last === undefined || last.sign !== (sign === "}" ? "{" : "[")) open.length = 0;
      else if (open.length === 0) pieces.push(text.slice(last.at, i + 1));
    }
  }
  for (const piece of pieces.toReversed()) {
    const found = parsed(piece);
    if (found !== null) return found;
  }
  return null;
}

/** Numbers as people and models write them, without those that are part of words. */
export const numbersIn = (text: string): number[] =>
  [...text.matchAll(/(?<![\w.])[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?(?!\w)/g)].map(([one]) => Number(one));
