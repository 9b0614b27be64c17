import { reward, type Reward } from "../../reward.ts";

const name = "[\\p{L}_:][\\p{L}\\p{N}_:.\\-\\u00b7]*";
/** One piece of markup at a place; pieces are looked for from the left, each once. */
const piece = new RegExp(
  [
    "<!--(?<comment>[^]*?)-->",
    "<!\\[CDATA\\[[^]*?\\]\\]>",
    "<\\?[^]*?\\?>",
    `<(?<open>${name})(?<attributes>(?:\\s+${name}\\s*=\\s*(?:"[^<"]*"|'[^<']*'))*)\\s*(?<closed>/?)>`,
    `</(?<close>${name})\\s*>`,
  ].join("|"),
  "uy",
);
const attribute = new RegExp(`(${name})\\s*=\\s*("[^<"]*"|'[^<']*')`, "gu");
const entity = /&(?!(?:amp|lt|gt|quot|apos|#\d+|#x[\da-fA-F]+);)/;

/** What is wrong with a document, or what its elements are. */
export type XmlResult = { readonly error: string } | { readonly root: string; readonly elements: ReadonlySet<string> };

/**
 * Reads a text as one XML document: one root, elements that nest and close, quoted attributes that differ, known entities. Document types
 * are refused, as they can name files and grow without bounds.
 */
export function readXml(text: string): XmlResult {
  const open: string[] = [];
  const elements = new Set<string>();
  let root: string | null = null;
  let place = 0;
  const source = text.trim();
  while (place < source.length) {
    const next = source.indexOf("<", place);
    const words = source.slice(place, next < 0 ? source.length : next);
    if (open.length === 0 && words.trim() !== "") return { error: `text outside the root element at character ${place + 1}` };
    if (entity.test(words)) return { error: `an unknown entity after character ${place + 1}` };
    if (next < 0) break;
    piece.lastIndex = next;
    const groups = piece.exec(source)?.groups;
    if (groups === undefined) return { error: `markup that is no element at character ${next + 1}` };
    const { open: opened, close, closed, comment, attributes = "" } = groups;
    if (comment !== undefined && (comment.includes("--") || comment.endsWith("-")))
      return { error: `a comment with "--" at character ${next + 1}` };
    if (opened !== undefined) {
      if (open.length === 0 && root !== null) return { error: `a second root element <${opened}>` };
      const names = [...attributes.matchAll(attribute)].map((match) => match[1]!);
      if (new Set(names).size < names.length || entity.test(attributes))
        return { error: `attributes of <${opened}> that are repeated or have an unknown entity` };
      root ??= opened;
      elements.add(opened);
      if (closed === "") open.push(opened);
    } else if (close !== undefined && open.pop() !== close) return { error: `</${close}> where another element is open` };
    place = piece.lastIndex;
  }
  if (open.length > 0) return { error: `<${open.at(-1)!}> is not closed` };
  return root === null ? { error: "no element" } : { root, elements };
}

export interface XmlOptions {
  /** What the root element must be called; any name unless given. */
  readonly root?: string;
  /** Elements that must occur. */
  readonly elements?: readonly string[];
  readonly name?: string;
}

/**
 * 1 for answers that are a well-formed XML document (in a fence or not) with the root and the elements asked for, else 0 with the reason as
 * a note (see `readXml`).
 */
export function xml({ root, elements = [], name: own = "xml" }: XmlOptions = {}): Reward {
  return reward(own, { version: JSON.stringify([1, root ?? null, elements]) }, ({ text }) => {
    const fenced = /^\s*```\w*[ \t]*\r?\n([^]*?)\r?\n?```\s*$/.exec(text);
    const result = readXml(fenced?.[1] ?? text);
    if ("error" in result) return { value: 0, note: result.error };
    if (root !== undefined && result.root !== root) return { value: 0, note: `the root is <${result.root}>` };
    const missing = elements.find((element) => !result.elements.has(element));
    return missing === undefined ? 1 : { value: 0, note: `there is no <${missing}>` };
  });
}
