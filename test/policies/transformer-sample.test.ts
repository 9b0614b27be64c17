import { beforeAll, describe, expect, test } from "vitest";
import { compile, startArrays, Tensor, upload } from "../../src/arrays/index.ts";
import type { Arrays } from "../../src/arrays/index.ts";
import type { SampleOptions, SampleRequest } from "../../src/engines/engine.ts";
import type { Parameters, TextSequence } from "../../src/policies/policy.ts";
import type { TransformerConfig } from "../../src/policies/transformer-config.ts";
import { transformer } from "../../src/policies/transformer.ts";
import type { TransformerPolicy } from "../../src/policies/transformer.ts";
import { stream } from "../../src/statistics/stream.ts";
import { expectNoLeak } from "../kit/leaks.ts";
import { families, numbers, scrambled } from "./tiny.ts";

beforeAll(() => startArrays());

const model = (config: TransformerConfig, end: number | null = null, scale = 0.6) => {
  const policy = transformer(config, { tokenizer: numbers(config.vocabulary, end) });
  const fresh = scrambled(policy.init(0), 11, scale);
  return { policy, parameters: Object.fromEntries(Object.entries(fresh).map(([name, tensor]) => [name, upload(tensor)])) as Parameters };
};
const request = (prompt: string, name: string | number, from?: TextSequence): SampleRequest<TextSequence> => ({
  task: { id: prompt, prompt },
  group: prompt,
  rng: stream(3, "rollout", name),
  ...(from ? { from } : {}),
});

/** Outputs of a forward pass over whole rows, cut to each row's actions. */
async function forward(policy: TransformerPolicy, parameters: Parameters, rows: readonly TextSequence[], names: readonly string[]) {
  const T = Math.ceil(Math.max(...rows.map((row) => policy.cells(row))) / 8) * 8;
  const program = compile((all: Arrays, inputs: Arrays) => policy.apply(all, inputs, names));
  const results = program.run(parameters, policy.collate(rows, rows.length, T));
  const read = await Promise.all(names.map((name) => results[name]!.read()));
  for (const tensor of Object.values(results)) tensor.dispose();
  program.dispose();
  return Object.fromEntries(
    names.map((name, k) => [
      name,
      rows.map((row, n) => read[k]!.slice(n * T + policy.start(row), n * T + policy.start(row) + row.actions.length)),
    ]),
  );
}

describe.each(Object.entries(families))("%s", (_, tiny) => {
  const config = { ...tiny, context: 120, width: 16, hidden: 24, vocabulary: 13, valueHead: true };
  const prompts = ["1 2 3", "4", "5 6 7 8 9 10 11 12 0 1", "4", "2 2"];

  test("log-probabilities, entropy and value of drawn tokens are those of a forward pass; the cache's segments join without a seam", async () => {
    const { policy, parameters } = model(config);
    const options: SampleOptions = { maxActions: 100, record: ["entropy", "value"] };
    const sampled = await policy.sample(
      parameters,
      prompts.map((prompt, i) => request(prompt, i)),
      options,
    );
    const outputs = await forward(
      policy,
      parameters,
      sampled.map((s) => s.row),
      ["logProbs", "entropy", "value"],
    );
    sampled.forEach((s, n) => {
      expect(s.row.actions.length).toBe(100);
      expect(s.stop).toBe("length");
      for (const [name, mine] of [
        ["logProbs", s.logProbs],
        ["entropy", s.recorded!["entropy"]!],
        ["value", s.recorded!["value"]!],
      ] as const)
        mine.forEach((x, j) => expect(Math.abs(x - outputs[name]![n]![j]!)).toBeLessThan(1e-5));
    });
    // One program for the prompts, steps without, with one and with two closed segments, two for closing.
    expect(policy.sampleShapes()).toBe(6);
    await policy.sample(
      parameters,
      prompts.map((prompt, i) => request(prompt, i)),
      options,
    );
    expect(policy.sampleShapes()).toBe(6);
  });

  test("what is drawn depends on neither order nor batch", async () => {
    const { policy, parameters } = model(config);
    const requests = () => prompts.map((prompt, i) => request(prompt, i));
    const together = await policy.sample(parameters, requests(), { maxActions: 6 });
    const reversed = (await policy.sample(parameters, requests().reverse(), { maxActions: 6 })).reverse();
    const alone = await Promise.all(requests().map(async (r) => (await policy.sample(parameters, [r], { maxActions: 6 }))[0]!));
    for (const other of [reversed, alone])
      other.forEach((s, n) => {
        expect(s.row).toEqual(together[n]!.row);
        s.logProbs.forEach((x, j) => expect(Math.abs(x - together[n]!.logProbs[j]!)).toBeLessThan(1e-5));
      });
  });
});

