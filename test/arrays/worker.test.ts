import { expect, test } from "vitest";
import { nodeWebWorker } from "../../src/arrays/worker.ts";

/** A worker's source as the library's: one answer to each message, and a failure is an answer too. */
const source = `self.onmessage = ({ data }) => {
  try {
    if (data.type === "end") process.exit(3);
    if (data.fail) throw new Error(data.fail);
    if (data.counts) Atomics.add(data.counts, 2 * data.part + (self === globalThis ? 1 : 0), 1);
    for (let i = 0; i < (data.work ?? 0); i++) Math.sin(i);
    postMessage({ type: "done", ok: true });
    if (data.type === "doze") Atomics.wait(data.until, 0, 0);
  } catch (error) {
    postMessage({ type: "done", ok: false, error: String(error) });
  }
};`;

/** Two workers: the calling thread and another. `ask` resolves with the answer to a message. */
async function workers() {
  const failures: string[] = [];
  const Worker = nodeWebWorker((failure) => failures.push(failure.message));
  const url = URL.createObjectURL(new Blob([source]));
  const two = [new Worker(url), new Worker(url)] as const;
  URL.revokeObjectURL(url);
  const ask = (k: 0 | 1, message: object) =>
    new Promise((resolve) => {
      two[k].onmessage = ({ data }) => resolve(data);
      two[k].postMessage(message);
    });
  await Promise.all([ask(0, { type: "init" }), ask(1, { type: "init" })]);
  return { ask, failures };
}

const done = { type: "done", ok: true };

test("each part is computed once, the first one here, the other where there is time", async () => {
  const { ask, failures } = await workers();
  const counts = new Int32Array(new SharedArrayBuffer(16));
  const rounds = 3000;
  for (let round = 0; round < rounds; round++) {
    const work = (round * 7919) % 4000; // nothing to some tens of microseconds
    const answers = await Promise.all(([0, 1] as const).map((part) => ask(part, { type: "kernel", part, counts, work })));
    expect(answers).toEqual([done, done]);
  }
  const [firstHere, firstThere, secondHere, secondThere] = [...counts] as [number, number, number, number];
  expect([firstHere, firstThere, secondHere + secondThere]).toEqual([rounds, 0, rounds]);
  expect(failures).toEqual([]);
});

test("what a busy thread has not begun is computed here; other messages wait for it", async () => {
  const { ask } = await workers();
  const counts = new Int32Array(new SharedArrayBuffer(16));
  const until = new Int32Array(new SharedArrayBuffer(4));
  await ask(1, { type: "doze", until }); // answers and then sleeps
  for (let i = 0; i < 5; i++) expect(await ask(1, { type: "kernel", part: 0, counts })).toEqual(done);
  const waiting = ask(1, { type: "routine", part: 1, counts });
  Atomics.store(until, 0, 1);
  Atomics.notify(until, 0);
  expect(await waiting).toEqual(done);
  expect([...counts]).toEqual([5, 0, 0, 1]);
});

test("a failure is the answer, and reported, wherever it happens", async () => {
  const { ask, failures } = await workers();
  expect(await ask(0, { type: "kernel", fail: "here" })).toEqual({ type: "done", ok: false, error: "Error: here" });
  expect(await ask(1, { type: "routine", fail: "there" })).toEqual({ type: "done", ok: false, error: "Error: there" });
  expect(failures).toEqual(["Error: here", "Error: there"]);
});

test("a thread that ends is reported, and nobody waits for it", async () => {
  const { ask, failures } = await workers();
  const ended = { type: "done", ok: false, error: "a worker ended with code 3" };
  expect(await ask(1, { type: "end" })).toEqual(ended);
  expect(await ask(1, { type: "kernel" })).toEqual(ended);
  expect(await ask(0, { type: "kernel" })).toEqual(done);
  expect(failures[0]).toBe("a worker ended with code 3");
});
