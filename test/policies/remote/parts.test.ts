import { inspect } from "node:util";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { adapted, nothingKnown, taught } from "../../../src/policies/remote/capabilities.ts";
import { limiter, type Clock } from "../../../src/policies/remote/limiter.ts";
import { readReply, splitThinking } from "../../../src/policies/remote/reply.ts";
import { backoff, retryAfter, worthRetrying } from "../../../src/policies/remote/retry.ts";
import { redactor, Secret, secret } from "../../../src/policies/remote/secret.ts";
import type { Failure } from "../../../src/policies/remote/transport.ts";
import { stream } from "../../../src/statistics/stream.ts";

describe("a secret", () => {
  const key = new Secret("sk-very-secret-1");
  test("does not show in any way of printing", () => {
    const error = new Error(`with ${String(key)}`, { cause: key });
    for (const text of [
      String(key),
      key + "",
      [key].join(),
      JSON.stringify({ key }),
      inspect({ key }, { depth: 9, showHidden: true }),
      inspect(error),
    ]) {
      expect(text).not.toContain("very-secret");
      expect(text).toContain("[secret]");
    }
    expect(key.reveal()).toBe("sk-very-secret-1");
  });
  test.each(["", " blank-before", "line-end\n", "header\r\nx: y", "ключ", "nul\u0000inside"])(
    "%j is refused without being quoted",
    (value) => {
      expect(() => new Secret(value)).toThrow(/cannot carry/);
      if (value.length > 1) expect(() => new Secret(value)).not.toThrow(value);
    },
  );
  test("comes from the environment by name", () => {
    process.env["GUERDON_TEST_KEY"] = "from-env\n";
    expect(secret({ env: "GUERDON_TEST_KEY" }).reveal()).toBe("from-env");
    delete process.env["GUERDON_TEST_KEY"];
    expect(() => secret({ env: "GUERDON_TEST_KEY" })).toThrow(/GUERDON_TEST_KEY.*is not set/);
  });
  test("is taken out of foreign text in every form, and out of JSON after it is parsed", () => {
    const odd = new Secret('se"cret/with+odd=parts');
    const { text, json } = redactor([key, odd]);
    expect(text("Incorrect API key: sk-very-secret-1.")).toBe("Incorrect API key: [secret].");
    expect(text(JSON.stringify({ a: odd.reveal() }))).toBe('{"a":"[secret]"}');
    expect(text(`?k=${encodeURIComponent(odd.reveal())}`)).toBe("?k=[secret]");
    const escaped = `{"a": "\\u0073k-very-secret-1", "b": [1, "x"]}`;
    expect(json(escaped)).toEqual({ a: "[secret]", b: [1, "x"] });
  });
  test("a stand-in such as EMPTY leaves answers alone", () => {
    const { text, json } = redactor([new Secret("EMPTY")]);
    expect(json('{"a": "the set is EMPTY"}')).toEqual({ a: "the set is EMPTY" });
    expect(text("key EMPTY")).toBe("key [secret]");
  });
});

describe("retry-after", () => {
  const of = (headers: Record<string, string>, now = Date.parse("2026-11-20T10:00:00Z")) => retryAfter(new Headers(headers), now);
  test.each([
    [{}, null],
    [{ "retry-after": "2" }, 2000],
    [{ "retry-after": " 0 " }, 0],
    [{ "retry-after": "1.5" }, 1500],
    [{ "retry-after-ms": "250", "retry-after": "9" }, 250],
    [{ "retry-after": "Fri, 20 Nov 2026 10:00:07 GMT" }, 7000],
    [{ "retry-after": "Friday, 20-Nov-26 10:00:07 GMT" }, 7000],
    [{ "retry-after": "Thu, 19 Nov 2026 10:00:07 GMT" }, 0],
    [{ "retry-after": "-5" }, null],
    [{ "retry-after": "soon" }, null],
    [{ "retry-after": "" }, null],
    [{ "retry-after": "Infinity" }, null],
  ])("%j", (headers, expected) => expect(of(headers)).toBe(expected));
  test("backoff doubles to 30 s, half of it random, the same for the same seed", () => {
    const pauses = (seed: number) => {
      const rng = stream(seed, "pauses");
      return Array.from({ length: 12 }, (_, i) => backoff(i + 1, 500, rng));
    };
    expect(pauses(1)).toEqual(pauses(1));
    expect(pauses(1)).not.toEqual(pauses(2));
    pauses(1).forEach((pause, i) => {
      const full = Math.min(500 * 2 ** i, 30_000);
      expect(pause).toBeGreaterThanOrEqual(full / 2);
      expect(pause).toBeLessThanOrEqual(full);
    });
  });
  test("which statuses may pass", () => {
    const again = [200, 301, 400, 401, 403, 404, 408, 409, 413, 422, 429, 500, 501, 502, 503, 504, 505, 529].filter((s) =>
      worthRetrying(s, null),
    );
    expect(again).toEqual([408, 409, 429, 500, 502, 503, 504, 529]);
    expect(worthRetrying(429, "insufficient_quota")).toBe(false);
  });
});

