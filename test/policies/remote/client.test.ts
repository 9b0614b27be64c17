import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect } from "node:util";
import { describe, expect, test, vi } from "vitest";
import { failureOf, openAi, type OpenAiOptions } from "../../../src/policies/remote/client.ts";
import {
  after,
  breaksOff,
  choice,
  cut,
  drips,
  endless,
  fails,
  fakeServer,
  hangsUp,
  json,
  logprobs,
  obeysN,
  page,
  raw,
  reply,
  says,
  silent,
  type Behaviour,
  type FakeServer,
} from "./server.ts";

const question = [{ role: "user", content: "2 + 2?" }] as const;
const client = (server: FakeServer, more: Partial<OpenAiOptions> = {}) =>
  openAi({ baseUrl: `${server.url}/v1`, model: "m", backoffMs: 4, ...more });

/** Goes on when it is so; turns of the event loop, not time. */
const turnsUntil = async (isSo: () => boolean): Promise<void> => {
  while (!isSo()) await new Promise(setImmediate);
};

/** Deadlines and pauses that pass when the test says so, however slow this machine is. */
async function withTime<T>(work: (passes: (milliseconds: number) => Promise<unknown>) => Promise<T>): Promise<T> {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  try {
    return await work((milliseconds) => vi.advanceTimersByTimeAsync(milliseconds));
  } finally {
    vi.useRealTimers();
  }
}
/** More than the first three pauses between tries. */
const pauseMs = 20;

const caught = async (work: Promise<unknown>): Promise<{ readonly error: Error; readonly failure: ReturnType<typeof failureOf> }> => {
  try {
    await work;
  } catch (error) {
    return { error: error as Error, failure: failureOf(error) };
  }
  throw new Error("it should have failed");
};

describe("a question", () => {
  test("is sent as the protocol has it, and read back", async () => {
    await using server = await fakeServer(
      json(
        reply([
          choice(
            "4",
            { logprobs: logprobs(["4", -0.1, { "4": -0.1, "5": -2.5 }]), token_ids: [19] },
            { reasoning_content: "two and two", refusal: null },
          ),
        ]),
      ),
    );
    const model = client(server, { apiKey: "sk-0123456789", headers: { "x-team": "red" } });
    const { samples, usage, without } = await model.chat(question, {
      temperature: 0,
      topP: 0.9,
      maxTokens: 5,
      stop: ["\n"],
      seed: 3,
      logProbs: 2,
      extra: { top_k: 4 },
      jsonSchema: { name: "answer", schema: { type: "string" } },
    });
    expect(samples).toEqual([
      {
        text: "4",
        reasoning: "two and two",
        refusal: null,
        stop: "stop",
        tokens: [
          {
            token: "4",
            logProb: -0.1,
            top: [
              { token: "4", logProb: -0.1 },
              { token: "5", logProb: -2.5 },
            ],
          },
        ],
        ids: [19],
        toolCalls: [],
      },
    ]);
    expect(without).toEqual([]);
    expect(usage).toMatchObject({ requests: 1, tries: 1, promptTokens: 10, completionTokens: 5, uncounted: 0, cost: null });
    const [seen] = server.seen;
    expect(seen).toMatchObject({ method: "POST", path: "/v1/chat/completions" });
    expect(seen!.headers).toMatchObject({ authorization: "Bearer sk-0123456789", "x-team": "red", "content-type": "application/json" });
    expect(seen!.body).toEqual({
      model: "m",
      messages: question,
      temperature: 0,
      top_p: 0.9,
      max_tokens: 5,
      stop: ["\n"],
      seed: 3,
      logprobs: true,
      top_logprobs: 2,
      top_k: 4,
      response_format: { type: "json_schema", json_schema: { name: "answer", strict: true, schema: { type: "string" } } },
    });
  });
  test("to the older endpoint takes text or token ids", async () => {
    await using server = await fakeServer(json({ choices: [{ index: 0, text: " 4", finish_reason: "length" }] }));
    const model = client(server);
    expect((await model.complete("2 + 2 =", { maxTokens: 1, logProbs: 1, echo: true })).samples[0]).toMatchObject({
      text: " 4",
      stop: "length",
      tokens: null,
    });
    await model.complete(Int32Array.from([5, 6]), { maxTokens: 1 });
    expect(server.seen.map(({ path, body }) => [path, body])).toEqual([
      ["/v1/completions", { model: "m", prompt: "2 + 2 =", max_tokens: 1, logprobs: 1, echo: true }],
      ["/v1/completions", { model: "m", prompt: [5, 6], max_tokens: 1 }],
    ]);
    expect(model.usage()).toMatchObject({ requests: 2, uncounted: 2, promptTokens: 0 });
  });
  test("gets its choices in the order of their index", async () => {
    await using server = await fakeServer(
      json({
        choices: [
          { ...choice("b"), index: 1 },
          { ...choice("c"), index: 2 },
          { ...choice("a"), index: 0 },
        ],
      }),
    );
    const { samples } = await client(server).chat(question, { n: 3 });
    expect(samples.map(({ text }) => text)).toEqual(["a", "b", "c"]);
  });
  test.each([
    ["length", "length"],
    ["content_filter", "filter"],
    ["tool_calls", "tool"],
    [null, "other"],
    ["eos", "other"],
  ])("finish_reason %s", async (finish_reason, stop) => {
    await using server = await fakeServer(json(reply([choice("4", { finish_reason })])));
    expect((await client(server).chat(question)).samples[0]!.stop).toBe(stop);
  });
  test("that is refused, answered with parts, or with a call of a tool", async () => {
    await using server = await fakeServer();
    server.next(
      json(reply([choice(null, {}, { refusal: "I can't." })])),
      json(
        reply([
          {
            ...choice(null),
            message: {
              role: "assistant",
              content: [
                { type: "text", text: "a" },
                { type: "text", text: "b" },
              ],
            },
          },
        ]),
      ),
      json(
        reply([
          choice(
            null,
            { finish_reason: "tool_calls" },
            { tool_calls: [{ type: "function", function: { name: "f", arguments: '{"x":1}' } }] },
          ),
        ]),
      ),
    );
    const model = client(server);
    const ask = async () => (await model.chat(question)).samples[0];
    expect(await ask()).toMatchObject({ text: "", refusal: "I can't." });
    expect(await ask()).toMatchObject({ text: "ab", refusal: null });
    expect(await ask()).toMatchObject({ stop: "tool", toolCalls: [{ name: "f", arguments: '{"x":1}' }] });
  });
});

