import { describe, expect, test } from "vitest";
import { mostEntries } from "../../../src/engines/tinker/lists.ts";
import { answers, requests } from "../../../src/engines/tinker/protocol.ts";

const many = <T>(value: T): T[] => Array.from<T>({ length: 100_000 }).fill(value);
const row = (tokens: unknown, weights: unknown = [1]) => ({
  model_input: { chunks: [{ tokens }] },
  loss_fn_inputs: { target_tokens: { data: [1] }, weights: { data: weights } },
});
const pass = (data: unknown, more = {}) => ({ model_id: "m", forward_input: { data, loss_fn: "cross_entropy", ...more } });

describe("of lists with any number of wrong entries one is told, so that no body fills the memory", () => {
  test.each([
    ["forward", pass(many({})), "forward_input.data", /more than 65536/],
    ["forward", pass(many({}).slice(0, mostEntries)), "forward_input.data.0.model_input", /expected object/],
    ["forward", pass([row([1]), row([1, ...many(-1)])]), "forward_input.data.1.model_input.chunks.0.tokens.1", /whole number from 0/],
    ["forward", pass([row([1], many("1"))]), "forward_input.data.0.loss_fn_inputs.weights.data.0", /a number/],
    ["forward", pass([row([1], [NaN])]), "forward_input.data.0.loss_fn_inputs.weights.data.0", /a number/],
    ["forward", pass([row([1.5])]), "forward_input.data.0.model_input.chunks.0.tokens.0", /whole number/],
    ["forward", pass([row({ length: 1 })]), "forward_input.data.0.model_input.chunks.0.tokens", /list/],
    ["forward", pass([], { loss_fn_config: Object.fromEntries(many("").entries()) }), "forward_input.loss_fn_config", /numbers by name/],
    ["forward", pass([], { loss_fn_config: [1] }), "forward_input.loss_fn_config", /numbers by name/],
    ["create_session", { tags: many(1), sdk_version: "" }, "tags.0", /a text/],
  ] as const)("%s", (call, body, path, message) => {
    const { error } = requests[call].safeParse(body);
    expect(error!.issues.map((issue) => issue.path.join("."))).toEqual([path]);
    expect(error!.issues[0]!.message).toMatch(message);
  });

  test("answers, too; null stands for what is not finite", () => {
    const output = (data: unknown) => ({ loss_fn_outputs: [{ logprobs: { data } }] });
    expect(answers.forward.safeParse(output(many("x"))).error!.issues.length).toBe(1);
    expect(answers.forward.parse(output([-1, null]))).toEqual(output([-1, null]));
    expect(answers.asample.safeParse({ sequences: many({}) }).error!.issues.length).toBe(1);
  });
});
