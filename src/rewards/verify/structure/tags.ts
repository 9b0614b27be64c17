import { GuerdonError } from "../../../error.ts";
import { reward, type Reward } from "../../reward.ts";

/** Names as in XML, without colons. */
const tagName = /^[A-Za-z_][\w.-]*$/;

/**
 * Whether a text is nothing but these tags in this order, each once, with white space between them: `<a>..</a> <b>..</b>`.
 *
 * @returns what is in each tag, or null
 */
export function tagContents(text: string, tags: readonly string[]): string[] | null {
  const contents: string[] = [];
  let place = 0;
  for (const tag of tags) {
    const [open, close] = [`<${tag}>`, `</${tag}>`];
    const start = text.indexOf(open, place);
    const end = start < 0 ? -1 : text.indexOf(close, start + open.length);
    if (end < 0 || text.slice(place, start).trim() !== "") return null;
    if (
      text.indexOf(open) !== start ||
      text.indexOf(open, start + 1) >= 0 ||
      text.indexOf(close) !== end ||
      text.indexOf(close, end + 1) >= 0
    )
      return null;
    contents.push(text.slice(start + open.length, end));
    place = end + close.length;
  }
  return text.slice(place).trim() === "" ? contents : null;
}

export interface TagsOptions {
  /** Whether a tag may be empty; false unless said. */
  readonly empty?: boolean;
  readonly name?: string;
}

/**
 * 1 for answers that are nothing but these tags in this order, each once and with something in it; else 0.
 *
 * @param order for instance ["think", "answer"]
 * @throws GuerdonError "usage" for no tags, or names that are none
 */
export function tags(order: readonly string[], { empty = false, name = "tags" }: TagsOptions = {}): Reward {
  if (order.length === 0 || order.some((tag) => !tagName.test(tag)) || new Set(order).size < order.length)
    throw new GuerdonError("usage", `tags needs different tag names such as "think", not ${JSON.stringify(order)}.`);
  return reward(name, { version: JSON.stringify([1, order, empty]) }, ({ text }) => {
    const contents = tagContents(text, order);
    return contents !== null && (empty || contents.every((content) => content.trim() !== ""));
  });
}

export interface ThinkTagsOptions {
  /** Set when the chat template writes `<think>` itself, so that answers begin inside it. */
  readonly opened?: boolean;
  /** The tag around the answer after the thoughts; any text unless given. */
  readonly answer?: string;
  readonly name?: string;
}

/**
 * 1 for answers that think first, in one pair of think tags, and then say something outside it; else 0.
 *
 * @throws GuerdonError "usage" for an answer tag that is no name
 */
export function thinkTags({ opened = false, answer, name = "think-tags" }: ThinkTagsOptions = {}): Reward {
  if (answer !== undefined && !tagName.test(answer))
    throw new GuerdonError("usage", `thinkTags: the answer's tag must be a name such as "answer", not "${answer}".`);
  return reward(name, { version: JSON.stringify([1, opened, answer ?? null]) }, ({ text }) => {
    const whole = opened ? `<think>${text}` : text.trimStart();
    const end = whole.indexOf("</think>");
    if (!whole.startsWith("<think>") || end < 0 || whole.slice("<think>".length, end).trim() === "") return false;
    const rest = whole.slice(end + "</think>".length);
    if (whole.indexOf("<think>", 1) >= 0 || rest.includes("</think>")) return false;
    return answer === undefined ? rest.trim() !== "" : (tagContents(rest, [answer])?.[0]?.trim() ?? "") !== "";
  });
}
