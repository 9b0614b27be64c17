import { GuerdonError } from "../../error.ts";
import type { TextSequence } from "../../policies/policy.ts";
import { endings, shownPrompt } from "../../policies/tokenizer.ts";
import type { Tokenizer } from "../../policies/tokenizer.ts";
import type { Sampled, SampleOptions, SampleRequest } from "../engine.ts";
import type { TinkerClient } from "./client.ts";
import { finiteLogProbs, tokensOf } from "./passes.ts";
import type { Answers, Requests } from "./protocol.ts";

/** Weights that a service can sample from. `fields` says so in a request, and numbers it where the service wants that. */
export interface Source {
  readonly client: TinkerClient;
  readonly fields: () => Pick<Requests["asample"], "base_model" | "model_path" | "sampling_session_id" | "seq_id">;
}

/** The seed of each request, from its stream. */
export const seedsOf = (requests: readonly SampleRequest<TextSequence>[]): number[] =>
  requests.map(({ rng }) => Math.floor(rng() * 2 ** 31));

/**
 * Draws answers. Requests that continue the same tokens go out as one request for so many samples, with the first one's seed, so that the
 * prompt is read once; apart from that no answer depends on the other requests.
 *
 * Log-probabilities are the service's. With a temperature other than 1, top-k or top-p, services differ in whether they are of the changed
 * distribution or of the model's own.
 *
 * @throws GuerdonError "io", "interrupted"; "non-finite" when a log-probability is not finite
 */
export async function drawAnswers(
  source: Source,
  tokenizer: Tokenizer,
  requests: readonly SampleRequest<TextSequence>[],
  seeds: readonly number[],
  options: SampleOptions,
): Promise<Sampled<TextSequence>[]> {
  const { maxActions, temperature = 1, topK = 0, topP = 1, stopTokens, signal } = options;
  const ends = endings(tokenizer, stopTokens);
  const starts = requests.map(({ from, task }) => from ?? shownPrompt(tokenizer, task));
  const groups = Map.groupBy(starts.keys(), (i) => tokensOf(starts[i]!).join());
  const results: Sampled<TextSequence>[] = [];
  await Promise.all(
    [...groups.values()].map(async (members) => {
      const [first] = members as [number];
      const taken = await source.client.submit(
        "asample",
        {
          ...source.fields(),
          num_samples: members.length,
          prompt: { chunks: [{ type: "encoded_text", tokens: tokensOf(starts[first]!) }] },
          sampling_params: {
            max_tokens: maxActions,
            temperature,
            top_k: topK === 0 ? -1 : topK,
            top_p: topP,
            seed: seeds[first]!,
            stop: ends,
          },
        },
        signal,
      );
      const { sequences } = await taken.result(signal);
      if (sequences.length !== members.length)
        throw new GuerdonError("io", `asample answered with ${sequences.length} samples where ${members.length} were asked for.`);
      const long = sequences.find(({ tokens }) => tokens.length > maxActions);
      if (long)
        throw new GuerdonError("io", `asample answered with ${long.tokens.length} tokens where ${maxActions} were asked for at most.`);
      members.forEach((i, k) => (results[i] = answerOf(starts[i]!, sequences[k]!, ends, tokenizer, i)));
    }),
  );
  return results;
}

function answerOf(
  { prompt, actions }: TextSequence,
  { tokens, logprobs, stop_reason: stop }: Answers["asample"]["sequences"][number],
  ends: readonly number[],
  tokenizer: Tokenizer,
  i: number,
): Sampled<TextSequence> {
  if (logprobs?.length !== tokens.length)
    throw new GuerdonError(
      "io",
      `asample gave ${logprobs?.length ?? "no"} log-probabilities for the ${tokens.length} tokens of answer ${i}.`,
    );
  const ended = stop === "stop" && ends.includes(tokens.at(-1) ?? -1);
  return {
    row: { prompt, actions: Int32Array.of(...actions, ...tokens) },
    logProbs: finiteLogProbs(logprobs, (j) => `asample: the log-probability of token ${j} of answer ${i}`),
    completion: tokenizer.decode(ended ? tokens.slice(0, -1) : tokens),
    stop,
  };
}