describe("several samples", () => {
  const texts = async (server: FakeServer, seed?: number) => {
    const { samples } = await client(server).chat(question, { n: 3, ...(seed === undefined ? {} : { seed }) });
    return samples.map(({ text }) => text);
  };
  test("come in one request where the server knows n", async () => {
    await using server = await fakeServer(obeysN((i) => `${i}`));
    expect(await texts(server)).toEqual(["0", "1", "2"]);
    expect(server.seen).toHaveLength(1);
  });
  test("are asked for one by one where it ignores n, with other seeds, and it is asked for n only once", async () => {
    await using server = await fakeServer((response, request) => says(`seed ${String(request.body["seed"])}`)(response, request));
    const model = client(server);
    const ask = async () => (await model.chat(question, { n: 3, seed: 7 })).samples.map(({ text }) => text);
    expect(await ask()).toEqual(["seed 7", "seed 8", "seed 9"]);
    expect(await ask()).toEqual(["seed 7", "seed 8", "seed 9"]);
    expect(server.seen.map(({ body }) => body["n"])).toEqual([3, undefined, undefined, undefined, undefined, undefined]);
    expect(model.capabilities().n).toBe("ignored");
  });
  test("are asked for until there are enough, and no more are kept", async () => {
    await using server = await fakeServer(says("a", "b"));
    expect(await texts(server)).toEqual(["a", "b", "a"]);
    expect(server.seen.map(({ body }) => body["n"])).toEqual([3, undefined]);
  });
});

