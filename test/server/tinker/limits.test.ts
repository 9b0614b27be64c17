import { randomUUID } from "node:crypto";
import { request } from "node:http";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { serveEngine } from "../../../src/server/index.ts";
import { backward, datum, folder, forward, open, step, type Client } from "./client.ts";
import { tinyModel } from "./model.ts";

const data = folder();
let tiny: Awaited<ReturnType<typeof tinyModel>>;
let server: Client;
beforeAll(async () => {
  tiny = await tinyModel();
  server = await open(tiny.folder, data.path, { maxBytes: 4096, maxWaiting: 3, maxModels: 12, maxSequences: 50, waitMs: 300 });
});
afterAll(async () => {
  await server.close();
  tiny.remove();
  data.remove();
});

const row = datum([5, 6, 7]);
/** A datum with parts replaced. */
const odd = (more: object) => ({ ...row, ...more });
const tensors = (more: object) => odd({ loss_fn_inputs: { ...row.loss_fn_inputs, ...more } });

describe("bodies that are not what they should be", () => {
  test.each([
    ["no JSON", "{", 400, "The body is not JSON."],
    ["a list", [], 422, /The body: .*expected object/],
    ["null", null, 422, /expected object/],
    ["no model", { forward_input: { data: [row], loss_fn: "cross_entropy" } }, 422, /^model_id: /],
    ["an unknown loss", forward("m", 1, [row], "hinge"), 422, /^forward_input\.loss_fn: /],
    [
      "tokens that are texts",
      forward("m", 1, [odd({ model_input: { chunks: [{ tokens: ["5"] }] } })]),
      422,
      /data\[0\]\.model_input\.chunks\[0\]\.tokens\[0\]/,
    ],
    [
      "an image",
      forward("m", 1, [odd({ model_input: { chunks: [{ type: "image", data: "", format: "png" }] } })]),
      422,
      /chunks\[0\]\.type/,
    ],
    ["a negative number", forward("m", -1, [row]), 422, /^seq_id/],
    ["number 0", forward("m", 0, [row]), 422, /^seq_id/],
    ["number 0 for a step", step("m", 0), 422, /^seq_id/],
    ["a learning rate below 0", step("m", 1, { learning_rate: -1 }), 422, /adam_params\.learning_rate/],
    ["a beta of 1", step("m", 1, { learning_rate: 1, beta1: 1 }), 422, /adam_params\.beta1/],
    ["too large a number", '{"model_id":"m","seq_id":1,"adam_params":{"learning_rate":1e999}}', 422, /learning_rate/],
  ])("%s", async (_, body, status, detail) => {
    const call =
      typeof body === "object" && body !== null && "adam_params" in body
        ? "optim_step"
        : typeof body === "string" && body.length > 1
          ? "optim_step"
          : "forward";
    const reply = await server.post(call, body);
    expect([reply.status, reply.body.detail]).toEqual([status, typeof detail === "string" ? detail : expect.stringMatching(detail)]);
  });

  test.each([
    ["no data", [], /data is empty/],
    ["no tokens", [odd({ model_input: { chunks: [] } })], /Datum 0: model_input has no tokens/],
    ["an id outside the vocabulary", [row, datum([5, 320, 6])], /Datum 1: model_input \[1\] is 320/],
    ["a target outside the vocabulary", [tensors({ target_tokens: { data: [6, 9999] } })], /Datum 0: target_tokens \[1\] is 9999/],
    ["more tokens than the context", [datum(Array.from({ length: 66 }, () => 5))], /context of 64/],
    ["fewer targets than inputs", [tensors({ target_tokens: { data: [6] } })], /target_tokens has the shape \[1\]/],
    ["several targets a position", [tensors({ target_tokens: { data: [6, 7], shape: [2, 1] } })], /shape \[2, 1\]/],
    ["fewer weights than inputs", [tensors({ weights: { data: [1] } })], /weights has the shape/],
    ["a weight beyond float32", [tensors({ weights: { data: [1, 1e300] } })], /weights\[1\] is 1e\+300, which is not a finite float32/],
    ["a null among weights", [tensors({ weights: { data: [1, null] } })], /weights/],
  ])("%s", async (_, rows, detail) => {
    const reply = await server.post("forward_backward", backward("m", 1, rows));
    expect([reply.status, reply.body.detail]).toEqual([422, expect.stringMatching(detail)]);
  });

  test("names that objects have of themselves are only names", async () => {
    const model = await server.adapter();
    const config = '{"__proto__": 5, "constructor": 1}';
    const body = JSON.stringify(backward(model, 1, [datum([5, 6], { advantages: [1], logprobs: [-5] })], "ppo")).replace(
      '"loss_fn":"ppo"',
      `"loss_fn":"ppo","loss_fn_config":${config}`,
    );
    const reply = await server.run("forward_backward", body);
    expect([reply.status, reply.body.detail]).toEqual([400, expect.stringMatching(/constructor|__proto__/)]);
    const session = await server.post(
      "create_session",
      '{"tags":[],"sdk_version":"x","user_metadata":{"__proto__":{"polluted":1}},"__proto__":{"polluted":1}}',
    );
    expect(session.status).toBe(200);
    expect(({} as { polluted?: number }).polluted).toBeUndefined();
  });

  test.each(["__proto__", "constructor", "../../etc/passwd", "x".repeat(5000).slice(0, 3000), "%2e%2e%2f"])(
    "a model called %s",
    async (id) => {
      const reply = await server.post("get_info", { model_id: id });
      expect(reply.status).toBe(404);
    },
  );
});