test.each(Object.entries(families))("rows that have ended leave the batch, and the others go on as they were: %s", async (_, tiny) => {
  const config = { ...tiny, context: 120, width: 16, hidden: 24, vocabulary: 13, valueHead: true };
  const { policy, parameters } = model(config, 0, 0.2);
  const lengths = Array.from({ length: 40 }, (__, i) => [3, 14, 17, 30, 35, 50, 70][i % 7]!);
  /** Small numbers draw token 0, the end: each answer gets the length that it is meant to have. */
  const requests = () =>
    lengths.map((length, i) => {
      const asked = request(["1 2 3", "4", "5 6 7 8 9 10 11 12 1"][i % 3]!, i);
      let drawn = 0;
      return { ...asked, rng: () => (++drawn === length ? 0 : 0.5 + 0.5 * asked.rng()) };
    });
  const options: SampleOptions = { maxActions: 80, record: ["entropy", "value"] };
  const sampled = await policy.sample(parameters, requests(), options);
  expect(sampled.map(({ row }) => row.actions.length)).toEqual(lengths);
  const outputs = await forward(
    policy,
    parameters,
    sampled.map((s) => s.row),
    ["logProbs", "entropy", "value"],
  );
  sampled.forEach((s, n) => {
    for (const [name, mine] of Object.entries({ logProbs: s.logProbs, ...s.recorded }))
      mine.forEach((x, j) => expect(Math.abs(x - outputs[name]![n]![j]!)).toBeLessThan(1e-5));
  });
  for (const i of [6, 13, 39]) expect((await policy.sample(parameters, [requests()[i]!], options))[0]!.row).toEqual(sampled[i]!.row);
  await expectNoLeak(() => policy.sample(parameters, requests(), options), 2, 1);
  // Shapes of 64, 32, 16 and 8 rows, and of the 8 that one request takes.
  expect(policy.sampleShapes()).toBe(15);
  policy.dispose();
});

const small: TransformerConfig = { ...families["layer norm, learned positions, GELU"]!, context: 24, vocabulary: 6 };

test("the same streams give the same answers, other streams others", async () => {
  const { policy, parameters } = model(small);
  const draw = (name: string) => policy.sample(parameters, [request("1 2", name)], { maxActions: 20 });
  expect(await draw("a")).toEqual(await draw("a"));
  expect((await draw("a"))[0]!.row.actions).not.toEqual((await draw("b"))[0]!.row.actions);
});

test("first tokens follow the softmax of the logits", async () => {
  const { policy, parameters } = model(small);
  const n = 3000;
  const sampled = await policy.sample(
    parameters,
    Array.from({ length: n }, (_, i) => request("1 2", i)),
    { maxActions: 1 },
  );
  const each = Array.from({ length: 6 }, (_, token) => ({ prompt: Int32Array.of(1, 2), actions: Int32Array.of(token) }));
  const { logProbs } = await forward(policy, parameters, each, ["logProbs"]);
  each.forEach((_, token) => {
    const p = Math.exp(logProbs![token]![0]!);
    const share = sampled.filter((s) => s.row.actions[0] === token).length / n;
    expect(Math.abs(share - p)).toBeLessThan(5 * Math.sqrt((p * (1 - p)) / n));
  });
});

