import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { inTime, timed } from "../kit/crowding.ts";
import { client, rewards, sign, temporary } from "./client.ts";

/** Answers come by the deadline and a second, which is longer where other tests take the processors. */
const within =
  (ms: number) =>
  (crowd: number): number =>
    ms + 1000 * crowd;

/** What a test says that does not wait for the deadline: however slow the machine is, there is time to start processes anew. */
const ample = 120_000;

test.each([
  ["exit", "threw"],
  ["throw", "threw"],
  ["null", "declined"],
  ["memory", "threw"],
])("a reward that answers %s costs its own row only", async (word, kind) => {
  const server = await client({ timeoutMs: ample, ...(word === "memory" ? { memoryMiB: 256 } : {}) });
  const scores = await server.score("obedient", ["1", "2", word, "3", "4"]);
  expect(scores.map(({ value }) => value)).toEqual([1, 2, null, 3, 4]);
  expect(scores[2]!.error!.kind).toBe(kind);
  expect((await server.score("obedient", ["5"]))[0]).toEqual({ value: 5 });
});

// These wait for their deadline, which leaves time for the others to be scored again: at the same time, because they do nothing else.
test("a reward that hangs or never answers costs its own row only, and other requests that are scored together with it nothing", async () => {
  const timeoutMs = 16_000;
  const alone = async (word: string): Promise<void> => {
    const server = await client({ timeoutMs });
    const scores = await inTime(() => server.score("obedient", ["1", "2", word, "3", "4"]), within(timeoutMs));
    expect(scores.map(({ value }) => value)).toEqual([1, 2, null, 3, 4]);
    expect(scores[2]!.error!.kind).toBe("timeout");
    expect((await server.score("obedient", ["5"]))[0]).toEqual({ value: 5 });
  };
  const together = async (): Promise<void> => {
    const server = await client({ timeoutMs, mergeMs: 50 });
    const answers = await Promise.all(["1", "exit", "2", "hang", "3", "4"].map((word) => server.score("obedient", [word])));
    expect(answers.map(([score]) => score!.value)).toEqual([1, null, 2, null, 3, 4]);
  };
  await Promise.all([alone("hang"), alone("never"), together()]);
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

test("under load, with a reward that hangs, throws and exits, every request gets one answer, and only what always fails is lost", async () => {
  const timeoutMs = 20_000;
  const server = await client({ timeoutMs });
  const folder = temporary();
  let next = 0;
  /**
   * Rows, and what may become of each. One that ends its process, or hangs in it, does so only once, and is scored the second time; but it is
   * blamed when it was alone there, as when another one had ended the process before.
   */
  const fated = (): { readonly text: string; readonly may: readonly (number | string)[] } => {
    const n = next++;
    const once = (fate: string) => `${n} ${fate} ${join(folder, String(n))}`;
    if (n === 300) return { text: once("hang"), may: [n, "timeout"] };
    if (n % 70 === 37) return { text: once("exit"), may: [n, "threw"] };
    if (n % 33 === 7) return { text: `${n} throw`, may: ["threw"] };
    if (n % 400 === 250) return { text: `${n} never`, may: ["timeout"] };
    return { text: n % 4 === 0 ? `${n} later` : String(n), may: [n] };
  };
  let slowest = 0;
  const callers = (): Promise<void>[] =>
    Array.from({ length: 12 }, async (_, caller) => {
      for (let i = 0; i < 20; i++) {
        const wanted = Array.from({ length: caller % 3 === 0 ? 8 : 1 }, fated);
        const started = performance.now();
        const scores = await server.score(
          "unlucky",
          wanted.map(({ text }) => text),
        );
        slowest = Math.max(slowest, performance.now() - started);
        expect(scores).toHaveLength(wanted.length);
        for (const [k, { value, error }] of scores.entries()) expect(wanted[k]!.may).toContain(error?.kind ?? value);
      }
    });
  const began = performance.now();
  const { took, crowd } = await timed(() => Promise.all(callers()));
  const stood = performance.now() - began - took;
  expect(slowest - stood).toBeLessThan(within(timeoutMs)(crowd));
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
  const path = join(temporary(), "reward.mts");
  writeFileSync(path, `export { obedient } from ${JSON.stringify(rewards)};`);
  const said: string[] = [];
  const server = await client({ timeoutMs: 5000, processes: 1, onEvent: (sentence) => said.push(sentence) }, path);
  expect(await server.score("obedient", ["1"])).toEqual([{ value: 1 }]);
  writeFileSync(path, "export const x = ;");
  await server.score("obedient", ["exit"]);
  await expect.poll(() => said.join("\n")).toMatch(/reward\.mts:1/);
  expect((await server.get("/healthz")).status).toBe(503);
  const [score] = await server.score("obedient", ["1"]);
  expect(score!.error!.message).toMatch(/no process can be started \(.*reward\.mts:1/);
});

describe("ending", () => {
  test("what is under way is answered, then the server is gone", async () => {
    const server = await client();
    const go = sign();
    const under = server.score("obedient", [`wait ${go.path}`, "1"]);
    await expect.poll(async () => (await server.get("/healthz")).body["rows"]).toBe(1);
    const closed = server.close();
    go.give();
    expect((await under).map(({ value }) => value)).toEqual([1, 1]);
    await closed;
    await expect(server.score("obedient", ["1"])).rejects.toThrow();
  });

  test("rows that hang do not hold it up beyond their deadline", async () => {
    const server = await client({ timeoutMs: 500 });
    const begun = sign();
    const under = server.score("obedient", [`tell ${begun.path}`]);
    let isAnswered = false;
    void under.then(() => (isAnswered = true));
    await expect.poll(() => begun.isThere() || isAnswered, { interval: 5 }).toBe(true);
    const { took, crowd } = await timed(() => Promise.all([server.close(), under]));
    expect(took).toBeLessThan(within(500)(crowd) + 1000);
    expect((await under)[0]!.error!.kind).toBe("timeout");
  });
});