describe("names that lead elsewhere", () => {
  test.each(["../x", "a/b", "..", ".", "", "a\u0000b", "a b", "é", "a.b"])("a checkpoint called %j", async (path) => {
    const reply = await server.post("save_weights", { model_id: "m", seq_id: 1, path });
    expect([reply.status, reply.body.detail]).toEqual([422, expect.stringMatching(/^path: /)]);
    expect((await server.post("save_weights_for_sampler", { model_id: "m", seq_id: 1, path })).status).toBe(422);
  });

  test.each([
    "/etc/passwd",
    "file:///etc/passwd",
    "tinker://../weights/a",
    "tinker://x/weights/../../a",
    "tinker://00000000-0000-0000-0000-000000000000:train:0/weights/..",
    "tinker://00000000-0000-0000-0000-000000000000:train:0/other/a",
    "tinker://00000000-0000-0000-0000-000000000000:train:0/weights/a/b",
    "tinker://00000000-0000-0000-0000-000000000000:train:-1/weights/a",
    "tinker://00000000-0000-0000-0000-000000000000:train:../weights/a",
  ])("an address %j", async (path) => {
    const model = { model_id: "m", seq_id: 1 };
    expect((await server.post("load_weights", { ...model, path })).status).toBe(400);
    expect((await server.post("weights_info", { tinker_path: path })).status).toBe(400);
    const prompt = { chunks: [{ tokens: [5] }] };
    expect((await server.post("asample", { prompt, sampling_params: { max_tokens: 1 }, model_path: path })).status).toBe(400);
    const session_id = await server.session();
    expect((await server.post("create_sampling_session", { session_id, sampling_session_seq_id: 0, model_path: path })).status).toBe(400);
    expect((await server.post("load_weights", { session_id, model_seq_id: 0, path, optimizer: false })).status).toBe(400);
  });

  test("an address of a checkpoint that is not there", async () => {
    const path = "tinker://00000000-0000-0000-0000-000000000000:train:0/weights/a";
    expect((await server.post("weights_info", { tinker_path: path })).status).toBe(404);
    expect((await server.post("load_weights", { model_id: "m", seq_id: 1, path })).status).toBe(404);
  });
});

/** Of a checkpoint that is not there. */
const lifetimeOf = ({ url }: Client): string => `${url}/api/v1/training_runs/${randomUUID()}:train:0/checkpoints/weights/x/ttl`;

