import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { timed } from "../kit/crowding.ts";
import { client, rewards } from "./client.ts";

/** Answers come by the deadline and a second, which is longer where other tests take the processors. */
const within = (ms: number, crowd: number): number => ms + 1000 * crowd;

test.each([
  ["hang", "timeout"],
  ["exit", "threw"],
  ["throw", "threw"],
  ["never", "timeout"],
  ["null", "declined"],
  ["memory", "threw"],
])("a reward that answers %s costs its own row only", async (word, kind) => {
  const timeoutMs = word === "memory" ? 20_000 : 3000;
  const server = await client({ timeoutMs, ...(word === "memory" ? { memoryMiB: 256 } : {}) });
  const { result: scores, took, crowd } = await timed(() => server.score("obedient", ["1", "2", word, "3", "4"]));
  expect(took).toBeLessThan(within(timeoutMs, crowd));
  expect(scores.map(({ value }) => value)).toEqual([1, 2, null, 3, 4]);
  expect(scores[2]!.error!.kind).toBe(kind);
  expect((await server.score("obedient", ["5"]))[0]).toEqual({ value: 5 });
});

test("other requests that were scored together with one that kills the process are answered all the same", async () => {
  const server = await client({ timeoutMs: 8000, mergeMs: 50 });
  const answers = await Promise.all(["1", "exit", "2", "hang", "3", "4"].map((word) => server.score("obedient", [word])));
  expect(answers.map(([score]) => score!.value)).toEqual([1, null, 2, null, 3, 4]);
});

test("a throw right after the answer, which ends the process, costs no score", async () => {
  const lost: string[] = [];
  const server = await client({ onEvent: (sentence) => lost.push(sentence) });
  for (let losses = 1; losses <= 2; losses++) {
    expect(await server.score("obedient", ["crash next"])).toEqual([{ value: 7 }]);
    await expect.poll(() => lost.length).toBe(losses);
  }
  expect(await server.score("obedient", ["6"])).toEqual([{ value: 6 }]);
  expect(lost).toHaveLength(2);
});

test("under load, with a reward that hangs, throws and exits at random, every request gets one answer in the order of its rows", async () => {
  const timeoutMs = 2500;
  const server = await client({ timeoutMs });
  const outcomes = { scored: 0, lost: 0 };
  let slowest = 0;
  let next = 0;
  const callers = (): Promise<void>[] =>
    Array.from({ length: 12 }, async (_, caller) => {
      for (let i = 0; i < 20; i++) {
        const wanted = Array.from({ length: caller % 3 === 0 ? 8 : 1 }, () => next++);
        const started = performance.now();
        const scores = await server.score("chaotic", wanted.map(String));
        slowest = Math.max(slowest, performance.now() - started);
        expect(scores).toHaveLength(wanted.length);
        for (const [k, { value, error }] of scores.entries()) {
          if (value === null) expect(["timeout", "threw"]).toContain(error!.kind);
          else expect(value).toBe(wanted[k]);
          outcomes[value === null ? "lost" : "scored"]++;
        }
      }
    });
  const { crowd } = await timed(() => Promise.all(callers()));
  expect(slowest).toBeLessThan(within(timeoutMs, crowd));
  // What is lost is what was unlucky: 5 % by design, and those whose second try was unlucky as well.
  expect(outcomes.scored).toBeGreaterThan(4 * outcomes.lost);
  expect((await server.score("obedient", ["1"]))[0]).toEqual({ value: 1 });
  const { text } = await server.get("/metrics");
  expect(Number(/guerdon_lost_processes_total (\d+)/.exec(text)?.[1])).toBeGreaterThan(0);
});

test("a row that cannot even be handed over costs nobody else anything", async () => {
  const server = await client({ mergeMs: 30 });
  const deep = "[".repeat(50_000) + "]".repeat(50_000);
  const body = `{"reward":"obedient","rows":[{"prompt":"q","completion":"1"},{"prompt":"q","completion":"2","deep":${deep}},{"prompt":"q","completion":"3"}]}`;
  const [{ body: answered }, others] = await Promise.all([server.post("/v1/score", body), server.score("obedient", ["4"])]);
  expect(answered.scores!.map(({ value }) => value)).toEqual([1, null, 3]);
  expect(answered.scores![1]!.error!.message).toMatch(/cannot be handed to the reward/);
  expect(others).toEqual([{ value: 4 }]);
});

test("a file that can no longer be loaded is named when its rows time out", async () => {
  const path = join(mkdtempSync(join(tmpdir(), "guerdon-server-")), "reward.mts");
  onTestFinished(() => rmSync(dirname(path), { recursive: true, force: true }));
  writeFileSync(path, `export { obedient } from ${JSON.stringify(rewards)};`);
  const server = await client({ timeoutMs: 2500, processes: 1 }, path);
  expect(await server.score("obedient", ["1"])).toEqual([{ value: 1 }]);
  writeFileSync(path, "export const x = ;");
  await server.score("obedient", ["exit"]);
  await expect.poll(async () => (await server.get("/healthz")).status).toBe(503);
  const [score] = await server.score("obedient", ["1"]);
  expect(score!.error!.message).toMatch(/no process can be started \(.*reward\.mts:1/);
});

describe("ending", () => {
  test("what is under way is answered, then the server is gone", async () => {
    const server = await client();
    const under = server.score("obedient", ["sleep 400", "1"]);
    await expect.poll(async () => (await server.get("/healthz")).body["rows"]).toBe(1);
    const closed = server.close();
    expect((await under).map(({ value }) => value)).toEqual([1, 1]);
    await closed;
    await expect(server.score("obedient", ["1"])).rejects.toThrow();
  });

  test("rows that hang do not hold it up beyond their deadline", async () => {
    const server = await client({ timeoutMs: 500 });
    const under = server.score("obedient", ["hang"]);
    await expect.poll(async () => (await server.get("/healthz")).body["rows"]).toBe(1);
    const { took, crowd } = await timed(() => Promise.all([server.close(), under]));
    expect(took).toBeLessThan(within(500, crowd) + 1000);
    expect((await under)[0]!.error!.kind).toBe("timeout");
  });
});
