import { mkdtemp, readFile, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, describe, expect, test, vi } from "vitest";
import { anyTokenizer, hubTokenizer } from "../../src/policies/index.ts";
import { closedPort } from "../kit/closed-port.ts";
import { fakeServer, raw } from "./remote/server.ts";

const golden = join(import.meta.dirname, "../golden/tokenizer");

describe("a tokenizer of the hub", async () => {
  const cache = await mkdtemp(join(tmpdir(), "guerdon-hub-"));
  afterAll(() => rm(cache, { recursive: true }));
  afterEach(() => vi.unstubAllEnvs());

  /** A hub that has these files of the model org/small. */
  const hubWith = async (files: Readonly<Record<string, string>>, status = 404) => {
    const hub = await fakeServer();
    hub.always((response, request) => {
      const name = request.path.replace("/org/small/resolve/main/", "");
      (name in files ? raw(files[name]!) : raw("Entry not found", "text/plain", status))(response, request);
    });
    return hub;
  };

  test("is downloaded once and then read from the cache, without a network", async () => {
    const tokenizerJson = await readFile(join(golden, "tokenizer.json"), "utf8");
    const files = {
      "tokenizer.json": tokenizerJson,
      "generation_config.json": `{ "eos_token_id": 2 }`,
      "chat_template.jinja": "{{ messages[0].content }}",
    };
    vi.stubEnv("HF_TOKEN", "hf_a-secret-token");
    const hub = await hubWith(files);
    const first = await hubTokenizer("org/small", { cache, hub: hub.url });
    expect(first.end).toBe(2);
    expect([...first.encodePrompt([{ role: "user", content: "hello" }])]).toEqual([...first.encode("hello")]);
    expect(hub.seen.map(({ path }) => path.split("/").at(-1))).toEqual([
      "tokenizer_config.json",
      "chat_template.jinja",
      "generation_config.json",
      "config.json",
      "tokenizer.json",
    ]);
    expect(hub.seen[0]!.headers.authorization).toBe("Bearer hf_a-secret-token");
    await hub[Symbol.asyncDispose]();
    const second = await hubTokenizer("org/small", { cache, hub: hub.url });
    expect([...second.encode("hello")]).toEqual([...first.encode("hello")]);
    expect((await readdir(join(cache, "org--small", "main"))).sort()).toEqual(Object.keys(files).sort());
  });

  test("says what to do where it is neither in the cache nor to be had", async () => {
    await using gone = await closedPort();
    vi.stubEnv("HF_TOKEN", "hf_a-secret-token");
    const offline = await hubTokenizer("org/other", { cache, hub: gone.url }).catch((cause: unknown) => String(cause));
    expect(offline).toMatch(/The tokenizer of org\/other is not in .*org--other\/main, and http.*cannot be reached/);
    expect(offline).toMatch(/give the folder of a downloaded model/);
    expect(offline).not.toContain("secret");

    await using closed = await hubWith({}, 401);
    await expect(hubTokenizer("org/gated", { cache, hub: closed.url })).rejects.toThrow(/HTTP 401.*HF_TOKEN/);
    await using empty = await hubWith({});
    await expect(hubTokenizer("org/bare", { cache, hub: empty.url })).rejects.toThrow(/org\/bare on http.* has no tokenizer\.json/);
  });

  test("is told from a folder, and refuses what is neither", async () => {
    expect((await anyTokenizer(golden)).end).toBe(1);
    await expect(anyTokenizer("./no/such")).rejects.toThrow(/has no tokenizer\.json/);
    await expect(anyTokenizer("no-such")).rejects.toThrow(/has no tokenizer\.json/);
    await expect(hubTokenizer("../../etc/passwd", { cache })).rejects.toMatchObject({ code: "usage" });
    await expect(hubTokenizer("a/b", { cache, revision: "../x" })).rejects.toMatchObject({ code: "usage" });
  });
});
