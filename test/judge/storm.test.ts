import { mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openAi } from "../../src/policies/remote/client.ts";
import { rubricJudge } from "../../src/rewards/judge/rubric.ts";
import { score } from "../../src/rewards/score.ts";
import { stream } from "../../src/statistics/stream.ts";
import { guerdon } from "../cli/guerdon.ts";
import { withEnough } from "../kit/crowding.ts";
import {
  breaksOff,
  choice,
  cut,
  drips,
  fails,
  fakeServer,
  hangsUp,
  json,
  page,
  raw,
  reply,
  says,
  silent,
  type Behaviour,
} from "../policies/remote/server.ts";

describe("a server that misbehaves at random", () => {
  const trouble: readonly Behaviour[] = [
    fails(429, "slow down"),
    fails(429, "slow down", { "retry-after-ms": "3" }),
    fails(500, "oops"),
    fails(400, "no"),
    page(502),
    page(200),
    hangsUp,
    breaksOff,
    cut,
    raw(""),
    json({}),
    json(reply([])),
    silent,
    drips,
    json(reply([choice(null, {}, { refusal: "no" })])),
    json(reply([choice('{"rating": 5}', { finish_reason: "length" })])),
    json(reply([choice("", { finish_reason: "content_filter" })])),
    says("I cannot say."),
    says('{"rating": 50}'),
    says('{"rating": 5} is what it asks for.'),
  ];
  test("gets right grades and nulls with a reason out of 300 rows, and never a wrong one", async () => {
    const storm = async (timeoutMs: number): Promise<number> => {
      // What a request meets depends on its row and on how many the row has sent before, not on who comes first.
      const sent = new Map<string, number>();
      await using server = await fakeServer((response, request) => {
        const messages = request.body["messages"] as { content: string }[];
        const [row] = /Row \d+/.exec(messages[1]!.content)!;
        const before = sent.get(row) ?? 0;
        sent.set(row, before + 1);
        const rng = stream(1, "storm", row, before);
        const behaviour = rng() < 0.5 ? trouble[Math.floor(rng() * trouble.length)]! : null;
        const rating = /the grade is (\d)/.exec(messages[1]!.content)![1];
        (behaviour ?? says(`{"reason": "", "rating": ${rating}}`))(response, request);
      });
      const model = openAi({ baseUrl: `${server.url}/v1`, model: "m", tries: 3, backoffMs: 1, timeoutMs, concurrency: 32 });
      const rows = Array.from({ length: 300 }, (_, i) => ({ prompt: `Row ${i}`, completion: `the grade is ${1 + (i % 5)}` }));
      const scores = await score(rubricJudge({ model, rubric: "r" }), rows, { concurrency: 32 });
      const graded = scores.filter(({ value }) => value !== null);
      scores.forEach(({ value, error }, i) => {
        if (value === null) expect(error!.message.length).toBeGreaterThan(10);
        else expect(value).toBe((i % 5) / 4);
      });
      // A request on a connection that has just been dropped is a try that no server sees.
      expect(model.usage().tries).toBeGreaterThanOrEqual(server.seen.length);
      return graded.length;
    };
    // Half of the requests fail; most failures pass on another try, where good replies come before the deadline that ends the silent ones.
    const graded = await withEnough([1000, 5000, 20_000], async (timeoutMs) => {
      const count = await storm(timeoutMs);
      return count > 150 ? count : null;
    });
    expect(graded).toBeGreaterThan(150);
    expect(graded).toBeLessThan(300);
  });
});

describe("a key, through the command line", () => {
  const key = "sk-live-DEADBEEF-0123456789";
  let folder = "";
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "guerdon-keys-"));
    await symlink(join(import.meta.dirname, "../../node_modules"), join(folder, "node_modules"));
  });
  afterAll(() => rm(folder, { recursive: true }));

  test("is in nothing that a run writes or says, though the server repeats it in every reply", async () => {
    let count = 0;
    await using server = await fakeServer((response, request) => {
      const said = String(request.headers.authorization);
      const behaviours: readonly Behaviour[] = [
        says(`{"reason": "the key is ${said}", "rating": 4}`),
        fails(401, `Incorrect API key provided: ${said}`),
        says(`no verdict but ${said}`),
        raw(`<html>${said}</html>`, "text/html", 400),
        json(reply([choice(null, {}, { refusal: `not with ${said}` })])),
      ];
      behaviours[count++ % behaviours.length]!(response, request);
    });
    const source = new URL("../../src/", import.meta.url).href;
    await writeFile(
      join(folder, "reward.ts"),
      `import { openAi } from "${source}policies/remote/client.ts";
import { rubricJudge } from "${source}rewards/judge/rubric.ts";
const model = openAi({ baseUrl: "${server.url}/v1", model: "m", apiKey: { env: "JUDGE_KEY" }, cache: "replies", tries: 1 });
export const polite = rubricJudge({ model, rubric: "Is it polite?" });
export const crash = () => { throw new Error(String(model)); };
`,
    );
    const rows = Array.from({ length: 20 }, (_, i) => JSON.stringify({ prompt: `Row ${i}`, completion: "Hello." }));
    await writeFile(join(folder, "in.jsonl"), `${rows.join("\n")}\n`);
    process.env["JUDGE_KEY"] = key;
    const talk: string[] = [];
    try {
      for (const words of [
        ["score", "in.jsonl", "--reward", "reward.ts#polite", "--out", "out.jsonl"],
        ["score", "in.jsonl", "--reward", "reward.ts#polite", "--json"],
      ]) {
        const { out, said } = await guerdon(words, folder);
        talk.push(out, said);
      }
    } finally {
      delete process.env["JUDGE_KEY"];
    }
    expect(server.seen[0]!.headers.authorization).toBe(`Bearer ${key}`);
    const written = await readFile(join(folder, "out.jsonl"), "utf8");
    expect(written.trim().split("\n")).toHaveLength(20);
    expect(written).toContain("[secret]");
    const files = (await readdir(folder, { recursive: true, withFileTypes: true })).filter((one) => one.isFile());
    for (const file of files) talk.push(await readFile(join(file.parentPath, file.name), "utf8"));
    expect(files.length).toBeGreaterThan(3);
    for (const text of talk) expect(text).not.toContain("DEADBEEF");
  });
});
