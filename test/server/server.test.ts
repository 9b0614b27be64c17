import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { serve } from "../../src/server/index.ts";
import { reward } from "../../src/index.ts";
import { client, open, rewards, sign, type Client } from "./client.ts";

/** For the tests that change no setting. */
let server: Client;
beforeAll(async () => {
  server = await open();
});
afterAll(() => server.close());

const row = (completion: unknown, more = {}) => ({ prompt: "What is 6 x 7?", completion, ...more });

describe("POST /v1/score", () => {
  test("scores rows in their order, with parts and reasons", async () => {
    const { status, body } = await server.post("/v1/score", {
      reward: "quality",
      rows: [row("42", { reference: "42" }), row("a very long way to say 42", { reference: "42" }), row("42")],
    });
    expect(status).toBe(200);
    expect(body.scores![0]).toEqual({ value: 1.5, parts: { right: 1, brief: 1 } });
    expect(body.scores![1]).toEqual({ value: 0, parts: { right: 0, brief: 0 } });
    expect(body.scores![2]!.parts).toEqual({ right: null, brief: 1 });
    expect(body["reward"]).toEqual({ name: "sum(right, brief)", version: expect.stringMatching(/^sum .+ [0-9a-f]{16}$/) });
  });

  test("the row reaches the reward as it was sent", async () => {
    const sent = {
      prompt: [{ role: "user", content: "hi" }],
      completion: [{ role: "assistant", content: "ho" }],
      tags: ["a", { b: null }],
      ü: "ß\u0000",
    };
    const { body } = await server.post("/v1/score", { reward: "seen", rows: [sent] });
    expect(JSON.parse(body.scores![0]!.note!)).toEqual({ ...sent, text: "ho" });
  });

  test.each([
    [{ rows: [row("a"), { prompt: "b" }] }, "rows[1].completion is missing.", 1, "completion"],
    [{ rows: [row("a"), row(7)] }, "rows[1].completion must be a string or a list of messages.", 1, "completion"],
    [
      { rows: [row([{ role: "bot", content: "x" }])] },
      "rows[0].completion[0].role must be system, user, assistant, tool or developer.",
      0,
      "completion.0.role",
    ],
    [
      { rows: [row([{ role: "user", content: 5 }])] },
      "rows[0].completion[0].content must be a string or a list of parts with a type.",
      0,
      "completion.0.content",
    ],
    [{ rows: ["x"] }, "rows[0] must be an object with prompt and completion.", 0, undefined],
    [{ rows: [row([])] }, "rows[0].completion must hold a message.", 0, "completion"],
    [{}, "rows is missing.", undefined, "rows"],
    [
      { rows: [], reward: "quallity" },
      'There is no reward "quallity" here. There is brief, obedient, quality, ranked, seen, sizes, unlucky.',
      undefined,
      "reward",
    ],
  ])("422 names row and field: %j", async (sent, message, at, field) => {
    const { status, body } = await server.post("/v1/score", sent);
    expect(status).toBe(422);
    expect(body.error).toMatchObject({ message, ...(at === undefined ? {} : { row: at }), ...(field === undefined ? {} : { field }) });
  });

  test("what is no JSON, or does not say so, is refused", async () => {
    expect((await server.post("/v1/score", "{rows")).body.error!.message).toBe("The body is not JSON.");
    expect((await server.post("/v1/score", "{}", { "Content-Type": "text/plain" })).status).toBe(415);
    expect((await server.get("/nowhere")).body.error!.message).toMatch(/There is no GET \/nowhere here/);
  });

  test("an event for each score as soon as it is there", async () => {
    const go = sign();
    const response = await fetch(`${server.url}/v1/score`, {
      method: "POST",
      headers: { "Content-Type": "application/json", Accept: "text/event-stream" },
      body: JSON.stringify({ reward: "obedient", rows: [`wait ${go.path}`, "2", "null"].map((completion) => row(completion)) }),
    });
    expect(response.headers.get("content-type")).toBe("text/event-stream");
    let text = "";
    for await (const piece of response.body!.pipeThrough(new TextDecoderStream())) {
      text += piece;
      // The first row is scored only after the events of the others have come.
      if (text.split("\n\n").length === 3) go.give();
    }
    const events = text
      .trim()
      .split("\n\n")
      .map((event) => /^event: (\w+)\ndata: (.*)$/.exec(event)!);
    expect(events.map(([, name]) => name)).toEqual(["score", "score", "score", "end"]);
    const scores = events.slice(0, 3).map(([, , data]) => JSON.parse(data!) as { index: number; value: number | null });
    expect(scores.map(({ index }) => index)).toEqual([1, 2, 0]);
    expect(scores.map(({ value }) => value)).toEqual([2, null, 1]);
    expect(JSON.parse(events[3]![2]!)).toMatchObject({ rows: 3, scored: 2 });
  });

  test("a reward of groups gets whole groups, and no group is torn by other requests", async () => {
    const server = await client({ mergeMs: 20 });
    const groups = await Promise.all([server.score("ranked", ["b", "a", "c"]), server.score("ranked", ["y", "x"])]);
    expect(groups.map((scores) => scores.map(({ value }) => value))).toEqual([
      [1, 0, 2],
      [1, 0],
    ]);
    const { body } = await server.post("/v1/score", {
      reward: "ranked",
      rows: ["b", "a", "a", "b"].map((completion, i) => ({ prompt: String(i % 2), completion })),
    });
    expect(body.scores!.map(({ value }) => value)).toEqual([1, 0, 0, 1]);
    const rows = [
      { prompt: "p", completion: "a" },
      { prompt: "p", completion: "b", group: { of: 1 } },
    ];
    const refused = await server.post("/v1/score", { reward: "ranked", rows });
    expect(refused.status).toBe(422);
    expect(refused.body.error).toMatchObject({
      row: 1,
      field: "group",
      message: expect.stringMatching(/group of rows\[1\] must be text or a number/),
    });
  });

  test("single rows that come at the same time are scored together", async () => {
    // They wait for each other for ten seconds, but no longer than until there are as many as may be.
    const server = await client({ mergeMs: 10_000, batch: 16, processes: 1 });
    const scores = await Promise.all(Array.from({ length: 16 }, () => server.score("sizes", ["x"])));
    expect(scores.map(([score]) => score!.value)).toEqual(Array.from({ length: 16 }, () => 16));
  });
});