describe("who may ask", () => {
  test("the body's size and type", async () => {
    const large = await server.post("create_session", { tags: ["x".repeat(5000)], sdk_version: "" });
    expect([large.status, large.body.detail]).toEqual([413, expect.stringMatching(/4096 bytes/)]);
    const stream = new ReadableStream({
      start(controller) {
        for (let i = 0; i < 10; i++) controller.enqueue(new TextEncoder().encode(" ".repeat(1000)));
        controller.close();
      },
    });
    const unsaid = await fetch(`${server.url}/api/v1/create_session`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: stream,
      duplex: "half",
    } as RequestInit);
    expect(unsaid.status).toBe(413);
    // These a page of another site may post without asking first.
    for (const type of ["text/plain", "text/plain; application/json", "text/plain;application/x-protobuf", "multipart/form-data; json"])
      expect((await server.post("create_session", "{}", { "Content-Type": type })).status).toBe(415);
    expect((await server.post("create_session", "{}", { "Content-Type": "Application/JSON; charset=utf-8" })).status).toBe(200);
    expect((await server.post("create_session", "{}", { "Content-Encoding": "gzip" })).status).toBe(415);
    const put = (body: string, type = "application/json") =>
      fetch(lifetimeOf(server), { method: "PUT", headers: { "Content-Type": type }, body }).then(({ status }) => status);
    expect(await put(" ".repeat(5000))).toBe(413);
    expect(await put("{}", "text/plain")).toBe(415);
    expect(await put('{"ttl_seconds":3600}')).toBe(404);
    expect((await server.post("no_such_call", {})).status).toBe(404);
    expect((await server.get("create_session")).status).toBe(404);
  });

  test("without a key only by a name of this machine, so that a page of another site cannot come in by a name of its own", async () => {
    const status = (host: string) =>
      new Promise<number>((resolve, reject) => {
        const sent = request(`${server.url}/api/v1/get_server_capabilities`, { headers: { Host: host } }, (reply) => {
          reply.resume();
          resolve(reply.statusCode!);
        });
        sent.on("error", reject).end();
      });
    expect(await status("localhost:1234")).toBe(200);
    expect(await status("evil.example")).toBe(403);
    expect(await status("127.0.0.1.evil.example")).toBe(403);
  });

  test("with a key only with it; health is everybody's; the key is in no answer and no event", async () => {
    const key = "tml-a-secret";
    const store = folder();
    const keyed = await open(tiny.folder, store.path, { key });
    expect((await keyed.get("healthz")).status).toBe(200);
    for (const headers of [{}, { "X-API-Key": "tml-a-secreT" }, { "X-API-Key": "" }, { Authorization: "Bearer x" }]) {
      const reply = await keyed.get("get_server_capabilities", headers as Record<string, string>);
      expect(reply.status).toBe(401);
      expect(JSON.stringify(reply.body)).not.toContain("secret");
    }
    for (const method of ["DELETE", "PUT"]) expect((await fetch(lifetimeOf(keyed), { method })).status).toBe(401);
    expect((await fetch(lifetimeOf(keyed).replace(/\/ttl$/, ""), { method: "DELETE" })).status).toBe(401);
    expect((await keyed.get("get_server_capabilities", { "X-API-Key": key })).status).toBe(200);
    expect((await keyed.get("get_server_capabilities", { Authorization: `Bearer ${key}` })).status).toBe(200);
    expect(keyed.events.join()).not.toContain("secret");
    await keyed.close();
    store.remove();
  });

  test.each([
    [{ host: "0.0.0.0" }, /give a key/],
    [{ key: "" }, /key is empty/],
    [{ threads: 0 }, /threads must be a whole number from 1/],
    [{ maxBytes: 1.5 }, /maxBytes/],
  ])("options %o are refused", async (options, message) => {
    await expect(serveEngine(tiny.folder, { port: 0, data: data.path, ...options })).rejects.toThrow(message);
  });

  test("a folder that holds no model is said to be none", async () => {
    const store = folder();
    await expect(serveEngine(data.path, { port: 0, data: store.path })).rejects.toThrow(/has no config.json/);
    store.remove();
  });
});

