import { thisHost } from "../../data/host.ts";
import type { Message } from "../../data/row.ts";
import { GuerdonError } from "../../error.ts";

/** A judge's prompt with places for what differs from row to row. */
export interface Prompt {
  /** The file that it came from, or another name for messages. */
  readonly name: string;
  readonly text: string;
  readonly messages: readonly Message[];
  /** The names between double braces. */
  readonly places: readonly string[];
}

const place = /\{\{\s*([^{}]*?)\s*\}\}/g;

/**
 * A prompt from its text. Lines that are only `[system]`, `[user]` or `[assistant]` begin a message; a text without them is one user
 * message. `{{name}}` is a place to be filled.
 *
 * @throws GuerdonError "input" for an empty message, words before the first mark, or a place whose name is none
 */
export function promptFrom(text: string, name = "a prompt"): Prompt {
  const pieces = text.replaceAll("\r\n", "\n").split(/^\[(system|user|assistant)\][ \t]*$/m);
  const [before, ...marked] = pieces;
  if (marked.length > 0 && before!.trim() !== "")
    throw new GuerdonError("input", `${name}: there is text before the first [system], [user] or [assistant] line.`);
  const messages: Message[] =
    marked.length === 0
      ? [{ role: "user", content: before!.trim() }]
      : Array.from({ length: marked.length / 2 }, (_, i) => ({
          role: marked[2 * i] as "system" | "user" | "assistant",
          content: marked[2 * i + 1]!.trim(),
        }));
  const empty = messages.find(({ content }) => content === "");
  if (empty) throw new GuerdonError("input", `${name}: the [${empty.role}] message is empty.`);
  const places = [...new Set(messages.flatMap(({ content }) => [...content.matchAll(place)].map((match) => match[1]!)))];
  const odd = places.find((one) => !/^\w+$/.test(one));
  if (odd !== undefined)
    throw new GuerdonError("input", `${name}: {{${odd}}} is no name. Names are letters, digits and _ between double braces.`);
  return { name, text, messages, places };
}

/** A prompt from a file; see promptFrom. @throws GuerdonError "io" when it cannot be read, "input" when it is none */
export async function readPrompt(path: string): Promise<Prompt> {
  return promptFrom(await (await thisHost()).readText(path), path);
}

/** The prompts that this package brings: text files in `src/rewards/judge/prompts`, to be read, copied and replaced. */
export type ShippedPrompt = "rubric" | "reference" | "pairwise" | "listwise";

/** To be raised with every change to one of the files, so that caches notice; a test holds the two together. */
export const shippedVersion = "1";

// The compiled modules are in dist and the prompts stay in src: both are in the package, equally deep. Each address is written out, because
// bundlers find files by such lines.
const addresses: Readonly<Record<ShippedPrompt, URL>> = {
  rubric: new URL("../../../src/rewards/judge/prompts/rubric.md", import.meta.url),
  reference: new URL("../../../src/rewards/judge/prompts/reference.md", import.meta.url),
  pairwise: new URL("../../../src/rewards/judge/prompts/pairwise.md", import.meta.url),
  listwise: new URL("../../../src/rewards/judge/prompts/listwise.md", import.meta.url),
};

const shipped = new Map<ShippedPrompt, Promise<Prompt>>();

/** A prompt that this package brings. */
export function shippedPrompt(name: ShippedPrompt): Promise<Prompt> {
  const known = shipped.get(name) ?? readShipped(name);
  shipped.set(name, known);
  known.catch(() => shipped.delete(name));
  return known;
}

async function readShipped(name: ShippedPrompt): Promise<Prompt> {
  const url = addresses[name];
  const file = `prompts/${name}.md`;
  if (url.protocol === "file:") {
    const path = decodeURIComponent(url.pathname).replace(/^\/(?=[A-Za-z]:\/)/, "");
    return promptFrom(await (await thisHost()).readText(path), file);
  }
  const response = await fetch(url);
  if (!response.ok)
    throw new GuerdonError("io", `${url.href} answered HTTP ${response.status}. Give the judge its prompt as promptFrom("...").`);
  return promptFrom(await response.text(), file);
}

/** What goes into a prompt's places. */
export interface Filling {
  /** Put in as it is: what the judge's owner wrote. */
  readonly own: Readonly<Record<string, string>>;
  /** Put between marks: what others wrote. A list is put in as one text a letter. */
  readonly foreign: Readonly<Record<string, string | readonly string[]>>;
}