describe("limits", () => {
  test("more rows or bytes than a request may have", async () => {
    const server = await client({ maxRows: 10, maxBytes: 2000 });
    expect((await server.post("/v1/score", { rows: Array.from({ length: 11 }, () => row("a")) })).body.error).toMatchObject({
      code: "too-many-rows",
    });
    expect((await server.post("/v1/score", { rows: [row("x".repeat(3000))] })).status).toBe(413);
    const chunks = new Blob([JSON.stringify({ rows: [row("x".repeat(3000))] })]).stream();
    const init = { method: "POST", body: chunks, duplex: "half", headers: { "Content-Type": "application/json" } } as RequestInit;
    expect((await fetch(`${server.url}/v1/score`, init)).status).toBe(413);
    expect((await server.score("brief", ["a"]))[0]).toEqual({ value: 1 });
  });

  test("a full queue is said at once, with the time to wait", async () => {
    const server = await client({ maxRows: 4 });
    const go = sign();
    const slow = server.score(
      "obedient",
      Array.from({ length: 3 }, () => `wait ${go.path}`),
    );
    await expect.poll(async () => (await server.get("/healthz")).body["rows"]).toBe(3);
    const refused = await server.post("/v1/score", { rows: [row("a"), row("b")] });
    expect([refused.status, refused.headers.get("retry-after"), refused.body.error!.code]).toEqual([429, "1", "busy"]);
    go.give();
    expect((await slow).map(({ value }) => value)).toEqual([1, 1, 1]);
  });

  test("options out of range", async () => {
    await expect(serve(rewards, { port: 70_000 })).rejects.toThrow("serve: port must be a whole number from 0 to 65535, not 70000.");
    await expect(serve(rewards, { batch: 0 })).rejects.toThrow("batch must be");
    await expect(
      serve(
        reward("r", () => 1),
        { watch: true },
      ),
    ).rejects.toThrow("watch needs a file");
    await expect(serve(rewards, { port: server.port })).rejects.toThrow(`Cannot listen at 127.0.0.1:${server.port}: the port is taken.`);
  });

  test("a file that cannot be served is said at the start", async () => {
    await expect(serve(`${rewards}#qualit`, { port: 0 })).rejects.toThrow(/has no export named qualit\. Did you mean quality\?/);
    await expect(serve("./nowhere.ts", { port: 0 })).rejects.toThrow(/there is no .\/nowhere\.ts/);
  });
});

