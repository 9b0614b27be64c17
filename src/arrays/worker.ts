import { resolveObjectURL } from "node:buffer";
import { compileFunction } from "node:vm";
import { MessageChannel, receiveMessageOnPort, Worker as NodeWorker } from "node:worker_threads";
import type { MessagePort } from "node:worker_threads";

/** What the pool uses of a web worker. */
interface PoolWorker {
  onmessage: ((event: { data: unknown }) => void) | null;
  onerror: ((event: { message: string; error: Error }) => void) | null;
  postMessage(message: unknown): void;
}

/** Words that a thread shares with this one. Messages are counted from 1, modulo 2^32, so they are compared for equality only. */
const SENT = 0;
/** The last message that either thread has begun to work on. */
const CLAIMED = 1;
/** The last message that the other thread has answered. */
const ANSWERED = 2;
/** 1 once an answer says that something failed; the answer itself is then on the port. */
const FAILED = 3;

/**
 * How long a thread looks for work before it sleeps, and the calling thread for an answer, in ms: about what waking up takes. Longer gains
 * little on an idle machine, and on a busy one takes time from whoever is waited for.
 */
const LOOK = 0.05;
/** How long the calling thread then sleeps before it lets its event loop run, which hears of a thread that has died. */
const SLEEP = 100;

/** Before and after the library's source in a thread, which works through its messages in an endless loop. */
const prelude = `const { workerData: { control, port }, receiveMessageOnPort } = require("node:worker_threads");
let message = 0;
globalThis.self = globalThis;
globalThis.postMessage = (answer) => {
  if (answer.ok === false) {
    port.postMessage(answer);
    Atomics.store(control, ${FAILED}, 1);
  }
  Atomics.store(control, ${ANSWERED}, message);
  Atomics.notify(control, ${ANSWERED});
};
`;
const loop = `
const nothing = () => Atomics.load(control, ${SENT}) === message;
const look = () => {
  for (const end = performance.now() + ${LOOK}; performance.now() < end; ) for (let i = 0; i < 100; i++) if (!nothing()) return;
};
for (;;) {
  look();
  while (nothing()) Atomics.wait(control, ${SENT}, message);
  const data = receiveMessageOnPort(port).message;
  const before = message;
  message = (message + 1) | 0;
  if (Atomics.compareExchange(control, ${CLAIMED}, before, message) === before) self.onmessage({ data });
}
`;

interface Thread {
  readonly control: Int32Array;
  readonly port: MessagePort;
}

/**
 * As much of the browser's Worker as the array library's thread pool uses: made from a blob URL, and exactly one answer to each message.
 *
 * The pool cuts a kernel into one part a worker and waits for all parts, hundreds of times a step, so what a part costs beside computing
 * decides whether threads pay. Therefore the first worker is the calling thread itself; the others learn of work, and tell of its end,
 * through shared memory; and a part that its thread has not begun when the calling thread is done with its own is computed there, so that
 * a thread that sleeps, or that the machine has no time for, holds nothing up. Who computes a part does not change its numbers.
 *
 * The pool goes on after a failure as if nothing had happened, so failures are also reported to `report`.
 */
