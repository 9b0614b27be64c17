import { describe, expect, test } from "vitest";
import { openAi } from "../../src/policies/remote/client.ts";
import { probe } from "../../src/policies/remote/probe.ts";
import { choice, fails, fakeServer, json, logprobs, reply, says, type Behaviour } from "../policies/remote/server.ts";
import { guerdon } from "./guerdon.ts";

const models = json({ object: "list", data: [{ id: "small" }] });
/** A server that can do everything. */
const able: Behaviour = (response, request) => {
  const {
    n = 1,
    response_format,
    echo,
    logprobs: asked,
  } = request.body as { n?: number; response_format?: object; echo?: boolean; logprobs?: unknown };
  if (request.path.endsWith("/models")) return models(response, request);
  if (request.path.endsWith("/completions") && !request.path.includes("chat"))
    return json({
      choices: [
        {
          index: 0,
          text: echo ? "1 2 3 4" : " 4",
          logprobs: asked === undefined ? null : { tokens: ["1 2 3", " 4"], token_logprobs: [null, -1] },
        },
      ],
    })(response, request);
  if (response_format !== undefined) return says('{"probe": 4}')(response, request);
  const tokens = logprobs(["y", -0.1, { y: -0.1, n: -2, x: -3 }], ["es", 0, { es: 0 }]);
  return json(reply(Array.from({ length: n }, () => choice("yes", { logprobs: tokens }, { reasoning_content: "easy" }))))(
    response,
    request,
  );
};
/** A server that refuses, ignores or lacks all that it can. */
const poor: Behaviour = (response, request) => {
  if (!request.path.endsWith("/chat/completions")) return fails(404, "Not Found")(response, request);
  for (const field of ["seed", "response_format"])
    if (field in request.body) return fails(400, `unknown field: ${field}`)(response, request);
  return json(reply([choice("<think>hm</think>yes")], null))(response, request);
};

describe("a probe", () => {
  const found = async (behaviour: Behaviour) => {
    await using server = await fakeServer(behaviour);
    const result = await probe(openAi({ baseUrl: `${server.url}/v1`, model: "small", backoffMs: 1, tries: 2 }));
    return { ...result, requests: server.seen.length };
  };
  test("of a server that can do everything", async () => {
    expect(await found(able)).toMatchObject({
      models: ["small"],
      chat: true,
      n: "yes",
      seed: "accepted",
      logProbs: "yes",
      topLogProbs: 3,
      tokensSpellText: true,
      jsonSchema: "kept",
      reasoning: "field",
      limit: "max_tokens",
      usage: true,
      completions: true,
      echo: true,
      tokenPrompts: true,
      requests: 6,
    });
  });
  test("of a server that can do little", async () => {
    expect(await found(poor)).toMatchObject({
      models: null,
      chat: true,
      n: "ignored",
      seed: "refused",
      logProbs: "ignored",
      topLogProbs: 0,
      tokensSpellText: null,
      jsonSchema: "refused",
      reasoning: "tags",
      usage: false,
      completions: false,
      echo: false,
      tokenPrompts: false,
    });
  });
  test("of tokens that do not spell the text, and a schema that is not kept", async () => {
    const odd: Behaviour = (response, request) =>
      json(reply([choice("yes", { logprobs: logprobs(["▁yes", -0.1, {}]) })]))(response, request);
    expect(await found(odd)).toMatchObject({ tokensSpellText: false, jsonSchema: "ignored" });
  });
  test("of a server that answers nothing is its error", async () => {
    await expect(found(fails(401, "Who are you?"))).rejects.toThrow(/HTTP 401: Who are you\?/);
  });
});

describe("guerdon doctor --model", () => {
  test("prints what was found, with what it means", async () => {
    await using server = await fakeServer((response, request) => (request.path.endsWith("/models") ? models : poor)(response, request));
    const { status, out } = await guerdon(["doctor", "--model", `${server.url}/v1`], import.meta.dirname);
    expect(status).toBe(0);
    expect(out).toMatch(/small at http:\/\/127\.0\.0\.1:\d+\/v1/);
    expect(out).toMatch(/✓\s+.*chat completions\s+.*yes/);
    expect(out).toMatch(/-\s+.*seed\s+.*refused/);
    expect(out).toContain('judges need from: "answer" here');
  });
  test("with a key from the environment, which is not shown; several models need a name", async () => {
    process.env["GUERDON_TEST_KEY"] = "sk-live-DEADBEEF-0123456789";
    try {
      await using server = await fakeServer(json({ data: [{ id: "a" }, { id: "b" }] }));
      const many = await guerdon(["doctor", "--model", `${server.url}/v1`, "--key-env", "GUERDON_TEST_KEY"], import.meta.dirname);
      expect(many.status).toBe(2);
      expect(many.said).toContain("has 2 models: a, b. Choose one: --name <model>.");
      expect(server.seen[0]!.headers.authorization).toBe("Bearer sk-live-DEADBEEF-0123456789");
      server.always((response, request) => fails(401, `bad key ${String(request.headers.authorization)}`)(response, request));
      const refused = await guerdon(
        ["doctor", "--model", `${server.url}/v1`, "--name", "a", "--key-env", "GUERDON_TEST_KEY"],
        import.meta.dirname,
      );
      expect(refused.status).not.toBe(0);
      expect(refused.said).toContain("bad key Bearer [secret]");
      expect(refused.said + refused.out + many.said + many.out).not.toContain("DEADBEEF");
    } finally {
      delete process.env["GUERDON_TEST_KEY"];
    }
  });
  test("as JSON, and refused without the address", async () => {
    await using server = await fakeServer(able);
    const { status, out } = await guerdon(["doctor", "--model", `${server.url}/v1`, "--json"], import.meta.dirname);
    expect(status).toBe(0);
    expect(JSON.parse(out)).toMatchObject({ ok: true, model: "small", echo: true });
    expect((await guerdon(["doctor", "--name", "a"], import.meta.dirname)).said).toContain("--name needs --model <url>.");
  });
});
