import { resolveObjectURL } from "node:buffer";
import { Worker as NodeWorker } from "node:worker_threads";

/** Gives a Node worker the few globals of a web worker. */
const prelude = `const { parentPort } = require("node:worker_threads");
globalThis.self = globalThis;
globalThis.postMessage = (message) => parentPort.postMessage(message);
parentPort.on("message", (data) => self.onmessage?.({ data }));
`;

/**
 * As much of the browser's Worker as the array library's thread pool uses: made from a blob URL, and exactly one answer to each message.
 * Workers keep the process alive only while an answer is outstanding.
 */
export class NodeWebWorker {
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onerror: ((event: { message: string; error: Error }) => void) | null = null;
  #worker: NodeWorker | null = null;
  #waiting: unknown[] = [];
  #unanswered = 0;
  #terminated = false;

  constructor(url: string | URL) {
    // Now, not later: the library revokes the URL as soon as its workers have started.
    const blob = resolveObjectURL(String(url));
    if (!blob) throw new TypeError(`Worker: ${String(url)} is not a blob URL`);
    void blob.text().then((source) => this.#start(source));
  }

  postMessage(message: unknown): void {
    if (this.#worker) this.#send(this.#worker, message);
    else this.#waiting.push(message);
  }

  terminate(): void {
    this.#terminated = true;
    void this.#worker?.terminate();
  }

  #start(source: string): void {
    if (this.#terminated) return;
    const worker = new NodeWorker(prelude + source, { eval: true });
    worker.on("message", (data) => {
      if (this.#unanswered > 0 && --this.#unanswered === 0) worker.unref();
      this.onmessage?.({ data });
    });
    worker.on("error", (error: Error) => {
      this.#unanswered = 0;
      worker.unref();
      if (!this.onerror) throw error;
      this.onerror({ message: error.message, error });
    });
    worker.unref(); // after the listeners, which would undo it
    this.#worker = worker;
    for (const message of this.#waiting.splice(0)) this.#send(worker, message);
  }

  #send(worker: NodeWorker, message: unknown): void {
    if (this.#unanswered++ === 0) worker.ref();
    worker.postMessage(message);
  }
}