describe("what a server refuses is learned once", () => {
  const refuses =
    (field: string, then: Behaviour, status = 400): Behaviour =>
    (response, request) =>
      field in request.body
        ? fails(status, `Unsupported parameter: '${field}'.`, {}, { param: field })(response, request)
        : then(response, request);
  test("seed: left out, said, and never sent again", async () => {
    await using server = await fakeServer(refuses("seed", says("4")));
    const model = client(server);
    expect((await model.chat(question, { seed: 1 })).without).toEqual(["seed"]);
    expect((await model.chat(question, { seed: 1 })).without).toEqual(["seed"]);
    expect(server.seen.map(({ body }) => "seed" in body)).toEqual([true, false, false]);
    expect(model.capabilities().seed).toBe("refused");
  });
  test("log-probabilities, schema, n and the limit's name, one after the other", async () => {
    const server0 = refuses(
      "seed",
      refuses(
        "logprobs",
        refuses(
          "n",
          refuses(
            "response_format",
            refuses(
              "top_logprobs",
              obeysN(() => "4"),
            ),
          ),
          422,
        ),
      ),
    );
    await using server = await fakeServer((response, request) =>
      "max_tokens" in request.body
        ? fails(
            400,
            "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.",
            {},
            { param: "max_tokens" },
          )(response, request)
        : server0(response, request),
    );
    const model = client(server);
    const asked = { seed: 1, n: 2, logProbs: 5, maxTokens: 9, jsonSchema: { name: "x", schema: {} } };
    const { samples, without } = await model.chat(question, asked);
    expect(samples).toHaveLength(2);
    expect(without).toEqual(["seed", "logProbs", "jsonSchema"]);
    expect(server.seen.at(-1)!.body).toEqual({ model: "m", messages: question, max_completion_tokens: 9 });
    const before = server.seen.length;
    await model.chat(question, asked);
    expect(server.seen.length - before).toBe(2);
  });
  test("logprobs: null is no refusal: it is ignored, and said", async () => {
    await using server = await fakeServer(says("4"));
    const model = client(server);
    const { samples, without } = await model.chat(question, { logProbs: 5 });
    expect(samples[0]!.tokens).toBe(null);
    expect(without).toEqual(["logProbs"]);
    expect(model.capabilities().logProbs).toBe("ignored");
  });
  test("a refusal that leaving out does not cure teaches nothing", async () => {
    await using server = await fakeServer(fails(400, "The seed of all evil is this prompt."));
    const model = client(server);
    const { error, failure } = await caught(model.chat(question, { seed: 1 }));
    expect(error.message).toMatch(/\/v1\/chat\/completions answered HTTP 400: The seed of all evil is this prompt\./);
    expect(failure).toMatchObject({ kind: "status", status: 400 });
    expect(model.capabilities().seed).toBe("unknown");
    expect(server.seen).toHaveLength(2);
  });
});

describe("failures that may pass", () => {
  test.each<[string, Behaviour[]]>([
    ["HTTP 500, twice", [fails(500, "oops"), fails(500, "oops")]],
    ["HTTP 408, 409, 503", [fails(408, "slow"), fails(409, "busy"), fails(503, "starting")]],
    ["HTTP 429 with retry-after-ms", [fails(429, "slow down", { "retry-after-ms": "10" })]],
    ["HTTP 429 with retry-after: 0", [fails(429, "slow down", { "retry-after": "0" })]],
    ["HTTP 429 with a date in the past", [fails(429, "slow down", { "retry-after": "Thu, 19 Nov 2020 10:00:07 GMT" })]],
    ["HTTP 429 with nonsense", [fails(429, "slow down", { "retry-after": "later" })]],
    ["a web page with HTTP 502", [page(502)]],
    ["a web page with HTTP 200", [page(200)]],
    ["a hung-up connection", [hangsUp, hangsUp]],
    ["a connection that breaks off in the body", [breaksOff]],
    ["JSON that is cut", [cut]],
    ["an empty body", [raw("")]],
    ["JSON of another shape", [json({ hello: 1 }), json([]), json(null)]],
    ["an error with HTTP 200", [json({ error: { message: "overloaded" } })]],
    ["no choices", [json(reply([])), json(reply([]))]],
    ["a stream of events", [raw('data: {"choices": []}\n\n', "text/event-stream")]],
  ])("%s", async (_, behaviours) => {
    await using server = await fakeServer(says("4"));
    server.next(...behaviours);
    const { samples, usage } = await client(server).chat(question);
    expect(samples[0]!.text).toBe("4");
    expect(usage).toMatchObject({ requests: 1, tries: behaviours.length + 1 });
  });
  test("right JSON under a wrong content type is an answer", async () => {
    await using server = await fakeServer(raw(JSON.stringify(reply([choice("4")])), "text/plain"));
    expect((await client(server).chat(question)).usage.tries).toBe(1);
  });
  test("retry-after is waited for, by all requests of the client", async () => {
    await using server = await fakeServer(says("4"));
    const model = client(server, { concurrency: 1 });
    server.next(fails(429, "slow down", { "retry-after": "1" }));
    const start = performance.now();
    await Promise.all([model.chat(question), model.chat(question), model.chat(question)]);
    const [, ...later] = server.seen.map(({ at }) => at - start);
    for (const at of later) expect(at).toBeGreaterThan(990);
  });
  test("a storm of 429 is weathered by 20 questions", async () => {
    await using server = await fakeServer(says("4"));
    server.next(...Array.from({ length: 30 }, (_, i) => fails(429, "slow down", i % 2 === 0 ? {} : { "retry-after-ms": "5" })));
    const model = client(server, { tries: 12 });
    const answers = await Promise.all(Array.from({ length: 20 }, () => model.chat(question)));
    expect(answers).toHaveLength(20);
    expect(model.usage()).toMatchObject({ requests: 20, tries: 50 });
  });
  test("slow first byte and endless drip end at the deadline, then are tried again", async () => {
    await using server = await fakeServer(says("4"));
    await withTime(async (passes) => {
      server.next(silent, drips, after(500, says("late")));
      const answer = client(server, { timeoutMs: 200 }).chat(question);
      for (let tries = 1; tries <= 3; tries++) {
        await turnsUntil(() => server.seen.length === tries);
        await passes(200);
        await passes(pauseMs);
      }
      const { samples, usage } = await answer;
      expect([samples[0]!.text, usage.tries]).toEqual(["4", 4]);
      await passes(500);
    });
  });
});

