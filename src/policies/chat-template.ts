import type { Message } from "../data/row.ts";
import { GuerdonError } from "../error.ts";
import { because, isRecord, readFields, readOptional } from "./folder.ts";

export interface ChatTemplateOptions {
  /** Ends the text where the assistant's answer begins; true unless said. False for conversations that end with an answer. */
  readonly addGenerationPrompt?: boolean;
  /** JSON schemas of tools, for templates that list them. */
  readonly tools?: readonly object[];
  readonly documents?: readonly object[];
  /** Further variables of the template, for instance `{ enable_thinking: false }`. */
  readonly variables?: Readonly<Record<string, unknown>>;
}

/** Turns messages into the text that a chat model was trained on. */
export type ChatTemplate = (messages: readonly Message[], options?: ChatTemplateOptions) => string;

/**
 * The chat template of a model folder: `chat_template.jinja`, or else `chat_template` of `tokenizer_config.json` (a template, or a list of
 * named ones, of which "default" is used, and "tool_use" when there are tools). Rendered by @huggingface/jinja, as transformers renders
 * it, with the folder's special tokens (`bos_token`, `eos_token` and their like) as variables.
 *
 * Templates are the model author's programs: they see the messages and nothing else.
 *
 * @returns null when the folder has no template
 * @throws GuerdonError "input" when a file is not what it should be, or the template cannot be read; the returned function throws "input"
 *   when the template refuses the messages, for instance because roles do not alternate
 */
export async function readChatTemplate(folder: string): Promise<ChatTemplate | null> {
  const config = await readFields(folder, "tokenizer_config.json");
  const alone = await readOptional(folder, "chat_template.jinja");
  const sources = alone === null ? inConfig(config?.all["chat_template"]) : new Map([["default", new TextDecoder().decode(alone)]]);
  const file = alone === null ? `${folder}/tokenizer_config.json` : `${folder}/chat_template.jinja`;
  if (sources === null) throw new GuerdonError("input", `${file}: chat_template must be a template, or a list of { name, template }.`);
  if (sources.size === 0) return null;
  const { Template } = await import("@huggingface/jinja");
  const templates = new Map(
    [...sources].map(([name, source]) => {
      try {
        return [name, new Template(source)] as const;
      } catch (cause) {
        throw new GuerdonError(
          "input",
          `${file}: the chat template${name === "default" ? "" : ` "${name}"`} cannot be read: ${because(cause)}`,
          {
            cause,
          },
        );
      }
    }),
  );
  const special = Object.fromEntries(
    Object.entries(config?.all ?? {}).flatMap(([name, value]) => {
      const token = isRecord(value) ? value["content"] : value;
      return /^[a-z]+_token$/.test(name) && typeof token === "string" ? [[name, token]] : [];
    }),
  );
  return (messages, { addGenerationPrompt = true, tools, documents, variables = {} } = {}) => {
    const template = (tools !== undefined ? templates.get("tool_use") : undefined) ?? templates.get("default");
    if (template === undefined)
      throw new GuerdonError("input", `${file} has the chat templates ${[...templates.keys()].join(", ")}, and none is called "default".`);
    try {
      return template.render({
        ...special,
        messages,
        add_generation_prompt: addGenerationPrompt,
        // Templates test `if tools`, and some `tools is not none`: both hold as with transformers, which passes None.
        tools: tools ?? null,
        documents: documents ?? null,
        ...variables,
      });
    } catch (cause) {
      throw new GuerdonError("input", `${file}: the chat template refuses ${messages.length} messages: ${because(cause)}`, { cause });
    }
  };
}

/**
 * Renders messages with the chat template of a model folder; see readChatTemplate. To render many, read the template once.
 *
 * @throws GuerdonError "unsupported" when the folder has no chat template; "input" as readChatTemplate
 */
export async function renderChat(folder: string, messages: readonly Message[], options: ChatTemplateOptions = {}): Promise<string> {
  const template = await readChatTemplate(folder);
  if (template === null)
    throw new GuerdonError("unsupported", `${folder} has no chat template: neither chat_template.jinja nor one in tokenizer_config.json.`);
  return template(messages, options);
}

/** Templates by name; empty when there is none, null when the field is something else. */
function inConfig(field: unknown): Map<string, string> | null {
  if (field === undefined || field === null) return new Map();
  if (typeof field === "string") return new Map([["default", field]]);
  if (!Array.isArray(field)) return null;
  const named = new Map<string, string>();
  for (const one of field) {
    if (!isRecord(one) || typeof one["name"] !== "string" || typeof one["template"] !== "string") return null;
    named.set(one["name"], one["template"]);
  }
  return named;
}
