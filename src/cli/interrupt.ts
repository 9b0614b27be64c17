import type { Screen } from "./screen.ts";

/**
 * Runs something that a person may interrupt. The first Ctrl-C (or SIGTERM) aborts the signal, so that the work can save where it is;
 * the second leaves at once with status 130.
 *
 * @param stopping what the first one is answered with; null for nothing
 */
export async function interruptible<T>(screen: Screen, stopping: string | null, f: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController();
  const stop = () => {
    if (controller.signal.aborted) process.exit(130);
    if (stopping !== null) screen.say(`${stopping}. Ctrl-C again leaves at once.`);
    controller.abort();
  };
  process.on("SIGINT", stop);
  process.on("SIGTERM", stop);
  try {
    return await f(controller.signal);
  } finally {
    process.off("SIGINT", stop);
    process.off("SIGTERM", stop);
  }
}
