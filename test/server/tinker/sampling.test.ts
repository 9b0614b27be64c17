import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readModel, type TransformerPolicy } from "../../../src/policies/index.ts";
import { startArrays, upload, type Tensor } from "../../../src/arrays/index.ts";
import { stream } from "../../../src/statistics/index.ts";
import { timed } from "../../kit/crowding.ts";
import { backward, datum, folder, forward, logProbs, open, step, type Client, type Reply } from "./client.ts";
import { tinyModel } from "./model.ts";

const data = folder();
let tiny: Awaited<ReturnType<typeof tinyModel>>;
let server: Client;
let policy: TransformerPolicy;
let parameters: Record<string, Tensor>;
beforeAll(async () => {
  tiny = await tinyModel();
  server = await open(tiny.folder, data.path);
  const read = await readModel(tiny.folder);
  await startArrays();
  policy = read.policy;
  parameters = Object.fromEntries(Object.entries(read.parameters).map(([name, tensor]) => [name, upload(tensor)]));
});
afterAll(async () => {
  await server.close();
  policy.dispose();
  tiny.remove();
  data.remove();
});

const ask = (tokens: readonly number[], more: object = {}, sampling: object = {}) => ({
  num_samples: 1,
  prompt: { chunks: [{ type: "encoded_text", tokens }] },
  sampling_params: { max_tokens: 6, seed: 3, stop: [], ...sampling },
  ...("model_path" in more || "sampling_session_id" in more ? {} : { base_model: "tiny" }),
  ...more,
});

/** What the local engine's sampler draws for sequence k of a request with this seed. */
async function local(tokens: readonly number[], seed: number, k: number, maxActions = 6) {
  const [drawn] = await policy.sample(
    parameters,
    [
      {
        task: { id: "x", prompt: "" },
        group: "",
        rng: stream(seed, "sample", k),
        from: { prompt: Int32Array.from(tokens), actions: new Int32Array(0) },
      },
    ],
    { maxActions },
  );
  return { tokens: [...drawn!.row.actions], logprobs: [...drawn!.logProbs], stop_reason: drawn!.stop };
}

test("sequence k of a request is drawn from the stream of its seed and k", async () => {
  const { body } = await server.run("asample", ask([5, 6, 7], { num_samples: 3 }));
  expect(body.sequences).toHaveLength(3);
  for (const k of [0, 1, 2]) {
    const expected = await local([5, 6, 7], 3, k);
    expect(body.sequences![k]!.tokens).toEqual(expected.tokens);
    body.sequences![k]!.logprobs.forEach((value, i) => expect(value).toBeCloseTo(expected.logprobs[i]!, 4));
  }
});

test("1,000 requests at once: none is lost, none is mixed up, each as if it were alone", async () => {
  const prompts = Array.from({ length: 1000 }, (_, i) => [3 + (i % 300), 10 + (i % 7), ...(i % 3 === 0 ? [4] : [])]);
  const session = await server.session();
  const made = await server.post("create_sampling_session", { session_id: session, sampling_session_seq_id: 0, base_model: "tiny" });
  const { sampling_session_id: id } = made.body as unknown as { sampling_session_id: string };
  const {
    result: replies,
    took,
    crowd,
  } = await timed(() =>
    Promise.all(
      prompts.map((tokens, i) =>
        server.run(
          "asample",
          ask(tokens, { sampling_session_id: id, seq_id: i + 1 }, { seed: i, max_tokens: 4, stop: i % 2 === 0 ? [] : [9] }),
        ),
      ),
    ),
  );
  expect(took).toBeLessThan(60_000 * crowd);
  expect(replies.filter(({ status }) => status === 200)).toHaveLength(1000);
  const alone: Reply[] = [];
  for (let i = 0; i < 1000; i += 37)
    alone.push(await server.run("asample", ask(prompts[i]!, {}, { seed: i, max_tokens: 4, stop: i % 2 === 0 ? [] : [9] })));
  alone.forEach(({ body }, j) => expect(replies[37 * j]!.body.sequences![0]!.tokens).toEqual(body.sequences![0]!.tokens));
  // Prompts and seeds differ: so do the answers.
  const distinct = new Set(replies.map(({ body }) => body.sequences![0]!.tokens.join()));
  expect(distinct.size).toBeGreaterThan(990);
});