describe("the limiter", () => {
  /** A clock that jumps from alarm to alarm. */
  function fakeClock() {
    let time = 0;
    const alarms: { at: number; call: () => void }[] = [];
    const clock: Clock = { now: () => time, after: (wait, call) => void alarms.push({ at: time + wait, call }) };
    const run = async (until = Infinity) => {
      for (;;) {
        for (let i = 0; i < 10; i++) await Promise.resolve();
        alarms.sort((a, b) => a.at - b.at);
        if (alarms.length === 0 || alarms[0]!.at > until) return;
        const { at, call } = alarms.shift()!;
        time = Math.max(time, at);
        call();
      }
    };
    return { clock, run };
  }

  test("keeps every window of a minute, and first come first served", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ tokens: fc.integer({ min: 0, max: 60 }), takes: fc.integer({ min: 0, max: 40_000 }) }), { maxLength: 40 }),
        fc.integer({ min: 1, max: 4 }),
        fc.integer({ min: 1, max: 10 }),
        async (requests, concurrency, requestsPerMinute) => {
          const tokensPerMinute = 100;
          const { clock, run } = fakeClock();
          const { take } = limiter({ concurrency, requestsPerMinute, tokensPerMinute }, clock);
          const started: { at: number; tokens: number; who: number }[] = [];
          let active = 0;
          let most = 0;
          requests.forEach(({ tokens, takes }, who) => {
            void take(tokens).then((turn) => {
              started.push({ at: clock.now(), tokens, who });
              most = Math.max(most, ++active);
              clock.after(takes, () => {
                active--;
                turn!.end();
              });
            });
          });
          await run();
          expect(started.map(({ who }) => who)).toEqual(requests.map((_, i) => i));
          expect(most).toBeLessThanOrEqual(concurrency);
          for (const { at } of started) {
            const window = started.filter((one) => one.at > at - 60_000 && one.at <= at);
            expect(window.length).toBeLessThanOrEqual(requestsPerMinute);
            expect(window.reduce((sum, one) => sum + one.tokens, 0)).toBeLessThanOrEqual(tokensPerMinute);
          }
        },
      ),
      { numRuns: 60, seed: 1 },
    );
  });
  test("a request above the limit waits for an empty minute and then goes; the server's count replaces the estimate", async () => {
    const { clock, run } = fakeClock();
    const { take } = limiter({ concurrency: 9, requestsPerMinute: Infinity, tokensPerMinute: 100 }, clock);
    const times: number[] = [];
    const first = await take(80);
    first!.spent(10);
    void take(90).then(() => times.push(clock.now()));
    void take(500).then(() => times.push(clock.now()));
    await run();
    expect(times).toEqual([0, 60_000]);
  });
  test("an abort leaves the queue, a hold stops everyone", async () => {
    const { clock, run } = fakeClock();
    const { take, hold } = limiter({ concurrency: 1, requestsPerMinute: Infinity, tokensPerMinute: Infinity }, clock);
    const turn = await take(0);
    const stop = new AbortController();
    const gone = take(0, stop.signal);
    const next = take(0);
    stop.abort();
    expect(await gone).toBe(null);
    expect(await take(0, stop.signal)).toBe(null);
    hold(5000);
    turn!.end();
    turn!.end();
    let at = -1;
    void next.then(() => (at = clock.now()));
    await run();
    expect(at).toBe(5000);
  });
});

