import type { Message } from "../../data/row.ts";
import { GuerdonError } from "../../error.ts";
import { failureOf, openAi, type OpenAiOptions } from "../../policies/remote/client.ts";
import type { Read } from "../../policies/remote/transport.ts";
import type { Score } from "../grade.ts";
import { reward, type Graded, type Reward } from "../reward.ts";
import { kindOf } from "./ask.ts";

export interface ServedOptions extends Omit<OpenAiOptions, "cache" | "price"> {
  /** "vllm": `POST /classify`; "sglang": `POST /v1/embeddings`. The base address may end in `/v1` or not. */
  readonly api: "vllm" | "sglang";
  /**
   * The conversation, answer included, as the text that the reward model was trained on: the function that `readChatTemplate(folder)` of
   * its model folder gives; null, as from a folder without a template, is refused.
   */
  readonly render: ((messages: readonly Message[], options: { readonly addGenerationPrompt: false }) => string) | null;
  readonly name?: string;
}

/**
 * A reward model behind a server, which is sent the conversation as rendered text and answers with a number: vLLM's `/classify` (asked for
 * the raw output, the last of `probs` of the last of `data`) or SGLang's `/v1/embeddings` (the last number of the last embedding), as verl
 * calls them. The value is the model's own, on its own scale: for most models any finite number.
 *
 * Unreachable servers, replies of another shape and numbers that are none are null with the reason.
 *
 * @throws GuerdonError "usage" for options out of range
 */
export function servedReward(options: ServedOptions): Reward {
  const { api, render, name = "served", ...rest } = options;
  if (api !== "vllm" && api !== "sglang")
    throw new GuerdonError("usage", `servedReward: api must be "vllm" or "sglang", not "${String(api)}".`);
  if (render === null)
    throw new GuerdonError(
      "usage",
      "servedReward: render is null: the model folder has no chat template. Give a function that writes the conversation as text.",
    );
  const server = openAi({ ...rest, baseUrl: rest.baseUrl.replace(/\/v1\/?$/, "") });
  const { model } = server;
  return reward(name, { version: `1-${api}-${model}` }, async (answer, { signal }): Promise<Score> => {
    const input = render(turns(answer), { addGenerationPrompt: false });
    try {
      const value =
        api === "vllm"
          ? await server.post("classify", { model, input, activation: false }, lastNumber("probs"), signal)
          : await server.post("v1/embeddings", { model, input }, lastNumber("embedding"), signal);
      return { value };
    } catch (cause) {
      const failure = failureOf(cause);
      if (failure === null) throw cause;
      return { value: null, error: { kind: kindOf(failure), message: `The reward model could not be asked: ${failure.message}` } };
    }
  });
}

/** The question and the answer as one conversation. */
function turns({ prompt, completion }: Graded): Message[] {
  return [
    ...(typeof prompt === "string" ? [{ role: "user", content: prompt } as const] : prompt),
    ...(typeof completion === "string" ? [{ role: "assistant", content: completion } as const] : completion),
  ];
}

/** The last number of the last item's list. */
const lastNumber =
  (field: "probs" | "embedding"): Read<number> =>
  (body) => {
    const data: unknown = typeof body === "object" && body !== null && "data" in body ? body.data : null;
    const item: unknown = Array.isArray(data) ? data.at(-1) : null;
    const list: unknown = typeof item === "object" && item !== null ? (item as Readonly<Record<string, unknown>>)[field] : null;
    const value: unknown = Array.isArray(list) ? list.at(-1) : null;
    return typeof value === "number" && Number.isFinite(value)
      ? { value }
      : { problem: `has no finite number at the end of data[-1].${field}` };
  };