describe("where a sequence ends", () => {
  test("at the model's end tokens, at further tokens, at none", async () => {
    const free = (await server.run("asample", ask([5, 6], {}, { max_tokens: 20 }))).body.sequences![0]!;
    expect(free).toMatchObject({ stop_reason: "length" });
    expect(free.tokens).toHaveLength(20);
    const third = free.tokens[2]!;
    const cut = (await server.run("asample", ask([5, 6], {}, { max_tokens: 20, stop: [third] }))).body.sequences![0]!;
    const at = free.tokens.indexOf(third) + 1;
    expect(cut).toEqual({ tokens: free.tokens.slice(0, at), logprobs: free.logprobs.slice(0, at), stop_reason: "stop" });
  });

  test("at a text, with the token that completes it", async () => {
    const free = (await server.run("asample", ask([5, 6], {}, { max_tokens: 20 }))).body.sequences![0]!;
    // Some tokens are halves of characters.
    const stop = free.tokens
      .slice(2)
      .map((id) => policy.tokenizer.decode([id]))
      .find((text) => /^[ -~]+$/.test(text))!;
    const cut = (await server.run("asample", ask([5, 6], {}, { max_tokens: 20, stop }))).body.sequences![0]!;
    expect(cut.stop_reason).toBe("stop");
    expect(free.tokens.slice(0, cut.tokens.length)).toEqual(cut.tokens);
    expect(policy.tokenizer.decode(cut.tokens)).toContain(stop);
    expect(policy.tokenizer.decode(cut.tokens.slice(0, -1))).not.toContain(stop);
  });

  test("at the context", async () => {
    const tokens = Array.from({ length: 60 }, (_, i) => 5 + i);
    const { body } = await server.run("asample", ask(tokens, {}, { max_tokens: 1000 }));
    expect(body.sequences![0]!.tokens).toHaveLength(4);
  });
});

test("temperature 0 takes the most likely token; top_k 1 does too", async () => {
  const [greedy, one, other] = await Promise.all([
    server.run("asample", ask([5, 6], {}, { temperature: 0 })),
    server.run("asample", ask([5, 6], {}, { top_k: 1, seed: 8 })),
    server.run("asample", ask([5, 6], {}, { seed: 8 })),
  ]);
  expect(one!.body.sequences![0]!.tokens).toEqual(greedy!.body.sequences![0]!.tokens);
  expect(other!.body.sequences![0]!.tokens).not.toEqual(greedy!.body.sequences![0]!.tokens);
});

test("log-probabilities of the prompt are those of a forward pass, from any place on, up to a full context", async () => {
  const tokens = [5, 6, 7, 8, 9];
  const fresh = await server.adapter();
  const expected = logProbs(await server.run("forward", forward(fresh, 1, [datum(tokens)])));
  const { body } = await server.run("asample", ask(tokens, { prompt_logprobs: true }, { max_tokens: 1 }));
  expect(body.prompt_logprobs).toEqual([null, ...expected]);
  const last = await server.run("asample", ask(tokens, { prompt_logprobs: true, prompt_logprobs_last_n: 2 }));
  expect(last.body.prompt_logprobs).toEqual([null, null, null, ...expected.slice(2)]);
  const full = Array.from({ length: 64 }, (_, i) => 5 + i);
  const read = await server.run("asample", ask(full, { prompt_logprobs: true }, { max_tokens: 1 }));
  expect(read.body.prompt_logprobs).toHaveLength(64);
  expect(read.body.sequences).toEqual([{ tokens: [], logprobs: [], stop_reason: "length" }]);
});

