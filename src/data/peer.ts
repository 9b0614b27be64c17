/**
 * The other side of `Host.start`: what a module uses that runs in a worker or a process of its own. No built-in of Node is imported, because
 * workers in a page use it as well.
 */
interface Port {
  postMessage(message: unknown): void;
  on(event: "message", listener: (message: unknown) => void): void;
}

/** Listens for messages from the one that started this module; returns the function that posts messages to it. */
export function listen(listener: (message: unknown) => void): (message: unknown) => void {
  if (typeof process !== "object" || typeof process.getBuiltinModule !== "function") {
    const page = globalThis as unknown as { onmessage: (event: { data: unknown }) => void; postMessage(message: unknown): void };
    page.onmessage = ({ data }) => listener(data);
    return (message) => page.postMessage(message);
  }
  const port = process.getBuiltinModule("node:worker_threads").parentPort as Port | null;
  if (port !== null) {
    // A worker's output goes to the output of the whole program, where results belong: what it says goes to standard error instead.
    process.stdout.write = process.stderr.write.bind(process.stderr);
    port.on("message", listener);
    return (message) => port.postMessage(message);
  }
  process.on("message", listener);
  return (message) => process.send?.(message as object);
}

/** What goes over the wire between a pool and its peers. */
export type ToPeer = { readonly id: number; readonly job: unknown };
export type FromPeer =
  | { readonly ready: true }
  | { readonly id: number; readonly value: unknown; readonly last: boolean }
  | { readonly id: number; readonly error: string };

/**
 * Answers the jobs of a pool: one at a time, each with what `work` returns. A throw is the answer to that job only. `prepare` is awaited
 * before the first job and says by throwing that this peer cannot work at all. `spent` says after a job that this peer should get no other.
 */
export function answerJobs<Job, Value>(
  work: (job: Job) => Value | Promise<Value>,
  prepare?: () => Promise<void>,
  spent = () => false,
): void {
  const readiness = Promise.resolve(prepare?.());
  const post = listen((message) => {
    const { id, job } = message as ToPeer;
    void readiness
      .then(() => work(job as Job))
      .then(
        (value) => post({ id, value, last: spent() } satisfies FromPeer),
        (cause: unknown) => post({ id, error: cause instanceof Error ? cause.message : String(cause) } satisfies FromPeer),
      );
  });
  void readiness.then(
    () => post({ ready: true } satisfies FromPeer),
    (cause: unknown) => post({ id: -1, error: cause instanceof Error ? cause.message : String(cause) } satisfies FromPeer),
  );
}
