import { inspect } from "node:util";
import { afterEach, describe, expect, test, vi } from "vitest";
import { failureOf } from "../../../src/policies/index.ts";
import { tinkerClient } from "../../../src/engines/tinker/client.ts";
import type { TinkerClientOptions } from "../../../src/engines/tinker/client.ts";
import { breaksOff, cut, fakeServer, hangsUp, json, page } from "../../policies/remote/server.ts";
import type { Behaviour, FakeServer } from "../../policies/remote/server.ts";

const key = "tml-a-very-secret-key";
const client = (server: FakeServer, options: Partial<TinkerClientOptions> = {}) =>
  tinkerClient({ baseUrl: server.url, apiKey: key, backoffMs: 1, ...options });
const taken = (id = "r1") => json({ request_id: id, future_id: id, status: "pending" });
const step = { model_id: "m", seq_id: 7, adam_params: { learning_rate: 0.1 } };
const done = json({ metrics: { grad_norm: 2 } });

afterEach(() => vi.unstubAllEnvs());

describe("a client of a training service", () => {
  test("hands in a request and asks for its result", async () => {
    await using server = await fakeServer(done);
    server.next(taken());
    const { result } = await client(server, { baseUrl: `${server.url}/` }).submit("optim_step", step);
    expect(await result()).toEqual({ metrics: { grad_norm: 2 } });
    expect(server.seen.map(({ path, body }) => [path, body])).toEqual([
      ["/api/v1/optim_step", step],
      ["/api/v1/retrieve_future", { request_id: "r1" }],
    ]);
    expect(server.seen[0]!.headers["x-api-key"]).toBe(key);
  });

  test("sends the same body again after dropped, cut and unreadable answers, 408, 429 and 5xx", async () => {
    await using server = await fakeServer(done);
    server.next(
      hangsUp,
      breaksOff,
      cut,
      page(502),
      json({ detail: "slow" }, 408),
      json({ detail: "later" }, 429),
      json({ detail: "oh" }, 500),
      taken(),
    );
    const { result } = await client(server).submit("optim_step", step);
    expect(server.seen.map(({ body }) => body)).toEqual(Array.from({ length: 8 }, () => step));
    server.next(hangsUp, json({ detail: "oh" }, 503), cut);
    expect(await result()).toEqual({ metrics: { grad_norm: 2 } });
  });

  test("asks for a result until it is there: 408 and try_again are no failures, however many there are", async () => {
    await using server = await fakeServer(done);
    const again = json({ type: "try_again", request_id: "r1", queue_state: "active" });
    server.next(taken(), ...Array.from({ length: 30 }, (_, i) => (i % 2 === 0 ? again : json({ detail: "not yet" }, 408))));
    const { result } = await client(server, { tries: 2 }).submit("optim_step", step);
    expect(await result()).toEqual({ metrics: { grad_norm: 2 } });
    expect(server.seen.length).toBe(32);
  });

  test("hands a request in again whose result was dropped", async () => {
    await using server = await fakeServer(done);
    server.next(taken("r1"), json({ detail: "gone" }, 410), taken("r2"));
    const { result } = await client(server).submit("optim_step", step);
    expect(await result()).toEqual({ metrics: { grad_norm: 2 } });
    expect(server.seen.map(({ body }) => body)).toEqual([step, { request_id: "r1" }, step, { request_id: "r2" }]);
  });

  test("gives up a request whose result is dropped again and again", async () => {
    await using server = await fakeServer((response, request) =>
      (request.path.endsWith("retrieve_future") ? json({ detail: "gone" }, 410) : taken())(response, request),
    );
    const { result } = await client(server, { tries: 3 }).submit("optim_step", step);
    await expect(result()).rejects.toThrow(/HTTP 410.*gone/);
    expect(server.seen.length).toBe(6);
  });

  test("does not repeat what the service refuses, and says its words", async () => {
    const words = "the learning rate is too high for a Tuesday";
    for (const [status, behaviour] of [
      [400, json({ detail: words }, 400)],
      [409, json({ detail: words }, 409)],
      [422, json({ detail: [{ msg: words }] }, 422)],
    ] as const) {
      await using server = await fakeServer(behaviour);
      const refused = await client(server)
        .submit("optim_step", step)
        .catch((cause: unknown) => cause);
      expect(refused).toMatchObject({ code: "io", message: expect.stringContaining(words) as string });
      expect(failureOf(refused)?.status).toBe(status);
      expect(server.seen.length).toBe(1);
    }
    for (const failure of [json({ detail: words }, 400), json({ error: words, category: "user" })]) {
      await using server = await fakeServer(failure);
      server.next(taken());
      const { result } = await client(server).submit("optim_step", step);
      await expect(result()).rejects.toThrow(words);
      expect(server.seen.length).toBe(2);
    }
  });

  test("names an answer that the protocol does not have, and a request that it does not", async () => {
    await using server = await fakeServer(json({ path: 5 }));
    server.next(taken());
    const { result } = await client(server, { tries: 1 }).submit("save_weights", { model_id: "m", path: "a" });
    await expect(result()).rejects.toThrow(/not as the protocol has it.*path/);
    await expect(client(server).submit("save_weights", { model_id: "m", path: "../a" })).rejects.toThrow(/save_weights.*letters/);
  });

  test("keeps the key out of errors, whatever the service says", async () => {
    await using server = await fakeServer(json({ detail: `the key ${key} is not known` }, 401));
    const made = client(server);
    const refused = await made.ask("get_info", { model_id: "m" }).catch((cause: unknown) => cause);
    expect(inspect(refused, { depth: 10 }) + inspect(made, { depth: 10, showHidden: true })).not.toContain("very-secret");
    expect(String(refused)).toMatch(/TINKER_API_KEY/);
  });

  test("takes the key from the environment", async () => {
    await using server = await fakeServer(json({ supported_models: [{ model_name: "small" }] }));
    const { apiKey: _, ...bare } = { baseUrl: server.url, apiKey: key };
    vi.stubEnv("TINKER_API_KEY", "tml-from-the-environment");
    expect(await tinkerClient(bare).models()).toEqual(["small"]);
    vi.stubEnv("TINKER_API_KEY", "");
    await tinkerClient(bare).models();
    expect(server.seen.map(({ headers }) => headers["x-api-key"])).toEqual(["tml-from-the-environment", undefined]);
    expect(() => client(server, { apiKey: { env: "NO_SUCH_KEY" } })).toThrow(/NO_SUCH_KEY/);
  });

  test("opens one session and gives signs of life, also while a long question is open", async () => {
    let answer = (): void => {};
    await using server = await fakeServer((response, request) => {
      const of: Record<string, Behaviour> = {
        create_session: json({ session_id: "s", type: "create_session" }),
        session_heartbeat: json({ type: "session_heartbeat" }),
        optim_step: taken(),
        retrieve_future: () => (answer = () => done(response, request)),
      };
      of[request.path.split("/").at(-1)!]!(response, request);
    });
    const made = client(server, { heartbeatMs: 5 });
    expect(await Promise.all([made.session(), made.session()])).toEqual(["s", "s"]);
    const { result } = await made.submit("optim_step", step);
    const waiting = result();
    await expect.poll(() => server.seen.filter(({ path }) => path.endsWith("session_heartbeat")).length).toBeGreaterThan(3);
    answer();
    await waiting;
    made.close();
    // What was on its way when it was closed may still arrive; then there are none, in the time of twenty.
    const arriving = async () => {
      const { length } = server.seen;
      await new Promise((resolve) => setTimeout(resolve, 100));
      return server.seen.length - length;
    };
    await expect.poll(arriving).toBe(0);
  });

  test("stops waiting when the signal is aborted", async () => {
    await using server = await fakeServer(json({ type: "try_again" }));
    server.next(taken());
    const { result } = await client(server).submit("optim_step", step);
    const stop = new AbortController();
    setTimeout(() => stop.abort(), 20);
    await expect(result(stop.signal)).rejects.toMatchObject({ code: "interrupted" });
  });
});