describe("what a refusal teaches", () => {
  const failure = (said: string, field: string | null = null, status = 400): Failure => ({
    kind: "status",
    message: "",
    said,
    field,
    status,
    tries: 1,
  });
  const sent = { n: 3, seed: 1, logprobs: true, top_logprobs: 20, response_format: {}, max_tokens: 5 };
  test.each<[string, string | null, unknown]>([
    [
      "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
      "max_tokens",
      { limit: "max_completion_tokens" },
    ],
    ["'max_tokens' or 'max_completion_tokens' is too large: 9000. This model's maximum context length is 4096 tokens", null, null],
    ["seed is not supported", null, { seed: "refused" }],
    ["Unrecognized request argument supplied", "seed", { seed: "refused" }],
    ["Requested sample logprobs of 20, which is greater than max allowed: 5", "top_logprobs", { topLogProbs: 5 }],
    ["top_logprobs must be at most 5", null, { topLogProbs: 5 }],
    ["logprobs are not available", null, { logProbs: "refused" }],
    ["response_format of type json_schema is unavailable", null, { jsonSchema: "refused" }],
    ["Only n = 1 is supported", null, { n: "refused" }],
    ["The model `m` does not exist", null, null],
    ["seedling is not a model", null, null],
  ])("%s", (said, field, expected) => expect(taught(failure(said, field), sent)).toEqual(expected));
  test("only of what was sent, and only from 400 and 422", () => {
    expect(taught(failure("seed is not supported"), { n: 2 })).toBe(null);
    expect(taught(failure("seed is not supported", null, 500), sent)).toBe(null);
    expect(taught(failure("seed is not supported", null, 422), sent)).toEqual({ seed: "refused" });
  });
  test("is left out from then on", () => {
    expect(adapted(sent, nothingKnown)).toEqual(sent);
    expect(
      adapted(
        { ...sent, n: 1 },
        { ...nothingKnown, seed: "refused", logProbs: "refused", jsonSchema: "refused", limit: "max_completion_tokens" },
      ),
    ).toEqual({
      max_completion_tokens: 5,
    });
    expect(adapted(sent, { ...nothingKnown, topLogProbs: 5 })).toEqual({ ...sent, top_logprobs: 5 });
    expect(adapted({ logprobs: 20 }, { ...nothingKnown, topLogProbs: 5 })).toEqual({ logprobs: 5 });
  });
});

describe("replies", () => {
  test.each([
    [null, /not an object/],
    [[], /not an object/],
    [{}, /no list of choices/],
    [{ choices: [] }, /empty list/],
    [{ choices: [{}] }, /neither a message nor a text in choice 1/],
    [{ choices: [{ message: { content: 4 } }] }, /choice 1/],
    [{ error: { message: "overloaded" } }, /holds an error: overloaded/],
  ])("%j is no reply", (body, problem) => {
    const read = readReply(body);
    expect("problem" in read && read.problem).toMatch(problem);
  });
  test("of the older endpoint, with an echoed prompt", () => {
    const read = readReply({
      choices: [
        {
          index: 0,
          text: "a b",
          finish_reason: "length",
          logprobs: {
            tokens: ["a", " b"],
            token_logprobs: [null, -0.5],
            top_logprobs: [null, { " b": -0.5, " c": -1 }],
            text_offset: [0, 1],
          },
        },
      ],
    });
    expect("value" in read && read.value.samples[0]).toMatchObject({
      text: "a b",
      stop: "length",
      tokens: [
        { token: "a", logProb: null, top: [] },
        {
          token: " b",
          logProb: -0.5,
          top: [
            { token: " b", logProb: -0.5 },
            { token: " c", logProb: -1 },
          ],
        },
      ],
    });
  });
  test("never throw on any JSON", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        readReply(value);
        readReply({ choices: value });
        readReply({ choices: [value] });
        readReply({ choices: [{ message: value, logprobs: value, token_ids: value }], usage: value });
        readReply({ choices: [{ text: "", logprobs: { tokens: value, token_logprobs: value, top_logprobs: value } }] });
        readReply({
          choices: [
            {
              message: { content: value, tool_calls: [value] },
              logprobs: { content: [value, { token: "a", logprob: -1, top_logprobs: value }] },
            },
          ],
        });
      }),
      { numRuns: 300, seed: 1 },
    );
  });
  test.each([
    ["4", null, "4"],
    ["<think>2+2</think>\n4", "2+2", "4"],
    ["2+2\n</think>\n\n4", "2+2", "4"],
    ["<think>2+2", "2+2", ""],
    ["a <think> b", null, "a <think> b"],
  ])("thinking in %j", (text, reasoning, rest) => expect(splitThinking(text)).toEqual({ reasoning, text: rest }));
});