describe("order", () => {
  const values = (reply: { body: { metrics?: Readonly<Record<string, number>> } }) => reply.body.metrics!["loss:sum"];

  test("requests run in the order of their numbers, whatever order they come in; each once", async () => {
    const model = await server.adapter();
    // The step comes first and waits for the pass that it follows.
    const late = await server.post("optim_step", step(model, 2));
    const third = await server.post("forward", forward(model, 3, [row]));
    expect((await server.post("retrieve_future", { request_id: late.body.request_id })).status).toBe(408);
    const first = await server.post("forward_backward", backward(model, 1, [row]));
    const [before, stepped, after] = [await server.result(first), await server.result(late), await server.result(third)];
    expect([before.status, stepped.status, after.status]).toEqual([200, 200, 200]);
    expect(values(after)!).toBeLessThan(values(before)!);

    // Sent again after a broken connection: the same future, and nothing runs twice.
    const again = await server.post("forward_backward", backward(model, 1, [row]));
    expect(again.body.request_id).toBe(first.body.request_id);
    expect(await server.result(again)).toMatchObject({ status: 200, body: before.body });
    const stepAgain = await server.post("optim_step", step(model, 2));
    expect(stepAgain.body.request_id).toBe(late.body.request_id);
    expect(values(await server.run("forward", forward(model, 4, [row])))).toBe(values(after));
    for (const other of [backward(model, 1, [datum([5, 6, 8])]), forward(model, 1, [row])]) {
      const reply = await server.post("forward_input" in other ? "forward" : "forward_backward", other);
      expect([reply.status, reply.body.detail]).toEqual([409, "Request 1 of this model was another one."]);
    }
  });

  test("health and signs of life are answered while numbers are computed", async () => {
    // The best of several: this thread may be held up for longer than the pass takes. Computed here, it would be done first each time.
    let answered = 0;
    for (let rank = 7; rank < 17 && answered < 6; rank++) {
      // A shape of its own: this pass is compiled, which takes longest.
      const model = await server.adapter({ rank, seed: 1 });
      const taken = await server.post("forward_backward", backward(model, 1, [row]));
      let isDone = false;
      const done = server.result(taken).then((reply) => {
        isDone = true;
        return reply;
      });
      let before = 0;
      for (let i = 0; i < 3; i++) {
        expect((await server.get("healthz")).status).toBe(200);
        expect((await server.post("session_heartbeat", { session_id: model.slice(0, 36) })).status).toBe(200);
        if (!isDone) before += 2;
      }
      answered = Math.max(answered, before);
      expect((await done).status).toBe(200);
      expect((await server.run("unload_model", { model_id: model })).status).toBe(200);
    }
    expect(answered).toBe(6);
  });

  test("a model is made once, however often it is asked for", async () => {
    const body = { session_id: await server.session(), model_seq_id: 3, base_model: "tiny", lora_config: { rank: 2 } };
    const [one, two] = [await server.post("create_model", body), await server.post("create_model", body)];
    expect(two.body).toEqual(one.body);
    expect((await server.post("create_model", { ...body, lora_config: { rank: 3 } })).status).toBe(409);
    expect((await server.post("create_model", { ...body, model_seq_id: 4, base_model: "other" })).status).toBe(400);
    expect((await server.post("create_model", { ...body, model_seq_id: 5, lora_config: null })).status).toBe(400);
    expect((await server.post("create_model", { ...body, model_seq_id: 5, lora_config: { rank: 5000 } })).status).toBe(422);
    expect((await server.post("create_model", { ...body, session_id: "nobody" })).status).toBe(404);
  });

  test("too many that wait are refused, and room comes back", async () => {
    const model = await server.adapter();
    const taken = await Promise.all([2, 3, 4].map((seq) => server.post("forward", forward(model, seq, [row]))));
    expect(taken.map(({ status }) => status)).toEqual([200, 200, 200]);
    const busy = await server.post("forward", forward(model, 5, [row]));
    expect([busy.status, busy.headers.get("retry-after")]).toEqual([429, "1"]);
    // Unloading ends those that wait for a request that never comes. Sent again before it is done, it is the same request.
    const unloads = await Promise.all([1, 2, 3].map(() => server.run("unload_model", { model_id: model })));
    expect(unloads.map(({ status }) => status)).toEqual([200, 200, 200]);
    const ended = await server.post("retrieve_future", { request_id: taken[0]!.body.request_id });
    expect([ended.status, ended.body.detail]).toEqual([400, expect.stringMatching(/unloaded/)]);
    const prompt = { chunks: [{ tokens: [5] }] };
    const many = await server.post("asample", { prompt, num_samples: 60, sampling_params: { max_tokens: 1 }, base_model: "tiny" });
    expect(many.status).toBe(429);
  });

  test("models in memory are bounded", async () => {
    const store = folder();
    const small = await open(tiny.folder, store.path, { maxModels: 1 });
    const model = await small.adapter();
    const session_id = await small.session();
    const second = { session_id, model_seq_id: 0, base_model: "tiny", lora_config: { rank: 2 } };
    expect((await small.post("create_model", second)).status).toBe(429);
    await small.run("unload_model", { model_id: model });
    expect((await small.run("create_model", second)).status).toBe(200);
    await small.close();
    store.remove();
  });

  test("what is not offered is refused and not left out", async () => {
    const sample = { prompt: { chunks: [{ tokens: [5] }] }, sampling_params: { max_tokens: 1 }, base_model: "tiny" };
    for (const more of [{ topk_sample_logprobs: 3 }, { prompt_alt_tokens_k: 1 }, { target_prompt_logprobs: { data: [1] } }]) {
      const reply = await server.post("asample", { ...sample, ...more });
      expect([reply.status, reply.body.detail]).toEqual([422, expect.stringMatching(/is not offered/)]);
    }
    expect((await server.post("asample", { ...sample, topk_sample_logprobs: 0 })).status).toBe(200);
    const model = { session_id: await server.session(), model_seq_id: 0, base_model: "tiny", lora_config: { rank: 2 } };
    expect((await server.post("create_model", { ...model, optimizer_config: { type: "dimuon" } })).status).toBe(422);
  });
});

