import { GuerdonError } from "../error.ts";
import { readChatTemplate } from "./chat-template.ts";
import { because, isRecord, readFields, requireFields } from "./folder.ts";
import type { Tokenizer } from "./tokenizer.ts";

/**
 * Reads a Hugging Face tokenizer from `tokenizer.json` in a local folder, through @huggingface/tokenizers (loaded when called).
 *
 * - `encode` adds no special tokens; `encodePrompt` adds those that the file's post-processor puts around a text (a start token).
 * - `encodePrompt` renders messages with the folder's chat template, up to where the answer begins; a template writes its special tokens
 *   itself, so none are added.
 * - `decode` keeps special tokens and every space, so that what a policy did is shown whole. Ids without a token (a model's embedding may
 *   have more rows than the tokenizer has tokens) decode to nothing, as there.
 * - `end` is `eos_token` of `tokenizer_config.json`, else the first `eos_token_id` of `generation_config.json` or `config.json`, else null.
 *   It comes first from the tokenizer because chat models list their turn's end there, and the end of a document in the others. `stops` are
 *   the other ids that these list.
 *
 * @throws GuerdonError "input" when a file is missing or not what it should be; "unsupported" from `encodePrompt` for
 *   messages when there is no chat template, "input" when the template refuses them
 */
export async function readTokenizer(folder: string): Promise<Tokenizer> {
  const json = await requireFields(folder, "tokenizer.json");
  const config = await readFields(folder, "tokenizer_config.json");
  const { Tokenizer: HuggingFaceTokenizer } = await import("@huggingface/tokenizers");
  const tokenizer = (() => {
    try {
      return new HuggingFaceTokenizer(json.all, config?.all ?? {});
    } catch (cause) {
      throw new GuerdonError("input", `${json.file} cannot be used: ${because(cause)}`, { cause });
    }
  })();
  let vocabulary = 0;
  for (const id of tokenizer.get_vocab(true).values()) vocabulary = Math.max(vocabulary, id + 1);
  const named = await endToken(folder, (token) => tokenizer.token_to_id(token));
  const listed = await listedEnds(folder);
  const end = named ?? listed[0] ?? null;
  const stops = listed.filter((id) => id !== end);
  const template = await readChatTemplate(folder);
  const encode = (text: string, add_special_tokens: boolean) => Int32Array.from(tokenizer.encode(text, { add_special_tokens }).ids);
  return {
    vocabulary,
    end,
    ...(stops.length > 0 && { stops }),
    encode: (text) => encode(text, false),
    decode: (ids) =>
      ids.length === 0 ? "" : tokenizer.decode(Array.from(ids), { skip_special_tokens: false, clean_up_tokenization_spaces: false }),
    encodePrompt(prompt) {
      if (typeof prompt === "string") return encode(prompt, true);
      if (template !== null) return encode(template(prompt), false);
      // Joining the turns by hand would train a chat model on a format that it has never seen.
      throw new GuerdonError(
        "unsupported",
        `The tokenizer of ${folder} got a prompt of ${prompt.length} messages, and the folder has no chat template. Give the prompt as a text, already in the model's own chat format.`,
      );
    },
  };
}

/** The id of the tokenizer's own end token, or null. */
async function endToken(folder: string, idOf: (token: string) => number | undefined): Promise<number | null> {
  const config = await readFields(folder, "tokenizer_config.json");
  const given = config?.all["eos_token"];
  const token = isRecord(given) ? given["content"] : given;
  if (typeof token !== "string") return null;
  const id = idOf(token);
  if (id === undefined)
    throw new GuerdonError("input", `${config?.file}: eos_token is ${JSON.stringify(token)}, which tokenizer.json does not have.`);
  return id;
}

/** The ids at which the model's files say that an answer ends: those for generation, or without them the config's. */
async function listedEnds(folder: string): Promise<number[]> {
  for (const name of ["generation_config.json", "config.json"]) {
    const given = (await readFields(folder, name))?.all["eos_token_id"];
    const ids = (Array.isArray(given) ? given : [given]).filter((id): id is number => typeof id === "number");
    if (ids.length > 0) return ids;
  }
  return [];
}