describe("the token", () => {
  test("without it, or with another one, only the health is told", async () => {
    const server = await client({ token: "a long secret" });
    for (const headers of [{}, { Authorization: "Bearer a long secreT" }, { Authorization: "a long secret" }]) {
      const { status, headers: said, text } = await server.get("/v1/rewards", headers as Record<string, string>);
      expect([status, said.get("www-authenticate")]).toEqual([401, "Bearer"]);
      expect(text).not.toContain("secre");
    }
    expect((await server.post("/v1/score", { rows: [] })).status).toBe(401);
    expect((await server.get("/v1/rewards", { Authorization: "Bearer a long secret" })).status).toBe(200);
    expect((await server.get("/healthz")).status).toBe(200);
    expect((await server.get("/metrics", { Authorization: "Bearer a long secret" })).text).not.toContain("secret");
  });

  test("an address that others reach wants one", async () => {
    await expect(serve(rewards, { host: "0.0.0.0", port: 0 })).rejects.toThrow("0.0.0.0 can be reached from other machines: give a token");
    const open = await client({ host: "0.0.0.0", anonymous: true });
    expect(open.port).toBeGreaterThan(0);
  });
});

describe("POST /get_reward, as OpenRLHF calls it", () => {
  const ask = (query: unknown, prompts: unknown, labels?: unknown) => ({ query, prompts, ...(labels === undefined ? {} : { labels }) });

  test("the answer is the query without its prompt and its end tokens; the label is the reference", async () => {
    const prompt = "<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\n";
    const sent = ask([`${prompt}42<|im_end|>\n<|endoftext|><|endoftext|>`, `<s>${prompt}41</s>`], [prompt, prompt], ["42", "42"]);
    const { status, body } = await server.post("/get_reward?reward=quality", sent);
    expect(status).toBe(200);
    expect(body).toEqual({
      rewards: [1.5, 0.5],
      extra_logs: { unscorable: [0, 0], right: [1, 0], right_unscored: [0, 0], brief: [1, 1], brief_unscored: [0, 0] },
    });
  });

  test("three empty lists are answered with the same keys", async () => {
    const { status, body } = await server.post("/get_reward?reward=quality", ask([], [], []));
    expect(status).toBe(200);
    expect(body).toEqual({ rewards: [], extra_logs: { unscorable: [], right: [], right_unscored: [], brief: [], brief_unscored: [] } });
    expect((await server.post("/get_reward?reward=ranked", ask([], [], []))).status).toBe(200);
  });

  test("a part that has no score is a number all the same, and marked", async () => {
    const { body } = await server.post("/get_reward?reward=quality", ask(["q42"], ["q"], [null]));
    expect(body["extra_logs"]).toEqual({ unscorable: [0], right: [0], right_unscored: [1], brief: [1], brief_unscored: [0] });
  });

  test("a query that does not begin with its prompt scores nothing", async () => {
    const server = await client({ unscorable: 0 });
    const { status, body } = await server.post("/get_reward", ask(["qa", "za"], ["q", "q"], [null, null]));
    expect(status).toBe(422);
    expect(body.error).toMatchObject({
      row: 1,
      field: "query",
      message: expect.stringContaining("does not begin with its prompt") as string,
    });
    expect((await server.post("/get_reward", ask(["qa"], [], []))).body.error!.message).toBe(
      "prompts has 0 entries and query has 1; they must be equally long.",
    );
    expect((await server.post("/get_reward", ask("qa", ["q"]))).body.error!.message).toBe("query must be a list of strings.");
  });

  test("an answer without a score fails the request, or counts as 0 when that was said", async () => {
    const sent = ask(["q1", "qnull"], ["q", "q"], [null, null]);
    const failing = await server.post("/get_reward?reward=obedient", sent);
    expect([failing.status, failing.body.error!.code, failing.body.error!.row]).toEqual([503, "unscorable", 1]);
    const zero = await (await client({ unscorable: 0 })).post("/get_reward?reward=obedient", sent);
    expect(zero.body).toEqual({ rewards: [1, 0], extra_logs: { unscorable: [0, 1] } });
  });

  test("a reward that compares answers is refused: here they come one by one", async () => {
    expect((await server.post("/get_reward?reward=ranked", ask(["qa"], ["q"], [null]))).body.error!.code).toBe("needs-groups");
  });
});