test("a row stops at the tokenizer's end, at a further stop token, at its length or at the end of the context", async () => {
  const { policy, parameters } = model(small, 5);
  const requests = Array.from({ length: 40 }, (_, i) => request("1 2", i));
  const sampled = await policy.sample(parameters, requests, { maxActions: 8, stopTokens: [4] });
  expect(new Set(sampled.map((s) => s.stop))).toEqual(new Set(["stop", "length"]));
  for (const { row, stop, completion, logProbs } of sampled) {
    const tokens = Array.from(row.actions);
    expect(logProbs.length).toBe(tokens.length);
    expect(tokens.slice(0, -1).some((t) => t === 4 || t === 5)).toBe(false);
    if (stop === "stop") expect([4, 5]).toContain(tokens.at(-1));
    else expect(tokens.length).toBe(8);
    expect(completion).toBe((stop === "stop" ? tokens.slice(0, -1) : tokens).join(" "));
  }
  const two = transformer(small, { tokenizer: { ...numbers(6, 5), stops: [4] } });
  const again = Array.from({ length: 40 }, (_, i) => request("1 2", i));
  expect(await two.sample(parameters, again, { maxActions: 8 })).toEqual(sampled);
  const { policy: endless, parameters: same } = model(small);
  const long = Array.from({ length: 21 }, () => 1).join(" ");
  const [cut, free] = await endless.sample(same, [request(long, 0), request("1", 1)], { maxActions: 10 });
  expect([cut!.row.actions.length, cut!.stop]).toEqual([3, "length"]);
  expect(free!.row.actions.length).toBe(10);
  const full = Array.from({ length: 24 }, () => 1).join(" ");
  await expect(endless.sample(same, [request(full, 0)], { maxActions: 1 })).rejects.toThrow("no room for an answer");
});

test("top-k and top-p bound what is drawn at every token, and the log-probabilities are of what is kept", async () => {
  const { policy, parameters } = model(small);
  const requests = () => Array.from({ length: 60 }, (_, i) => request("1 2", i));
  for (const choice of [{ topK: 2 }, { topP: 0.6 }]) {
    const sampled = await policy.sample(parameters, requests(), { maxActions: 4, ...choice });
    const prefixes = new Map<string, Map<number, number>>();
    sampled.forEach(({ row, logProbs }) =>
      row.actions.forEach((token, j) => {
        const prefix = row.actions.slice(0, j).join(" ");
        if (!prefixes.has(prefix)) prefixes.set(prefix, new Map());
        prefixes.get(prefix)!.set(token, Math.exp(logProbs[j]!));
      }),
    );
    const first = [...prefixes.get("")!.values()];
    expect(first.reduce((sum, p) => sum + p, 0)).toBeCloseTo(1, 5);
    for (const seen of prefixes.values()) {
      expect([...seen.values()].reduce((sum, p) => sum + p, 0)).toBeLessThan(1 + 1e-5);
      if ("topK" in choice) expect(seen.size).toBeLessThanOrEqual(2);
    }
    const free = new Set((await policy.sample(parameters, requests(), { maxActions: 1 })).map(({ row }) => row.actions[0]));
    expect(first.length).toBeLessThan(free.size);
  }
});

test("more requests than fit into memory are drawn in several batches, each answer as it would be alone", async () => {
  const { policy, parameters } = model({ ...small, width: 16, heads: 8, context: 1200 });
  const prompt = Array.from({ length: 1000 }, (_, i) => i % 6).join(" ");
  const order: number[] = [];
  const requests = () =>
    Array.from({ length: 10 }, (_, i) => {
      const asked = request(i % 5 === 4 ? "1 2" : prompt, i);
      return { ...asked, rng: () => (order.push(i), asked.rng()) };
    });
  const sampled = await policy.sample(parameters, requests(), { maxActions: 3 });
  // The attention of a prompt of 1024 slots with 8 heads allows four rows; short prompts come first.
  expect(order.filter((_, k) => [0, 12, 24].includes(k))).toEqual([4, 2, 7]);
  expect(order.slice(0, 12)).toEqual([4, 9, 0, 1, 4, 9, 0, 1, 4, 9, 0, 1]);
  expect(order.slice(24)).toEqual([7, 8, 7, 8, 7, 8]);
  for (const i of [0, 4, 8, 9])
    expect((await policy.sample(parameters, [requests()[i]!], { maxActions: 3 }))[0]!.row).toEqual(sampled[i]!.row);
  policy.dispose();
});