test("the most likely tokens at each place of the prompt", async () => {
  const tokens = [5, 6, 7];
  const [top, all] = [
    (await server.run("asample", ask(tokens, { topk_prompt_logprobs: 3 }))).body,
    (await server.run("asample", ask(tokens, { prompt_logprobs: true, topk_prompt_logprobs: 64 }))).body,
  ].map((body) => body as unknown as { topk_prompt_logprobs: ([number, number][] | null)[]; prompt_logprobs?: (number | null)[] });
  expect(top!.topk_prompt_logprobs).toHaveLength(3);
  expect(top!.topk_prompt_logprobs[0]).toBeNull();
  // Greedy sampling after each beginning takes the first of them.
  for (const i of [1, 2]) {
    const next = await server.run("asample", ask(tokens.slice(0, i), {}, { max_tokens: 1, temperature: 0 }));
    const places = top!.topk_prompt_logprobs[i]!;
    expect(places[0]![0]).toBe(next.body.sequences![0]!.tokens[0]);
    expect(places.map(([, logProb]) => logProb)).toEqual(places.map(([, logProb]) => logProb).toSorted((a, b) => b - a));
    expect(all!.topk_prompt_logprobs[i]!.slice(0, 3)).toEqual(places);
    const own = all!.topk_prompt_logprobs[i]!.find(([id]) => id === tokens[i]);
    if (own) expect(own[1]).toBeCloseTo(all!.prompt_logprobs![i]!, 5);
  }
});

describe("weights to sample from", () => {
  const rows = [datum([5, 6, 7, 8])];
  const train = async (model: string, from: number) => {
    await server.run("forward_backward", backward(model, from, rows));
    await server.run("optim_step", step(model, from + 1, { learning_rate: 0.05 }));
  };
  const greedy = async (more: object) => (await server.run("asample", ask([5], more, { temperature: 0 }))).body.sequences?.[0]!.tokens;

  test("a checkpoint, and a session on weights in memory, stay as they were when the model goes on", async () => {
    const model = await server.adapter();
    await train(model, 1);
    const { path } = (await server.run("save_weights_for_sampler", { model_id: model, seq_id: 3, path: "one" })).body;
    const inMemory = (await server.run("save_weights_for_sampler", { model_id: model, seq_id: 4, sampling_session_seq_id: 0 })).body as {
      sampling_session_id?: string;
      path?: string;
    };
    expect(inMemory.path).toBeUndefined();
    const before = await greedy({ model_path: path });
    expect(await greedy({ sampling_session_id: inMemory.sampling_session_id, seq_id: 1 })).toEqual(before);
    for (let i = 0; i < 3; i++) await train(model, 5 + 2 * i);
    const later = (await server.run("save_weights_for_sampler", { model_id: model, seq_id: 11, path: "two" })).body.path;
    expect(await greedy({ model_path: later })).not.toEqual(before);
    expect(await greedy({ model_path: path })).toEqual(before);
    expect(await greedy({ sampling_session_id: inMemory.sampling_session_id, seq_id: 2 })).toEqual(before);
    expect(await greedy({})).not.toEqual(before);
    expect((await server.get(`samplers/${inMemory.sampling_session_id}`)).body).toMatchObject({ base_model: "tiny", model_path: null });
  });

  test("a repeated request has the result of the first one; another one of its number is refused", async () => {
    const session = await server.session();
    const made = await server.post("create_sampling_session", { session_id: session, sampling_session_seq_id: 7, base_model: "tiny" });
    const { sampling_session_id: id } = made.body as unknown as { sampling_session_id: string };
    const again = await server.post("create_sampling_session", { session_id: session, sampling_session_seq_id: 7, base_model: "tiny" });
    expect(again.body).toEqual(made.body);
    const body = ask([5, 6], { sampling_session_id: id, seq_id: 1 }, { seed: null });
    const [first, second] = [await server.post("asample", body), await server.post("asample", body)];
    expect(second.body.request_id).toBe(first.body.request_id);
    expect((await server.post("asample", { ...body, num_samples: 2 })).status).toBe(409);
  });
});

test("of weights that are in memory only a session keeps its last, and takes no other's place", async () => {
  const saved = async (model_id: string, number: number) => {
    const request = { model_id, seq_id: number + 1, sampling_session_seq_id: number };
    return (await server.run("save_weights_for_sampler", request)).body as unknown as { sampling_session_id: string };
  };
  const [fast, slow] = [await server.adapter(), await server.adapter()];
  const others = await saved(slow, 0);
  const own = [];
  for (let i = 0; i < 10; i++) own.push(await saved(fast, i));
  const statuses = [];
  for (const { sampling_session_id } of [...own, others])
    statuses.push((await server.run("asample", ask([5], { sampling_session_id, seq_id: 1 }))).status);
  expect(statuses).toEqual([404, 404, ...Array.from({ length: 9 }, () => 200)]);
});