test("POST /classify has vLLM's shape and scores the last assistant's turn", async () => {
  const chat = "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n7<|im_end|>\n";
  const { body } = await server.post("/classify", {
    model: "obedient",
    input: [chat, "8", "<|start_header_id|>assistant<|end_header_id|>\n\n9<|eot_id|>"],
    activation: false,
  });
  expect(body).toMatchObject({ object: "list", model: "obedient", id: expect.stringMatching(/^classify-/) as string });
  expect((body["data"] as unknown as { probs: number[]; num_classes: number }[]).map(({ probs }) => probs)).toEqual([[7], [8], [9]]);
});

test("what the server offers, its health, its metrics and its description", async () => {
  const fresh = await client();
  await fresh.score("obedient", ["1", "2", "null"]);
  const offered = (await server.get("/v1/rewards")).body["rewards"] as unknown as { name: string; default: boolean; scope: string }[];
  expect(offered.find((one) => one.default)?.name).toBe("brief");
  expect(offered.find(({ name }) => name === "ranked")?.scope).toBe("group");
  expect((await server.get("/healthz")).body).toMatchObject({ status: "ok", rows: 0 });
  const { text, headers } = await fresh.get("/metrics");
  expect(headers.get("content-type")).toContain("text/plain; version=0.0.4");
  expect(text).toContain('guerdon_rows_total{reward="obedient",outcome="scored"} 2\n');
  expect(text).toContain('guerdon_rows_total{reward="obedient",outcome="declined"} 1\n');
  expect(text).toContain('guerdon_score_sum{reward="obedient"} 3\n');
  expect(text).toMatch(/guerdon_request_seconds_bucket\{route="\/v1\/score",le="\+Inf"\} 1\n/);
  for (const line of text.trim().split("\n")) expect(line).toMatch(/^(# (HELP|TYPE) \w+ .+|\w+(\{(\w+="[^"]*",?)+\})? -?[\d.e+-]+)$/);
  const described = await server.get("/openapi.json");
  const { openapi, paths, components } = described.body as unknown as Record<string, never> & {
    components: { schemas: Record<string, unknown> };
  };
  expect(openapi).toBe("3.1.0");
  expect(Object.keys(paths!)).toEqual(["/v1/score", "/get_reward", "/classify", "/v1/rewards", "/healthz", "/metrics"]);
  const references = [...described.text.matchAll(/"#\/components\/schemas\/(\w+)"/g)].map(([, name]) => name!);
  expect(new Set(references)).toEqual(new Set(Object.keys(components.schemas)));
  expect(components.schemas["Row"]).toMatchObject({ type: "object", required: ["prompt", "completion"], additionalProperties: {} });
});

test("a reward given as an object is scored in this thread, by the same routes", async () => {
  const server = await client(
    { timeoutMs: 2000 },
    reward("length", ({ text }) => (text === "never" ? new Promise<number>(() => undefined) : text.length)),
  );
  const scores = await server.score("length", ["abc", "never", "a"]);
  expect(scores.map(({ value }) => value)).toEqual([3, null, 1]);
  expect(scores[1]!.error!.kind).toBe("timeout");
});
