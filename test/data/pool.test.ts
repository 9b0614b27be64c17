import { spawn } from "node:child_process";
import { afterAll, describe, expect, it } from "vitest";
import { pool, thisHost, type Pool } from "../../src/data/index.ts";
import { inTime } from "../kit/crowding.ts";
import { alive } from "../kit/process.ts";

type Job = { do: string; n?: number };
const module = new URL("./peer-child.ts", import.meta.url);
const host = await thisHost();
const open: Pool<Job, unknown>[] = [];
const make = (kind: "worker" | "process", size = 1): Pool<Job, unknown> => {
  const made = pool<Job, unknown>({ start: () => host.start(module, { kind, ...(kind === "process" ? { memoryMiB: 300 } : {}) }), size });
  open.push(made);
  return made;
};
afterAll(() => Promise.all(open.map((one) => one.close())));

/** What a job is given that ends by itself: nobody waits for it, however slow the machine is. */
const ample = { timeoutMs: 60_000 };

describe.each(["worker", "process"] as const)("a pool of peers, each a %s", (kind) => {
  it("answers jobs, passes on a throw, and survives hangs and exits", async () => {
    const peers = make(kind);
    expect(await peers.run({ do: "echo", n: 1 }, ample)).toEqual({ kind: "done", value: 1 });
    expect(await peers.run({ do: "throw" }, ample)).toEqual({ kind: "threw", reason: "as asked" });
    const hung = await inTime(
      async () => {
        await peers.warm();
        return peers.run({ do: "hang" }, { timeoutMs: 200 });
      },
      (crowd) => 200 + 1800 * crowd,
    );
    expect(hung).toEqual({ kind: "timeout", reason: "it took longer than 200 ms" });
    expect(await peers.run({ do: "exit" }, ample)).toEqual({ kind: "ended", reason: "it exited with code 3" });
    expect(await peers.run({ do: "echo", n: 2 }, ample)).toEqual({ kind: "done", value: 2 });
    expect(await peers.run({ do: "environment" }, ample)).toEqual({ kind: "done", value: [] });
  });

  it("ends waiting and running jobs when they are cancelled", async () => {
    const peers = make(kind);
    const stop = new AbortController();
    const running = peers.run({ do: "hang" }, { ...ample, signal: stop.signal });
    const waiting = peers.run({ do: "echo" }, { ...ample, signal: stop.signal });
    await peers.warm(1);
    stop.abort();
    expect((await running).kind).toBe("aborted");
    expect((await waiting).kind).toBe("aborted");
    expect(await peers.run({ do: "echo", n: 3 }, ample)).toEqual({ kind: "done", value: 3 });
  });
});

it("loses no job to a peer that cannot be started while another one starts", async () => {
  let starts = 0;
  const start = (): ReturnType<typeof host.start> => {
    if (starts++ === 0) return Promise.reject(new Error("no room"));
    return host.start(module, { kind: "worker" });
  };
  const peers = pool<Job, unknown>({ start, size: 2 });
  open.push(peers);
  const jobs = [1, 2].map((n) => peers.run({ do: "echo", n }, ample));
  expect(await Promise.all(jobs)).toEqual([1, 2].map((value) => ({ kind: "done", value })));
  const none = pool<Job, unknown>({ start: () => Promise.reject(new Error("no room")), size: 2 });
  expect(await none.run({ do: "echo" }, ample)).toEqual({ kind: "start", reason: "no room" });
  await expect(none.warm()).rejects.toThrow(/of 2 peers could be started: no room/);
});

describe("peer processes", () => {
  it("are ended when they hold too much memory, and killed ones are gone when the outcome arrives", async () => {
    const peers = make("process");
    await peers.warm();
    const [first] = peers.pids();
    expect(await peers.run({ do: "grow" }, ample)).toEqual({
      kind: "memory",
      reason: "it used more than 300 MiB of memory",
    });
    await peers.warm();
    const [second] = peers.pids();
    expect((await peers.run({ do: "hang" }, { timeoutMs: 100 })).kind).toBe("timeout");
    expect([first!, second!].map(alive)).toEqual([false, false]);
    await peers.warm();
    const third = peers.pids();
    await peers.close();
    expect(third.map(alive)).toEqual([false]);
    expect((await peers.run({ do: "echo" }, { timeoutMs: 100 })).kind).toBe("aborted");
  });

  it("end when their parent is killed, even one that never yields", async () => {
    const source = `const { pool, thisHost } = await import(${JSON.stringify(new URL("../../src/data/index.ts", import.meta.url).href)});
      const host = await thisHost();
      const peers = pool({ start: () => host.start(new URL(${JSON.stringify(module.href)}), { kind: "process" }), size: 1 });
      await peers.warm();
      void peers.run({ do: "hang" }, { timeoutMs: 60_000 });
      console.log(peers.pids()[0]);`;
    const parent = spawn(process.execPath, ["--conditions=guerdon-source", "--input-type=module", "-e", source]);
    const pid = await new Promise<number>((resolve) => parent.stdout.once("data", (text: Buffer) => resolve(Number(text.toString()))));
    expect(alive(pid)).toBe(true);
    parent.kill("SIGKILL");
    await expect.poll(() => alive(pid)).toBe(false);
  });

  it("say why they could not be started", async () => {
    const broken = pool<Job, unknown>({ start: () => host.start(new URL("./absent.ts", import.meta.url), { kind: "process" }), size: 1 });
    const outcome = await broken.run({ do: "echo" }, { timeoutMs: 100 });
    expect(outcome.kind).toBe("start");
    await expect(broken.warm()).rejects.toThrow(/There is no module .*absent\.ts to start/);
  });

  it("do not keep a finished process alive", async () => {
    const source = `const { pool, thisHost } = await import(${JSON.stringify(new URL("../../src/data/index.ts", import.meta.url).href)});
      const host = await thisHost();
      for (const kind of ["process", "worker"]) {
        const peers = pool({ start: () => host.start(new URL(${JSON.stringify(module.href)}), { kind }), size: 1 });
        const { value } = await peers.run({ do: "echo", n: 4 }, { timeoutMs: 60_000 });
        console.log(value);
      }`;
    const parent = spawn(process.execPath, ["--conditions=guerdon-source", "--input-type=module", "-e", source]);
    let said = "";
    parent.stdout.on("data", (text: Buffer) => (said += text.toString()));
    const code = await new Promise((resolve) => parent.on("close", resolve));
    expect({ code, said }).toEqual({ code: 0, said: "4\n4\n" });
  });
});