test("a continued row keeps its earlier actions and is the forward pass of the whole row", async () => {
  const { policy, parameters } = model(small);
  const from = { prompt: Int32Array.of(1, 2), actions: Int32Array.of(3, 0, 4) };
  const [s] = await policy.sample(parameters, [request("1 2", 0, from)], { maxActions: 5 });
  expect(s!.row.prompt).toEqual(from.prompt);
  expect(s!.row.actions.subarray(0, 3)).toEqual(from.actions);
  expect(s!.logProbs.length).toBe(5);
  expect(s!.completion).toBe(Array.from(s!.row.actions.subarray(3)).join(" "));
  const { logProbs } = await forward(policy, parameters, [s!.row], ["logProbs"]);
  s!.logProbs.forEach((x, j) => expect(Math.abs(x - logProbs![0]![3 + j]!)).toBeLessThan(1e-5));
});

test("greedy takes the most likely tokens whatever the stream", async () => {
  const { policy, parameters } = model(small);
  const [a, b] = await policy.sample(parameters, [request("1 2", 0), request("1 2", 1)], { maxActions: 10, temperature: 0 });
  expect(a!.row).toEqual(b!.row);
  expect(new Set(a!.logProbs)).toEqual(new Set([0]));
});

test("the base view of a model with adapters samples without them", async () => {
  const lora = { rank: 2, alpha: 4, targets: ["v_proj"] } as const;
  const policy = transformer(small, { tokenizer: numbers(6), lora });
  const all = scrambled(policy.init(0), 11);
  const parameters = Object.fromEntries(Object.entries(all).map(([name, tensor]) => [name, upload(tensor)]));
  const { policy: plain, parameters: without } = model(small);
  const draw = (of: TransformerPolicy, tensors: Parameters) => of.sample(tensors, [request("1 2", 0)], { maxActions: 20 });
  expect((await draw(policy.base!, parameters))[0]!.row).toEqual((await draw(plain, without))[0]!.row);
  expect((await draw(policy, parameters))[0]!.row).not.toEqual((await draw(plain, without))[0]!.row);
});

test("nothing leaks, also when the caller interrupts", async () => {
  const { policy, parameters } = model({ ...small, width: 64, hidden: 128, context: 40 });
  const requests = () => Array.from({ length: 9 }, (_, i) => request(`${i % 5} 1 2`, i));
  await expectNoLeak(() => policy.sample(parameters, requests(), { maxActions: 20, record: ["value"] }));
  await expectNoLeak(async () => {
    const abort = new AbortController();
    let draws = 0;
    const interrupting = requests().map((r) => ({
      ...r,
      rng: () => {
        if (++draws === 50) abort.abort();
        return r.rng();
      },
    }));
    await expect(policy.sample(parameters, interrupting, { maxActions: 20, signal: abort.signal })).rejects.toMatchObject({
      code: "interrupted",
    });
    expect(draws).toBe(54);
  });
  policy.dispose();
});

test("a model that has diverged is refused, and the answer named", async () => {
  const { policy, parameters } = model(small);
  const broken = { ...parameters, "lm_head.weight": upload({ shape: [6, 4], data: new Float32Array(24).fill(Number.NaN) }) };
  await expect(policy.sample(broken, [request("1 2", 0)], { maxActions: 2 })).rejects.toMatchObject({
    code: "non-finite",
    message: expect.stringContaining("Request 0 (task 1 2), answer token 0"),
  });
});

test("options that make no sense are refused", async () => {
  const { policy, parameters } = model({ ...small, valueHead: false });
  const sample = (options: SampleOptions) => policy.sample(parameters, [request("1", 0)], options);
  await expect(sample({ maxActions: 0 })).rejects.toThrow("maxActions");
  await expect(sample({ maxActions: 1, temperature: -1 })).rejects.toThrow("temperature");
  await expect(sample({ maxActions: 1, topK: 0.5 })).rejects.toThrow("topK");
  await expect(sample({ maxActions: 1, topP: 0 })).rejects.toThrow("topP");
  await expect(sample({ maxActions: 1, record: ["value"] })).rejects.toThrow('cannot record "value"');
  expect(await policy.sample(parameters, [], { maxActions: 1 })).toEqual([]);
  for (const tensor of Object.values(parameters)) expect(tensor).toBeInstanceOf(Tensor);
});
