import type { Screen } from "./screen.ts";

/**
 * Runs something that a person may interrupt. The first Ctrl-C (or SIGTERM) aborts the signal, so that the work can save where it is;
 * the second leaves at once with status 130. `said` is what the person is told first; null for nothing.
 */
export async function interruptible<T>(
  screen: Screen,
  f: (signal: AbortSignal) => Promise<T>,
  said: string | null = "Stopping after this step, then saving. Ctrl-C again leaves at once.",
): Promise<T> {
  const controller = new AbortController();
  const stop = () => {
    if (controller.signal.aborted) process.exit(130);
    if (said !== null) screen.say(said);
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