export function nodeWebWorker(report: (failure: Error) => void): new (url: string | URL) => PoolWorker {
  /** Computes on the calling thread and returns the answer; set once the first worker has started. */
  let compute: ((message: unknown) => unknown) | null = null;
  let first = true;

  return class NodeWebWorker implements PoolWorker {
    onmessage: ((event: { data: unknown }) => void) | null = null;
    onerror: ((event: { message: string; error: Error }) => void) | null = null;
    /** null for the calling thread. */
    #thread: Thread | null = null;
    /** null once it has. */
    #starting: Promise<void> | null;
    #failure: Error | null = null;

    constructor(url: string | URL) {
      // Now, not later: the library revokes the URL as soon as its workers have started.
      const blob = resolveObjectURL(String(url));
      if (!blob) throw new TypeError(`Worker: ${String(url)} is not a blob URL`);
      const calling = first;
      first = false;
      this.#starting = blob.text().then(
        (source) => {
          if (calling) compute = computing(source);
          else this.#thread = startThread(source, (failure) => this.#fail(failure));
          this.#starting = null;
        },
        (error: Error) => this.#fail(error),
      );
    }

    postMessage(message: unknown): void {
      if (this.#starting) void this.#starting.then(() => this.#send(message));
      else this.#send(message);
    }

    #send(message: unknown): void {
      const thread = this.#thread;
      if (this.#failure || !thread) {
        // Later, when the parts of the other workers are on their way too.
        queueMicrotask(() => this.#answer(this.#failure ? refusal(this.#failure) : compute!(message)));
        return;
      }
      thread.port.postMessage(message);
      const number = (Atomics.add(thread.control, SENT, 1) + 1) | 0;
      Atomics.notify(thread.control, SENT);
      queueMicrotask(() => void this.#finish(thread, message, number));
    }

    /** Computes what the thread has not begun, or waits for its answer. */
    async #finish({ control, port }: Thread, message: unknown, number: number): Promise<void> {
      const before = (number - 1) | 0;
      if (isKernel(message) && Atomics.compareExchange(control, CLAIMED, before, number) === before) {
        this.#answer(compute!(message));
        return;
      }
      const answered = () => Atomics.load(control, ANSWERED) === number;
      for (const end = performance.now() + LOOK; !answered() && performance.now() < end;);
      const earlier = Atomics.load(control, ANSWERED);
      if (earlier !== number) Atomics.wait(control, ANSWERED, earlier, SLEEP);
      while (!answered() && !this.#failure) await new Promise((resume) => setTimeout(resume, 1));
      const failed = this.#failure ? refusal(this.#failure) : Atomics.load(control, FAILED) ? receiveMessageOnPort(port)?.message : null;
      this.#answer(failed ?? { type: "done", ok: true });
    }

    #answer(data: unknown): void {
      if (isRefusal(data)) report(new Error(data.error));
      this.onmessage?.({ data });
    }

    #fail(failure: Error): void {
      if (this.#failure) return;
      this.#failure = failure;
      this.#starting = null;
      report(failure);
      this.onerror?.({ message: failure.message, error: failure });
    }
  };
}

/** Runs the library's source for a worker on the calling thread. */
function computing(source: string): (message: unknown) => unknown {
  const scope: { onmessage?: (event: { data: unknown }) => void } = {};
  let answer: unknown;
  compileFunction(source, ["self", "postMessage"])(scope, (given: unknown) => (answer = given));
  return (data) => {
    scope.onmessage?.({ data });
    return answer;
  };
}

function startThread(source: string, fail: (failure: Error) => void): Thread {
  const control = new Int32Array(new SharedArrayBuffer(16));
  const { port1: port, port2 } = new MessageChannel();
  // Without the options of this process: --input-type=module, for one, would change what the source means.
  const worker = new NodeWorker(prelude + source + loop, {
    eval: true,
    execArgv: [],
    workerData: { control, port: port2 },
    transferList: [port2],
  });
  worker.on("error", fail);
  worker.on("exit", (code) => fail(new Error(`a worker ended with code ${code}`)));
  worker.unref(); // after the listeners, which would undo it: only an answer that is waited for keeps the process alive
  return { control, port };
}

const isKernel = (message: unknown): boolean =>
  typeof message === "object" && message !== null && "type" in message && message.type === "kernel";
const isRefusal = (data: unknown): data is { ok: false; error: string } =>
  typeof data === "object" && data !== null && "ok" in data && data.ok === false;
/** The answer of a worker that cannot answer, so that nobody waits for ever. */
const refusal = (failure: Error): unknown => ({ type: "done", ok: false, error: failure.message });