/** Holds the clock by which the server measures what is old; only `passes` moves it. */
function heldClock(): { passes(milliseconds: number): void } {
  let now = performance.now();
  vi.spyOn(performance, "now").mockImplementation(() => now);
  return { passes: (milliseconds) => void (now += milliseconds) };
}
afterEach(() => vi.restoreAllMocks());

test("a result that nobody asked for is unknown; one that is no longer kept is gone", async () => {
  const store = folder();
  const clock = heldClock();
  const brief = await open(tiny.folder, store.path, { keepSeconds: 1 });
  const model = await brief.adapter();
  const taken = await brief.post("forward", forward(model, 1, [row]));
  expect((await brief.result(taken)).status).toBe(200);
  clock.passes(900);
  expect((await brief.post("retrieve_future", { request_id: taken.body.request_id })).status).toBe(200);
  expect((await brief.post("retrieve_future", { request_id: "nothing" })).status).toBe(404);
  expect((await brief.post("retrieve_future", { request_id: `${taken.body.request_id}9` })).status).toBe(404);
  clock.passes(200);
  await expect
    .poll(async () => (await brief.post("retrieve_future", { request_id: taken.body.request_id })).status, { interval: 200 })
    .toBe(410);
  // Sent again it would run twice: it is refused, so that nobody asks for ever.
  const again = await brief.post("forward", forward(model, 1, [row]));
  expect([again.status, again.body.detail]).toEqual([
    409,
    expect.stringMatching(/has run, and its result is no longer kept; the next number is 2/),
  ]);
  await brief.close();
  store.remove();
});

test("a session without a sign of life is over, and its models leave the memory", async () => {
  const store = folder();
  const clock = heldClock();
  const strict = await open(tiny.folder, store.path, { staleSeconds: 1 });
  const model = await strict.adapter();
  const session_id = model.slice(0, 36);
  // The server looks four times a second, by a timer.
  for (let i = 0; i < 8; i++) {
    clock.passes(900);
    await new Promise((resolve) => setTimeout(resolve, 260));
    expect((await strict.post("session_heartbeat", { session_id })).status).toBe(200);
  }
  clock.passes(1100);
  await expect.poll(async () => (await strict.get(`sessions/${session_id}`)).status, { interval: 400 }).toBe(410);
  expect((await strict.post("session_heartbeat", { session_id })).status).toBe(410);
  const reply = await strict.post("forward", forward(model, 1, [row]));
  expect([reply.status, reply.body.detail]).toEqual([404, expect.stringMatching(/no sign of life for 1 s/)]);
  await strict.close();
  store.remove();
});