describe("failures that stay", () => {
  const failing = async (behaviour: Behaviour, more: Partial<OpenAiOptions> = {}) => {
    await using server = await fakeServer(behaviour);
    const model = client(server, { tries: 3, ...more });
    const { error, failure } = await caught(model.chat(question));
    expect(model.usage().tries).toBe(server.seen.length);
    return { message: error.message, failure, tries: server.seen.length };
  };
  test.each<[string, Behaviour, Partial<OpenAiOptions>, object, RegExp]>([
    ["HTTP 500", fails(500, "oops"), {}, { kind: "status", status: 500, tries: 3 }, /answered HTTP 500: oops \(3 tries\)\./],
    ["HTTP 401", fails(401, "who?"), {}, { kind: "status", status: 401, tries: 1 }, /answered HTTP 401: who\?\./],
    ["HTTP 404", raw("Not Found", "text/plain", 404), {}, { status: 404, tries: 1 }, /HTTP 404: Not Found\./],
    [
      "a spent quota",
      fails(429, "You exceeded your current quota", {}, { code: "insufficient_quota" }),
      {},
      { status: 429, tries: 1 },
      /quota/,
    ],
    [
      "a pause that is too long",
      fails(429, "come back", { "retry-after": "3600" }),
      {},
      { status: 429, tries: 1 },
      /come back, and asks to wait 3600 s\./,
    ],
    ["a web page", page(502), {}, { status: 502, tries: 3 }, /HTTP 502: 502 Bad Gateway Bad gateway \(3 tries\)/],
    ["a web page with HTTP 200", page(200), {}, { kind: "reply", tries: 3 }, /what is not JSON \(text\/html\): 502 Bad Gateway/],
    ["a hung-up connection", hangsUp, {}, { kind: "connection", tries: 3 }, /dropped the connection/],
    ["a body that breaks off", breaksOff, {}, { kind: "connection", tries: 3 }, /dropped the connection before the reply was complete/],
    ["an endless body", endless, { maximumBytes: 1e6 }, { kind: "too-large", tries: 1 }, /sent more than 1,000,000 bytes/],
    [
      "a redirect",
      raw("", "text/plain", 307, { location: "http://elsewhere/v1?token=x" }),
      {},
      { status: 307, tries: 1 },
      /redirect.*: http:\/\/elsewhere\/v1\./,
    ],
    [
      "a validation error",
      json({ detail: [{ loc: ["body", "messages"], msg: "Field required" }] }, 422),
      {},
      { status: 422 },
      /HTTP 422: .*Field required/,
    ],
    ["terminal control characters", fails(400, "\u001b[2J\u202eevil"), {}, { status: 400 }, /HTTP 400: \[2J evil\./],
  ])("%s", async (_, behaviour, more, expected, message) => {
    const result = await failing(behaviour, more);
    expect(result.failure).toMatchObject(expected);
    expect(result.message).toMatch(message);
  });
  test.each<[string, Behaviour]>([
    ["silence", silent],
    ["drops for ever", drips],
  ])("%s", async (_, behaviour) => {
    await using server = await fakeServer(behaviour);
    await withTime(async (passes) => {
      const model = client(server, { tries: 3, timeoutMs: 300 });
      const failed = caught(model.chat(question));
      for (let tries = 1; tries <= 3; tries++) {
        await turnsUntil(() => server.seen.length === tries);
        await passes(300 - pauseMs - 1);
        expect(server.seen.length).toBe(tries);
        await passes(pauseMs + 1);
        await passes(pauseMs);
      }
      const { error, failure } = await failed;
      expect(failure).toMatchObject({ kind: "timeout", tries: 3 });
      expect(error.message).toMatch(/no whole answer within 300 ms \(3 tries\)/);
      expect([model.usage().tries, server.seen.length]).toEqual([3, 3]);
    });
  });
  test("nobody there", async () => {
    const { error, failure } = await caught(
      openAi({ baseUrl: "http://127.0.0.1:9/v1", model: "m", tries: 2, backoffMs: 1 }).chat(question),
    );
    expect(failure).toMatchObject({ kind: "connection", tries: 2 });
    expect(error.message).toMatch(/127\.0\.0\.1:9\/v1\/chat\/completions (refused the connection|dropped|bad port)/);
  });
  test("a huge reply is read when it is allowed", async () => {
    await using server = await fakeServer(says("x".repeat(5_000_000)));
    expect((await client(server).chat(question)).samples[0]!.text).toHaveLength(5_000_000);
  });
});

describe("an abort", () => {
  test.each<[string, Behaviour]>([
    ["while the server thinks", silent],
    ["during a pause", fails(429, "wait", { "retry-after": "60" })],
    ["in the middle of the body", drips],
  ])("%s ends the question at once", async (_, behaviour) => {
    await using server = await fakeServer();
    server.next(behaviour);
    const stop = new AbortController();
    let hasEnded = false;
    const asked = caught(client(server).chat(question, { signal: stop.signal })).finally(() => (hasEnded = true));
    await turnsUntil(() => server.seen.length === 1);
    // What is sent is read.
    await new Promise((resolve) => setTimeout(resolve, 40));
    expect(hasEnded).toBe(false);
    stop.abort();
    // At once is a few turns of the event loop: a clock would measure this machine as well.
    for (let turn = 0; turn < 10 && !hasEnded; turn++) await new Promise(setImmediate);
    expect(hasEnded).toBe(true);
    const { error, failure } = await asked;
    expect(failure!.kind).toBe("aborted");
    expect(error).toMatchObject({ code: "interrupted" });
  });
  test("before, or in the queue, sends nothing", async () => {
    await using server = await fakeServer(after(50, says("4")));
    const model = client(server, { concurrency: 1 });
    expect((await caught(model.chat(question, { signal: AbortSignal.abort() }))).failure!.kind).toBe("aborted");
    const stop = new AbortController();
    const first = model.chat(question);
    const second = caught(model.chat(question, { signal: stop.signal }));
    stop.abort();
    expect((await second).failure).toMatchObject({ kind: "aborted", tries: 0 });
    await first;
    expect(server.seen).toHaveLength(1);
  });
});

describe("limits", () => {
  test("no more requests are under way than allowed", async () => {
    let active = 0;
    let most = 0;
    const open: (() => void)[] = [];
    // Three are answered when they are there and a fourth has had its time to come.
    await using server = await fakeServer((response, request) => {
      most = Math.max(most, ++active);
      open.push(() => {
        active--;
        says("4")(response, request);
      });
      if (open.length === 3) setTimeout(() => open.splice(0).forEach((answer) => answer()), 10);
    });
    const model = client(server, { concurrency: 3 });
    await Promise.all(Array.from({ length: 12 }, () => model.chat(question)));
    expect(most).toBe(3);
  });
  test("requests a minute: the third of two waits, and an abort gets it out", async () => {
    await using server = await fakeServer();
    const model = client(server, { requestsPerMinute: 2 });
    await Promise.all([model.chat(question), model.chat(question)]);
    const { failure } = await caught(model.chat(question, { signal: AbortSignal.timeout(50) }));
    expect(failure!.kind).toBe("aborted");
    expect(server.seen).toHaveLength(2);
  });
  test("cost: tokens times price, and null when the server does not count", async () => {
    await using server = await fakeServer();
    const model = client(server, { price: { input: 2, output: 10 } });
    expect((await model.chat(question)).usage.cost).toBeCloseTo((10 * 2 + 5 * 10) / 1e6, 12);
    await model.chat(question);
    expect(model.usage().cost).toBeCloseTo((2 * (10 * 2 + 5 * 10)) / 1e6, 12);
    server.next(json(reply([choice("4")], null)));
    expect((await model.chat(question)).usage).toMatchObject({ cost: null, uncounted: 1 });
    expect(model.usage().cost).toBe(null);
  });
  test.each<[string, Partial<OpenAiOptions>, RegExp]>([
    ["an address that is none", { baseUrl: "localhost" }, /baseUrl/],
    ["a key in the address", { baseUrl: "http://u:hunter2hunter2@h/v1" }, /user name or password/],
    ["no tries", { tries: 0 }, /tries must be a whole number/],
    ["a negative limit", { requestsPerMinute: -1 }, /requestsPerMinute must be above 0/],
    ["a NaN", { timeoutMs: NaN }, /timeoutMs must be above 0/],
    ["a price", { price: { input: -1, output: 1 } }, /price needs/],
    ["a header that is none", { headers: { "x y": "hunter2hunter2" } }, /"x y" is no name of a header/],
    [
      "two keys",
      { apiKey: "hunter2hunter2", headers: { Authorization: "Basic hunter2hunter2" } },
      /"Authorization" is .*the one that apiKey is sent in/,
    ],
    ["no model", { model: "" }, /model must be/],
  ])("%s is refused", (_, more, message) => {
    const make = () => openAi({ baseUrl: "http://h/v1", model: "m", ...more });
    expect(make).toThrow(message);
    expect(make).not.toThrow(/hunter2/);
  });
});

test.each([
  [{ n: 0 }, /n must be/],
  [{ logProbs: 21 }, /logProbs must be/],
  [{ temperature: NaN }, /temperature must be/],
  [{ maxTokens: Infinity }, /maxTokens must be/],
  [{ topP: -1 }, /topP must be/],
])("the options %j are refused", async (options, message) => {
  await using server = await fakeServer();
  await expect(client(server).chat(question, options)).rejects.toThrow(message);
  expect(server.seen).toHaveLength(0);
});

describe("the cache", async () => {
  const withFolder = async (work: (folder: string) => Promise<void>) => {
    const folder = await mkdtemp(join(tmpdir(), "guerdon-replies-"));
    try {
      await work(folder);
    } finally {
      await rm(folder, { recursive: true });
    }
  };
  const filesIn = async (folder: string) =>
    (await readdir(folder, { recursive: true, withFileTypes: true }))
      .filter((one) => one.isFile())
      .map((one) => join(one.parentPath, one.name));

  test("answers the same question without the server, in another client too, and whatever the key", () =>
    withFolder(async (cache) => {
      let count = 0;
      await using server = await fakeServer(obeysN(() => `answer ${count++}`));
      const first = client(server, { cache, apiKey: "sk-first-key-0123456789", price: { input: 1, output: 1 } });
      const options = { n: 2, seed: 1, temperature: 1 };
      const one = await first.chat(question, options);
      const two = await client(server, { cache, apiKey: "sk-other-key-0123456789", price: { input: 1, output: 1 } }).chat(
        question,
        options,
      );
      expect(two.samples).toEqual(one.samples);
      expect(two.usage).toMatchObject({ requests: 0, cached: 1, tries: 0, cost: 0 });
      expect(server.seen).toHaveLength(1);
      for (const other of [
        { ...options, seed: 2 },
        { ...options, n: 1 },
        { ...options, temperature: 0.5 },
      ])
        await first.chat(question, other);
      await first.chat([{ role: "user", content: "2 + 3?" }], options);
      await client(server, { cache, model: "other" }).chat(question, options);
      expect(server.seen).toHaveLength(6);
    }));
  test("answers the same question, asked twice at the same time, once; unless the first to ask gives up", () =>
    withFolder(async (cache) => {
      let count = 0;
      await using server = await fakeServer((response, request) => after(30, says(`answer ${count++}`))(response, request));
      const model = client(server, { cache });
      const answers = await Promise.all(Array.from({ length: 5 }, () => model.chat(question)));
      expect(new Set(answers.map(({ samples }) => samples[0]!.text))).toEqual(new Set(["answer 0"]));
      expect(model.usage()).toMatchObject({ requests: 1, cached: 4, tries: 1 });
      const other = [{ role: "user", content: "2 + 9?" }] as const;
      const stop = new AbortController();
      server.next(silent);
      const first = caught(model.chat(other, { signal: stop.signal }));
      await turnsUntil(() => server.seen.length === 2);
      const second = model.chat(other);
      stop.abort();
      expect((await first).failure!.kind).toBe("aborted");
      expect((await second).samples[0]!.text).toMatch(/^answer/);
    }));
  test("does not keep failures, cut or filtered answers", () =>
    withFolder(async (cache) => {
      await using server = await fakeServer(fails(400, "no"));
      const model = client(server, { cache });
      await caught(model.chat(question));
      for (const finish_reason of ["length", "content_filter", null]) {
        server.next(json(reply([choice("4", { finish_reason })])));
        await model.chat(question);
      }
      expect(await filesIn(cache)).toEqual([]);
    }));
  test("a damaged file is asked for again and replaced", () =>
    withFolder(async (cache) => {
      await using server = await fakeServer(says("4"));
      const model = client(server, { cache });
      await model.chat(question);
      const [file] = await filesIn(cache);
      for (const damage of [
        "",
        "{",
        "null",
        '{"format":"guerdon reply","version":9,"samples":[]}',
        '{"format":"guerdon reply","version":1,"samples":[{}]}',
      ]) {
        await writeFile(file!, damage);
        expect((await model.chat(question)).usage.cached).toBe(0);
        expect((await model.chat(question)).usage.cached).toBe(1);
      }
    }));
  test("no key is in any file, error, printed object or log, even when the server repeats it", () =>
    withFolder(async (cache) => {
      const key = "sk-live-DEADBEEF-0123456789";
      const query = "query-key-0123456789abcdef";
      const said: string[] = [];
      const streams = [process.stdout, process.stderr] as const;
      const writes = streams.map((one) => one.write.bind(one));
      streams.forEach((one, i) => {
        one.write = ((chunk: string | Uint8Array, ...rest: never[]) => {
          said.push(String(chunk));
          return writes[i]!(chunk, ...rest);
        }) as typeof one.write;
      });
      try {
        const leaks: Behaviour = (response, request) =>
          json(reply([choice(`your key is ${String(request.headers.authorization)} ${request.path}`, {}, { reasoning_content: key })]))(
            response,
            request,
          );
        await using server = await fakeServer(leaks);
        const model = openAi({
          baseUrl: `${server.url}/v1?api-key=${query}`,
          model: "m",
          backoffMs: 1,
          tries: 2,
          cache,
          apiKey: key,
          headers: { "x-key": `${key}-2` },
        });
        const answer = await model.chat(question);
        expect(server.seen[0]!.headers.authorization).toBe(`Bearer ${key}`);
        expect(server.seen[0]!.path).toBe(`/v1/chat/completions?api-key=${query}`);
        said.push(inspect(answer, { depth: 9 }), inspect(model, { depth: 9, showHidden: true }), JSON.stringify(model));
        const leaky: Behaviour[] = [
          fails(401, `Incorrect API key provided: ${key}`),
          fails(400, `header ${key}-2 is bad`, {}, { param: key, code: key }),
          raw(`<html>${key}</html>`, "text/html", 500),
          raw(`key ${key}`, "text/plain", 200),
          raw("", "text/plain", 302, { location: `http://elsewhere/${key}` }),
          fails(400, `unknown query ${query}`),
        ];
        for (const behaviour of leaky) {
          server.always(behaviour);
          const { error, failure } = await caught(model.chat([{ role: "user", content: `again ${server.seen.length}` }]));
          said.push(error.message, error.stack ?? "", inspect(error, { depth: 9, showHidden: true }), JSON.stringify(failure));
        }
        for (const file of await filesIn(cache)) said.push(file, await readFile(file, "utf8"));
      } finally {
        streams.forEach((one, i) => (one.write = writes[i] as typeof one.write));
      }
      expect(said.length).toBeGreaterThan(20);
      for (const text of said) {
        expect(text).not.toContain("DEADBEEF");
        expect(text).not.toContain(query);
      }
    }));
});
