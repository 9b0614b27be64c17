import { resolveObjectURL } from "node:buffer";
import { Worker as NodeWorker } from "node:worker_threads";

/** Gives a Node worker the few globals of a web worker. */
const prelude = `const { parentPort } = require("node:worker_threads");
globalThis.self = globalThis;
globalThis.postMessage = (message) => parentPort.postMessage(message);
parentPort.on("message", (data) => self.onmessage?.({ data }));
`;

/** What the pool uses of a web worker. */
interface PoolWorker {
  onmessage: ((event: { data: unknown }) => void) | null;
  onerror: ((event: { message: string; error: Error }) => void) | null;
  postMessage(message: unknown): void;
  terminate(): void;
}

/**
 * As much of the browser's Worker as the array library's thread pool uses: made from a blob URL, and exactly one answer to each message.
 * The process stays alive only while an answer is outstanding. The pool goes on after a failure as if nothing had happened, so failures
 * are also reported to `report`.
 */
export function nodeWebWorker(report: (failure: Error) => void): new (url: string | URL) => PoolWorker {
  return class NodeWebWorker implements PoolWorker {
    onmessage: ((event: { data: unknown }) => void) | null = null;
    onerror: ((event: { message: string; error: Error }) => void) | null = null;
    #worker: NodeWorker | null = null;
    #waiting: unknown[] = [];
    #unanswered = 0;
    #failure: Error | null = null;
    #terminated = false;

    constructor(url: string | URL) {
      // Now, not later: the library revokes the URL as soon as its workers have started.
      const blob = resolveObjectURL(String(url));
      if (!blob) throw new TypeError(`Worker: ${String(url)} is not a blob URL`);
      blob.text().then(
        (source) => this.#start(source),
        (error: Error) => this.#fail(error),
      );
    }

    postMessage(message: unknown): void {
      if (this.#failure) this.#refuse(this.#failure);
      else if (this.#worker) this.#send(this.#worker, message);
      else this.#waiting.push(message);
    }

    terminate(): void {
      this.#terminated = true;
      void this.#worker?.terminate();
    }

    #start(source: string): void {
      if (this.#terminated) return;
      // Without the options of this process: --input-type=module, for one, would change what the source means.
      const worker = new NodeWorker(prelude + source, { eval: true, execArgv: [] });
      worker.on("message", (data: unknown) => {
        if (this.#unanswered > 0 && --this.#unanswered === 0) worker.unref();
        if (isRefusal(data)) report(new Error(data.error));
        this.onmessage?.({ data });
      });
      worker.on("error", (error: Error) => this.#fail(error));
      worker.on("exit", (code) => {
        if (!this.#terminated) this.#fail(new Error(`a worker ended with code ${code}`));
      });
      worker.unref(); // after the listeners, which would undo it
      this.#worker = worker;
      for (const message of this.#waiting.splice(0)) this.#send(worker, message);
    }

    #send(worker: NodeWorker, message: unknown): void {
      if (this.#unanswered++ === 0) worker.ref();
      worker.postMessage(message);
    }

    #fail(failure: Error): void {
      if (this.#failure) return;
      this.#failure = failure;
      report(failure);
      this.onerror?.({ message: failure.message, error: failure });
      for (let open = this.#unanswered + this.#waiting.splice(0).length; open > 0; open--) this.#refuse(failure);
    }

    /** Answers in the place of a worker that cannot, so that nobody waits for ever. */
    #refuse(failure: Error): void {
      queueMicrotask(() => this.onmessage?.({ data: { type: "done", ok: false, error: failure.message } }));
    }
  };
}

const isRefusal = (data: unknown): data is { ok: false; error: string } =>
  typeof data === "object" && data !== null && "ok" in data && data.ok === false;