/**
 * The messages with every place filled, in one pass: braces inside a filled-in text are text.
 *
 * Foreign texts stand between `<data-...>` and `</data-...>` marks whose name occurs in none of them, so that no text can close its own
 * mark; `{{fence}}` is that name. Control tokens of chat formats in them (`<|im_end|>`, `[INST]`, `<start_of_turn>`) are broken up,
 * because a server may read them as the end of the message. This shows a judge what is data. It does not force the judge to treat it so:
 * a model can still be persuaded by what it reads.
 *
 * @throws GuerdonError "usage" for a place that nothing fills, naming what there is
 */
export function fillPrompt({ name, messages, places }: Prompt, { own, foreign }: Filling): Message[] {
  const texts = Object.values(foreign).flat();
  const fence = unusedName(texts);
  // The owner's words come last: a row's column that happens to be called "rubric" or "fence" is in no place of theirs.
  const filled = new Map<string, string>([
    ...Object.entries(foreign).map(([key, value]): [string, string] => [
      key,
      typeof value === "string" ? fenced(value, fence) : value.map((text, i) => `${letter(i)}:\n${fenced(text, fence)}`).join("\n\n"),
    ]),
    ...Object.entries(own),
    ["fence", fence],
  ]);
  checkPlaces(name, places, [...Object.keys(own), "fence", ...Object.keys(foreign)]);
  return messages.map((message) => ({ ...message, content: message.content.replace(place, (_, key: string) => filled.get(key)!) }));
}

/** @throws GuerdonError "usage" for a place that is not among the names */
function checkPlaces(prompt: string, places: readonly string[], names: readonly string[]): void {
  const unknown = places.find((one) => !names.includes(one));
  if (unknown !== undefined)
    throw new GuerdonError(
      "usage",
      `${prompt}: there is nothing to put in the place of {{${unknown}}}. There are ${names.map((one) => `{{${one}}}`).join(", ")}.`,
    );
}

/**
 * Checks a prompt of the user's before it is used: it must show what is judged and ask for the form of the verdict, and every other place
 * must be one that the judge fills.
 *
 * @param needed places that it must have, beside {{format}}
 * @param names the other places that it may have, or null where the row's columns may be shown too
 * @throws GuerdonError "usage"
 */
export function checkPrompt({ name, places }: Prompt, needed: readonly string[], names: readonly string[] | null): void {
  const missing = [...needed, "format"].find((one) => !places.includes(one));
  if (missing !== undefined) throw new GuerdonError("usage", `${name} has no {{${missing}}}: without it the judge cannot do its work.`);
  if (names !== null) checkPlaces(name, places, [...needed, ...names, "format", "fence"]);
}

/** The name of an answer in a list: A to Z. */
export const letter = (i: number): string => String.fromCharCode("A".charCodeAt(0) + i);

const fenced = (text: string, fence: string): string => `<${fence}>\n${disarmed(text)}\n</${fence}>`;

/** A name that is in none of the texts, in capitals or not, the same for the same texts. */
function unusedName(texts: readonly string[]): string {
  const lower = texts.map((text) => text.toLowerCase());
  for (let i = 0; ; i++) {
    const name = `data-${shortHash(`${i} ${texts.join(" ")}`).slice(0, 8)}`;
    if (!lower.some((text) => text.includes(name))) return name;
  }
}

const controls = /<\|([^|<>\n]{1,40})\|>|<(\/?s|bos|eos|start_of_turn|end_of_turn)>|\[(\/?INST)\]|<<(\/?SYS)>>|<｜([^｜<>\n]{1,40})｜>/g;

/** The text without control tokens of chat formats: `<|im_end|>` becomes `<¦im_end¦>`. */
const disarmed = (text: string): string =>
  text.replace(controls, (_, ...groups: (string | undefined)[]) => {
    const word = groups.slice(0, 5).find((group) => group !== undefined)!;
    return `<¦${word}¦>`;
  });

/** 64 bits of a text as 16 hexadecimal digits: for names and versions, not for security. */
export function shortHash(text: string): string {
  let [a, b] = [0x9e3779b9, 0x85ebca6b];
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    a = Math.imul(a ^ code, 0x9e3779b1);
    b = Math.imul(b ^ code, 0x5f356495);
    a ^= b >>> 15;
    b ^= a >>> 13;
  }
  a = Math.imul(a ^ (a >>> 16), 0x85ebca6b) ^ Math.imul(b ^ (b >>> 13), 0xc2b2ae35);
  b = Math.imul(b ^ (b >>> 16), 0x85ebca6b) ^ Math.imul(a ^ (a >>> 13), 0xc2b2ae35);
  return [a, b].map((half) => (half >>> 0).toString(16).padStart(8, "0")).join("");
}
